"""Axes: where a value stands, and which values get a label. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.formats import format_count


@dataclass(frozen=True, slots=True)
class Tick:
    """A labeled place on an axis."""

    share: float
    """Of the axis, from its beginning."""
    label: str
    major: bool = True
    """Minor ones lose their label where there is little room."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis from `low` to `high`, both after `transform`."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    transform: Callable[[float], float] = float

    def share(self, value: float) -> float:
        """Where the value stands on the axis, cut to 0 to 1."""
        width = self.high - self.low
        return min(1.0, max(0.0, (self.transform(value) - self.low) / width))


def clock(at_s: float) -> str:
    """A time of the run: 12 s, 3:05, 1:02:07."""
    whole = round(at_s)
    if whole < 60:
        return f"{at_s:.1f} s" if at_s < 10 and at_s != whole else f"{whole} s"
    hours, rest = divmod(whole, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def nice_step(span: float, wanted: int) -> float:
    """1, 2, 2.5 or 5 times a power of ten, so that about `wanted` steps make up the span."""
    raw = span / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if raw <= power * factor * 1.0000001)


def linear(high: float, label: Callable[[float], str] = format_count, *, wanted: int = 4, whole: bool = False) -> Scale:
    """From 0 to the first tick at or above `high`; `whole` when a part of a unit means nothing (streams)."""
    step = nice_step(high if high > 1e-9 else 1.0, wanted)
    if whole:
        step = max(1.0, float(math.ceil(step)))
    steps = max(1, math.ceil(high / step - 1e-9))
    top = step * steps
    ticks = tuple(Tick(n / steps, label(step * n)) for n in range(steps + 1))
    return Scale(0.0, top, ticks)


def in_milliseconds(high_ms: float, *, wanted: int = 4) -> Scale:
    """From 0, in one unit for all labels."""
    top = linear(high_ms, wanted=wanted).high
    if top >= 2000:
        return linear(high_ms, lambda v: f"{v / 1000:g} s" if v else "0", wanted=wanted)
    return linear(high_ms, lambda v: f"{v:g} ms" if v else "0", wanted=wanted)


def logarithmic_ms(low_ms: float, high_ms: float) -> Scale:
    """Powers of ten around the values, for latencies that differ by orders of magnitude."""
    low = math.floor(math.log10(max(low_ms, 0.01)))
    high = max(low + 1, math.ceil(math.log10(max(high_ms, 0.01)) - 1e-9))
    labels = ((n, f"{10.0 ** (n - 3):g} s" if n >= 3 else f"{10.0**n:g} ms") for n in range(low, high + 1))
    ticks = tuple(Tick((n - low) / (high - low), text) for n, text in labels)
    return Scale(float(low), float(high), ticks, lambda v: math.log10(max(v, 10.0**low)))


_TIME_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def time(duration_s: float) -> Scale:
    """The seconds of a run."""
    span = max(duration_s, 1.0)
    step = next((s for s in _TIME_STEPS_S if span / s <= 9), _TIME_STEPS_S[-1])
    ticks = [
        Tick(n * step / span, "0" if n == 0 else clock(n * step), n % 2 == 0) for n in range(int(span // step) + 1)
    ]
    return Scale(0.0, span, tuple(ticks))


_NINES: Final = (
    (0.0, "0"),
    (0.5, "50"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.9999, "99.99"),
    (0.99999, "99.999"),
    (0.999999, "99.9999"),
)


def nines(samples: int) -> Scale:
    """HdrHistogram's axis of percentiles: every further nine takes the same room. As far as the samples go."""
    high = min(6.0, max(2.0, math.log10(max(samples, 1))))
    ticks = tuple(
        Tick(_nines_of(q) / high, f"{label}\u2009%", q >= 0.9)
        for q, label in _NINES
        if q > 0 and _nines_of(q) <= high + 1e-9
    )
    return Scale(0.0, float(high), ticks, _nines_of)


def _nines_of(quantile: float) -> float:
    return -math.log10(max(1e-9, 1.0 - quantile))


def thinned(values: Sequence[float], at_most: int) -> list[slice]:
    """Slices that cut a sequence into at most that many parts of equal length."""
    length = max(1, math.ceil(len(values) / at_most))
    return [slice(i, i + length) for i in range(0, len(values), length)]
