"""Whoever waits for the breaker goes on when it is known that there is something to dial, and not later."""

import pytest
import trio

from service.recognizer.breaker import Breaker
from service.recognizer.circuit import FAILURES
from service.recognizer.tencent import Trouble


async def opened_again_and_again(times: int) -> Breaker:
    """A breaker whose trials have failed: its pauses have grown."""
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.check()
        breaker.failed(Trouble.CONNECT)
    for _ in range(times - 1):
        await trio.sleep(breaker.dial_in_s)
        breaker.check()
        breaker.failed(Trouble.CONNECT)
    return breaker


async def test_a_probe_that_ends_a_pause_wakes_who_waits(nursery: trio.Nursery, autojump_clock: object) -> None:
    breaker = await opened_again_and_again(4)
    began, probed_at = trio.current_time(), breaker.probe_from + 0.1
    assert breaker.pause_ends_at > probed_at + 2

    async def probe() -> None:
        await trio.sleep_until(probed_at)
        breaker.probed()

    nursery.start_soon(probe)
    await breaker.wait_dialable(60)
    assert trio.current_time() == pytest.approx(probed_at)
    assert trio.current_time() > began
    breaker.check()


async def test_who_waits_for_a_trial_goes_on_when_it_has_succeeded(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    breaker = await opened_again_and_again(2)
    await breaker.wait_dialable(60)
    breaker.check()  # the trial

    async def accepted() -> None:
        await trio.sleep(0.3)
        breaker.succeeded()

    began = trio.current_time()
    nursery.start_soon(accepted)
    await breaker.wait_dialable(60)
    assert trio.current_time() - began == pytest.approx(0.3)


async def test_a_trial_that_is_given_up_lets_the_next_one_go_on_at_once(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    breaker = await opened_again_and_again(2)
    await breaker.wait_dialable(60)
    breaker.check()

    async def give_up() -> None:
        await trio.sleep(0.3)
        breaker.gave_up()

    began = trio.current_time()
    nursery.start_soon(give_up)
    await breaker.wait_dialable(60)
    assert trio.current_time() - began == pytest.approx(0.3)
    breaker.check()


async def test_a_trial_that_fails_is_waited_for_through_the_next_pause(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    breaker = await opened_again_and_again(2)
    await breaker.wait_dialable(60)
    breaker.check()

    async def failed() -> None:
        await trio.sleep(0.3)
        breaker.failed(Trouble.CONNECT)

    nursery.start_soon(failed)
    await breaker.wait_dialable(60)
    assert trio.current_time() == pytest.approx(breaker.pause_ends_at)


async def test_nobody_waits_longer_than_said(autojump_clock: object) -> None:
    breaker = await opened_again_and_again(6)
    began = trio.current_time()
    await breaker.wait_dialable(5)
    assert trio.current_time() - began == pytest.approx(5)
    assert breaker.dial_in_s > 0
