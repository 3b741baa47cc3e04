"""Curves over time. Pure; memory is bounded: a run that is longer than 600 intervals gets longer intervals."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from loadtest.bounded import MAX_SLUGS, count
from loadtest.histograms import Histogram
from loadtest.record import Ending, StreamRecord
from loadtest.summary import SeriesPoint
from loadtest.tally import gives_latencies, refusal

MAX_POINTS: Final = 600  # more than a chart has pixels for
SERIES_LATENCIES: Final = ("setup", "first_partial", "finalization")


@dataclass
class _Interval:
    arrivals: int = 0
    begun: int = 0
    ended: int = 0
    succeeded: int = 0
    not_succeeded: int = 0
    slugs: dict[str, int] = field(default_factory=dict)
    latencies: dict[str, Histogram] = field(default_factory=dict)
    send_lateness: Histogram = field(default_factory=Histogram)

    def add(self, other: "_Interval") -> None:
        self.arrivals += other.arrivals
        self.begun += other.begun
        self.ended += other.ended
        self.succeeded += other.succeeded
        self.not_succeeded += other.not_succeeded
        for slug, times in other.slugs.items():
            count(self.slugs, slug, times, limit=MAX_SLUGS)
        for name, histogram in other.latencies.items():
            self.latencies.setdefault(name, Histogram()).add(histogram)
        self.send_lateness.add(other.send_lateness)


class Series:
    """Intervals from the begin of the run, each `interval_s` long."""

    def __init__(self, interval_s: float = 1.0) -> None:
        if interval_s <= 0:
            raise ValueError("an interval is longer than nothing")
        self.interval_s = interval_s
        """Doubled whenever the run has outgrown `MAX_POINTS`."""
        self._intervals: dict[int, _Interval] = {}

    def add(self, record: StreamRecord) -> None:
        """Add one stream that has ended. It arrives when planned, is active from dialing on, and counts at its end.

        A stream gives latencies by the rules of `tally`, those of the warm-up included: a curve shows them apart.
        """
        self._at(record.at_planned_s).arrivals += 1
        if record.at_dialed_s is not None:
            self._at(record.at_dialed_s).begun += 1
            self._at(max(record.at_ended_s, record.at_dialed_s)).ended += 1
        interval = self._at(record.at_ended_s)
        if record.ending is Ending.CANCELED:
            return
        if record.is_success:
            interval.succeeded += 1
        else:
            interval.not_succeeded += 1
            slug = refusal(record) if record.ending is Ending.REFUSED else record.slug
            count(interval.slugs, slug or record.ending, limit=MAX_SLUGS)
        if gives_latencies(record, warm_up_s=0.0):
            for name in SERIES_LATENCIES:
                value_s: float | None = getattr(record, f"{name}_s")
                if value_s is not None:
                    interval.latencies.setdefault(name, Histogram()).record(value_s)

    def add_send_lateness(self, at_s: float, counts: Mapping[int, int]) -> None:
        """Add how late a worker sent in the interval that `at_s` is in: counts by bucket, as a histogram holds them."""
        self._at(at_s).send_lateness.add_buckets(counts)

    def points(self) -> tuple[SeriesPoint, ...]:
        """Every interval from the first to the last, those in which nothing happened included."""
        points = []
        active = 0
        nothing = _Interval()
        for index in range(max(self._intervals, default=-1) + 1):
            interval = self._intervals.get(index, nothing)
            active += interval.begun - interval.ended
            points.append(
                SeriesPoint(
                    at_s=round(index * self.interval_s, 6),
                    arrivals=interval.arrivals,
                    active=active,
                    succeeded=interval.succeeded,
                    not_succeeded=interval.not_succeeded,
                    slugs=dict(interval.slugs),
                    latencies_ms={name: _percentiles_ms(found) for name, found in interval.latencies.items()},
                    send_lateness_p99_ms=_percentile_ms(interval.send_lateness, 99),
                )
            )
        return tuple(points)

    def _at(self, at_s: float) -> _Interval:
        at_s = max(0.0, at_s)
        while at_s >= self.interval_s * MAX_POINTS:
            self._coarsen()
        return self._intervals.setdefault(int(at_s / self.interval_s), _Interval())

    def _coarsen(self) -> None:
        self.interval_s *= 2
        finer, self._intervals = self._intervals, {}
        for index, interval in sorted(finer.items()):
            self._intervals.setdefault(index // 2, _Interval()).add(interval)


def _percentile_ms(histogram: Histogram, percentile: float) -> float | None:
    value_s = histogram.percentile_s(percentile)
    return None if value_s is None else round(value_s * 1000, 3)


def _percentiles_ms(histogram: Histogram) -> tuple[float, float, int]:
    return (_percentile_ms(histogram, 50) or 0.0, _percentile_ms(histogram, 99) or 0.0, histogram.count)
