"""Whether a stream goes on after its recognizer connection was lost, and when it dials again. Pure.

Connections to Tencent fail for moments: a restart behind its load balancer, a network that drops. A second attempt
helps then, and a third; what fails three times in a row will fail the fourth time, and the client is told why.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Final

from service.failures import Problem, Slug, problem

MAX_IN_VAIN: Final = 3
"""Attempts in a row that brought the stream no further: it ends with the last one's failure."""
PAUSES_S: Final = (0.2, 0.6, 1.8)
"""Before the next attempt, by how many in vain came before; a restart of a recognizer takes a second or two."""
JITTER: Final = 0.5
"""Share by which a pause is longer or shorter: all streams of a recognizer lose it at the same moment."""

PATIENCE_S: Final = 15.0
"""How long a stream that runs waits for a breaker that lets nothing through: as long as audio is kept by default."""

FIRST_PATIENCE_S: Final = 8.0
"""A new stream makes no third attempt after this: somebody looks at a silent screen."""
BREAKER_WAIT_S: Final = 5.0
"""After it the stream asks the breaker, and is refused if that is still open."""

_PASSING: Final = (Slug.RECOGNIZER_UNAVAILABLE, Slug.RECOGNIZER_TIMEOUT)


def may_pass(why: Problem, *, is_first: bool) -> bool:
    """Whether another attempt may succeed; `is_first` says that the stream has not had a connection yet.

    The recognizer's "busy" is an answer to somebody who asks for a stream. One that runs has had its place, which may
    not have been given back there yet.
    """
    is_busy = why.slug is Slug.RECOGNIZER_BUSY and why.recognizer_code is not None
    return why.slug in _PASSING or (is_busy and not is_first)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stream has come; taken before and after an attempt."""

    settled: int
    """The position up to which its audio is settled."""
    reached: int
    """The position up to which its audio was ever sent."""
    results: int

    def is_beyond(self, before: "Progress") -> bool:
        """Whether an attempt was of use: it settled something, or heard something and got further than those before."""
        return self.settled > before.settled or (self.results > before.results and self.reached > before.reached)


def audio_lost(from_ms: int, to_ms: int) -> Problem:
    """What the client is told of audio that was unsettled for longer than it is kept."""
    lost = problem(Slug.AUDIO_LOST, "A recognizer connection was lost, and this audio is not kept any more.")
    return dataclasses.replace(lost, from_ms=from_ms, to_ms=to_ms)


class Failover:
    """The history of one stream's failures."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._in_vain = 0
        self._since = math.inf
        """Of the first failure since the last progress."""

    def pause_s(
        self, why: Problem, now: float, *, was_dialed: bool, was_of_use: bool, is_first: bool, chance: float
    ) -> float | None:
        """How long to wait before the next attempt; None when there is none.

        `was_dialed` is false where the breaker has let nothing through: for a new stream this is the end, and one that
        runs waits PATIENCE_S for it. `is_first` says that the stream has not had a connection yet; `chance` is random,
        from 0 to 1.
        """
        if not may_pass(why, is_first=is_first):
            return None
        if not was_dialed:
            if is_first or now - self._since >= PATIENCE_S:
                return None
        else:
            self._in_vain = 0 if was_of_use else self._in_vain + 1
        self._since = now if was_of_use else min(self._since, now)
        is_too_late = is_first and self._in_vain > 1 and now - self._began >= FIRST_PATIENCE_S
        if self._in_vain >= MAX_IN_VAIN or is_too_late:
            return None
        return PAUSES_S[self._in_vain] * (1 - JITTER + 2 * JITTER * chance)

    def settled(self) -> None:
        """A connection came to its proper end."""
        self._in_vain, self._since = 0, math.inf
