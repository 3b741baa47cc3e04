"""What the records of streams add up to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.bounded import MAX_PROBLEMS, MAX_SLUGS, OTHER, count
from loadtest.figures import SAMPLE_LATENCIES, STREAM_LATENCIES
from loadtest.histograms import Histograms
from loadtest.record import AudioAccount, Ending, StreamRecord, Transcript
from loadtest.scenario import Behavior
from loadtest.tally import Tally
from tests.loadtest.stream_records import RECORDS, completed, failed


def tally_of(*records: StreamRecord, warm_up_s: float = 0.0) -> Tally:
    tally = Tally(planned=len(records), warm_up_s=warm_up_s)
    for record in records:
        tally.add(record)
    return tally


def test_planned_faults_are_all_counted() -> None:
    records = [completed(number) for number in range(5)]
    records += [failed(5 + number, Ending.REFUSED, slug="overloaded") for number in range(3)]
    records += [failed(8, Ending.REFUSED, http_status=503), failed(9, Ending.REFUSED)]
    records += [failed(10, Ending.FAILED, slug="internal", close_code=1011, upgrade_s=0.1)]
    records += [failed(11, Ending.LOST, upgrade_s=0.1), failed(12, Ending.LOST, close_code=1006, upgrade_s=0.1)]
    records += [failed(13, Ending.UNREACHABLE, problem="no connection"), failed(14, Ending.CANCELED)]
    counts = tally_of(*records).counts
    assert (counts.planned, counts.begun, counts.dropped) == (15, 15, 0)
    assert (counts.attempts, counts.succeeded) == (14, 5)
    assert counts.endings == {
        "completed": 5,
        "refused": 5,
        "failed": 1,
        "lost": 2,
        "unreachable": 1,
        "canceled": 1,
    }
    assert counts.behaviors == {"talker": counts.endings}
    assert counts.refused == {"overloaded": 3, "http_503": 1, "unknown": 1}
    assert counts.failed == {"internal": 1}
    assert counts.lost == {"none": 1, "1006": 1}
    assert counts.close_codes == {"1000": 5, "1011": 1, "1006": 1, "none": 1}
    assert counts.problems == {"no connection": 1}


def test_phones_that_came_back() -> None:
    tally = tally_of(
        completed(0, away_s=[0.25, 0.75], breaks={"stopped": 2}),
        completed(1),
        failed(2, Ending.UNREACHABLE, away_s=[0.5], is_away=True, breaks={"stopped": 1, "unreachable": 7}),
        failed(3, Ending.REFUSED, http_status=503, is_away=True, breaks={"http_503": 9}),
        completed(4, at_planned_s=0.0, away_s=[9.0], behavior=Behavior.SLOW_READER),
    )
    counts = tally.counts
    assert (counts.resumed, counts.resumes) == (3, 4)
    assert counts.breaks == {"stopped": 3, "unreachable": 7, "http_503": 9}
    figures = tally.latencies()["resume"]
    assert (figures.count, figures.missing, figures.missing_refused) == (3, 2, 1)
    assert figures.max_ms == pytest.approx(750, rel=0.001)
    with pytest.raises(ValueError, match="not latencies by sample: resume"):
        tally.add_samples({"resume": ""})


def test_streams_that_have_not_begun_are_dropped() -> None:
    tally = Tally(planned=5)
    tally.add(completed())
    assert tally.counts.dropped == 4


def test_misbehaving_phones_are_no_attempts_and_give_no_latencies() -> None:
    tally = tally_of(
        completed(behavior=Behavior.HANG_UP, ending=Ending.AS_MEANT),
        failed(behavior=Behavior.VANISH, ending=Ending.UNANSWERED),
        failed(ending=Ending.CANCELED),
    )
    assert (tally.counts.attempts, tally.counts.succeeded) == (0, 0)
    assert tally.counts.behaviors == {
        "hang_up": {"as_meant": 1},
        "vanish": {"unanswered": 1},
        "talker": {"canceled": 1},
    }
    assert {(figures.count, figures.missing) for figures in tally.latencies().values()} == {(0, 0)}


def test_an_attempt_owes_every_stream_latency_and_what_did_not_come_is_missing() -> None:
    tally = tally_of(
        completed(0),
        failed(1, Ending.REFUSED, slug="overloaded", connect_s=0.001, upgrade_s=0.001, welcome_s=0.001),
        failed(2, Ending.LOST, connect_s=0.001, upgrade_s=0.001, welcome_s=0.001, ready_s=0.05, setup_s=0.1),
    )
    figures = tally.latencies()
    found = {
        name: (figures[name].count, figures[name].missing, figures[name].missing_refused) for name in STREAM_LATENCIES
    }
    assert found == {
        "connect": (3, 0, 0),
        "upgrade": (3, 0, 0),
        "welcome": (3, 0, 0),
        "ready": (2, 1, 1),
        "setup": (2, 1, 1),
        "first_partial": (1, 2, 1),
        "finalization": (1, 2, 1),
    }
    assert tally.missing("finalization") == 2
    assert tally.missing("word_final") == 0


def test_only_audio_in_which_nothing_was_to_be_heard_owes_no_first_partial() -> None:
    silent = completed(first_partial_s=None)
    assert tally_of(silent).missing("first_partial") == 0
    for transcript in (Transcript.TRUNCATED, Transcript.DIFFERENT, None):
        assert tally_of(completed(first_partial_s=None, transcript=transcript)).missing("first_partial") == 1
    deaf = completed(first_partial_s=None, transcript=Transcript.DIFFERENT, behavior=Behavior.FROZEN)
    assert tally_of(deaf).missing("first_partial") == 0


def test_the_warm_up_is_counted_and_is_in_no_latency() -> None:
    tally = tally_of(completed(1), failed(2), completed(3), warm_up_s=3.0)
    assert (tally.counts.attempts, tally.counts.succeeded) == (3, 2)
    assert tally.words.compared == 2
    figures = tally.latencies()["setup"]
    assert (figures.count, figures.missing) == (1, 0)


def test_words_and_audio() -> None:
    tally = tally_of(
        completed(0),
        completed(1, transcript=Transcript.TRUNCATED, missing_words=2, sentences=3, lost_finals=1, backpressure_s=0.5),
        completed(2, transcript=Transcript.DIFFERENT, missing_words=1, extra_words=4, doubled_finals=2),
        completed(3, transcript=None, audio=AudioAccount(sent_bytes=100, received_bytes=150, dropped_bytes=50)),
        completed(4, audio=AudioAccount(sent_bytes=100, received_bytes=60, relayed_bytes=60), connections=3),
        failed(5, audio_sent_s=2.5),
    )
    words, audio = tally.words, tally.audio
    assert (words.compared, words.complete, words.truncated, words.different) == (4, 2, 1, 1)
    assert (words.missing_words, words.extra_words) == (3, 4)
    assert (words.finals, words.lost_finals, words.doubled_finals) == (7, 1, 2)
    assert (audio.streams, audio.sent_s, audio.backpressure_s) == (5, 7.5, 0.5)
    assert (audio.sent_bytes, audio.received_bytes) == (96200, 96210)
    assert (audio.relayed_bytes, audio.dropped_bytes) == (96060, 50)
    assert audio.unaccounted_bytes == 40  # what one service counted twice does not hide what another lost
    assert tally.counts.reconnects == 2


def test_samples_of_workers_add_up_both_ways_they_come() -> None:
    worker = Histograms()
    for value_s in (0.001, 0.002, 0.003):
        worker.record("send_lateness", value_s)
    tally = Tally(planned=0)
    tally.add_samples(worker.encode())
    tally.add_buckets({"send_lateness": worker["send_lateness"].counts})
    assert tally.latencies()["send_lateness"].count == tally.histograms.count("send_lateness") == 6
    with pytest.raises(ValueError, match="not latencies by sample: setup"):
        tally.add_samples({"setup": ""})
    with pytest.raises(ValueError, match="not latencies by sample: setup"):
        tally.add_buckets({"setup": {1: 1}, "loop_lag": {1: 1}})
    assert tally.latencies()["loop_lag"].count == 0


def test_a_hostile_service_cannot_fill_memory_and_no_stream_is_left_out() -> None:
    tally = Tally(planned=0)
    for number in range(500):
        tally.add(failed(number, Ending.FAILED, slug=f"slug{number}", problem=f"problem {number}" + "x" * 1000))
        tally.add(failed(number, Ending.REFUSED, slug="\x1b[2J" * 100, warnings={f"warning{number}": 2}))
    counts = tally.counts
    assert len(counts.failed) == MAX_SLUGS + 1
    assert counts.failed[OTHER] == 500 - MAX_SLUGS
    assert len(counts.problems) == MAX_PROBLEMS + 1
    assert sum(counts.problems.values()) == 500
    assert max(map(len, counts.problems)) == 200
    assert sum(counts.warnings.values()) == 1000
    assert list(counts.refused.values()) == [500]
    assert all(slug.isprintable() and len(slug) == 64 for slug in counts.refused)


def test_other_does_not_take_the_place_of_a_key() -> None:
    table: dict[str, int] = {}
    for key in (OTHER, "a", "b", "c"):
        count(table, key, limit=2)
    assert table == {OTHER: 2, "a": 1, "b": 1}


@given(st.lists(RECORDS, max_size=12), st.sampled_from([0.0, 50.0]))
@settings(deadline=None)
def test_whatever_happens_every_stream_is_somewhere_and_the_order_does_not_matter(
    records: list[StreamRecord], warm_up_s: float
) -> None:
    tally, backwards = tally_of(*records, warm_up_s=warm_up_s), tally_of(*reversed(records), warm_up_s=warm_up_s)
    counts = tally.counts
    assert counts == backwards.counts
    assert tally.words == backwards.words
    latencies = tally.latencies()
    assert latencies == backwards.latencies()
    assert sum(counts.endings.values()) == counts.begun == len(records)
    assert sum(sum(endings.values()) for endings in counts.behaviors.values()) == len(records)
    assert sum(counts.refused.values()) == counts.endings.get("refused", 0)
    assert sum(counts.failed.values()) == counts.endings.get("failed", 0)
    assert sum(counts.lost.values()) == counts.endings.get("lost", 0)
    assert counts.succeeded <= counts.attempts <= counts.begun
    owing = sum(record.is_attempt and record.at_planned_s >= warm_up_s for record in records)
    for name in STREAM_LATENCIES:
        figures = latencies[name]
        assert figures.missing_refused <= figures.missing
        assert figures.count + figures.missing == owing or name == "first_partial"
    assert all(latencies[name].missing == 0 for name in SAMPLE_LATENCIES)
