"""How long calls are, before they are rounded up to whole clips. Pure."""

import math

from loadtest.scenario import Call


def target_lengths_s(call: Call, number: int) -> tuple[float, ...]:
    """So many lengths that stand for the distribution, ascending.

    Each is the mean over its share of the distribution, so that their mean is the distribution's, however few they
    are. Not for `clip`, which has no length of its own.
    """
    match call.length:
        case "uniform":
            width_s = (call.max_s - call.min_s) / number
            return tuple(call.min_s + width_s * (index + 0.5) for index in range(number))
        case "exponential":
            return tuple(_exponential_s(call, index / number, (index + 1) / number) for index in range(number))
        case _:
            return (call.mean_s,) * number


def _exponential_s(call: Call, low: float, high: float) -> float:
    """Mean length between two quantiles; what is under `min_s` counts as `min_s`, and what is over `max_s` as that."""
    at_min, at_max = (1 - math.exp(-limit_s / call.mean_s) for limit_s in (call.min_s, call.max_s))
    under = max(0.0, min(high, at_min) - low)
    over = max(0.0, high - max(low, at_max))
    begin, end = min(max(low, at_min), high), max(min(high, at_max), low)
    between_s = _integral_s(call.mean_s, end) - _integral_s(call.mean_s, begin) if end > begin else 0.0
    return (call.min_s * under + between_s + call.max_s * over) / (high - low)


def _integral_s(mean_s: float, quantile: float) -> float:
    """Of the lengths of an exponential distribution, from the shortest to this quantile."""
    rest = 1 - quantile
    return mean_s * (quantile + (rest * math.log(rest) if rest > 0 else 0.0))
