"""Every clock of a stream, on virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from service.failures import Slug
from service.recognizer.connection import SEND_S
from service.stream.audio import FLUSH_AFTER_S
from service.stream.clocks import FAILOVER_S, FINISH_S, IDLE_S, PAUSE_S
from service.stream.failover import JITTER, MAX_IN_VAIN, PAUSES_S
from tests.support.fault_stream import FaultyStream
from tests.support.stream_world import Fault, Script, World, words


@asynccontextmanager
async def took(seconds: float) -> AsyncIterator[None]:
    """The block takes this long, to the millisecond."""
    began = trio.current_time()
    yield
    assert trio.current_time() - began == pytest.approx(seconds, abs=0.001)


async def test_no_start(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with took(10), world.phone(started=False) as phone:
        assert (await phone.hear("error"))["code"] == "start_timeout"
    assert phone.closed == (4408, "start_timeout")
    assert world.metric("voice_messages_rejected_total", slug="start_timeout") == 1
    assert world.metric("voice_streams_ended_total", outcome="start_timeout") == 0  # it was never admitted


async def test_pings_do_not_put_off_start(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with took(10), world.phone(started=False) as phone:
        for _ in range(3):
            phone.say(type="ping")
            await trio.sleep(3)
        assert (await phone.hear("error"))["code"] == "start_timeout"


async def test_nothing_comes_from_the_client(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        async with took(IDLE_S - 0.04):  # the last frame was sent 40 ms before
            assert (await phone.hear("error"))["code"] == "idle_timeout"
    assert phone.closed == (4408, "idle_timeout")
    world.assert_nothing_left()


async def test_heartbeats_keep_a_muted_phone(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        for _ in range(30):
            await trio.sleep(10)
            phone.say(type="ping")
        assert phone.closed is None
        phone.say(type="stop")
        assert (await phone.hear("stopped"))["sentences"] == 0
    assert world.dials == 1


async def test_the_total_time(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, max_stream_s=2)
    async with world.phone() as phone, trio.open_nursery() as talking:
        talking.start_soon(phone.talk, words(*range(1, 20)))
        async with took(2):
            stopped = await phone.hear("stopped")
    assert phone.closed == (1000, "time_limit")
    assert stopped["text"] == "w1 w2 w3 w4 w5"
    assert stopped["audio"]["recognizedMs"] <= 2000
    assert world.metric("voice_streams_ended_total", outcome="time_limit") == 1
    world.assert_nothing_left()


async def test_a_pause_ends_the_connection_after_five_seconds(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1))
        await trio.sleep(PAUSE_S - 0.1)
        assert world.deps.admission.slots_used == 1
        await trio.sleep(0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert world.deps.admission.slots_used == 0
        phone.say(type="finalize", id="late")
        assert await phone.hear("finalized") == {"type": "finalized", "id": "late", "audioMs": 400, "sentences": 1}
        phone.say(type="stop")
        await phone.hear("stopped")
    assert world.dials == 1


async def test_a_short_packet_does_not_wait_for_the_pause(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Of 150 ms, 100 make a packet, which goes at once; in the rest the word ends, so a result shows when it went."""
    world = World(nursery)
    async with world.phone() as phone:
        phone.audio(words(1, each_ms=140, gap_ms=10))
        async with took(FLUSH_AFTER_S):
            while not (result := await phone.hear("result"))["text"]:
                pass
        assert result["text"] == "w1"
        phone.say(type="cancel")
    assert world.metric("voice_audio_relayed_seconds_total") == pytest.approx(0.15)


async def test_the_recognizer_never_settles(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, Script(faults=(Fault("swallow_final"),)))
    async with world.phone() as phone:
        await phone.talk(words(1))
        async with took(FINISH_S + FAILOVER_S):
            phone.say(type="stop")
            assert (await phone.hear("error"))["code"] == "recognizer_timeout"
    assert world.dials == 3
    world.assert_nothing_left()


async def test_the_recognizer_takes_no_audio(nursery: trio.Nursery, autojump_clock: object) -> None:
    """The transport towards it fills up: a write gets 5 s."""
    world = World(nursery)
    dial = world.deps.dial

    async def narrow(url: str) -> trio.abc.Stream:
        return FaultyStream(await dial(url), fault_at=2, stalls=True)

    world.dial_with(narrow)
    began = trio.current_time()
    async with world.phone() as phone:
        phone.audio(words(1))
        assert (await phone.hear("error"))["code"] == "recognizer_timeout"
    pauses_s = sum(PAUSES_S[1:])
    assert trio.current_time() - began == pytest.approx(MAX_IN_VAIN * SEND_S + pauses_s, abs=JITTER * pauses_s)
    assert world.metric("voice_recognizer_errors_total", code="send_timeout") == MAX_IN_VAIN
    assert world.metric("voice_audio_relayed_seconds_total") == 0
    world.assert_nothing_left()


async def test_a_phone_that_does_not_read(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        phone.reads = False
        async with took(5.16):  # the first result is there with the fifth frame, which comes after 160 ms
            nursery.start_soon(phone.talk, words(1, 2, 3))
            await phone.was_closed.wait()
    assert phone.closed == (4408, Slug.CLIENT_TOO_SLOW)
    assert world.metric("voice_streams_ended_total", outcome="client_too_slow") == 1
    world.assert_nothing_left()


async def test_a_slot_is_waited_for_after_a_pause_only(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, upstream_concurrency=1, max_streams=2)
    async with world.phone() as first:
        await first.talk(words(1))
        async with world.phone(started=False) as refused:
            refused.say(type="start")
            error = await refused.hear("error")
        assert error["code"] == "recognizer_busy"
        assert 1000 <= error["retryAfterMs"] <= 4000
        first.say(type="ping")
        await trio.sleep(PAUSE_S + 0.1)  # the first one's connection is given up
        async with world.phone() as second:
            await second.talk(words(8))
            first.audio(words(2))
            await trio.sleep(2)
            assert world.metric("voice_recognizer_slots", state="waited_for") == 1
            second.say(type="stop")
            await second.hear("stopped")
        first.say(type="stop")
        assert (await first.hear("stopped"))["text"] == "w1 w2"
    world.assert_nothing_left()


async def test_a_slot_that_never_comes(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, upstream_concurrency=1, max_streams=2)
    async with world.phone() as first:
        await trio.sleep(PAUSE_S + 0.1)
        async with world.phone() as second:
            first.audio(words(2))
            async with took(5):
                assert (await first.hear("error"))["code"] == "recognizer_busy"
            second.say(type="cancel")
    world.assert_nothing_left()
