"""What differs between two runs. Pure."""

from dataclasses import dataclass
from typing import Final

from loadtest.figures import LATENCIES, OWN_LATENCIES
from loadtest.formats import NEVER, NO_VALUE, format_count, format_ms, format_ratio
from loadtest.objectives import Measured, latency_s
from loadtest.record import Ending
from loadtest.summary import ObjectiveResult, Summary, Verdict

PERCENTILES: Final = ("50", "90", "99", "99.9", "100")
_FIGURE_NAMES: Final = {"50": "p50", "90": "p90", "99": "p99", "99.9": "p99.9", "100": "max"}
# A percentile with fewer samples above it than this is the luck of single streams.
MIN_SAMPLES_ABOVE: Final = 10
# Below this many samples a percentile is the slowest one, under another name: it has no row.
LEAST_SAMPLES: Final = {"99": 100, "99.9": 1000}
_NAMES: Final = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both runs. `inf` is a percentile that falls on samples that never came; None: no samples."""

    metric: str
    """As in objectives: `finalization p99`, `success`."""
    unit: str
    """`ms`, `share` or `count`."""
    a: float | None
    b: float | None
    more_is_worse: bool
    few_samples: bool = False
    """Too few samples lie above this percentile to say much."""

    @property
    def difference(self) -> float | None:
        """B less A; None where that is not a number."""
        if self.a is None or self.b is None or self.a == float("inf") or self.b == float("inf"):
            return None
        return self.b - self.a

    @property
    def ratio(self) -> float | None:
        """B by A; None where that is not a number."""
        return None if self.difference is None or not self.a or self.b is None else self.b / self.a

    def worse_percent(self) -> float:
        """How much worse B is, in percent of A; of shares, in percentage points. Infinite where A was nothing."""
        if self.a is None or self.b is None:
            return 0.0 if self.a is None else float("inf")  # what was measured once is not any more
        worse = (self.b - self.a) if self.more_is_worse else (self.a - self.b)
        if self.a == self.b or worse <= 0:
            return 0.0
        if self.unit == "share":
            return worse * 100
        return worse / abs(self.a) * 100 if self.a else float("inf")


@dataclass(frozen=True, slots=True)
class ObjectiveChange:
    """An objective that one run met and the other did not, or that only one has."""

    text: str
    a: ObjectiveResult | None
    b: ObjectiveResult | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side."""

    rows: tuple[Row, ...]
    objectives: tuple[ObjectiveChange, ...]
    warnings: tuple[str, ...]
    """Why they may not be comparable."""
    notes: tuple[str, ...]
    """How much the figures can bear."""


def compare(a: Summary, b: Summary) -> Comparison:
    """Compare run B with run A. Raises `HistogramError` when a histogram cannot be read."""
    rows = (*_shares(a, b), *_counts(a, b), *_latencies(a, b))
    return Comparison(rows, _objectives(a, b), tuple(_warnings(a, b)), tuple(_notes(rows)))


def worse_rows(comparison: Comparison, names: tuple[str, ...], limit_percent: float) -> list[Row]:
    """The rows of these metrics in which B is worse by more than the limit. Raises `KeyError` for other names."""
    by_name = {row.metric: row for row in comparison.rows}
    return [by_name[name] for name in names if by_name[name].worse_percent() > limit_percent]


def shown(row: Row, value: float | None) -> str:
    """A value of a row, as people read it."""
    if value is None:
        return NO_VALUE
    if value == float("inf"):
        return NEVER
    if row.unit == "share":
        return format_ratio(value)
    return format_ms(value) if row.unit == "ms" else format_count(value)


def shown_difference(row: Row) -> str:
    """The difference with its sign; of shares in percentage points."""
    difference = row.difference
    if difference is None:
        return NO_VALUE
    if difference == 0:
        return "0"
    sign = "+" if difference > 0 else "-"
    if row.unit == "share":
        return f"{sign}{abs(difference) * 100:.3g} points"
    return f"{sign}{shown(row, abs(difference))}"


def _shares(a: Summary, b: Summary) -> list[Row]:
    return [Row("success", "share", _success(a), _success(b), more_is_worse=False)]


def _success(summary: Summary) -> float | None:
    counts = summary.counts
    return counts.succeeded / counts.attempts if counts.attempts else None


def _counts(a: Summary, b: Summary) -> list[Row]:
    rows = [
        Row("begun", "count", a.counts.begun, b.counts.begun, more_is_worse=False),
        Row("errors", "count", _errors(a), _errors(b), more_is_worse=True),
    ]
    for ending in Ending:
        if ending not in (Ending.COMPLETED, Ending.AS_MEANT):
            values = (a.counts.endings.get(ending, 0), b.counts.endings.get(ending, 0))
            if any(values):
                rows.append(Row(ending.value, "count", *values, more_is_worse=True))
    names = ("truncated", "different", "missing_words", "extra_words", "lost_finals", "doubled_finals")
    rows += (Row(name, "count", getattr(a.words, name), getattr(b.words, name), more_is_worse=True) for name in names)
    return rows


def _errors(summary: Summary) -> int:
    return summary.counts.attempts - summary.counts.succeeded


def _latencies(a: Summary, b: Summary) -> list[Row]:
    rows = []
    for name in LATENCIES:
        for percentile in PERCENTILES:
            values = (_percentile_ms(a, name, percentile), _percentile_ms(b, name, percentile))
            least = min(_samples(summary, name) for summary in (a, b))
            if values != (None, None) and least >= LEAST_SAMPLES.get(percentile, 0):
                few = any(_has_few_samples(summary, name, percentile) for summary in (a, b))
                metric = f"{name} {_FIGURE_NAMES[percentile]}"
                rows.append(Row(metric, "ms", *values, more_is_worse=True, few_samples=few))
    return rows


def _percentile_ms(summary: Summary, name: str, percentile: str) -> float | None:
    """As objectives see it: streams that gave no sample are in it."""
    measured = Measured(summary.counts, summary.words, summary.audio, summary.latencies)
    value_s = latency_s(measured.latencies, name, percentile)
    return None if value_s is None else value_s * 1000


def _has_few_samples(summary: Summary, name: str, percentile: str) -> bool:
    return _samples(summary, name) * (100 - float(percentile)) / 100 < MIN_SAMPLES_ABOVE


def _samples(summary: Summary, name: str) -> int:
    figures = summary.latencies.get(name)
    return 0 if figures is None else figures.count + figures.missing


def _objectives(a: Summary, b: Summary) -> tuple[ObjectiveChange, ...]:
    ours = {objective.text: objective for objective in a.objectives}
    theirs = {objective.text: objective for objective in b.objectives}
    changes = []
    for text in dict.fromkeys((*ours, *theirs)):
        one, other = ours.get(text), theirs.get(text)
        if one is None or other is None or one.met != other.met:
            changes.append(ObjectiveChange(text, one, other))
    return tuple(changes)


def _warnings(a: Summary, b: Summary) -> list[str]:
    warnings = []
    for name, summary in (("A", a), ("B", b)):
        if summary.verdict is Verdict.INVALID:
            warnings.append(f"{name} is invalid: its figures say nothing about the service")
        elif summary.verdict is Verdict.INTERRUPTED:
            warnings.append(f"{name} was interrupted: it covers a part of its plan")
        if summary.knee is not None:
            warnings.append(f"{name} is a search for the knee: compare what it found, not its figures")
    facts: tuple[tuple[str, object, object], ...] = (
        ("scenario", a.scenario, b.scenario),
        ("seed", a.seed, b.seed),
        ("URL", a.url, b.url),
        ("shard", a.shard, b.shard),
        ("number of processes", len(a.workers), len(b.workers)),
        ("host", a.environment.host, b.environment.host),
        ("processor", a.environment.cpu, b.environment.cpu),
        ("number of CPUs", a.environment.cpus, b.environment.cpus),
        ("system", a.environment.system, b.environment.system),
        ("Python", a.environment.python, b.environment.python),
        ("version of the load tester", a.environment.load_tester, b.environment.load_tester),
    )
    for name, one, other in facts:
        if one != other:
            warnings.append(f"the {name} differs: {_fact(one)} and {_fact(other)}")
    if a.scenario == b.scenario and a.scenario_toml != b.scenario_toml:
        warnings.append("the scenario has the same name, and other contents")
    return warnings


def _fact(value: object) -> str:
    text = "/".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
    return "".join(character if character.isprintable() else " " for character in text) or "unknown"


def _notes(rows: tuple[Row, ...]) -> list[str]:
    notes = ["Two runs are two samples: run the same thing twice to see how much it varies by itself."]
    felt = [name for name in LATENCIES if name not in OWN_LATENCIES]
    shown_metrics = {row.metric for row in rows}
    if any(f"{name} p50" in shown_metrics and f"{name} p99.9" not in shown_metrics for name in felt):
        least = " and ".join(f"{_FIGURE_NAMES[percentile]} under {n}" for percentile, n in LEAST_SAMPLES.items())
        notes.append(f"Left out for want of samples in one of the runs: {least}.")
    few = [row.metric for row in rows if row.few_samples and row.metric.partition(" ")[0] not in OWN_LATENCIES]
    if few:
        named = ", ".join(few[:_NAMES]) + (f" and {len(few) - _NAMES} more" if len(few) > _NAMES else "")
        notes.append(
            f"Marked with ~: fewer than {MIN_SAMPLES_ABOVE} samples lie above that percentile, so that a few streams "
            f"decide it ({named})."
        )
    return notes
