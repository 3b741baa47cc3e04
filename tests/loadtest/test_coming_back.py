"""Phones that survive a release: `goaway`, lost streams, and a service that is away; on the virtual clock."""

import math

import pytest
import trio
from trio.testing import MockClock

from loadtest.coordinator import limits_s
from loadtest.record import Ending, StreamRecord, Transcript
from loadtest.scenario import Behavior
from loadtest.scenario import Phone as PhoneSettings
from tests.loadtest.phone_world import (
    AUDIO_BYTES,
    AUDIO_S,
    PCM,
    account,
    answering,
    failing,
    losing,
    refusing,
    say_final,
    say_stopped,
    world,
)
from tests.loadtest.protocol_server import Phone, Script

HALF = AUDIO_BYTES // 2


def goes_on(starts: list[dict[str, object]], text: str, index: int, *, offers: bool = True) -> Script:
    """A gateway that takes the rest, and says one final of this index when all has come."""

    async def script(phone: Phone) -> None:
        starts.append(await phone.greet(resume=offers))
        await phone.hear("stop")
        await say_final(phone, text, index, round(AUDIO_S * 1000))
        await say_stopped(phone, text, index + 1)

    return script


def expect_complete(record: StreamRecord) -> None:
    assert (record.ending, record.problem, record.close_code) == (Ending.COMPLETED, None, 1000)
    assert (record.lost_finals, record.doubled_finals, record.transcript) == (0, 0, Transcript.COMPLETE)
    assert record.audio is not None
    assert record.audio.sent_bytes == record.audio.received_bytes
    assert record.audio_sent_s == AUDIO_S
    assert not record.is_away


async def settle_half_and_go_away(phone: Phone) -> None:
    """`goaway` in mid-sentence; the sentence ends 0.2 s later, and `stopped` takes 0.1 s."""
    await phone.greet(resume=True)
    await phone.hear_audio(HALF)
    await phone.say("goaway", timeLeftMs=12_000, reason="restarting")
    await trio.sleep(0.2)
    await say_final(phone, "one", 0, 1000, settledMs=1000)
    await phone.hear("stop")
    await trio.sleep(0.1)
    await say_stopped(phone, "one", 1, 1012)


async def test_goaway_is_obeyed_when_the_sentence_is_over(autojump_clock: MockClock) -> None:
    starts: list[dict[str, object]] = []
    async with world(settle_half_and_go_away, goes_on(starts, "two", 1)) as here:
        record = await here.call(resumes=True, expected="one two")
    expect_complete(record)
    assert starts[0]["resume"] == {"streamId": "s-1", "sentences": 1, "settledMs": 1000}
    assert len(here.phones[0].audio) == pytest.approx(HALF + 0.2 * 32_000, abs=1280)
    assert bytes(here.phones[1].audio) == PCM[HALF:]  # the person talked on, and nothing of it is missing
    assert record.away_s == [pytest.approx(0.1 - 0.1, abs=0.001)]  # the person waited for no one
    assert (record.breaks, record.resumed, record.connections) == ({"stopped": 1}, True, 2)
    assert record.finalization_s == pytest.approx(0.0)
    assert record.at_ended_s == pytest.approx(AUDIO_S)
    assert here.samples["word_final"] == [pytest.approx(0.2), pytest.approx(0.0)]


async def test_goaway_in_a_sentence_that_has_no_end(autojump_clock: MockClock) -> None:
    left_s: list[float] = []

    async def go_away(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        told_s = trio.current_time()
        await phone.say("goaway", timeLeftMs=2500, reason="restarting")
        await phone.hear("stop")
        left_s.append(trio.current_time() - told_s)
        await say_final(phone, "one", 0, 1480, settledMs=1480)
        await say_stopped(phone, "one", 1, 1012)

    starts: list[dict[str, object]] = []
    async with world(go_away, goes_on(starts, "two", 1)) as here:
        record = await here.call(resumes=True, expected="one two")
    expect_complete(record)
    assert left_s == [pytest.approx(0.5)]
    assert bytes(here.phones[1].audio) == PCM[1480 * 32 :]


async def test_goaway_means_nothing_to_a_phone_that_does_not_resume(autojump_clock: MockClock) -> None:
    async def go_away(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.say("goaway", timeLeftMs=0, reason="restarting")
        await phone.hear("stop")
        await say_final(phone, "one", 0, 2000)
        await say_stopped(phone, "one", 1)

    async with world(go_away) as here:
        record = await here.call()
    assert (record.ending, record.audio_sent_s, here.dials) == (Ending.COMPLETED, AUDIO_S, 1)
    async with world(losing) as here:
        record = await here.call()
    assert (record.ending, here.dials, record.breaks) == (Ending.LOST, 1, {})


@pytest.mark.parametrize("heard_all", [True, False])
async def test_goaway_at_the_last_frame(autojump_clock: MockClock, heard_all: bool) -> None:
    """The service settles by itself while our `stop` is under way: did it hear everything before it?"""

    async def settle_at_the_end(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(AUDIO_BYTES)
        await phone.say("goaway", timeLeftMs=0, reason="restarting")
        await phone.hear("stop")
        heard_bytes = AUDIO_BYTES if heard_all else AUDIO_BYTES * 3 // 4
        await say_final(phone, "one", 0, heard_bytes // 32, settledMs=heard_bytes // 32)
        await phone.say("stopped", text="one", sentences=1, audio=account(heard_bytes))
        await phone.close(1012)

    starts: list[dict[str, object]] = []
    async with world(settle_at_the_end, goes_on(starts, "two", 1)) as here:
        record = await here.call(resumes=True, expected="one" if heard_all else "one two")
    assert (record.ending, record.transcript) == (Ending.COMPLETED, Transcript.COMPLETE)
    assert len(record.away_s) == len(starts) == (0 if heard_all else 1)
    assert (record.lost_finals, record.doubled_finals) == (0, 0)
    if not heard_all:
        assert bytes(here.phones[1].audio) == PCM[AUDIO_BYTES * 3 // 4 :]


async def test_a_stream_that_the_service_settles_by_itself(autojump_clock: MockClock) -> None:
    async def settle(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        await say_final(phone, "one", 0, 1000, settledMs=1000)
        await say_stopped(phone, "one", 1, 1012)

    starts: list[dict[str, object]] = []
    async with world(settle, goes_on(starts, "two", 1)) as here:
        record = await here.call(resumes=True, expected="one two")
    expect_complete(record)
    assert record.away_s == [pytest.approx(0.0, abs=0.001)]


async def half_then_close(phone: Phone, code: int) -> None:
    await phone.greet(resume=True)
    await phone.hear_audio(HALF)
    await say_final(phone, "one", 0, 500, settledMs=500)
    await (phone.close(code) if code else phone.drop())


@pytest.mark.parametrize("code", [0, 1001, 1011, 1012])
async def test_a_connection_that_is_lost_without_a_word(autojump_clock: MockClock, code: int) -> None:
    async def lose(phone: Phone) -> None:
        await half_then_close(phone, code)

    starts: list[dict[str, object]] = []
    async with world(lose, goes_on(starts, "two", 1)) as here:
        record = await here.call(resumes=True, expected="one two")
    expect_complete(record)
    assert starts[0]["resume"] == {"streamId": "s-1", "sentences": 1, "settledMs": 500}
    assert bytes(here.phones[1].audio) == PCM[AUDIO_BYTES // 4 :]
    (away_s,) = record.away_s
    assert 0.1 <= away_s <= 0.35
    assert record.breaks == {f"closed_{code or 'none'}": 1}


async def test_a_close_that_blames_the_phone_is_the_end(autojump_clock: MockClock) -> None:
    async def refuse(phone: Phone) -> None:
        await half_then_close(phone, 4401)

    async with world(refuse) as here:
        record = await here.call(resumes=True)
    assert (record.ending, record.close_code, here.dials) == (Ending.LOST, 4401, 1)


@pytest.mark.parametrize("retry_after_ms", [700, None])
async def test_an_error_that_is_retryable(autojump_clock: MockClock, retry_after_ms: int | None) -> None:
    async def fail(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        await phone.say("error", code="restarting", retryable=True, fatal=True, retryAfterMs=retry_after_ms)
        await phone.close(1012)

    starts: list[dict[str, object]] = []
    async with world(fail, refusing("overloaded", 4503), goes_on(starts, "all", 0)) as here:
        record = await here.call(resumes=True, expected="all")
    expect_complete(record)
    assert starts[0]["resume"] == {"streamId": "s-1", "sentences": 0, "settledMs": 0}
    assert bytes(here.phones[2].audio) == PCM
    assert record.breaks == {"restarting": 1, "overloaded": 1}
    (away_s,) = record.away_s  # one time away, with two tries
    assert (0.9 <= away_s <= 1.3) if retry_after_ms else (0.3 <= away_s <= 0.9)


async def test_an_error_that_is_not_retryable_is_the_end(autojump_clock: MockClock) -> None:
    async def fail(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.say("error", code="recognizer_rejected", retryable=False, fatal=True)
        await phone.close(4502)

    async with world(losing, fail) as here:
        record = await here.call(resumes=True)
    assert (record.ending, record.slug, here.dials) == (Ending.FAILED, "recognizer_rejected", 2)
    assert record.close_code == 4502


async def test_a_stream_that_is_refused_before_it_was_ever_ready(autojump_clock: MockClock) -> None:
    async with world(503, refusing("overloaded", 4503), answering()) as here:
        record = await here.call(resumes=True, expected="go forward")
    expect_complete(record)
    assert record.away_s == []  # it is late, not away
    assert record.setup_s is not None
    assert record.setup_s > 0.3


async def test_nobody_is_there_for_a_while(autojump_clock: MockClock) -> None:
    starts: list[dict[str, object]] = []
    async with world(losing, 503, None, 502, goes_on(starts, "all", 0)) as here:
        record = await here.call(resumes=True, expected="all")
    expect_complete(record)
    assert here.dials == 5
    assert record.breaks == {"closed_none": 1, "http_503": 1, "unreachable": 1, "http_502": 1}
    assert record.finalization_s is not None
    assert record.finalization_s == pytest.approx(max(0.0, 0.5 + record.away_s[0] - AUDIO_S), abs=0.05)


@pytest.mark.parametrize(
    ("last", "ending"),
    [
        (None, Ending.UNREACHABLE),
        (503, Ending.REFUSED),
        (losing, Ending.LOST),
        (failing("recognizer_unavailable", 4503), Ending.FAILED),
    ],
)
async def test_nobody_is_there_for_too_long(
    autojump_clock: MockClock, last: Script | int | None, ending: Ending
) -> None:
    async with world(losing, last) as here:
        record = await here.call(resumes=True, resume_limit_s=5.0)
    assert record.ending is ending
    assert record.is_away
    assert record.problem is not None
    assert "tried again until `resume_limit_s` was over" in record.problem
    assert 2.5 <= record.at_ended_s <= 6.0
    assert math.fsum(record.away_s) <= 5.0


async def test_a_service_that_settles_nothing_again_and_again(autojump_clock: MockClock) -> None:
    async def settle_nothing(phone: Phone) -> None:
        await phone.greet(resume=True)
        await say_stopped(phone, "", 0)

    async with world(settle_nothing) as here:
        record = await here.call(resumes=True, resume_limit_s=5.0)
    assert (record.ending, record.is_away) == (Ending.CUT_SHORT, True)
    assert here.dials <= 12


async def test_stop_is_lost(autojump_clock: MockClock) -> None:
    async def lose(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        await say_final(phone, "one", 0, 1000, settledMs=1000)
        await phone.hear("stop")
        await phone.drop()

    starts: list[dict[str, object]] = []
    async with world(lose, goes_on(starts, "two", 1)) as here:
        record = await here.call(resumes=True, expected="one two")
    expect_complete(record)
    assert bytes(here.phones[1].audio) == PCM[HALF:]
    assert record.finalization_s == pytest.approx(record.away_s[0])


async def test_where_resume_is_not_offered_a_new_stream_takes_the_rest(autojump_clock: MockClock) -> None:
    starts: list[dict[str, object]] = []
    async with world(settle_half_and_go_away, goes_on(starts, "two", 0, offers=False)) as here:
        record = await here.call(resumes=True, expected="one two")
    expect_complete(record)
    assert "resume" not in starts[0]
    assert bytes(here.phones[1].audio) == PCM[HALF:]
    assert not record.resumed


async def test_finals_are_judged_over_all_streams(autojump_clock: MockClock) -> None:
    async def go_on_badly(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear("stop")
        await say_final(phone, "one", 0, 1000)
        await say_stopped(phone, "one", 3)

    async with world(settle_half_and_go_away, go_on_badly) as here:
        record = await here.call(resumes=True)
    assert (record.doubled_finals, record.lost_finals) == (1, 2)


async def test_a_pause_is_the_same_one_on_the_next_connection(autojump_clock: MockClock) -> None:
    heard_s: list[float] = []

    async def lose_in_the_pause(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        await trio.sleep(2.0)
        await phone.drop()

    async def go_on(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        heard_s.append(trio.current_time())
        for _ in range(2):
            await phone.hear("ping")
        await phone.hear_audio(HALF + 1)
        heard_s.append(trio.current_time())
        await phone.hear("stop")
        await say_final(phone, "all", 0, 2000)
        await say_stopped(phone, "all", 1)

    async with world(lose_in_the_pause, go_on) as here:
        began_s = trio.current_time()
        record = await here.call(Behavior.PAUSER, resumes=True, pause_s=8.0, heartbeat_s=2.5, expected="all")
    expect_complete(record)
    assert bytes(here.phones[1].audio) == PCM
    assert 3.1 <= heard_s[0] - began_s <= 3.4
    assert heard_s[1] - began_s == pytest.approx(9.04)
    assert record.lateness_max_s == 0.0


async def test_a_pause_that_is_still_to_come(autojump_clock: MockClock) -> None:
    starts: list[dict[str, object]] = []
    async with world(losing, goes_on(starts, "all", 0)) as here:
        record = await here.call(Behavior.PAUSER, resumes=True, pause_s=8.0, expected="all")
    expect_complete(record)
    assert record.at_ended_s == pytest.approx(AUDIO_S + 8.0)


async def test_a_frozen_phone_obeys_after_it(autojump_clock: MockClock) -> None:
    """`goaway` came before; while it was frozen, the service settled the stream."""

    async def settle(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF - 1280)
        await phone.say("goaway", timeLeftMs=4000, reason="restarting")
        await trio.sleep(4)
        await say_final(phone, "one", 0, 1000, settledMs=1000)
        await say_stopped(phone, "one", 1, 1012)

    starts: list[dict[str, object]] = []
    async with world(settle, goes_on(starts, "two", 1)) as here:
        record = await here.call(Behavior.FROZEN, resumes=True, freeze_s=8.0, expected="one two")
    expect_complete(record)
    assert bytes(here.phones[1].audio) == PCM[HALF:]
    assert record.at_ended_s == pytest.approx(AUDIO_S + 8.0, abs=0.01)


async def test_a_reconnector_loses_one_more(autojump_clock: MockClock) -> None:
    starts: list[dict[str, object]] = []

    async def wait(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.stay_silent()

    async with world(losing, wait, goes_on(starts, "all", 0)) as here:
        record = await here.call(Behavior.RECONNECTOR, resumes=True, turn_at=0.5, expected="all")
    expect_complete(record)
    assert (len(record.away_s), record.breaks, here.dials) == (2, {"closed_none": 1}, 3)
    assert bytes(here.phones[1].audio) == PCM[:HALF]
    assert bytes(here.phones[2].audio) == PCM


async def test_the_run_ends_while_a_phone_is_away(autojump_clock: MockClock) -> None:
    interrupted = trio.Event()
    async with world(losing, None) as here, trio.open_nursery() as nursery:

        async def interrupt() -> None:
            await trio.sleep(1.5)
            interrupted.set()

        nursery.start_soon(interrupt)
        record = await here.call(resumes=True, interrupted=interrupted)
    assert (record.ending, record.problem) == (Ending.CANCELED, None)
    assert record.at_ended_s == pytest.approx(1.5, abs=0.01)


async def test_the_run_ends_between_stopped_and_the_close(autojump_clock: MockClock) -> None:
    """The phone would have gone on: that it could not is our doing."""
    interrupted = trio.Event()

    async def settle_and_close_late(phone: Phone) -> None:
        await phone.greet(resume=True)
        await phone.hear_audio(HALF)
        await phone.say("stopped", text="", sentences=0, durationMs=1, audio=account(HALF))
        await trio.sleep(0.5)
        interrupted.set()
        await trio.sleep(0.5)
        await phone.close(1012)

    async with world(settle_and_close_late) as here:
        record = await here.call(resumes=True, interrupted=interrupted)
    assert (record.ending, record.problem, record.is_attempt) == (Ending.CANCELED, None, False)
    assert here.dials == 1


def test_a_run_waits_for_phones_that_are_away() -> None:
    """Else its end would come before theirs, and be called a fault of the load tester."""
    patient = PhoneSettings(resumes=True, resume_limit_s=600.0)
    assert limits_s(patient) - limits_s(PhoneSettings()) == 600.0
    assert limits_s(PhoneSettings(resume_limit_s=600.0)) == limits_s(PhoneSettings())
