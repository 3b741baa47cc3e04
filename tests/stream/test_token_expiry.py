"""A token that ends while its stream runs, and one that ends before; on virtual time."""

from typing import Any

import pytest
import trio

from service.identity import Caller
from service.settings import AuthMode
from service.stream.clocks import GOAWAY_S
from service.tokens import mint
from tests.support.stream_world import NOW_S, World, words

SECRET = "a secret of at least 32 characters"


def token(ttl_s: int) -> str:
    """From the beginning of virtual time on."""
    return mint(SECRET, "u_1", now_s=int(NOW_S), ttl_s=ttl_s)


def world_with_tokens(nursery: trio.Nursery, **settings: Any) -> World:
    return World(nursery, auth_mode=AuthMode.TOKEN, jwt_secret=SECRET, **settings)


@pytest.mark.parametrize("place", ["bearer", "start"])
async def test_the_stream_is_told_then_settled_then_ended(
    place: str, nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = world_with_tokens(nursery)
    given: dict[str, Any] = {"caller": Caller(token(20))} if place == "bearer" else {"token": token(20)}
    async with world.phone(**given) as phone, trio.open_nursery() as talking:
        began = trio.current_time()
        talking.start_soon(phone.talk, words(*range(1, 80)))
        goaway = await phone.hear("goaway")
        assert goaway == {"type": "goaway", "timeLeftMs": GOAWAY_S * 1000, "reason": "token_expired"}
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)
        error = await phone.hear("error")
        assert trio.current_time() - began == pytest.approx(20, abs=0.1)
    assert (error["code"], error["retryable"], error["fatal"]) == ("token_expired", False, True)
    assert phone.closed == (4401, "token_expired")
    assert phone.all("stopped") == []
    # What was said until then was settled, and told before: 400 ms for each word.
    said = " ".join(final["text"] for final in phone.finals).split()
    assert said == [f"w{number}" for number in range(1, len(said) + 1)]
    assert len(said) in (50, 51)  # the last one has begun when the time is over
    assert phone.seen[-2]["type"] == "result"
    assert phone.seen[-2]["isFinal"]
    assert world.metric("voice_streams_ended_total", outcome="token_expired") == 1
    assert world.metric("voice_messages_rejected_total", slug="token_expired") == 0  # it was admitted
    world.assert_nothing_left()


async def test_a_muted_stream_ends_too(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery)
    async with world.phone(caller=Caller(token(60))) as phone, trio.open_nursery() as beating:

        async def beat() -> None:
            while True:
                phone.say(type="ping")
                await trio.sleep(10)

        beating.start_soon(beat)
        assert (await phone.hear("error"))["code"] == "token_expired"
        beating.cancel_scope.cancel()
    assert trio.current_time() == pytest.approx(60, abs=0.1)
    assert [message["reason"] for message in phone.all("goaway")] == ["token_expired"]


async def test_a_token_of_a_few_seconds(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery)
    async with world.phone(caller=Caller(token(3))) as phone:
        await phone.talk(words(1, 2))
        assert (await phone.hear("error"))["code"] == "token_expired"
    assert [message["timeLeftMs"] for message in phone.all("goaway")] == [pytest.approx(3000, abs=100)]
    assert [final["text"] for final in phone.finals] == ["w1 w2"]


async def test_who_stops_in_time_is_done(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery)
    async with world.phone(caller=Caller(token(3))) as phone:
        await phone.talk(words(1, 2))
        phone.say(type="stop")
        assert (await phone.hear("stopped", "error"))["text"] == "w1 w2"
    assert phone.closed == (1000, "completed")


async def test_a_stop_before_the_end_is_settled_behind_it(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery)
    async with world.phone(caller=Caller(token(3))) as phone:
        for _ in range(10):
            phone.audio(words(1, 2, 3))  # 12 s of audio at once, which takes 6 s to be relayed
        phone.say(type="stop")
        assert (await phone.hear("stopped", "error"))["type"] == "stopped"
    assert trio.current_time() > 3


async def test_a_limit_that_comes_before_goes_first(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery, max_stream_s=2)
    async with world.phone(caller=Caller(token(3))) as phone:
        await phone.talk(words(1, 2))
        await phone.hear("stopped")
    assert phone.closed == (1000, "time_limit")


async def test_the_stream_goes_on_with_a_new_token(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery)
    talk = words(*range(1, 21))
    async with world.phone(caller=Caller(token(4))) as phone:
        await phone.talk(talk[: 32 * 4000])
        assert (await phone.hear("error"))["code"] == "token_expired"
        stream_id = phone.all("ready")[0]["streamId"]
    settled_ms = phone.finals[-1]["settledMs"]
    resume = {"streamId": stream_id, "sentences": len(phone.finals), "settledMs": settled_ms}
    async with world.phone(caller=Caller(token(60)), resume=resume) as again:
        await again.talk(talk[32 * settled_ms :])
        again.say(type="stop")
        await again.hear("stopped")
    said = " ".join(final["text"] for final in (*phone.finals, *again.finals))
    assert said == " ".join(f"w{number}" for number in range(1, 21))


async def test_a_token_that_has_ended_opens_nothing(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_with_tokens(nursery)
    for ttl_s, expected in ((6, "ready"), (5, "token_expired")):
        async with world.phone(caller=Caller(token(ttl_s)), started=False) as phone:
            await trio.sleep_until(5)
            phone.say(type="start")
            message = await phone.hear("ready", "error")
            assert message.get("code", message["type"]) == expected
            phone.say(type="cancel")
    assert world.dials == 1
