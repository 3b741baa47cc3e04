"""What a phone measures, exactly: a gateway in memory, on the virtual clock."""

import ssl

import pytest
import trio
import trustme
from trio.testing import MockClock

from loadtest.record import Ending, Transcript
from loadtest.scenario import Audio
from tests.loadtest.phone_world import (
    AUDIO_BYTES,
    AUDIO_S,
    PCM,
    answering,
    failing,
    losing,
    refusing,
    say_final,
    say_stopped,
    world,
)
from tests.loadtest.protocol_server import Phone


async def test_a_gateway_that_is_700_ms_late_is_measured_as_700_ms_late(autojump_clock: MockClock) -> None:
    async with world(answering(after_s=0.7)) as here:
        record = await here.call(expected="go forward")
    assert record.ending is Ending.COMPLETED
    assert record.finalization_s == pytest.approx(0.7, abs=1e-9)
    assert record.transcript is Transcript.COMPLETE
    assert record.text == "go forward"
    assert record.close_code == 1000
    assert record.at_audio_s == 0.0
    assert record.setup_s == 0.0
    assert record.at_ended_s == pytest.approx(AUDIO_S + 0.7)
    assert here.samples["result_lateness"] == [pytest.approx(0.7)]
    assert bytes(here.phones[0].audio) == PCM


async def test_audio_is_sent_when_it_has_been_said(autojump_clock: MockClock) -> None:
    came_s: list[float] = []

    async def note(phone: Phone) -> None:
        await phone.greet()
        began_s = trio.current_time()
        for number in range(1, 51):
            await phone.hear_audio(number * AUDIO_BYTES // 50)
            came_s.append(trio.current_time() - began_s)
        await phone.hear("stop")
        assert trio.current_time() - began_s == pytest.approx(AUDIO_S)
        await say_stopped(phone, "", 0)

    async with world(note) as here:
        record = await here.call()
    assert came_s == [pytest.approx(number * 0.04) for number in range(1, 51)]
    assert here.samples["send_lateness"] == [0.0] * 50
    assert record.frames == 50
    assert record.audio_sent_s == AUDIO_S
    assert record.audio is not None
    assert (record.audio.sent_bytes, record.audio.received_bytes) == (AUDIO_BYTES, AUDIO_BYTES)


@pytest.mark.parametrize("frame_bytes", [161, 1310, 2048, 60_000])
async def test_odd_sizes_send_every_byte_once(autojump_clock: MockClock, frame_bytes: int) -> None:
    async with world(answering()) as here:
        record = await here.call(audio=Audio(frame_bytes=frame_bytes))
    assert record.ending is Ending.COMPLETED
    assert bytes(here.phones[0].audio) == PCM
    assert record.at_ended_s == pytest.approx(AUDIO_S)


async def test_latencies_count_from_the_audio(autojump_clock: MockClock) -> None:
    async def recognize(phone: Phone) -> None:
        await phone.greet()
        began_s = trio.current_time()
        words = [{"word": "go", "startMs": 300, "endMs": 500}, {"word": "forward", "startMs": 500, "endMs": 900}]

        async def listen() -> None:
            await phone.hear("stop")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await trio.sleep_until(began_s + 0.35)
            await phone.say("result", text="", isFinal=False, endMs=320)
            await trio.sleep_until(began_s + 0.8)
            await phone.say("result", text="go", isFinal=False, endMs=600)
            await trio.sleep_until(began_s + 1.0)
            await say_final(phone, "go forward", 0, 950, wordList=words, settledMs=950)
            await trio.sleep_until(began_s + 1.1)
            await say_final(phone, "ahead", 1, 1200)  # ends a word later than it has been said: counts as 0
        await say_stopped(phone, "go forward ahead", 2)

    async with world(recognize) as here:
        record = await here.call()
    assert record.first_partial_s == pytest.approx(0.5)
    assert here.samples["word_final"] == [pytest.approx(0.5), pytest.approx(0.1), 0.0]
    assert here.samples["result_lateness"] == [
        pytest.approx(0.03), pytest.approx(0.2), pytest.approx(0.05), 0.0
    ]  # fmt: skip
    assert record.result_lateness_max_s == pytest.approx(0.2)
    assert record.at_finals_s == [pytest.approx(1.0), pytest.approx(1.1)]
    assert (record.results, record.sentences, record.lost_finals, record.doubled_finals) == (4, 2, 0, 0)


async def test_the_steps_before_the_audio_are_measured_apart(autojump_clock: MockClock) -> None:
    async def hesitate(phone: Phone) -> None:
        await trio.sleep(0.2)
        await phone.say("welcome", protocol=1)
        await phone.hear("start")
        await trio.sleep(0.3)
        await phone.say("ready", streamId="s-1")
        await phone.hear("stop")
        await say_stopped(phone, "", 0)

    async with world(hesitate) as here:
        record = await here.call()
    assert record.welcome_s == pytest.approx(0.2)
    assert record.ready_s == pytest.approx(0.3)
    assert record.setup_s == record.at_audio_s == pytest.approx(0.5)
    assert (record.connect_s, record.upgrade_s) == (0.0, 0.0)
    assert record.stream_id == "s-1"


async def test_planned_faults_are_counted_as_planned(autojump_clock: MockClock) -> None:
    refused, failed, lost, good = 5, 3, 4, 6
    scripts = [refusing("overloaded", 4503)] * refused + [failing("internal", 1011)] * failed + [losing] * lost
    async with world(*scripts, answering()) as here:
        records = [await here.call(number=number) for number in range(refused + failed + lost + good)]
    endings = [(record.ending, record.slug, record.close_code) for record in records]
    assert endings.count((Ending.REFUSED, "overloaded", 4503)) == refused
    assert endings.count((Ending.FAILED, "internal", 1011)) == failed
    assert endings.count((Ending.LOST, None, None)) == lost
    assert endings.count((Ending.COMPLETED, None, 1000)) == good
    assert len(endings) == refused + failed + lost + good


async def test_lost_and_doubled_finals_and_missing_words(autojump_clock: MockClock) -> None:
    async def lose(phone: Phone) -> None:
        await phone.greet()
        await phone.hear("stop")
        await say_final(phone, "one", 0, 500)
        await say_final(phone, "one", 0, 500)
        await say_final(phone, "three", 2, 1500)
        await say_stopped(phone, "one three", 4)

    async with world(lose) as here:
        record = await here.call(expected="one two three")
    assert (record.sentences, record.lost_finals, record.doubled_finals) == (3, 2, 1)
    assert record.transcript is Transcript.DIFFERENT
    assert (record.missing_words, record.extra_words) == (1, 0)


async def test_warnings_are_counted_by_slug(autojump_clock: MockClock) -> None:
    async def grumble(phone: Phone) -> None:
        await phone.greet()
        for _ in range(2):
            await phone.say("error", code="bad_message", message="Odd.", fatal=False)
        await phone.hear("stop")
        await say_stopped(phone, "", 0)

    async with world(grumble) as here:
        record = await here.call()
    assert record.ending is Ending.COMPLETED
    assert record.warnings == {"bad_message": 2}


async def test_the_end_of_a_stream_by_the_service_is_cut_short(autojump_clock: MockClock) -> None:
    async def time_is_up(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        await say_stopped(phone, "one", 0)

    async with world(time_is_up) as here:
        record = await here.call(expected="one two")
    assert record.ending is Ending.CUT_SHORT
    assert record.transcript is Transcript.TRUNCATED
    assert record.finalization_s is None
    assert record.audio_sent_s == pytest.approx(AUDIO_S / 2)


@pytest.mark.parametrize(
    ("awaited", "limit_s"), [("welcome", 15.0), ("ready", 20.0), ("stopped", 30.0)], ids=["welcome", "ready", "stopped"]
)
async def test_silence_is_unanswered(autojump_clock: MockClock, awaited: str, limit_s: float) -> None:
    async def fall_silent(phone: Phone) -> None:
        if awaited == "ready":
            await phone.say("welcome", protocol=1)
        elif awaited == "stopped":
            await phone.greet()
        await phone.stay_silent()

    async with world(fall_silent) as here:
        record = await here.call()
    assert record.ending is Ending.UNANSWERED
    assert record.problem == f"the server did not send `{awaited}` within {limit_s:g} s"


async def test_another_protocol_is_named(autojump_clock: MockClock) -> None:
    async def speak_otherwise(phone: Phone) -> None:
        await phone.say("welcome", protocol=2)
        await phone.stay_silent()

    async with world(speak_otherwise) as here:
        record = await here.call()
    assert record.ending is Ending.PROTOCOL


async def test_no_answer_to_the_upgrade(autojump_clock: MockClock) -> None:
    async def hang_up(stream: trio.abc.Stream, said: bytes) -> None:
        await stream.receive_some()
        if said:
            await stream.send_all(said)
        await stream.aclose()

    for said, ending, status in (
        (b"", Ending.UNREACHABLE, None),
        (b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\noh", Ending.REFUSED, 502),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", Ending.REFUSED, 503),
        (b"220 mail.example ESMTP\r\n", Ending.UNREACHABLE, None),
    ):
        async with world(answering()) as here, trio.open_nursery() as nursery:

            async def dial(_url: str, said: bytes = said, nursery: trio.Nursery = nursery) -> trio.abc.Stream:
                client, server = trio.testing.memory_stream_pair()
                nursery.start_soon(hang_up, server, said)
                await trio.lowlevel.checkpoint()
                return client

            here.dial = dial  # type: ignore[method-assign]
            with trio.fail_after(1):  # of virtual time: nothing waits for a deadline
                record = await here.call()
        assert (record.ending, record.http_status) == (ending, status), said


async def test_it_is_the_same_over_tls(autojump_clock: MockClock) -> None:
    authority = trustme.CA()
    serving, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("gateway").configure_cert(serving)
    authority.configure_trust(trusting)

    async with world(answering(after_s=0.7)) as here:
        here.wrap_client = lambda stream: trio.SSLStream(stream, trusting, server_hostname="gateway")
        here.wrap_server = lambda stream: trio.SSLStream(stream, serving, server_side=True)
        record = await here.call()
    assert record.ending is Ending.COMPLETED
    assert record.finalization_s == pytest.approx(0.7)
    assert record.backpressure_s == 0.0
    assert bytes(here.phones[0].audio) == PCM


async def test_an_interrupt_cancels_the_stream(autojump_clock: MockClock) -> None:
    interrupted = trio.Event()
    canceled_at_s: list[float] = []

    async def interrupt(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 2)
        interrupted.set()
        await phone.hear("cancel")
        canceled_at_s.append(trio.current_time())
        await phone.close(1000)

    async with world(interrupt) as here:
        began_s = trio.current_time()
        record = await here.call(interrupted=interrupted)
    assert record.ending is Ending.CANCELED
    assert canceled_at_s == [pytest.approx(began_s + AUDIO_S / 2)]
    assert not record.is_attempt


async def test_an_interrupt_before_the_call_places_none(autojump_clock: MockClock) -> None:
    interrupted = trio.Event()
    interrupted.set()
    async with world(answering()) as here:
        record = await here.call(interrupted=interrupted)
    assert record.ending is Ending.CANCELED
    assert here.phones == [] or here.phones[0].audio_bytes == 0


async def test_a_service_that_does_not_read_is_backpressure_and_not_our_lateness(autojump_clock: MockClock) -> None:
    async def stall(phone: Phone) -> None:
        await phone.greet()
        await phone.hear_audio(AUDIO_BYTES // 4)
        here.pipe.hold()
        await trio.sleep(0.3)
        here.pipe.release()
        await phone.hear("stop")
        await say_stopped(phone, "", 0)

    async with world(stall) as here:
        record = await here.call()
    assert record.ending is Ending.COMPLETED
    assert record.backpressure_s == pytest.approx(0.3 - 0.04)  # the next frame was due 40 ms after the stall began
    assert record.lateness_max_s == 0.0
    assert bytes(here.phones[0].audio) == PCM


async def test_a_service_that_never_reads_again_is_unanswered(autojump_clock: MockClock) -> None:
    async def stall(phone: Phone) -> None:
        await phone.greet()
        here.pipe.hold()
        await trio.sleep_forever()

    async with world(stall) as here:
        record = await here.call(send_limit_s=3.0)
    assert record.ending is Ending.UNANSWERED
    assert record.problem == "the server did not read for 3 s"
    assert record.backpressure_s == pytest.approx(3.0)
