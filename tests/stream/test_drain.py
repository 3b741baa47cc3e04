"""An instance that is told to stop: each stream settles in time or is told, in virtual time."""

from typing import Any

import pytest
import trio

from service.lifecycle import SETTLE_SPREAD_S
from service.server import _drain
from tests.support.stream_world import Fault, Phone, Script, World, coded_pcm, silence, words


def outcomes(world: World) -> dict[str, float]:
    (family,) = world.deps.metrics.streams_ended.collect()
    return {sample.labels["outcome"]: sample.value for sample in family.samples if sample.value}


async def test_a_stream_goes_on_and_is_settled_in_time(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        began = trio.current_time()
        world.deps.lifecycle.drain(began + 12)
        goaway = await phone.hear("goaway")
        assert trio.current_time() == began
        await phone.talk(words(2) + words(3) + coded_pcm([silence(11_000)]))
        await phone.talk(words(4))
        assert trio.current_time() > began + 12
        stopped = await phone.hear("stopped")
    left_ms = goaway["timeLeftMs"]
    assert goaway == {"type": "goaway", "timeLeftMs": left_ms, "reason": "restarting"}
    assert 12_000 - SETTLE_SPREAD_S * 1000 <= left_ms <= 12_000
    assert len(phone.all("goaway")) == 1
    # What came until then is settled: the last word came half, or not at all.
    assert stopped["text"].startswith("w1 w2 w3")
    assert stopped["sentences"] == len(phone.finals) > 0
    assert left_ms <= stopped["audio"]["relayedMs"] <= left_ms + 500
    assert stopped["audio"]["receivedBytes"] == stopped["audio"]["relayedBytes"] + stopped["audio"]["droppedBytes"]
    assert not phone.all("error")
    assert phone.closed == (1012, "restarting")
    assert outcomes(world) == {"drained": 1}
    world.assert_nothing_left()


async def test_who_stops_when_told_has_completed(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        world.deps.lifecycle.drain(trio.current_time() + 12)
        await phone.hear("goaway")
        await phone.talk(words(2))
        phone.say(type="stop")
        assert (await phone.hear("stopped"))["text"] == "w1 w2"
    assert phone.closed == (1000, "completed")
    assert outcomes(world) == {"completed": 1}


async def test_who_is_being_settled_already_is_left_alone(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, Script(final_delay_ms=3000))
    async with world.phone() as phone:
        await phone.talk(words(1))
        phone.say(type="stop")
        await trio.sleep(1)
        world.deps.lifecycle.drain(trio.current_time())
        assert (await phone.hear("stopped"))["text"] == "w1"
    assert not phone.all("goaway")
    assert phone.closed == (1000, "completed")


async def test_at_once(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1, 2))
        began = trio.current_time()
        world.deps.lifecycle.drain()
        assert (await phone.hear("goaway"))["timeLeftMs"] == 0
        assert (await phone.hear("stopped"))["text"] == "w1 w2"
        assert trio.current_time() - began < 1
    assert phone.closed == (1012, "restarting")


async def test_a_silent_stream_needs_no_recognizer_to_end(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        await trio.sleep(10)
        assert world.deps.admission.slots_used == 0
        world.deps.lifecycle.drain(trio.current_time() + 2)
        assert (await phone.hear("stopped"))["text"] == "w1"
    assert world.dials == 1
    assert phone.closed == (1012, "restarting")


STUCK = [
    Script(faults=(Fault("swallow_final"),)),
    Script(faults=(Fault("stop_reading", at_ms=100),)),
    Script(final_delay_ms=60_000),
]


@pytest.mark.parametrize("script", STUCK)
async def test_who_cannot_be_settled_is_told(script: Script, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, script)
    async with world.phone() as phone:
        await phone.talk(words(1))
        world.deps.lifecycle.drain()
        await trio.sleep(4)
        assert phone.closed is None
        world.deps.lifecycle.give_up()
        error = await phone.hear("error")
        assert (error["code"], error["fatal"], error["retryable"]) == ("restarting", True, True)
        assert 1000 <= error["retryAfterMs"] <= 4000
    assert phone.closed == (1012, "restarting")
    assert not phone.all("stopped")
    assert outcomes(world) == {"restarting": 1}
    world.assert_nothing_left()


async def test_before_the_recognizer_has_accepted(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, Script(faults=(Fault("silent_handshake"),)))
    async with world.phone(started=False) as phone:
        phone.say(type="start")
        phone.audio(words(1))
        await trio.sleep(1)
        world.deps.lifecycle.drain(trio.current_time() + 1)
        await phone.hear("goaway")
        await trio.sleep(2)
        world.deps.lifecycle.give_up()
        assert (await phone.hear("error"))["code"] == "restarting"
    assert phone.closed == (1012, "restarting")
    world.assert_nothing_left()


async def test_a_client_that_does_not_read_does_not_stop_the_giving_up(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        phone.may_read = trio.Event()
        world.deps.lifecycle.drain()
        await trio.sleep(3)
        assert world.deps.admission.streams == 1
        world.deps.lifecycle.give_up()
        await world.deps.admission.wait_idle()
        assert outcomes(world) == {"restarting": 1}
        phone.may_read.set()
    world.assert_nothing_left()


# -- the order of the process ------------------------------------------------------------------------------------------


async def keep_talking(phone: Phone) -> None:
    with trio.move_on_after(1000) as scope:
        while phone.closed is None:
            await phone.talk(words(1))
    assert not scope.cancelled_caught


@pytest.mark.parametrize(("drain_s", "settled_after_s"), [(60, 52), (20, 12), (10, 2), (8, 0), (2, 0)])
async def test_the_drain_of_a_process(
    drain_s: int, settled_after_s: float, nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery, drain_s=drain_s)
    async with world.phone() as one, world.phone() as other:
        for phone in (one, other):
            nursery.start_soon(keep_talking, phone)
        await trio.sleep(3)
        began = trio.current_time()
        await _drain(world.deps)
        earliest_s = settled_after_s - min(SETTLE_SPREAD_S, settled_after_s / 2)
        assert earliest_s <= trio.current_time() - began < settled_after_s + 1
    for phone in (one, other):
        assert earliest_s <= phone.all("goaway")[0]["timeLeftMs"] / 1000 <= settled_after_s
        assert phone.all("stopped")
        assert phone.closed == (1012, "restarting")
    assert outcomes(world) == {"drained": 2}
    world.assert_nothing_left()


@pytest.mark.parametrize(("drain_s", "given_up_after_s"), [(20, 18.0), (8, 6.0), (2, 1.0), (0, 0.0)])
async def test_a_drain_that_is_overdue(
    drain_s: int, given_up_after_s: float, nursery: trio.Nursery, autojump_clock: object
) -> None:
    # The second connection is the other phone's: what the first one said is tried again, in vain.
    stuck_at = tuple(Fault("swallow_final", connection=number) for number in (1, 3, 4, 5, 6))
    world = World(nursery, Script(faults=stuck_at), drain_s=drain_s)
    async with world.phone() as stuck, world.phone() as well:
        await stuck.talk(words(1))
        await well.talk(words(1))
        began = trio.current_time()
        await _drain(world.deps)
        assert trio.current_time() - began == pytest.approx(given_up_after_s, abs=0.01)
    assert stuck.closed == well.closed == (1012, "restarting")
    expected: dict[str, Any] = {"restarting": 1, "drained": 1} if drain_s else {"restarting": 2}
    assert outcomes(world) == expected
    world.assert_nothing_left()


async def test_without_streams_a_drain_takes_no_time(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    began = trio.current_time()
    await _drain(world.deps)
    assert trio.current_time() == began
