"""Summaries of runs that never were, one for each thing that a report has to show well."""

from loadtest.record import Ending
from loadtest.scenario import Behavior
from loadtest.summary import (
    AudioTotals,
    Counts,
    EventResult,
    Knee,
    KneeStep,
    ObjectiveResult,
    SeriesPoint,
    ServerPoint,
    Summary,
    Verdict,
    Words,
)
from tests.loadtest.imaginary_run import Run, environment

HOSTILE = "</script><script>alert(1)</script>\"'&<!--\u2028\u2029\x00\ud800<img src=x onerror=alert(2)>\u202e"


def objective(text: str, actual: str, *, met: bool = True) -> ObjectiveResult:
    return ObjectiveResult(text=text, met=met, actual=actual)


def met_run() -> Summary:
    """Two minutes, forty streams, everything held."""
    summary = Run(seed=7, duration_s=120, per_s=4).summary(Verdict.MET)
    summary.objectives = (
        objective("success >= 99.9%", "100%"),
        objective("first_partial p99 <= 900ms", "688 ms"),
        objective("finalization p99 <= 800ms", "485 ms"),
        objective("truncated <= 0.1%", "0%"),
    )
    return summary


def missed_run() -> Summary:
    """Ten minutes with a restart in the middle: refusals, failures, lost connections, a vanished phone."""
    run = Run(seed=11, duration_s=600, per_s=3, slow=1.6)
    for stream in run.streams:
        chance = run.random.random()
        if 300 < stream.at_planned_s < 318:
            run.refuse(stream, "restarting")
        elif 290 < stream.at_planned_s < 300:
            run.fail(stream, Ending.LOST, None, None if chance < 0.5 else 1012)
        elif 400 < stream.at_planned_s < 460 and chance < 0.25:
            run.fail(stream, Ending.FAILED, "recognizer_unavailable", 4503)
        elif 400 < stream.at_planned_s < 470 and chance < 0.4:
            run.refuse(stream)
        elif chance < 0.004:
            run.fail(stream, Ending.UNANSWERED, None, None)
        elif chance < 0.02:
            stream.behavior, stream.ending = Behavior.HANG_UP, Ending.AS_MEANT
            stream.finalization_s = None
    summary = run.summary(Verdict.MISSED)
    figures = summary.latencies["finalization"]
    success = f"{100 * summary.counts.succeeded / summary.counts.attempts:.2f}%"
    truncated = f"{100 * 2 / summary.words.compared:.2f}%"
    summary.reasons = (
        f"Objective missed: success >= 99.9%: it was {success}.",
        f"Objective missed: finalization p99 <= 800ms: it was never, since {figures.missing} streams failed.",
    )
    summary.objectives = (
        objective("success >= 99.9%", success, met=False),
        objective("first_partial p99 <= 900ms", "never", met=False),
        objective("finalization p99 <= 800ms", "never", met=False),
        objective("finalization p50 <= 500ms", f"{figures.p50_ms:.0f} ms"),
        objective("truncated <= 0.1%", truncated, met=False),
    )
    summary.events = (
        EventResult(at_s=290, command="systemctl restart voice-gateway", exit_code=0, duration_s=9.4),
        EventResult(
            at_s=400,
            command="./fail-over.sh --recognizer secondary",
            exit_code=1,
            duration_s=60.2,
            output="secondary: connection refused\nsecondary: connection refused\ngave up after 60 s\n",
        ),
        EventResult(at_s=404, command="logger fail-over", exit_code=None),
    )
    summary.counts.warnings = {"bad_message": 3}
    summary.words.complete -= 9
    summary.words.truncated, summary.words.different = 2, 7
    summary.words.missing_words, summary.words.lost_finals = 11, 1
    summary.audio.received_bytes -= 4096
    summary.audio.unaccounted_bytes = 4096
    summary.audio.backpressure_s = 2.41
    return summary


def invalid_run() -> Summary:
    """The load tester was starved of CPU."""
    summary = Run(seed=3, duration_s=60, per_s=6, own_ms=31).summary(Verdict.INVALID)
    summary.reasons = (
        "The load tester sent frames 31.0 ms late at p99 (process 1); more than 10 ms makes a run invalid.",
    )
    summary.objectives = (
        objective("success >= 99.9%", "100%"),
        objective("finalization p99 <= 800ms", "439 ms"),
    )
    return summary


def unreachable_run() -> Summary:
    """Nothing answered: a summary without a single sample."""
    return Summary(
        verdict=Verdict.UNREACHABLE,
        reasons=("127.0.0.1:9 refused the connection: is the service running?",),
        scenario="smoke",
        scenario_toml='name = "smoke"\n',
        url="ws://127.0.0.1:9/api/realtime-voice/stream",
        seed=1,
        started_at="2026-01-15T19:30:12Z",
        duration_s=0.0,
        counts=Counts(planned=2),
        words=Words(),
        audio=AudioTotals(),
        latencies={},
        objectives=(objective("success >= 100%", "never", met=False),),
        environment=environment(),
    )


def interrupted_run() -> Summary:
    """Six streams, then Ctrl-C."""
    run = Run(seed=5, duration_s=8, per_s=0.8)
    run.streams[-1].ending = Ending.CANCELED
    summary = run.summary(Verdict.INTERRUPTED)
    summary.reasons = ("Ended by Ctrl-C after 8 s of 120 s.",)
    summary.counts.planned += 90
    summary.counts.dropped = 90
    return summary


def knee_run() -> Summary:
    """A search that ended at 280 streams."""
    summary = met_run()
    texts = ("success >= 99.9%", "finalization p99 <= 800ms")

    def step(streams: int, finalization: str, success: str = "100%", verdict: Verdict = Verdict.MET) -> KneeStep:
        bad = verdict is not Verdict.MET
        return KneeStep(
            streams=streams,
            verdict=verdict,
            peak_active=streams + 3,
            objectives=(
                objective(texts[0], success, met=success == "100%"),
                objective(texts[1], finalization, met=not bad),
            ),
        )

    steps = (
        step(20, "318 ms"),
        step(40, "322 ms"),
        step(80, "341 ms"),
        step(160, "388 ms"),
        step(320, "never", "97.1%", Verdict.MISSED),
        step(240, "512 ms"),
        step(280, "688 ms"),
        step(300, "1.41 s", verdict=Verdict.MISSED),
    )
    summary.objectives = steps[6].objectives
    summary.scenario = "steady"
    summary.knee = Knee(max_streams=280, first_broken=300, broke=(steps[-1].objectives[1],), steps=steps)
    return summary


def big_run() -> Summary:
    """An hour with a point for each second, over three thousand streams, and many kinds of problems."""
    run = Run(seed=23, duration_s=3600, per_s=1)
    for stream in run.streams:
        if run.random.random() < 0.03:
            run.refuse(stream, run.random.choice(("overloaded", "recognizer_busy", "restarting")))
    summary = run.summary(Verdict.MISSED, every_s=5.0)
    # What a series of one second would hold: five times as many points, which the report has to condense.
    summary.series = tuple(
        SeriesPoint(
            at_s=point.at_s + n,
            arrivals=point.arrivals // 5,
            active=point.active,
            slugs=point.slugs,
            latencies_ms=point.latencies_ms,
            send_lateness_p99_ms=point.send_lateness_p99_ms,
        )
        for point in summary.series
        for n in range(5)
    )
    summary.server = run.server(summary.series)
    success = f"{100 * summary.counts.succeeded / summary.counts.attempts:.2f}%"
    summary.objectives = (objective("success >= 99.9%", success, met=False),)
    summary.reasons = (f"Objective missed: success >= 99.9%: it was {success}.",)
    for n in range(60):
        summary.counts.problems[f"problem {n} of many different ones, each with its own few words"] = n + 1
    return summary


def hostile_run() -> Summary:
    """A run in which every text that came from outside tries to break the page."""
    summary = missed_run()
    summary.scenario = summary.description = summary.scenario_toml = summary.url = HOSTILE
    summary.reasons = (HOSTILE,)
    summary.started_at = HOSTILE
    summary.objectives = (objective(HOSTILE, HOSTILE, met=False), objective(f"{HOSTILE} <= 3", HOSTILE))
    for counts in (summary.counts.refused, summary.counts.failed, summary.counts.lost, summary.counts.close_codes):
        counts[HOSTILE] = 3
    for counts in (summary.counts.warnings, summary.counts.problems, summary.counts.endings):
        counts[HOSTILE] = 3
    summary.counts.behaviors[HOSTILE] = {HOSTILE: 3}
    summary.events = (EventResult(at_s=100, command=HOSTILE, exit_code=0, output=HOSTILE),)
    for stream in summary.streams:
        stream.slug = stream.problem = stream.stream_id = HOSTILE
        stream.text = "what somebody said in confidence"
    summary.series = tuple(
        SeriesPoint(at_s=p.at_s, arrivals=p.arrivals, active=p.active, slugs={HOSTILE: 2}) for p in summary.series
    )
    summary.server = tuple(ServerPoint(at_s=p.at_s, values={HOSTILE: 2.0}) for p in summary.server)
    summary.environment.host = summary.environment.cpu = summary.environment.system = HOSTILE
    summary.environment.server = {HOSTILE: HOSTILE}
    summary.environment.packages = {HOSTILE: HOSTILE}
    step = KneeStep(streams=3, verdict=Verdict.MISSED, objectives=summary.objectives)
    summary.knee = Knee(max_streams=None, first_broken=3, broke=summary.objectives, steps=(step,))
    return summary


EXAMPLES = {
    "met": met_run,
    "missed": missed_run,
    "invalid": invalid_run,
    "unreachable": unreachable_run,
    "interrupted": interrupted_run,
    "knee": knee_run,
    "big": big_run,
    "hostile": hostile_run,
}
