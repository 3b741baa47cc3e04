"""Objectives: what a run must have been like, such as `finalization p99 <= 800ms` or `success >= 99.9%`. Pure.

    <latency> <stat> <operator> <value><us|ms|s>      finalization p99 <= 800ms, ready max < 2s
    <metric> <operator> <value>[%]                    success >= 99.9%, refused == 12, lost_finals == 0

Operators: `<=`, `<`, `>=`, `>`, `==`. Spaces are free, case does not matter.

**Latencies** are those of `figures.LATENCIES`. The stat is `p0` to `p100`, decimals included (`p99.9`), `min` or `max`;
there is no mean, because nobody waits for a mean. A stream that owed a sample and gave none is a sample that never
came: when the percentile falls on one of these, the value is `never`, and no objective is met by it.
`admitted.<latency>` leaves out the streams that were refused, and only these: what an overloaded service owes to those
that it takes on. Both sides of a comparison have the resolution of the histogram (three digits), so that 800 ms is not
above 800 ms.

**Shares** are a percentage, or a plain number from 0 to 1:

* `success`: streams that got the end they were owed, of the attempts. Misbehaving phones are not attempts;
* `misbehaving.as_meant`: misbehaving phones that were handled as they should be, of all of them;
* `dropped_audio`: bytes that the service says it dropped, of those it received; `unaccounted_audio`: bytes that were
  sent and not received, of those sent. Both of the streams whose `stopped` came.

**Streams** are a share when the value has a `%` or a decimal point, and a number of streams when it is a whole number:
`refused <= 5%`, `refused <= 0.05`, `refused == 12`.

* an ending: `completed`, `unreachable`, `refused`, `failed`, `lost`, `unanswered`, `cut_short`, `protocol`: share of
  the streams that ended (all behaviors, without those that we canceled);
* `refused.<slug>`, `refused.http_<status>`, `failed.<slug>`, `lost.<close code>`, `lost.none`: the same, of one reason;
* `truncated`, `different`: transcripts, of those that were compared.

**Counts** are whole numbers: `errors` (attempts that did not succeed), `lost_finals`, `doubled_finals`,
`missing_words`, `extra_words`, `reconnects`, `warnings`, `warnings.<slug>`.

An objective about what was not measured at all (no stream ended, no transcript was compared …) is not met: the actual
value is then `no samples`.
"""

import difflib
import enum
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from loadtest.figures import LATENCIES
from loadtest.formats import NEVER, format_count, format_ratio, format_seconds
from loadtest.histograms import Histogram, bucket_of
from loadtest.record import Ending
from loadtest.scenario import Behavior
from loadtest.summary import AudioTotals, Counts, LatencyFigures, ObjectiveResult, Words

NO_SAMPLES: Final = "no samples"
MAX_LENGTH: Final = 200
_ADMITTED: Final = "admitted."


class ObjectiveError(ValueError):
    """Text that is not an objective; it says what was expected."""


class Kind(enum.Enum):
    """What a metric is compared in."""

    LATENCY = "latency"
    SHARE = "share"
    STREAMS = "streams"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Measured:
    """What objectives are evaluated on: parts of a summary."""

    counts: Counts
    words: Words
    audio: AudioTotals
    latencies: dict[str, LatencyFigures]


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective, as parsed. `limit` is in seconds, a share from 0 to 1, or a count."""

    text: str
    metric: str
    operator: str
    limit: float
    kind: Kind
    """Never `STREAMS`: the value said which of a share and a count it is."""
    percentile: str | None = None
    """Of a latency: `99.9`, as written, so that no rounding comes in."""


_Numbers = tuple[float, float]
"""How many, and of how many; nothing can be said when the latter is 0."""

_SHARES: Final[dict[str, Callable[[Measured], _Numbers]]] = {
    "success": lambda measured: (measured.counts.succeeded, measured.counts.attempts),
    "misbehaving.as_meant": lambda measured: _misbehaving(measured.counts),
    "dropped_audio": lambda measured: (measured.audio.dropped_bytes, measured.audio.received_bytes),
    "unaccounted_audio": lambda measured: (measured.audio.unaccounted_bytes, measured.audio.sent_bytes),
}
_ENDINGS: Final = tuple(ending.value for ending in Ending if ending not in (Ending.CANCELED, Ending.AS_MEANT))
_TRANSCRIPTS: Final[dict[str, Callable[[Measured], _Numbers]]] = {
    "truncated": lambda measured: (measured.words.truncated, measured.words.compared),
    "different": lambda measured: (measured.words.different, measured.words.compared),
}
_COUNTS: Final[dict[str, Callable[[Measured], _Numbers]]] = {
    "errors": lambda measured: (measured.counts.attempts - measured.counts.succeeded, measured.counts.attempts),
    "lost_finals": lambda measured: (measured.words.lost_finals, measured.audio.streams),
    "doubled_finals": lambda measured: (measured.words.doubled_finals, _ended(measured.counts)),
    "missing_words": lambda measured: (measured.words.missing_words, measured.words.compared),
    "extra_words": lambda measured: (measured.words.extra_words, measured.words.compared),
    "reconnects": lambda measured: (measured.counts.reconnects, _ended(measured.counts)),
    "warnings": lambda measured: (sum(measured.counts.warnings.values()), _ended(measured.counts)),
}
_BY_REASON: Final[dict[str, tuple[Kind, Callable[[Counts], Mapping[str, int]]]]] = {
    "refused": (Kind.STREAMS, lambda counts: counts.refused),
    "failed": (Kind.STREAMS, lambda counts: counts.failed),
    "lost": (Kind.STREAMS, lambda counts: counts.lost),
    "warnings": (Kind.COUNT, lambda counts: counts.warnings),
}
METRICS: Final = (*LATENCIES, *_SHARES, *_ENDINGS, *_TRANSCRIPTS, *_COUNTS)
"""Every name, without those with a reason (`refused.overloaded`) and the `admitted.` ones."""

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
    "==": operator.eq,
}
_FORM: Final = re.compile(
    r"(?P<metric>[a-z][a-z0-9_.]*)(?:\s+(?P<stat>[a-z][a-z0-9.]*))?\s*(?P<operator>[<>=!]+)\s*"
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-zµμ%]*)"
)
_PERCENTILE: Final = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,6})?)")
_REASON: Final = re.compile(r"[a-z0-9_]{1,64}")
_UNITS_S: Final = {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0}


def parse_objective(text: str) -> Objective:
    """Read one objective. Raises `ObjectiveError`, whose text says what was expected."""
    clean = " ".join(text.split())
    if len(clean) > MAX_LENGTH:
        raise ObjectiveError(f"an objective of {len(clean)} characters: at most {MAX_LENGTH}")
    form = _FORM.fullmatch(clean.casefold().replace("μ", "µ"))
    if form is None:
        raise _error(clean, "expected such as 'finalization p99 <= 800ms' or 'success >= 99.9%'")
    metric, stat, sign, number, unit = form.group("metric", "stat", "operator", "number", "unit")
    if sign not in _OPERATORS:
        raise _error(clean, f"'{sign}' is not one of {' '.join(_OPERATORS)}")
    kind = _kind(clean, metric)
    if kind is Kind.LATENCY:
        return Objective(clean, metric, sign, _limit_s(clean, number, unit), kind, _percentile(clean, metric, stat))
    if stat is not None:
        raise _error(clean, f"'{metric}' has no '{stat}': only latencies have percentiles")
    if kind is Kind.SHARE or (kind is Kind.STREAMS and (unit == "%" or (not unit and "." in number))):
        return Objective(clean, metric, sign, _share(clean, metric, number, unit), Kind.SHARE)
    return Objective(clean, metric, sign, _count(clean, metric, kind, number, unit), Kind.COUNT)


def evaluate(objective: Objective, measured: Measured) -> ObjectiveResult:
    """Whether an objective was met, and what the value was."""
    if objective.kind is Kind.LATENCY:
        return _evaluate_latency(objective, measured)
    part, whole = _numbers(objective.metric, measured)
    if whole == 0:
        return ObjectiveResult(text=objective.text, met=False, actual=NO_SAMPLES)
    compares = _OPERATORS[objective.operator]
    if objective.kind is Kind.COUNT:
        return ObjectiveResult(text=objective.text, met=compares(part, objective.limit), actual=format_count(part))
    share = part / whole
    if math.isclose(share, objective.limit, abs_tol=1e-12):  # 99.9% is not exactly a float
        share = objective.limit
    met = compares(share, objective.limit)
    actual = f"{format_ratio(share)} ({format_count(part)} of {format_count(whole)})"
    return ObjectiveResult(text=objective.text, met=met, actual=actual)


def evaluate_all(objectives: Iterable[Objective], measured: Measured) -> tuple[ObjectiveResult, ...]:
    """Each of them."""
    return tuple(evaluate(objective, measured) for objective in objectives)


def _evaluate_latency(objective: Objective, measured: Measured) -> ObjectiveResult:
    value_s = latency_s(measured.latencies, objective.metric, objective.percentile or "100")
    if value_s is None:
        return ObjectiveResult(text=objective.text, met=False, actual=NO_SAMPLES)
    if math.isinf(value_s):
        return ObjectiveResult(text=objective.text, met=False, actual=NEVER)
    value, limit = bucket_of(value_s), bucket_of(objective.limit)
    met = _OPERATORS[objective.operator](value, limit)
    actual = _shown(objective.limit if value == limit else value_s, objective)
    return ObjectiveResult(text=objective.text, met=met, actual=actual)


def _shown(value_s: float, objective: Objective) -> str:
    """Three digits, and a fourth where three would make it look like the limit, which it is not."""
    text = format_seconds(value_s)
    alike = text == format_seconds(objective.limit) and value_s != objective.limit
    return format_seconds(value_s, digits=4) if alike else text


def latency_s(latencies: Mapping[str, LatencyFigures], metric: str, percentile: str) -> float | None:
    """A percentile over the samples and those that never came (infinity); None when there are neither.

    Raises `HistogramError` when the figures have no histogram that can be read.
    """
    admitted = metric.startswith(_ADMITTED)
    figures = latencies.get(metric.removeprefix(_ADMITTED))
    if figures is None:
        return None
    missing = figures.missing - figures.missing_refused if admitted else figures.missing
    histogram = Histogram.decode(figures.histogram) if figures.count else Histogram()
    return histogram.percentile_s(percentile, missing)


def _numbers(metric: str, measured: Measured) -> _Numbers:
    for table in (_SHARES, _TRANSCRIPTS, _COUNTS):
        if metric in table:
            return table[metric](measured)
    name, _, reason = metric.partition(".")
    counts = measured.counts
    part = _BY_REASON[name][1](counts).get(reason, 0) if reason else counts.endings.get(name, 0)
    return part, _ended(counts)


def _ended(counts: Counts) -> int:
    return counts.begun - counts.endings.get(Ending.CANCELED, 0)


def _misbehaving(counts: Counts) -> _Numbers:
    """Those handled as they should be, and all that were not canceled."""
    handled = ended = 0
    for behavior, endings in counts.behaviors.items():
        if not Behavior(behavior).expects_transcript:
            ended += sum(endings.values()) - endings.get(Ending.CANCELED, 0)
            handled += endings.get(Ending.AS_MEANT, 0) + endings.get(Ending.COMPLETED, 0)
    return handled, ended


def _kind(text: str, metric: str) -> Kind:
    if metric.removeprefix(_ADMITTED) in LATENCIES:
        return Kind.LATENCY
    if metric in _SHARES:
        return Kind.SHARE
    if metric in _ENDINGS or metric in _TRANSCRIPTS:
        return Kind.STREAMS
    if metric in _COUNTS:
        return Kind.COUNT
    name, _, reason = metric.partition(".")
    if name in _BY_REASON and _REASON.fullmatch(reason):
        return _BY_REASON[name][0]
    known = (*METRICS, *(_ADMITTED + name for name in LATENCIES))
    near = difflib.get_close_matches(metric, known, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(METRICS)}"
    raise _error(text, f"'{metric}' is not measured; {hint}")


def _percentile(text: str, metric: str, stat: str | None) -> str:
    if stat == "min":
        return "0"
    if stat == "max":
        return "100"
    form = _PERCENTILE.fullmatch(stat or "")
    if form is None or float(form[1]) > 100:
        found = f", not '{stat}'" if stat else ""
        raise _error(text, f"expected '{metric}' with p0 to p100, min or max{found}, as in '{metric} p99 <= 800ms'")
    return form[1]


def _limit_s(text: str, number: str, unit: str) -> float:
    if unit not in _UNITS_S:
        raise _error(text, f"expected a latency in us, ms or s, not '{number}{unit}'")
    return float(number) * _UNITS_S[unit]


def _share(text: str, metric: str, number: str, unit: str) -> float:
    share = float(number) / 100 if unit == "%" else float(number)
    if unit not in ("", "%") or share > 1:
        raise _error(text, f"expected '{metric}' as 0% to 100% or as 0 to 1, not '{number}{unit}'")
    return share


def _count(text: str, metric: str, kind: Kind, number: str, unit: str) -> int:
    if unit or "." in number:
        share = " or a share such as 5%" if kind is Kind.STREAMS else ""
        raise _error(text, f"expected '{metric}' as a whole number{share}, not '{number}{unit}'")
    return int(number)


def _error(text: str, expected: str) -> ObjectiveError:
    shown = "".join(character if character.isprintable() else " " for character in text)
    return ObjectiveError(f"objective '{shown}': {expected}")
