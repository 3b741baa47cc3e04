"""From two scrapes of a service's metrics to one point of the curves that a person wants to see. Pure.

The names are those of docs/metrics.md and, of any service, the `process_*` metrics that most client libraries have.
A curve whose metric is not there is left out. So is what is counted over an interval when the service restarted in it:
its counters then began again, and a difference would be a lie.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.summary import ServerPoint

MAX_POINTS: Final = 1200
"""Of one run: 40 minutes at a scrape in 2 s. Longer runs have coarser points, since a chart has no more pixels."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve, and how to call it."""

    title: str
    unit: str


CURVES: Final = {
    "cpu_share": Curve("CPU", "of one CPU"),
    "memory_mib": Curve("Memory", "MiB"),
    "streams": Curve("Streams", ""),
    "connections": Curve("Connections", ""),
    "slots_used": Curve("Recognizer slots in use", ""),
    "slots_waiting": Curve("Streams waiting for a slot", ""),
    "tasks": Curve("Tasks", ""),
    "rejected_per_s": Curve("Messages rejected", "per second"),
    "recognizer_errors_per_s": Curve("Recognizer errors", "per second"),
    "loop_lag_p99_ms": Curve("Loop lag p99", "ms"),
    "gateway_delay_p99_ms": Curve("Gateway delay p99", "ms"),
    "first_partial_p99_ms": Curve("First partial p99", "ms"),
    "finalization_p99_ms": Curve("Finalization p99", "ms"),
}
"""Every name that a `ServerPoint` can have, in the order in which to show them."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of an exposition."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one answer of `/metrics` said."""

    at_s: float
    """Seconds since the run began."""
    samples: tuple[Sample, ...]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum over all series of that name with those labels; None when there is none, or it is no number."""
        values = [
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= dict(sample.labels).items()
        ]
        total = sum(values)
        return total if values and math.isfinite(total) else None

    def buckets(self, name: str) -> dict[float, float]:
        """A histogram, summed over its series: how many observations were at most each bound, in order of bounds."""
        found: dict[float, float] = {}
        for sample in self.samples:
            if sample.name == f"{name}_bucket" and math.isfinite(sample.value):
                try:
                    bound = float(sample.labels.get("le", "nan"))
                except ValueError:
                    continue
                if not math.isnan(bound):
                    found[bound] = found.get(bound, 0.0) + sample.value
        return dict(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class _Gauge:
    metric: str
    labels: Mapping[str, str]
    factor: float = 1.0


_GAUGES: Final = {
    "memory_mib": _Gauge("process_resident_memory_bytes", {}, 1 / 2**20),
    "streams": _Gauge("voice_streams_active", {}),
    "connections": _Gauge("voice_connections_active", {}),
    "slots_used": _Gauge("voice_recognizer_slots", {"state": "used"}),
    "slots_waiting": _Gauge("voice_recognizer_slots", {"state": "waited_for"}),
    "tasks": _Gauge("voice_tasks", {}),
}
_RATES: Final = {
    "cpu_share": "process_cpu_seconds_total",
    "rejected_per_s": "voice_messages_rejected_total",
    "recognizer_errors_per_s": "voice_recognizer_errors_total",
}
_P99S: Final = {
    "loop_lag_p99_ms": "voice_event_loop_lag_seconds",
    "gateway_delay_p99_ms": "voice_gateway_delay_seconds",
    "first_partial_p99_ms": "voice_first_partial_seconds",
    "finalization_p99_ms": "voice_finalization_seconds",
}
_STARTED: Final = "process_start_time_seconds"
_BUILD: Final = "voice_build_info"

NAMES: Final = frozenset(
    {_STARTED, _BUILD, *_RATES.values()}
    | {gauge.metric for gauge in _GAUGES.values()}
    | {f"{metric}_bucket" for metric in _P99S.values()}
)
"""Of the samples that are read; a reader may skip all others."""


def server_point(before: Scrape | None, after: Scrape) -> ServerPoint:
    """The point at the time of `after`. Rates and percentiles are those of the time since `before`, and without it, or
    when nothing was observed, are left out."""
    values: dict[str, float] = {}
    for curve, gauge in _GAUGES.items():
        value = after.total(gauge.metric, **gauge.labels)
        if value is not None:
            values[curve] = value * gauge.factor
    if before is not None and after.at_s > before.at_s and not has_restarted(before, after):
        for curve, metric in _RATES.items():
            # A counter with labels is not there before it has counted.
            value = after.total(metric)
            if value is not None:
                values[curve] = (value - (before.total(metric) or 0.0)) / (after.at_s - before.at_s)
        for curve, metric in _P99S.items():
            p99_s = quantile(0.99, _between(before.buckets(metric), after.buckets(metric)))
            if p99_s is not None:
                values[curve] = 1000 * p99_s
    return ServerPoint(at_s=after.at_s, values=_finite(values))


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    """In the order of CURVES; JSON has no infinity, and a service that says so is wrong anyway."""
    return {name: round(values[name], 4) for name in CURVES if name in values and math.isfinite(values[name])}


def has_restarted(before: Scrape, after: Scrape) -> bool:
    """Whether these are two processes: a restart, or two instances behind one address."""
    if before.total(_STARTED) != after.total(_STARTED):
        return True
    counters = [(before.total(metric), after.total(metric)) for metric in _RATES.values()]
    for metric in _P99S.values():
        earlier, later = before.buckets(metric), after.buckets(metric)
        counters += [(count, later.get(bound)) for bound, count in earlier.items()]
    return any(earlier is not None and (later is None or later < earlier) for earlier, later in counters)


def server_info(scrape: Scrape) -> dict[str, str]:
    """What the service says of itself: the labels of `voice_build_info`; empty when it does not."""
    for sample in scrape.samples:
        if sample.name == _BUILD:
            return dict(sample.labels)
    return {}


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """The value under which that share of the observations lies, from (upper bound, how many up to it) in order.

    As Prometheus estimates it: evenly spread inside a bucket, and the highest finite bound for what lies over all of
    them. None without observations.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    wanted = share * buckets[-1][1]
    lower_bound, lower_count = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted and count > lower_count:
            if math.isinf(bound):
                return lower_bound
            return lower_bound + (bound - lower_bound) * (wanted - lower_count) / (count - lower_count)
        lower_bound, lower_count = bound, max(count, lower_count)
    return lower_bound


def _between(before: Mapping[float, float], after: Mapping[float, float]) -> list[tuple[float, float]]:
    """What was observed between two scrapes of a histogram."""
    return [(bound, count - before.get(bound, 0.0)) for bound, count in after.items()]


class ServerPoints:
    """The points of a run, at most `limit` of them: when there are more, neighbors are put together, again and again.

    Of what was put together the highest value is kept, because a peak is what one looks for.
    """

    def __init__(self, limit: int = MAX_POINTS) -> None:
        self._limit = max(2, limit)
        self._points: list[ServerPoint] = []
        self._group = 1
        self._in_last = 0

    def add(self, point: ServerPoint) -> None:
        """Take one more scrape; its time is not before that of the last."""
        if self._points and self._in_last < self._group:
            self._points[-1] = _together(self._points[-1], point)
            self._in_last += 1
            return
        if len(self._points) == self._limit:
            pairs = [self._points[place : place + 2] for place in range(0, self._limit, 2)]
            self._points = [_together(pair[0], pair[-1]) for pair in pairs]
            self._in_last = self._group * len(pairs[-1])
            self._group *= 2
            self.add(point)
            return
        self._points.append(point)
        self._in_last = 1

    @property
    def points(self) -> tuple[ServerPoint, ...]:
        """In order of time."""
        return tuple(self._points)


def _together(first: ServerPoint, second: ServerPoint) -> ServerPoint:
    values = dict(first.values)
    for name, value in second.values.items():
        values[name] = max(value, values.get(name, value))
    return ServerPoint(at_s=first.at_s, values=values)
