"""Each kind of phone, against gateways that do right by it and others; in memory, on the virtual clock."""

import pytest
import trio
from trio.testing import MockClock

from loadtest.behaviors import turn_of
from loadtest.nonsense import HANDSHAKES, MESSAGES, kind_of
from loadtest.record import Ending, Transcript
from loadtest.scenario import Behavior
from tests.loadtest.phone_world import (
    AUDIO_BYTES,
    AUDIO_S,
    PCM,
    answering,
    losing,
    refusing,
    say_final,
    say_stopped,
    world,
)
from tests.loadtest.protocol_server import Phone


def test_a_turn_is_never_before_the_first_frame() -> None:
    assert [turn_of(share, 10) for share in (0.0, 0.2, 0.5, 1.0)] == [1, 2, 5, 9]
    assert turn_of(0.5, 1) == 1


async def test_a_pauser_is_silent_with_heartbeats_and_its_audio_is_due_later(autojump_clock: MockClock) -> None:
    heard_s: list[float] = []

    async def note_gap(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        heard_s.append(trio.current_time())
        for _ in range(3):
            await phone.hear("ping")
        await phone.hear_audio(AUDIO_BYTES // 2 + 1)
        heard_s.append(trio.current_time())
        await phone.hear("stop")
        await say_final(phone, "late word", 0, 1500)
        await say_stopped(phone, "late word", 1)

    async with world(note_gap) as here:
        record = await here.call(Behavior.PAUSER, pause_s=8.0, heartbeat_s=2.5)
    assert record.ending is Ending.COMPLETED
    assert heard_s[1] - heard_s[0] == pytest.approx(8.04)
    assert record.finalization_s == pytest.approx(0.0)
    assert here.samples["word_final"] == [pytest.approx(0.5)]  # said at 1.5 s + the pause
    assert record.lateness_max_s == 0.0
    assert bytes(here.phones[0].audio) == PCM


async def test_what_was_said_before_a_pause_is_not_shifted_by_it(autojump_clock: MockClock) -> None:
    async def settle_in_pause(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        await trio.sleep(3.0)
        await say_final(phone, "word", 0, 1000)
        await phone.hear("stop")
        await say_stopped(phone, "word", 1)

    async with world(settle_in_pause) as here:
        await here.call(Behavior.PAUSER, pause_s=8.0)
    assert here.samples["word_final"] == [pytest.approx(3.0)]


async def test_a_frozen_phone_neither_sends_nor_reads_and_then_goes_on(autojump_clock: MockClock) -> None:
    heard_s: list[float] = []

    async def note_gap(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        heard_s.append(trio.current_time())
        await trio.sleep(0.02)
        await say_final(phone, "word", 0, 900)  # nobody listens
        with trio.move_on_after(7.9) as quiet:
            await phone.ping()
        assert quiet.cancelled_caught
        await phone.hear_audio(AUDIO_BYTES // 2 + 1)
        heard_s.append(trio.current_time())
        await phone.hear("stop")
        await say_stopped(phone, "word", 1)

    async with world(note_gap) as here:
        record = await here.call(Behavior.FROZEN, freeze_s=8.0)
    assert record.ending is Ending.COMPLETED
    assert heard_s[1] - heard_s[0] == pytest.approx(8.04)
    assert record.sentences == 1
    assert "word_final" not in here.samples  # that it came late is the phone's doing
    assert record.lateness_max_s == 0.0


async def test_a_service_that_gives_up_a_frozen_phone_has_failed_it(autojump_clock: MockClock) -> None:
    async def give_up(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        await trio.sleep(5)
        await phone.say("error", code="idle_timeout", message="Silence.", fatal=True)
        await phone.close(4408)

    async with world(give_up) as here:
        record = await here.call(Behavior.FROZEN, freeze_s=8.0)
    assert (record.ending, record.slug, record.close_code) == (Ending.FAILED, "idle_timeout", 4408)


async def chatter(phone: Phone) -> None:
    """As much as a slow reader cannot follow, and then `stopped`."""
    await phone.greet()
    for number in range(50):
        await phone.hear_audio(AUDIO_BYTES // 50 * (number + 1))
        await phone.say("result", text="word " * number, isFinal=False, endMs=40 * number)
    await phone.hear("stop")
    await say_stopped(phone, "", 0)


async def test_a_slow_reader_that_is_served_to_the_end_has_completed(autojump_clock: MockClock) -> None:
    async with world(chatter) as here:
        record = await here.call(Behavior.SLOW_READER, slow_read_s=0.5)
    assert record.ending is Ending.COMPLETED
    assert record.results == 50
    assert "result_lateness" not in here.samples  # it reads late by itself
    assert record.finalization_s is None


async def test_a_slow_reader_takes_one_message_in_so_long(autojump_clock: MockClock) -> None:
    async def flood(phone: Phone) -> None:
        await phone.greet()
        for number in range(100):
            await phone.say("result", text=str(number), isFinal=False, endMs=0)
        await phone.stay_silent()

    interrupted = trio.Event()
    async with world(flood) as here, trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await trio.sleep(1.7)
            interrupted.set()

        nursery.start_soon(interrupt)
        results: list[float] = []
        record = await here.call(Behavior.SLOW_READER, slow_read_s=0.5, interrupted=interrupted, heard_s=results)
        nursery.cancel_scope.cancel()
    assert record.ending is Ending.CANCELED
    assert [at_s for at_s in results if at_s < 1.7] == [pytest.approx(at_s) for at_s in (0.0, 0.5, 1.0, 1.5)]


@pytest.mark.parametrize("says_why", [True, False])
async def test_a_slow_reader_that_is_dropped_for_it_ends_as_meant(autojump_clock: MockClock, says_why: bool) -> None:
    async def drop(phone: Phone) -> None:
        await phone.greet()
        if says_why:
            await phone.say("error", code="client_too_slow", message="Read!", fatal=True)
        await phone.close(4408)

    async with world(drop) as here:
        record = await here.call(Behavior.SLOW_READER)
    assert (record.ending, record.close_code) == (Ending.AS_MEANT, 4408)


async def test_any_other_phone_is_not_too_slow(autojump_clock: MockClock) -> None:
    async with world(refusing("client_too_slow", 4408)) as here:
        record = await here.call()
    assert record.ending is Ending.REFUSED


async def settle_and_lose(phone: Phone) -> None:
    """One sentence is settled up to 0.5 s, a second one is open when the phone is gone."""
    await phone.greet()
    await phone.hear_audio(AUDIO_BYTES * 5 // 16)
    await say_final(phone, "one", 0, 480, settledMs=500)
    await phone.say("result", text="tw", isFinal=False, index=1, endMs=600)
    await phone.stay_silent()


async def test_a_reconnector_says_again_what_is_not_settled(autojump_clock: MockClock) -> None:
    async def go_on(phone: Phone) -> None:
        await trio.sleep(0.2)
        start = await phone.greet()
        assert "resume" not in start
        await phone.hear("stop")
        await say_final(phone, "two", 0, 1000)
        await say_final(phone, "three", 1, 1500)
        await say_stopped(phone, "two three", 2)

    async with world(settle_and_lose, go_on) as here:
        record = await here.call(Behavior.RECONNECTOR, turn_at=0.6, expected="one two three")
    assert record.ending is Ending.COMPLETED
    assert (record.connections, record.resumed) == (2, False)
    assert record.text == "one two three"
    assert record.transcript is Transcript.COMPLETE
    assert (record.sentences, record.lost_finals, record.doubled_finals) == (3, 0, 0)
    assert bytes(here.phones[0].audio) == PCM[: AUDIO_BYTES * 3 // 5]
    assert bytes(here.phones[1].audio) == PCM[AUDIO_BYTES // 4 :]
    assert record.audio is not None
    assert record.audio.sent_bytes == AUDIO_BYTES * 3 // 4
    assert record.audio_sent_s == AUDIO_S
    assert record.at_ended_s == pytest.approx(AUDIO_S)  # the person has not waited
    assert record.lateness_max_s == 0.0
    # "one" at 0.625 s for 0.48; the others at the end for 0.5 + 1.0 and 0.5 + 1.5.
    assert here.samples["word_final"] == [pytest.approx(0.16), pytest.approx(0.5), pytest.approx(0.0)]


async def test_a_reconnector_resumes_where_that_is_offered(autojump_clock: MockClock) -> None:
    starts = []

    async def go_on(phone: Phone) -> None:
        starts.append(await phone.greet(resume=True))
        await phone.hear("stop")
        await say_final(phone, "two", 1, 1500)
        await say_stopped(phone, "one two", 2)

    async with world(settle_and_lose, go_on) as here:
        record = await here.call(Behavior.RECONNECTOR, turn_at=0.6, expected="one two")
    assert starts[0]["resume"] == {"streamId": "s-1", "sentences": 1, "settledMs": 500}
    assert (record.ending, record.resumed, record.text) == (Ending.COMPLETED, True, "one two")
    assert record.transcript is Transcript.COMPLETE
    assert (record.sentences, record.lost_finals, record.doubled_finals) == (2, 0, 0)
    assert here.samples["word_final"][-1] == pytest.approx(0.5)


async def test_a_final_that_was_lost_between_two_connections_is_counted(autojump_clock: MockClock) -> None:
    async def forget(phone: Phone) -> None:
        await phone.greet()
        await phone.hear("stop")
        await say_final(phone, "three", 1, 1500)
        await say_stopped(phone, "two three", 2)

    async with world(settle_and_lose, forget) as here:
        record = await here.call(Behavior.RECONNECTOR, turn_at=0.6, expected="one two three")
    assert record.lost_finals == 1
    assert (record.transcript, record.missing_words) == (Transcript.DIFFERENT, 1)


async def test_a_reconnector_that_is_refused_says_so(autojump_clock: MockClock) -> None:
    async with world(settle_and_lose, refusing("overloaded", 4503)) as here:
        record = await here.call(Behavior.RECONNECTOR)
    assert (record.ending, record.slug, record.connections) == (Ending.REFUSED, "overloaded", 2)


async def test_a_reconnector_whose_first_stream_fails_does_not_try_again(autojump_clock: MockClock) -> None:
    async with world(losing, answering()) as here:
        record = await here.call(Behavior.RECONNECTOR, turn_at=0.8)
    assert (record.ending, record.connections) == (Ending.LOST, 1)


async def test_hanging_up_is_answered(autojump_clock: MockClock) -> None:
    async def listen(phone: Phone) -> None:
        await phone.greet()
        await phone.stay_silent()

    async with world(listen) as here:
        record = await here.call(Behavior.HANG_UP)
    assert (record.ending, record.close_code) == (Ending.AS_MEANT, 1000)
    assert record.audio_sent_s == AUDIO_S / 2
    assert "stop" not in [message["type"] for message in here.phones[0].heard]


async def test_hanging_up_may_be_ignored_or_dropped(autojump_clock: MockClock) -> None:
    async def ignore(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 4)
        here.pipe.deafen()
        await phone.stay_silent()

    async def drop(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        await phone.drop()

    async with world(ignore, drop) as here:
        ignored = await here.call(Behavior.HANG_UP)
        dropped = await here.call(Behavior.HANG_UP)
    assert ignored.ending is Ending.UNANSWERED
    assert dropped.ending is Ending.LOST


@pytest.mark.parametrize("with_close_frame", [True, False])
async def test_a_service_that_notices_a_vanished_phone(autojump_clock: MockClock, with_close_frame: bool) -> None:
    async def notice(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        await phone.say("result", text="go", isFinal=False, endMs=900)
        with trio.move_on_after(25) as patience:
            await phone.hear("anything")
        assert patience.cancelled_caught
        if with_close_frame:
            with trio.move_on_after(2):
                await phone.close(4408)
        await phone.drop()

    async with world(notice) as here:
        record = await here.call(Behavior.VANISH, vanish_s=60)
    assert record.ending is Ending.AS_MEANT
    assert record.at_ended_s == pytest.approx(26.0 + (2 if with_close_frame else 0))


async def test_a_service_that_keeps_a_vanished_phone(autojump_clock: MockClock) -> None:
    async def keep(phone: Phone) -> None:
        await phone.greet()
        await phone.stay_silent()

    async with world(keep) as here:
        record = await here.call(Behavior.VANISH, vanish_s=60)
    assert record.ending is Ending.UNANSWERED
    assert record.at_ended_s >= 61.0


def seed_of(kind: str) -> int:
    return next(seed for seed in range(10_000) if kind_of(seed) == kind)


async def complain(phone: Phone) -> None:
    """What the service does with most of it."""
    await phone.say("welcome", protocol=1)
    while True:
        message = await phone.take()
        if isinstance(message, str) and '"type":"start"' in message and "loud" not in message and phone.starts == 0:
            phone.starts += 1
            await phone.say("ready", streamId="s", voiceId="v")
        else:
            await phone.say("error", code="bad_message", message="What?", retryable=False, fatal=False)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_nonsense_is_answered(autojump_clock: MockClock, kind: str) -> None:
    """By an error, or, where it is no WebSocket, by what the library does."""
    async with world(complain) as here:
        record = await here.call(Behavior.NONSENSE, seed=seed_of(kind))
    assert record.ending is Ending.AS_MEANT
    assert record.slug == "bad_message" or record.close_code in (1002, 1007, None)
    assert record.at_ended_s < 5


@pytest.mark.parametrize("kind", MESSAGES)
async def test_nonsense_that_is_swallowed_is_unanswered(autojump_clock: MockClock, kind: str) -> None:
    async def swallow(phone: Phone) -> None:
        await phone.say("welcome", protocol=1, maxMessageBytes=1000)
        if kind in ("bad base64", "second start"):
            await phone.say("ready", streamId="s", voiceId="v")
        here.pipe.deafen()
        await phone.stay_silent()

    async with world(swallow) as here:
        record = await here.call(Behavior.NONSENSE, seed=seed_of(kind))
    assert record.ending is Ending.UNANSWERED


@pytest.mark.parametrize("in_band", [True, False])
async def test_nonsense_that_breaks_the_service_is_a_failure(autojump_clock: MockClock, in_band: bool) -> None:
    async def break_down(phone: Phone) -> None:
        await phone.say("welcome", protocol=1)
        await phone.take()
        if in_band:
            await phone.say("error", code="internal", message="Ours.", fatal=True)
        await phone.close(1011)

    async with world(break_down) as here:
        record = await here.call(Behavior.NONSENSE, seed=seed_of("not json"))
    assert (record.ending, record.close_code) == (Ending.FAILED, 1011)


@pytest.mark.parametrize("kind", HANDSHAKES)
@pytest.mark.parametrize(
    ("answer", "ending", "status"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Ending.AS_MEANT, 400),
        (b"", Ending.AS_MEANT, None),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", Ending.FAILED, 500),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Ending.FAILED, 101),
        (b"pardon?", Ending.FAILED, None),
        (None, Ending.UNANSWERED, None),
    ],
)
async def test_a_wrong_upgrade(
    autojump_clock: MockClock, kind: str, answer: bytes | None, ending: Ending, status: int | None
) -> None:
    async def serve(stream: trio.abc.Stream) -> None:
        assert await stream.receive_some()
        if answer is None:
            await trio.sleep_forever()
        await stream.send_all(answer or b"")
        await stream.aclose()

    async with world(answering()) as here, trio.open_nursery() as nursery:

        async def dial(_url: str) -> trio.abc.Stream:
            client, server = trio.testing.memory_stream_pair()
            nursery.start_soon(serve, server)
            await trio.lowlevel.checkpoint()
            return client

        here.dial = dial  # type: ignore[method-assign]
        record = await here.call(Behavior.NONSENSE, seed=seed_of(kind))
        nursery.cancel_scope.cancel()
    assert (record.ending, record.http_status) == (ending, status)
