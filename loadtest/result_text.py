"""What `run` prints at its end: the verdict first, then why, then the figures. Pure."""

from collections.abc import Iterator
from typing import Final

from loadtest.advice import hint
from loadtest.figures import LATENCIES
from loadtest.summary import Knee, LatencyFigures, Summary, Verdict

_HEADS: Final = {
    Verdict.MET: "PASSED",
    Verdict.MISSED: "FAILED",
    Verdict.UNREACHABLE: "UNREACHABLE",
    Verdict.INVALID: "INVALID: the load tester could not keep its own plan; its figures say nothing about the service",
    Verdict.INTERRUPTED: "INTERRUPTED: this covers what was run",
}
_COLUMNS: Final = ("p50", "p90", "p99", "p99.9", "max", "count", "missing")
_MISSED: Final = "missed: "  # as `verdict.judge` begins such reasons
_NAME_WIDTH: Final = 18
_MOST_REASONS: Final = 8


def result_lines(summary: Summary, report: str) -> list[str]:
    """The lines to print; `report` is where the report is."""
    counts = summary.counts
    is_valid = summary.verdict is not Verdict.INVALID
    # Objectives have lines of their own. Those of an invalid run are not shown, no more than its other figures.
    reasons = [reason for reason in summary.reasons if not reason.startswith(_MISSED)]
    lines = [_head(summary), *(f"  {reason}" for reason in reasons[:_MOST_REASONS])]
    if len(reasons) > _MOST_REASONS:
        lines.append(f"  and {len(reasons) - _MOST_REASONS} more")
    lines += [f"  note: {note}" for note in summary.notes]
    if summary.knee is not None:
        lines += ["", *_knee_lines(summary.knee)]
    if summary.objectives and is_valid:
        lines += ["", *(f"  {'✓' if one.met else '✗'} {one.text}   {one.actual}" for one in summary.objectives)]
    share = f" = {counts.succeeded / counts.attempts:.2%}" if counts.attempts else ""
    lines += [
        "",
        f"  {counts.begun} of {counts.planned} streams begun, {counts.succeeded} of {counts.attempts} succeeded{share}",
    ]
    lines += list(_ending_lines(summary))
    if is_valid:
        lines += ["", *_table(summary)]
    return [*lines, "", f"  {report}"]


def quiet_lines(summary: Summary) -> list[str]:
    """What `--quiet` leaves: the verdict, with the figure of a search, and every reason."""
    is_valid = summary.verdict is not Verdict.INVALID
    reasons = [reason for reason in summary.reasons if is_valid or not reason.startswith(_MISSED)]
    knee = [] if summary.knee is None else [_knee_text(summary.knee)]
    return [_head(summary), *(f"  {line}" for line in [*knee, *reasons])]


def _head(summary: Summary) -> str:
    return f"{_HEADS[summary.verdict]}  {summary.scenario} against {summary.url}, seed {summary.seed}"


def _ending_lines(summary: Summary) -> Iterator[str]:
    counts = summary.counts
    if counts.endings:
        yield f"  {'endings':<{_NAME_WIDTH}} {_pairs(counts.endings)}"
    for name, table in (("refused", counts.refused), ("failed", counts.failed), ("lost, close code", counts.lost)):
        if table:
            yield f"  {name:<{_NAME_WIDTH}} {_pairs(table)}"
    for advice in filter(None, map(hint, counts.refused)):
        yield f"  {'':<{_NAME_WIDTH}} {advice}"
    words = summary.words
    if words.truncated or words.different or words.lost_finals or words.doubled_finals:
        yield (
            f"  {'transcripts':<{_NAME_WIDTH}} {words.truncated} truncated and {words.different} different of "
            f"{words.compared}; {words.lost_finals} lost and {words.doubled_finals} doubled finals"
        )


def _knee_lines(knee: Knee) -> Iterator[str]:
    yield f"  {_knee_text(knee)}"
    for broken in knee.broke:
        yield f"    ✗ {broken.text}   {broken.actual}"
    tried = ", ".join(f"{step.streams} {step.verdict}" for step in knee.steps)
    yield f"    tried: {tried}"


def _knee_text(knee: Knee) -> str:
    found = "none of the loads that were tried held"
    if knee.max_streams is not None and knee.first_broken is None:
        found = f"at least {knee.max_streams} (no objective broke)"
    elif knee.max_streams is not None:
        found = f"{knee.max_streams} (broken at {knee.first_broken})"
    return f"maximum effective streams: {found}"


def _table(summary: Summary) -> Iterator[str]:
    yield f"  {'milliseconds':<{_NAME_WIDTH}}" + "".join(f"{column:>10}" for column in _COLUMNS)
    for name, latency in LATENCIES.items():
        figures = summary.latencies.get(name)
        if figures is not None and (figures.count or figures.missing):
            yield f"  {latency.title:<{_NAME_WIDTH}}" + "".join(f"{cell:>10}" for cell in _cells(figures))


def _cells(figures: LatencyFigures) -> Iterator[str]:
    for value_ms in (figures.p50_ms, figures.p90_ms, figures.p99_ms, figures.p99_9_ms, figures.max_ms):
        yield "-" if value_ms is None else f"{value_ms:.1f}" if value_ms < 100 else f"{value_ms:.0f}"
    yield str(figures.count)
    refused = f" ({figures.missing_refused} of them refused)" if figures.missing_refused else ""
    yield f"{figures.missing:>10}{refused}" if figures.missing else ""


def _pairs(table: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(table.items(), key=lambda item: -item[1]))
