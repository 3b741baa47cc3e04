"""When the calls of a run arrive. Pure.

A stage has a rate over time, and its integral says how many calls are expected until then. Arrivals at random (a
Poisson process) are at the inverse of that integral of a sum of exponential gaps with mean 1; evenly spaced ones at the
inverse of 0.5, 1.5, 2.5 … Both hold for every shape of the rate.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, count
from typing import Final

from loadtest.scenario import ScenarioError, Stage
from loadtest.seeds import seed_of

MAX_ARRIVALS: Final = 1_000_000  # a plan of these is about 200 MiB
_DECIMALS: Final = 6  # microseconds: the last bits of a logarithm differ between machines


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch in which the rate is constant or linear."""

    for_s: float
    from_per_s: float
    to_per_s: float

    @property
    def expected(self) -> float:
        """How many calls arrive in it, on average."""
        return self.for_s * (self.from_per_s + self.to_per_s) / 2

    def time_of(self, expected: float) -> float:
        """Seconds from its beginning until so many calls are expected; at most its length."""
        slope = (self.to_per_s - self.from_per_s) / self.for_s
        # The root of a quadratic, in the form that also holds for a slope of zero.
        root = math.sqrt(max(0.0, self.from_per_s**2 + 2 * slope * expected))
        return min(self.for_s, 2 * expected / (self.from_per_s + root))


def arrival_times(stages: Sequence[Stage], mean_call_s: float, seed: int) -> tuple[float, ...]:
    """When calls arrive, sorted, in seconds from the beginning of the first stage, in whole microseconds.

    `mean_call_s` turns a stage's `streams` into a rate. Each stage has its own randomness, so that a stage made longer
    begins as before. Raises ScenarioError when more than `MAX_ARRIVALS` are expected.
    """
    shapes = [segments(stage, mean_call_s) for stage in stages]
    expected = math.fsum(segment.expected for shape in shapes for segment in shape)
    if expected > MAX_ARRIVALS:
        raise ScenarioError(f"`arrivals`: {expected:.0f} calls are too many, at most {MAX_ARRIVALS} fit into a plan")
    times: list[float] = []
    begin_s = 0.0
    for number, (stage, shape) in enumerate(zip(stages, shapes, strict=True)):
        times += (
            round(begin_s + at_s, _DECIMALS) for at_s in _stage_times(stage, shape, seed_of(seed, "stage", number))
        )
        begin_s += stage.for_s
    return tuple(times)


def segments(stage: Stage, mean_call_s: float) -> tuple[Segment, ...]:
    """The rate of a stage over time. The stage must have passed `check_scenario`."""
    rate = _rate(stage, mean_call_s)
    match stage.pattern:
        case "ramp":
            shape = [Segment(stage.for_s, stage.from_per_s, stage.to_per_s or 0.0)]
        case "step":
            shape = list(_steps(stage, rate))
        case "spike":
            peak_at_s, peak_for_s, peak = stage.peak_at_s or 0.0, stage.peak_for_s or 0.0, stage.peak_per_s or 0.0
            after_s = stage.for_s - peak_at_s - peak_for_s
            shape = [Segment(peak_at_s, rate, rate), Segment(peak_for_s, peak, peak), Segment(after_s, rate, rate)]
        case _:
            shape = [Segment(stage.for_s, rate, rate)]
    return tuple(segment for segment in shape if segment.for_s > 0)


def _rate(stage: Stage, mean_call_s: float) -> float:
    """Calls per second; by Little's law, when the number of concurrent calls is what is given."""
    if stage.streams is not None:
        return stage.streams / mean_call_s
    return stage.per_s or 0.0


def _steps(stage: Stage, rate: float) -> Iterator[Segment]:
    every_s, step = stage.every_s or stage.for_s, stage.step_per_s or 0.0
    for number in range(math.ceil(stage.for_s / every_s)):
        per_s = rate + number * step
        yield Segment(min(every_s, stage.for_s - number * every_s), per_s, per_s)


def _stage_times(stage: Stage, shape: Sequence[Segment], seed: int) -> Iterator[float]:
    is_random = stage.pattern == "poisson" or (stage.pattern != "constant" and stage.random)
    positions = _random_positions(seed) if is_random else (number + 0.5 for number in count())
    begins_s = accumulate((segment.for_s for segment in shape), initial=0.0)
    position = next(positions)
    passed = 0.0
    for begin_s, segment in zip(begins_s, shape, strict=False):
        while position < passed + segment.expected:
            yield begin_s + segment.time_of(position - passed)
            position = next(positions)
        passed += segment.expected


def _random_positions(seed: int) -> Iterator[float]:
    """A Poisson process of rate 1. Python promises the same numbers for ever of `random()` alone."""
    source = random.Random(seed)  # noqa: S311 - a plan has to be repeatable
    position = 0.0
    while True:
        position -= math.log(1.0 - source.random())
        yield position
