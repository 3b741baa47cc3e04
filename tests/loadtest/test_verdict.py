"""What a run says."""

from collections.abc import Sequence

import pytest

from loadtest.histograms import Histograms
from loadtest.record import Ending
from loadtest.scenario import Behavior
from loadtest.summary import AudioTotals, Counts, LatencyFigures, ObjectiveResult, Verdict, Worker
from loadtest.verdict import judge

MEANING = (
    "the load tester itself was late, so these figures say nothing about the service: use --processes, a faster "
    "machine, or less load"
)
MET = ObjectiveResult(text="success >= 99%", met=True, actual="100%")
MISSED = ObjectiveResult(text="finalization p99 <= 500ms", met=False, actual="701.0 ms")


def counts_of(behavior: Behavior = Behavior.TALKER, dropped: int = 0, **endings: int) -> Counts:
    begun = sum(endings.values())
    attempts = begun - endings.get(Ending.CANCELED, 0) if behavior.expects_transcript else 0
    return Counts(
        planned=begun + dropped,
        dropped=dropped,
        begun=begun,
        attempts=attempts,
        succeeded=endings.get(Ending.COMPLETED, 0) if attempts else 0,
        endings=endings,
        behaviors={behavior: endings},
    )


def own_lateness(send_ms: float | None = 1.0, lag_ms: float | None = 1.0) -> dict[str, LatencyFigures]:
    histograms = Histograms()
    for name, value_ms in (("send_lateness", send_ms), ("loop_lag", lag_ms)):
        if value_ms is not None:
            histograms.record(name, value_ms / 1000)
    return {name: histograms.figures(name) for name in ("send_lateness", "loop_lag")}


def judged(
    counts: Counts | None = None,
    latencies: dict[str, LatencyFigures] | None = None,
    workers: Sequence[Worker] = (),
    objectives: Sequence[ObjectiveResult] = (),
    interrupted: bool = False,
    problems: Sequence[str] = (),
    sent_s: float = 10.0,
) -> tuple[Verdict, tuple[str, ...]]:
    return judge(
        counts=counts or counts_of(completed=2),
        audio=AudioTotals(sent_s=sent_s),
        latencies=own_lateness() if latencies is None else latencies,
        workers=workers,
        objectives=objectives,
        interrupted=interrupted,
        problems=problems,
    )


def test_all_objectives_met() -> None:
    assert judged(objectives=[MET]) == (Verdict.MET, ())
    assert judged(counts_of(completed=1, refused=5), objectives=[MET]) == (Verdict.MET, ())


def test_one_missed() -> None:
    assert judged(objectives=[MET, MISSED]) == (
        Verdict.MISSED,
        ("missed: finalization p99 <= 500ms (was 701.0 ms)",),
    )


def test_without_objectives_every_attempt_succeeds() -> None:
    assert judged() == (Verdict.MET, ())
    assert judged(counts_of(completed=8, refused=2, cut_short=1)) == (
        Verdict.MISSED,
        ("3 of 11 streams did not succeed (2 refused, 1 cut short)",),
    )
    assert judged(Counts(), sent_s=0.0) == (Verdict.MISSED, ("no stream was run, and there are no objectives",))


def test_without_objectives_misbehaving_phones_are_handled_as_they_should() -> None:
    assert judged(counts_of(Behavior.VANISH, as_meant=3, canceled=1)) == (Verdict.MET, ())
    assert judged(counts_of(Behavior.VANISH, as_meant=3, unanswered=2, canceled=1)) == (
        Verdict.MISSED,
        ("2 of 6 'vanish' phones did not end as they should (2 unanswered)",),
    )


@pytest.mark.parametrize(("name", "send_ms", "lag_ms"), [("send lateness", 23.0, 1.0), ("loop lag", 1.0, 23.0)])
def test_a_load_tester_that_was_late_itself_beats_every_objective(name: str, send_ms: float, lag_ms: float) -> None:
    verdict, reasons = judged(latencies=own_lateness(send_ms, lag_ms), objectives=[MISSED])
    assert verdict is Verdict.INVALID
    assert reasons == (
        MEANING,
        f"{name} p99 was 23.0 ms: more than 10 ms",
        "missed: finalization p99 <= 500ms (was 701.0 ms)",
    )


def test_what_two_kinds_of_lateness_mean_is_said_once() -> None:
    assert judged(latencies=own_lateness(23.0, 50.0))[1] == (
        MEANING,
        "send lateness p99 was 23.0 ms: more than 10 ms",
        "loop lag p99 was 50.0 ms: more than 10 ms",
    )


def test_10_ms_exactly_is_not_more_than_10_ms() -> None:
    assert judged(latencies=own_lateness(10.0, 10.0)) == (Verdict.MET, ())
    assert judged(latencies=own_lateness(10.1, 1.0))[0] is Verdict.INVALID


def test_one_late_worker_is_enough() -> None:
    workers = [
        Worker(streams=5, cpu_share=0.2, send_lateness_p99_ms=1.0, loop_lag_p99_ms=1.0),
        Worker(streams=5, cpu_share=1.0, send_lateness_p99_ms=23.0, loop_lag_p99_ms=1.0),
    ]
    verdict, reasons = judged(workers=workers, objectives=[MET])
    assert verdict is Verdict.INVALID
    assert reasons == (MEANING, "send lateness p99 was 23.0 ms in worker 2 of 2: more than 10 ms")
    late_everywhere = judged(latencies=own_lateness(23.0), workers=workers)[1]
    assert late_everywhere == reasons  # said once, with the worker that it was


def test_many_late_workers_are_named_up_to_a_bound() -> None:
    workers = [Worker(streams=1, cpu_share=1.0, send_lateness_p99_ms=50.0, loop_lag_p99_ms=50.0)] * 100
    _, reasons = judged(workers=workers)
    assert reasons.count(MEANING) == 1
    assert len(reasons) == 7
    assert reasons[-1] == "and 195 more lines of this kind"


def test_a_run_that_did_not_watch_itself_is_invalid() -> None:
    verdict, reasons = judged(latencies=own_lateness(None, None), objectives=[MET])
    assert verdict is Verdict.INVALID
    assert [reason.partition(":")[0] for reason in reasons] == ["no samples of send lateness", "no samples of loop lag"]
    assert judged(latencies={})[0] is Verdict.INVALID
    assert judged(latencies={}, objectives=[MET], sent_s=0.0)[0] is Verdict.MET
    worker = Worker(streams=3, cpu_share=0.1)
    assert judged(workers=[worker])[1] == ("no samples of loop lag: whether the load tester was in time is not known",)
    assert judged(workers=[Worker(streams=0, cpu_share=0.0)])[0] is Verdict.MET


def test_what_was_planned_and_never_began_makes_it_invalid_and_so_does_what_the_conductor_says() -> None:
    assert judged(counts_of(completed=2, dropped=3), objectives=[MET]) == (
        Verdict.INVALID,
        ("3 of 5 planned streams never began: the load was not the one that was planned",),
    )
    assert judged(problems=["worker 1 died"]) == (Verdict.INVALID, ("worker 1 died",))


def test_nothing_reached() -> None:
    counts = counts_of(unreachable=3, canceled=1)
    counts.problems = {"refused": 1, "no route to host": 2}
    verdict, reasons = judged(counts, latencies=own_lateness(None, 50.0), objectives=[MISSED], sent_s=0.0)
    assert verdict is Verdict.UNREACHABLE
    assert reasons[0] == "nothing was reached: 3 streams tried (no route to host)"
    assert judged(counts_of(unreachable=3, refused=1))[0] is Verdict.MISSED


def test_interrupted() -> None:
    counts = counts_of(completed=2, canceled=1, dropped=7)
    verdict, reasons = judged(counts, objectives=[MISSED], interrupted=True)
    assert verdict is Verdict.INTERRUPTED
    assert reasons == (
        "interrupted: this covers what was run until then",
        "missed: finalization p99 <= 500ms (was 701.0 ms)",
    )
    assert judged(interrupted=True)[0] is Verdict.INTERRUPTED
