"""Makes a failing history small: leaves out and lessens what is not needed to fail. Pure, but for what it calls."""

import dataclasses
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

import msgspec

from service.localasr.faults import Fault
from tests.proof.histories.history import History

MAX_TRIES: Final = 400


def shrunk(history: History, fails: Callable[[History], object]) -> History:
    """The smallest history that is found in so many tries and still fails, in whatever way."""
    tries = 0
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for smaller in _smaller(history):
            tries += 1
            if tries > MAX_TRIES:
                return history
            if fails(smaller):
                history, is_smaller = smaller, True
                break
    return history


def _smaller(history: History) -> Iterator[History]:
    """Histories that are a little less than this one, the largest cuts first."""
    replace = dataclasses.replace
    steps, faults = history.steps, history.faults
    less = [replace(history, steps=steps[:at] + steps[at + 1 :]) for at in reversed(range(len(steps)))]
    less += [replace(history, faults=faults[:at] + faults[at + 1 :]) for at in range(len(faults))]
    pairs = combinations(range(len(faults)), len(faults) - 2) if len(faults) > 2 else ()
    less += [replace(history, faults=tuple(faults[at] for at in kept)) for kept in pairs]
    for one in less:
        yield one
        yield replace(one, faults=tuple(map(_earlier, one.faults)))  # what is left out may have had a connection
    plain = History(())
    for field in dataclasses.fields(History):
        default = getattr(plain, field.name)
        if field.name not in ("steps", "faults") and getattr(history, field.name) != default:
            yield replace(history, **{field.name: default})
    for at, step in enumerate(steps):
        lessened = [replace(step, ms=step.ms // 2), replace(step, ms=step.ms // 100 * 100)]
        if step.do in ("talk", "burst"):
            lessened.append(replace(step, count=1280))
        else:
            lessened.append(replace(step, count=0))
        for lesser in lessened:
            if lesser != step:
                yield replace(history, steps=(*steps[:at], lesser, *steps[at + 1 :]))
    for at, fault in enumerate(faults):
        if fault.at_ms:
            for at_ms in (fault.at_ms // 2, fault.at_ms // 100 * 100):
                if at_ms != fault.at_ms:
                    sooner = msgspec.structs.replace(fault, at_ms=at_ms)
                    yield replace(history, faults=(*faults[:at], sooner, *faults[at + 1 :]))


def _earlier(fault: Fault) -> Fault:
    """The same on the connection before."""
    return msgspec.structs.replace(fault, connection=max(1, (fault.connection or 1) - 1))
