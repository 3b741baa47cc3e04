"""A service that does what no service should: the phone says so, stays small, and blames nobody else."""

import errno
import json
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from loadtest.bounded import MAX_SLUG_CHARACTERS, MAX_SLUGS
from loadtest.connection import CLOSE_LIMIT_S, LOAD_TESTER_FAILED
from loadtest.messages import MAX_NUMBER
from loadtest.notes import MAX_PROBLEM_CHARACTERS
from loadtest.record import Ending, StreamRecord
from loadtest.scenario import Audio, Behavior
from tests.loadtest.phone_world import AUDIO_BYTES, AUDIO_S, answering, say_final, say_stopped, world
from tests.loadtest.protocol_server import Phone

_UPGRADED: Final = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"


async def called_where(answer: Callable[[trio.abc.Stream], Awaitable[None]], nursery: trio.Nursery) -> StreamRecord:
    """A call to something that gives this answer to the upgrade."""
    async with world(answering()) as here:

        async def dial(_url: str) -> trio.abc.Stream:
            client, server = trio.testing.memory_stream_pair()
            nursery.start_soon(answer, server)
            await trio.lowlevel.checkpoint()
            return client

        here.dial = dial  # type: ignore[method-assign]
        return await here.call()


@pytest.mark.parametrize(
    "headers",
    [
        b"Sec-WebSocket-Accept: AAAA\r\n\r\n",
        b"Sec-WebSocket-Accept: AAAA\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
        b"X: " + b"x" * 40_000 + b"\r\n\r\n",
    ],
    ids=["wrong key", "compression", "long header"],
)
async def test_an_upgrade_that_is_none_is_the_fault_of_the_service(autojump_clock: MockClock, headers: bytes) -> None:
    async def answer(stream: trio.abc.Stream) -> None:
        await stream.receive_some()
        await stream.send_all(_UPGRADED + headers)
        await trio.sleep(100)

    async with trio.open_nursery() as nursery:
        record = await called_where(answer, nursery)
        nursery.cancel_scope.cancel()
    assert record.ending is Ending.PROTOCOL
    assert record.problem is not None
    assert "no WebSocket" in record.problem


@pytest.mark.parametrize("flood", [True, False])
async def test_a_refusal_whose_page_never_ends_is_a_refusal(autojump_clock: MockClock, flood: bool) -> None:
    sent_bytes = 0

    async def answer(stream: trio.abc.Stream) -> None:
        nonlocal sent_bytes
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 503 Busy\r\n\r\n")
        try:
            while flood:
                await stream.send_all(bytes(10_000))
                sent_bytes += 10_000
        except trio.BrokenResourceError:
            return
        await trio.sleep(100)

    async with trio.open_nursery() as nursery:
        record = await called_where(answer, nursery)
        nursery.cancel_scope.cancel()
    assert (record.ending, record.http_status) == (Ending.REFUSED, 503)
    assert sent_bytes < 200_000
    assert (record.at_ended_s == 0.0) is flood  # a page without an end is not waited for


async def test_what_this_machine_lacks_is_not_the_fault_of_the_service(autojump_clock: MockClock) -> None:
    async with world(answering()) as here:
        for error, ending in ((errno.EMFILE, Ending.FAILED), (errno.ECONNREFUSED, Ending.UNREACHABLE)):

            async def dial(_url: str, error: int = error) -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                raise OSError("all attempts to connect failed") from ExceptionGroup("", [OSError(error, "so")])

            here.dial = dial  # type: ignore[method-assign]
            record = await here.call()
            assert record.ending is ending
            assert str(record.problem).startswith(LOAD_TESTER_FAILED) is (error == errno.EMFILE)


async def test_a_number_of_sentences_that_nobody_can_count_costs_nothing(autojump_clock: MockClock) -> None:
    async def boast(phone: Phone) -> None:
        await phone.greet()
        await say_final(phone, "word", 0, 100)
        await phone.hear("stop")
        await say_stopped(phone, "word", MAX_NUMBER)

    async with world(boast) as here:
        record = await here.call()
    assert record.ending is Ending.COMPLETED
    assert record.lost_finals == MAX_NUMBER - 1


async def test_a_record_stays_small_whatever_is_said(autojump_clock: MockClock) -> None:
    async def chatter(phone: Phone) -> None:
        await phone.greet()
        for number in range(3 * MAX_SLUGS):
            await phone.say("error", code=f"slug-{number}" + "x" * 1000, message="", fatal=False)
        await phone.say("error", code="y" * 100_000, message="z" * 100_000, fatal=True)
        await phone.close(4500)

    async with world(chatter) as here:
        record = await here.call()
    assert record.ending is Ending.FAILED
    assert record.slug == "y" * MAX_SLUG_CHARACTERS
    assert len(record.problem or "") == MAX_PROBLEM_CHARACTERS
    assert len(record.warnings) == MAX_SLUGS + 1
    assert sum(record.warnings.values()) == 3 * MAX_SLUGS


async def test_sentences_without_end_are_no_protocol(autojump_clock: MockClock) -> None:
    async def babble(phone: Phone) -> None:
        await phone.greet()
        for index in range(100):
            await say_final(phone, "x" * 50_000, index, 100)

    async with world(babble) as here:
        record = await here.call()
    assert record.ending is Ending.PROTOCOL
    assert len(record.text or "") < 1_200_000


async def test_what_follows_the_last_word_changes_nothing(autojump_clock: MockClock) -> None:
    async def go_on(phone: Phone) -> None:
        await phone.greet()
        await phone.hear("stop")
        await phone.say("stopped", text="one", sentences=1)
        await trio.sleep(0.5)
        await say_final(phone, "two", 0, 100)
        await say_stopped(phone, "two", 7)

    async with world(go_on) as here:
        record = await here.call()
    assert record.ending is Ending.COMPLETED
    assert record.finalization_s == 0.0
    assert (record.sentences, record.lost_finals, record.text) == (0, 1, "one")


@pytest.mark.parametrize("is_second", [True, False])
async def test_ready_for_no_start_is_no_protocol(autojump_clock: MockClock, is_second: bool) -> None:
    async def hasten(phone: Phone) -> None:
        if is_second:
            await phone.greet()
        else:
            await phone.say("ready", streamId="s-1")
        await phone.say("ready", streamId="s-2")
        await phone.stay_silent()

    async with world(hasten) as here:
        record = await here.call()
    assert record.ending is Ending.PROTOCOL
    assert (record.ready_s is None) is not is_second


async def test_audio_that_was_never_said_is_counted_from_the_beginning(autojump_clock: MockClock) -> None:
    async def misdate(phone: Phone) -> None:
        await phone.greet()
        await trio.sleep(0.5)
        await say_final(phone, "word", 0, -1_000_000)
        await phone.hear("stop")
        await say_stopped(phone, "word", 1)

    async with world(misdate) as here:
        await here.call()
    assert here.samples["result_lateness"] == [pytest.approx(0.5)]


async def test_a_pause_after_the_only_frame_does_not_count(autojump_clock: MockClock) -> None:
    async with world(answering(after_s=0.7)) as here:
        record = await here.call(Behavior.PAUSER, pause_s=5.0, audio=Audio(frame_ms=2000))
    assert record.at_ended_s == pytest.approx(AUDIO_S + 5.0 + 0.7)
    assert record.finalization_s == pytest.approx(0.7)


async def test_a_service_that_does_not_read_before_a_pause_makes_nobody_late(autojump_clock: MockClock) -> None:
    async def stall(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 4)
        here.pipe.hold()
        await trio.sleep(1.0)  # beyond the middle, where the pause begins
        here.pipe.release()
        await phone.hear("stop")
        await say_stopped(phone, "", 0)

    for behavior in (Behavior.PAUSER, Behavior.FROZEN):
        async with world(stall) as here:
            record = await here.call(behavior, pause_s=3.0, freeze_s=3.0)
        assert record.ending is Ending.COMPLETED
        assert record.backpressure_s > 0.9
        assert record.lateness_max_s == pytest.approx(0.0, abs=1e-9)
        assert record.at_ended_s == pytest.approx(AUDIO_S + 3.0)


async def test_a_frozen_phone_cannot_tell_when_the_first_words_came(autojump_clock: MockClock) -> None:
    async def speak_to_nobody(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        await trio.sleep(1.0)
        await say_final(phone, "word", 0, 900)
        await phone.hear("stop")
        await say_final(phone, "another", 1, 1900)
        await say_stopped(phone, "word another", 2)

    async with world(speak_to_nobody) as here:
        record = await here.call(Behavior.FROZEN, freeze_s=8.0)
    assert record.ending is Ending.COMPLETED
    assert record.first_partial_s is None


async def test_an_interrupt_does_not_wait_for_a_service_that_does_not_read(autojump_clock: MockClock) -> None:
    async def stall(phone: Phone) -> None:
        await phone.greet()
        here.pipe.hold()
        await trio.sleep_forever()

    interrupted = trio.Event()
    async with world(stall) as here, trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await trio.sleep(1.0)
            interrupted.set()

        nursery.start_soon(interrupt)
        record = await here.call(send_limit_s=60.0, interrupted=interrupted)
    assert record.ending is Ending.CANCELED
    assert record.at_ended_s <= 1.0 + 3 * CLOSE_LIMIT_S


def test_the_limits_are_those_of_json() -> None:
    assert json.loads(str(float(MAX_NUMBER))) == MAX_NUMBER
