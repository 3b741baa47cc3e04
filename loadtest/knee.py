"""The search for the knee: the highest load at which every objective holds.

`next_step` and `outcome` are the whole of it, and pure: they look at the steps that were tried and say what comes
next. The load is doubled until a step does not hold, then the gap between the highest that held and the lowest that did
not is halved until it is small. A step in which the load tester itself was too late says nothing about the service: it
bounds the search from above like a broken objective, is never taken for one, and the search goes on below it. Neither
does a step of which objectives were missed for want of samples alone: it ends the search, which is not valid then.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from loadtest.formats import plural
from loadtest.objectives import NO_SAMPLES
from loadtest.scenario import Knee as Search
from loadtest.summary import Knee, KneeStep, Summary, Verdict

SAMPLES: Final = 20  # of which p95 is the slowest but one; more for higher percentiles
HELD: Final = Verdict.MET
_TOO_MUCH_FOR_US: Final = Verdict.INVALID


def next_step(search: Search, history: Sequence[KneeStep]) -> int | None:
    """How many streams to try next, or None when the search is over."""
    lowest = min(search.from_streams, search.to_streams)
    if not history:
        return lowest
    if history[-1].verdict is Verdict.INTERRUPTED or unmeasured(history[-1]):
        return None
    held, ceiling = _held(history), _ceiling(history)
    if ceiling is None:
        assert held is not None  # noqa: S101 - a step either held or is a ceiling
        return None if held >= search.to_streams else min(held * 2, search.to_streams)
    if held is None:
        return None  # not even the lowest
    gap = ceiling - held
    return None if gap <= 1 or gap / ceiling < search.precision else held + gap // 2


def outcome(history: Sequence[KneeStep]) -> Knee:
    """What the steps say together."""
    broken = [
        step for step in history if step.verdict in (Verdict.MISSED, Verdict.UNREACHABLE) and not unmeasured(step)
    ]
    first = min(broken, key=lambda step: step.streams, default=None)
    return Knee(
        max_streams=_held(history),
        first_broken=first.streams if first else None,
        broke=tuple(result for result in first.objectives if not result.met) if first else (),
        steps=tuple(history),
    )


def verdict(knee: Knee) -> tuple[Verdict, tuple[str, ...]]:
    """What a search says, and why, a line for each reason."""
    if knee.steps and knee.steps[-1].verdict is Verdict.INTERRUPTED:
        return Verdict.INTERRUPTED, ("The search was interrupted: the load may be raised further.",)
    if knee.steps and (missing := unmeasured(knee.steps[-1])):
        where = f"{plural(knee.steps[-1].streams, 'stream')} (no samples for: {', '.join(missing)})"
        return Verdict.INVALID, (
            f"Nothing was measured at {where}, so that nobody knows whether that load held. Hold each load longer "
            "(`knee.hold_s`), or leave out objectives on what this scenario never measures.",
        )
    limits = [step.streams for step in knee.steps if step.verdict is _TOO_MUCH_FOR_US]
    limit = f"The load tester itself was too late at {min(limits)} streams" if limits else ""
    if knee.first_broken is None and limits:
        held = f"{knee.max_streams} streams held" if knee.max_streams else "nothing was found out"
        return Verdict.INVALID, (f"{limit}, before any objective broke: {held}. Give it more processes or machines.",)
    if knee.max_streams is None:
        return Verdict.MISSED, (f"Not even the lowest load held: {knee.first_broken} streams.",)
    return Verdict.MET, ((f"{limit}: such steps say nothing about the service.",) if limits else ())


def unmeasured(step: KneeStep) -> tuple[str, ...]:
    """The objectives that a step missed, when it missed them for want of samples alone."""
    missed = [result for result in step.objectives if not result.met]
    # Where every stream was refused there is nothing to be said of those that were admitted: that load did not hold.
    are_empty = all(one.actual == NO_SAMPLES and not one.text.startswith("admitted.") for one in missed)
    nothing_broke = step.verdict is Verdict.MISSED and are_empty
    return tuple(result.text for result in missed) if nothing_broke else ()


def enough_hold_s(search: Search, mean_call_length_s: float) -> float:
    """How long to hold the lowest load so that `SAMPLES` calls begin meanwhile, on average."""
    return math.ceil(SAMPLES * mean_call_length_s / min(search.from_streams, search.to_streams))


async def find_knee(
    search: Search, run_step: Callable[[int], Awaitable[Summary]], tried: Callable[[KneeStep], None]
) -> tuple[Knee, Summary]:
    """Search, running each step with `run_step`; `tried` hears of every one.

    Returns the outcome and the summary of the step that it stands on: the highest that held, else the last. What
    `run_step` raises ends the search; so does a step that was interrupted.
    """
    steps: list[KneeStep] = []
    summaries: dict[int, Summary] = {}
    while (streams := next_step(search, steps)) is not None:
        summary = summaries[streams] = await run_step(streams)
        step = KneeStep(
            streams=streams,
            verdict=summary.verdict,
            objectives=summary.objectives,
            peak_active=max((point.active for point in summary.series), default=0),
        )
        steps.append(step)
        tried(step)
    knee = outcome(steps)
    return knee, summaries[knee.max_streams if knee.max_streams is not None else steps[-1].streams]


def _held(history: Sequence[KneeStep]) -> int | None:
    """The highest load that held, below everything that did not."""
    return max((step.streams for step in history if step.verdict is HELD), default=None)


def _ceiling(history: Sequence[KneeStep]) -> int | None:
    return min((step.streams for step in history if step.verdict is not HELD), default=None)
