"""Streams that are held to the limits of their users and addresses, in virtual time."""

import contextlib
import time
from typing import Any

import pytest
import trio

from service.identity import Caller
from service.settings import AuthMode
from service.stream.clocks import GOAWAY_S
from service.stream.limits import DAY_MS
from service.tokens import mint
from tests.support.stream_world import NOW_S, Message, Phone, World, words

SECRET = "s" * 40
UNTIL_MIDNIGHT_S = DAY_MS / 1000 - NOW_S % (DAY_MS / 1000)


def caller(user: str = "u", address: str = "198.51.100.1") -> Caller:
    token = mint(SECRET, user, now_s=int(time.time()), ttl_s=10**9)
    return Caller(bearer=token, address=address)


def world_of(nursery: trio.Nursery, **limits: Any) -> World:
    return World(nursery, auth_mode=AuthMode.TOKEN, jwt_secret=SECRET, **limits)


async def refused(world: World, who: Caller, **start: Any) -> Message:
    """The error that a start is answered with."""
    async with world.phone(caller=who, started=False) as phone:
        phone.say(type="start", **start)
        told = await phone.hear("ready", "error")
        assert told["type"] == "error", "it was let in"
        await phone.was_closed.wait()
    assert phone.closed == (4429, told["code"])
    assert told["fatal"] is told["retryable"] is True
    return told


async def leave(phone: Phone) -> None:
    phone.say(type="cancel")
    await phone.was_closed.wait()


async def test_a_user_has_so_many_streams(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_streams_per_user=2)
    async with world.phone(caller=caller()) as one, world.phone(caller=caller(address="198.51.100.2")) as two:
        told = await refused(world, caller(address="198.51.100.3"))
        assert (told["code"], told["message"]) == ("too_many_streams", "This user has 2 streams already.")
        assert 1000 <= told["retryAfterMs"] <= 4000
        async with world.phone(caller=caller("other")) as three:
            await leave(three)
        await leave(one)
        async with world.phone(caller=caller()) as four:
            await leave(four)
        await leave(two)
    assert world.metric("voice_messages_rejected_total", slug="too_many_streams") == 1
    assert world.metric("voice_streams_ended_total", outcome="too_many_streams") == 0, "it was never admitted"
    world.assert_nothing_left()


async def test_hints_are_spread(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_streams_per_user=1)
    async with world.phone(caller=caller()) as one:
        hints = {(await refused(world, caller()))["retryAfterMs"] for _ in range(8)}
        await leave(one)
    assert len(hints) > 1


async def test_an_address_has_so_many_streams(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Nobody has to be known for it; of IPv6 a whole subscriber is one."""
    world = World(nursery, max_streams_per_address=1)
    async with world.phone(caller=Caller(address="2001:db8:1:2::7")) as one:
        told = await refused(world, Caller(address="2001:db8:1:2::9"))
        assert (told["code"], told["message"]) == ("too_many_streams", "There are 1 streams from this address already.")
        async with world.phone(caller=Caller(address="2001:db8:1:3::7")) as two:
            await leave(two)
        async with world.phone(caller=Caller()) as unknown, world.phone(caller=Caller()) as also_unknown:
            await leave(unknown)
            await leave(also_unknown)
        await leave(one)
    world.assert_nothing_left()


async def test_a_user_opens_so_many_in_a_minute(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_new_streams_per_minute=3)
    for _ in range(3):
        async with world.phone(caller=caller()) as phone:
            await leave(phone)
        await trio.sleep(5)
    told = await refused(world, caller())
    assert told["code"] == "too_many_new_streams"
    assert 45_000 < told["retryAfterMs"] <= 49_000
    await trio.sleep(told["retryAfterMs"] / 1000)
    async with world.phone(caller=caller()) as phone:
        await leave(phone)


async def test_without_identity_there_is_nobody_to_count_for(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, max_streams_per_user=1, max_new_streams_per_minute=1, max_audio_s_per_day=1)
    async with world.phone() as one, world.phone() as two:
        await one.talk(words(1, 2, 3, 4))
        one.say(type="stop")
        assert (await one.hear("stopped"))["text"] == "w1 w2 w3 w4"
        await leave(two)


async def test_a_refused_stream_has_taken_nothing(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_streams=1, max_streams_per_user=1)
    async with world.phone(caller=caller("other")) as one:
        async with world.phone(caller=caller(), started=False) as phone:
            phone.say(type="start")
            assert (await phone.hear("error"))["code"] == "overloaded"
        await leave(one)
    async with world.phone(caller=caller()) as phone:
        await leave(phone)
    world.assert_nothing_left()


async def test_a_phone_that_changes_networks_goes_on(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Its old connection is dead, and nobody knows yet: the new one has the place, and counts as no new stream."""
    world = world_of(nursery, max_streams_per_user=1, max_streams_per_address=1, max_new_streams_per_minute=1)
    async with world.phone(caller=caller()) as old:
        await old.talk(words(1))
        resume = {"streamId": old.all("ready")[0]["streamId"], "sentences": 0, "settledMs": 0}
        async with world.phone(caller=caller(address="192.0.2.8"), resume=resume) as new:
            await old.was_closed.wait()
            assert old.closed == (1000, "client_left")
            assert (await refused(world, caller()))["code"] == "too_many_streams"
            await new.talk(words(1, 2))
            new.say(type="stop")
            assert (await new.hear("stopped"))["text"] == "w1 w2"
    assert (await refused(world, caller()))["code"] == "too_many_new_streams", "the first one counts"
    assert world.metric("voice_streams_ended_total", outcome="client_left") == 1
    world.assert_nothing_left()


async def test_a_phone_that_loses_each_new_network_before_ready_goes_on(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """It knows the stream that it was told of last, and names that again and again; the others are not dead yet."""
    world = world_of(nursery, max_streams_per_user=1, max_new_streams_per_minute=10)
    async with world.phone(caller=caller()) as old, contextlib.AsyncExitStack() as stack:
        await old.talk(words(1))
        resume = {"streamId": old.all("ready")[0]["streamId"], "sentences": 0, "settledMs": 0}
        for number in range(5):
            lost = await stack.enter_async_context(
                world.phone(caller=caller(address=f"192.0.2.{number}"), resume=resume)
            )
            await trio.sleep(5)
        await lost.talk(words(1, 2))
        lost.say(type="stop")
        assert (await lost.hear("stopped"))["text"] == "w1 w2"
    assert world.metric("voice_streams_ended_total", outcome="client_left") == 5
    world.assert_nothing_left()


async def test_a_phone_that_changes_networks_is_not_refused_for_its_own_dead_stream(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """Everything is taken: one place and one connection to the recognizer of it are those of its old stream."""
    world = world_of(nursery, max_streams=1, upstream_concurrency=1)
    async with world.phone(caller=caller()) as old:
        await old.talk(words(1))
        resume = {"streamId": old.all("ready")[0]["streamId"], "sentences": 0, "settledMs": 0}
        async with world.phone(caller=caller("thief"), started=False) as thief:
            thief.say(type="start", resume=resume)
            assert (await thief.hear("ready", "error"))["code"] == "overloaded"
        assert old.closed is None
        async with world.phone(caller=caller(address="192.0.2.8"), resume=resume) as new:
            await new.talk(words(1, 2))
            new.say(type="stop")
            assert (await new.hear("stopped"))["text"] == "w1 w2"
    world.assert_nothing_left()


async def test_nobody_resumes_his_way_around_the_limit(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_streams_per_user=1, max_new_streams_per_minute=2)
    made_up = {"streamId": "never-was", "sentences": 0, "settledMs": 0}
    async with world.phone(caller=caller(), resume=made_up) as one:
        assert (await refused(world, caller(), resume=made_up))["code"] == "too_many_streams"
        resume = {**made_up, "streamId": one.all("ready")[0]["streamId"]}
        assert (await refused(world, caller(), resume=made_up))["code"] == "too_many_streams"
        async with world.phone(caller=caller("thief", "192.0.2.8"), resume=resume) as theirs:
            await leave(theirs)
        assert one.closed is None
        await leave(one)


async def test_the_audio_of_a_day_is_used_up_in_mid_sentence(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_audio_s_per_day=15)
    began = trio.current_time()
    async with world.phone(caller=caller()) as phone:
        await phone.talk(words(*range(1, 60)))  # 24 s
        told = await phone.hear("goaway")
        assert told["reason"] == "quota_exceeded"
        assert 8_500 <= told["timeLeftMs"] <= 10_000
        error = await phone.hear("error")
        assert trio.current_time() - began < 25
    assert error["code"] == "quota_exceeded"
    assert error["retryAfterMs"] / 1000 == pytest.approx(UNTIL_MIDNIGHT_S, abs=100)
    assert phone.closed == (4429, "quota_exceeded")
    said = " ".join(final["text"] for final in phone.finals)
    assert said.startswith("w1 w2 w3"), "what was said is settled"
    assert 34 <= len(said.split()) <= 40, "15 s at 400 ms a word, and what the clocks are late"
    assert world.metric("voice_streams_ended_total", outcome="quota_exceeded") == 1

    again = await refused(world, caller())
    assert again["code"] == "quota_exceeded"
    assert UNTIL_MIDNIGHT_S - 60 < again["retryAfterMs"] / 1000 < UNTIL_MIDNIGHT_S + 60
    await trio.sleep(again["retryAfterMs"] / 1000)
    async with world.phone(caller=caller()) as phone:
        await leave(phone)
    world.assert_nothing_left()


async def test_streams_of_one_user_share_the_day(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_audio_s_per_day=60)
    began = trio.current_time()
    async with (
        world.phone(caller=caller()) as one,
        world.phone(caller=caller()) as two,
        trio.open_nursery() as talking,
    ):
        talking.start_soon(one.talk, words(*range(1, 120)))
        talking.start_soon(two.talk, words(*range(1, 120)))
        for phone in (one, two):
            assert (await phone.hear("error"))["code"] == "quota_exceeded"
        assert trio.current_time() - began == pytest.approx(25 + GOAWAY_S, abs=2.5)
        talking.cancel_scope.cancel()


async def test_silence_uses_nothing_up(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = world_of(nursery, max_audio_s_per_day=20)
    async with world.phone(caller=caller()) as phone:
        await phone.talk(words(1))
        for _ in range(20):
            await trio.sleep(10)
            phone.say(type="ping")
        phone.say(type="stop")
        assert (await phone.hear("stopped"))["text"] == "w1"
    assert phone.all("goaway") == []


async def test_a_flood_of_messages_ends_the_stream(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, messages_per_s=20)
    async with world.phone() as phone:
        for _ in range(210):
            phone.audio(b"\0\0")
        error = await phone.hear("error")
    assert error["code"] == "quota_exceeded"
    assert 0 < error["retryAfterMs"] <= 4000
    assert phone.closed == (4429, "quota_exceeded")
    world.assert_nothing_left()


@pytest.mark.parametrize("message", ['{"type": "ping"}', b"\0\0"])
async def test_a_flood_before_start_ends_the_connection(
    message: bytes | str, nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery, messages_per_s=20)
    async with world.phone(started=False) as phone:
        for _ in range(250):
            phone.deliver(message)
        assert (await phone.hear("error"))["code"] == "quota_exceeded"
    assert phone.closed == (4429, "quota_exceeded")
    assert world.metric("voice_messages_rejected_total", slug="quota_exceeded") == 1


async def test_what_a_phone_kept_while_it_was_offline_may_come_at_once(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        await trio.sleep(20)
        for place in range(0, len(words(2, 3) * 20), 1280):  # 16 s in 400 frames
            phone.audio((words(2, 3) * 20)[place : place + 1280])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["audio"]["droppedMs"] == 0
    assert phone.closed == (1000, "completed")
