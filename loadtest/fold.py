"""What workers say, added up: for the summary, and for those who watch. Pure."""

from collections import deque
from collections.abc import Sequence
from typing import Final

from loadtest.figures import LATENCIES, OWN_LATENCIES
from loadtest.histograms import Histogram, Histograms
from loadtest.objectives import Objective, evaluate_all
from loadtest.record import StreamRecord
from loadtest.run_state import Percentiles, RunState, WorkerState
from loadtest.series import Series
from loadtest.summary import ObjectiveResult, StreamSample, Worker
from loadtest.tally import Tally
from loadtest.worker_wire import Tick

OPENS_OVER_S: Final = 5.0
"""Over so many seconds is the rate of opened streams: it should neither jitter nor lag."""


class Fold:
    """One run so far. `state` is kept up with it."""

    def __init__(self, planned: int, warm_up_s: float, workers: int, state: RunState) -> None:
        self.tally = Tally(planned, warm_up_s)
        self.series = Series()
        self.sample = StreamSample()
        self._state = state
        self._of_workers = [Histograms() for _ in range(workers)]
        self._ticks = [Tick(at_s=0.0) for _ in range(workers)]
        self._opened: deque[tuple[float, int]] = deque()
        state.planned = planned
        state.workers = [WorkerState() for _ in range(workers)]

    def add_stream(self, record: StreamRecord) -> None:
        """Add a stream that has ended."""
        self.tally.add(record)
        self.series.add(record)
        self.sample.add(record)

    def add_tick(self, worker: int, tick: Tick) -> None:
        """Add what a worker counted since its last one."""
        self._ticks[worker] = tick
        self.tally.add_buckets(tick.samples)
        sent = tick.samples.get("send_lateness")
        if sent:
            self.series.add_send_lateness(max(0.0, tick.at_s - 0.5), sent)
        for name in OWN_LATENCIES:
            self._of_workers[worker][name].add_buckets(tick.samples.get(name, {}))
        shown = self._state.workers[worker]
        shown.active, shown.begun, shown.ended = tick.active, tick.begun, tick.ended
        shown.cpu_share = tick.cpu_s / tick.at_s if tick.at_s > 0 else 0.0
        shown.send_lateness_p99_ms = _p99_ms(self._of_workers[worker]["send_lateness"])
        shown.loop_lag_p99_ms = _p99_ms(self._of_workers[worker]["loop_lag"])

    def show(self, elapsed_s: float) -> None:
        """Bring `state` up to now."""
        state, counts = self._state, self.tally.counts
        state.elapsed_s = elapsed_s
        state.begun = sum(tick.begun for tick in self._ticks)
        state.active = sum(tick.active for tick in self._ticks)
        state.ended = counts.begun
        state.attempts, state.succeeded = counts.attempts, counts.succeeded
        state.endings, state.refused = counts.endings, counts.refused
        state.failed, state.lost = counts.failed, counts.lost
        self._opened.append((elapsed_s, state.begun))
        while elapsed_s - self._opened[0][0] > OPENS_OVER_S:
            self._opened.popleft()
        since_s, before = self._opened[0]
        state.opens_per_s = (state.begun - before) / (elapsed_s - since_s) if elapsed_s > since_s else 0.0
        for name in LATENCIES:
            shown = self._percentiles(name)
            if shown.count or shown.missing:
                state.latencies[name] = shown
        state.send_lateness_p99_ms = _p99_ms(self.tally.histograms["send_lateness"])
        state.loop_lag_p99_ms = _p99_ms(self.tally.histograms["loop_lag"])

    def evaluate(self, objectives: Sequence[Objective]) -> tuple[ObjectiveResult, ...]:
        """The objectives as the figures are so far. Takes some tens of milliseconds."""
        return evaluate_all(objectives, self.tally.measured()) if objectives else ()

    def workers(self) -> tuple[Worker, ...]:
        """The processes, for the summary."""
        return tuple(
            Worker(
                streams=tick.begun,
                cpu_share=round(tick.cpu_s / tick.at_s, 4) if tick.at_s > 0 else 0.0,
                send_lateness_p99_ms=_p99_ms(histograms["send_lateness"]),
                loop_lag_p99_ms=_p99_ms(histograms["loop_lag"]),
            )
            for tick, histograms in zip(self._ticks, self._of_workers, strict=True)
        )

    def _percentiles(self, name: str) -> Percentiles:
        histogram = self.tally.histograms[name]
        p50_ms, p90_ms, p99_ms, max_ms = (_ms(histogram, percentile) for percentile in (50, 90, 99, 100))
        return Percentiles(histogram.count, self.tally.missing(name), p50_ms, p90_ms, p99_ms, max_ms)


def _p99_ms(histogram: Histogram) -> float | None:
    return _ms(histogram, 99)


def _ms(histogram: Histogram, percentile: int) -> float | None:
    value_s = histogram.percentile_s(percentile)
    return None if value_s is None else round(value_s * 1000, 3)
