"""Judges a run: what it says, and why. Pure.

In this order: INTERRUPTED (a person ended it), UNREACHABLE (no stream ever connected), INVALID (the load tester did not
do what it was to do), MISSED, MET. The reasons hold everything that applies, in the same order.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from loadtest.figures import LATENCIES, MAX_OWN_LATENESS_S, OWN_LATENCIES
from loadtest.formats import format_count, format_ms, plural
from loadtest.record import Ending
from loadtest.scenario import Behavior
from loadtest.summary import AudioTotals, Counts, LatencyFigures, ObjectiveResult, Verdict, Worker

# A percentile is the highest value of a bucket of 0.1 %: 10 ms exactly would read as 10.007 ms.
_RESOLUTION: Final = 1.001
_LIMIT_MS: Final = MAX_OWN_LATENESS_S * 1000
_MEANING: Final = (
    "the load tester itself was late, so these figures say nothing about the service: "
    "use --processes, a faster machine, or less load"
)
_MAX_LINES: Final = 5


def judge(
    *,
    counts: Counts,
    audio: AudioTotals,
    latencies: Mapping[str, LatencyFigures],
    workers: Sequence[Worker] = (),
    objectives: Sequence[ObjectiveResult] = (),
    interrupted: bool = False,
    problems: Iterable[str] = (),
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict, and why it is not `met`: a line for each reason.

    `problems` are further faults of the load tester, such as a process of it that died: they make the run invalid.
    """
    invalid = (*problems, *_faults(counts, interrupted=interrupted), *_lateness(audio, latencies, workers))
    missed = tuple(_missed(counts, objectives))
    unreachable = _unreachable(counts)
    reasons = (*(("interrupted: this covers what was run until then",) if interrupted else ()),)
    reasons += (*unreachable, *invalid, *missed)
    if interrupted:
        return Verdict.INTERRUPTED, reasons
    if unreachable:
        return Verdict.UNREACHABLE, reasons
    if invalid:
        return Verdict.INVALID, reasons
    return (Verdict.MISSED if missed else Verdict.MET), reasons


def _unreachable(counts: Counts) -> tuple[str, ...]:
    ended = counts.begun - counts.endings.get(Ending.CANCELED, 0)
    if not ended or counts.endings.get(Ending.UNREACHABLE, 0) < ended:
        return ()
    first = max(counts.problems, key=lambda problem: counts.problems[problem], default="")
    return (f"nothing was reached: {plural(ended, 'stream')} tried" + (f" ({first})" if first else ""),)


def _faults(counts: Counts, *, interrupted: bool) -> Iterable[str]:
    if counts.dropped and not interrupted:
        yield (
            f"{format_count(counts.dropped)} of {plural(counts.planned, 'planned stream')} never began: "
            "the load was not the one that was planned"
        )


def _lateness(audio: AudioTotals, latencies: Mapping[str, LatencyFigures], workers: Sequence[Worker]) -> Iterable[str]:
    late_in_workers = list(_late_workers(workers))
    if any(late for late, _ in late_in_workers) or any(_is_late(_p99_ms(latencies, name)) for name in OWN_LATENCIES):
        yield _MEANING
    for name in OWN_LATENCIES:
        figures = latencies.get(name)
        if figures is None or not figures.count:
            if audio.sent_s:
                yield f"no samples of {_title(name)}: whether the load tester was in time is not known"
        elif _is_late(figures.p99_ms) and not any(late == name for late, _ in late_in_workers):
            yield f"{_title(name)} p99 was {_late_text(figures.p99_ms)}"
    yield from (line for _, line in late_in_workers[:_MAX_LINES])
    if len(late_in_workers) > _MAX_LINES:
        yield f"and {len(late_in_workers) - _MAX_LINES} more lines of this kind"


def _late_workers(workers: Sequence[Worker]) -> Iterable[tuple[str, str]]:
    for number, worker in enumerate(workers, start=1):
        where = f" in worker {number} of {len(workers)}" if len(workers) > 1 else ""
        for name, p99_ms in (("send_lateness", worker.send_lateness_p99_ms), ("loop_lag", worker.loop_lag_p99_ms)):
            if _is_late(p99_ms):
                yield name, f"{_title(name)} p99 was {_late_text(p99_ms, where)}"
        if worker.streams and worker.loop_lag_p99_ms is None:
            yield "", f"no samples of loop lag{where}: whether the load tester was in time is not known"


def _p99_ms(latencies: Mapping[str, LatencyFigures], name: str) -> float | None:
    return latencies[name].p99_ms if name in latencies else None


def _is_late(p99_ms: float | None) -> bool:
    return p99_ms is not None and p99_ms > _LIMIT_MS * _RESOLUTION


def _late_text(p99_ms: float | None, where: str = "") -> str:
    return f"{format_ms(p99_ms)}{where}: more than {_LIMIT_MS:g} ms"


def _title(name: str) -> str:
    return LATENCIES[name].title.lower()


def _missed(counts: Counts, objectives: Sequence[ObjectiveResult]) -> Iterable[str]:
    for objective in objectives:
        if not objective.met:
            yield f"missed: {objective.text} (was {objective.actual})"
    if objectives:
        return
    if not counts.begun:
        yield "no stream was run, and there are no objectives"
    failed = counts.attempts - counts.succeeded
    if failed:
        yield f"{format_count(failed)} of {plural(counts.attempts, 'stream')} did not succeed ({_endings(counts)})"
    for behavior, endings in counts.behaviors.items():
        if not Behavior(behavior).expects_transcript:
            yield from _mishandled(behavior, endings)


def _mishandled(behavior: str, endings: Mapping[str, int]) -> Iterable[str]:
    good = (Ending.AS_MEANT, Ending.COMPLETED, Ending.CANCELED)
    bad = {ending: number for ending, number in endings.items() if ending not in good}
    if bad:
        total = plural(sum(endings.values()), f"'{behavior}' phone")
        yield f"{format_count(sum(bad.values()))} of {total} did not end as they should ({_listed(bad)})"


def _endings(counts: Counts) -> str:
    bad: dict[str, int] = {}
    for behavior, endings in counts.behaviors.items():
        if Behavior(behavior).expects_transcript:
            for ending, number in endings.items():
                if ending not in (Ending.COMPLETED, Ending.AS_MEANT, Ending.CANCELED):
                    bad[ending] = bad.get(ending, 0) + number
    return _listed(bad)


def _listed(numbers: Mapping[str, int]) -> str:
    ordered = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{format_count(number)} {name.replace('_', ' ')}" for name, number in ordered)
