"""Whether the recognizer is worth dialing. Pure: time and chance are arguments.

A recognizer that is down costs each stream its connect timeout, and each dial adds to the storm it comes up in. So
after FAILURES failures in a row, whichever streams they belong to, nothing is dialed for a pause; then one dial is let
through, and what comes of it decides for all:

    CLOSED ──FAILURES in a row──► OPEN ──pause over, or a probe succeeded──► HALF_OPEN ──trial accepted──► CLOSED
                                   ▲                                             │
                                   └───────────trial failed: a longer pause──────┘

A probe can only shorten a pause. That it fails means nothing: the recognizer may work, and not answer probes.
"""

import enum
from dataclasses import dataclass
from typing import Final

from service.failures import Problem, Slug
from service.recognizer.tencent import Trouble, code_label

FAILURES: Final = 5
"""In a row and process-wide, so that one unlucky stream, which tries three times, does not speak for the others."""
PAUSE_S: Final = (1.0, 30.0)
"""The first and the longest pause; each is twice the one before. The first is over before a living stream has spent its
replay buffer (15 s) or a person has given up; the longest bounds how long a recognizer that is back is not noticed."""
JITTER: Final = 0.25
"""A pause is up to this share shorter or longer by chance: replicas that lost the recognizer together try apart."""
PROBED_SHARE: Final = 0.25
"""A successful probe ends a pause when this share of it is over, not before: the host may answer probes while
recognition fails, and then the pauses must still grow."""
TRIAL_S: Final = 16.0
"""When a trial of which nothing was heard no longer counts: connecting may take 5 s and the first message 10 s."""


class State(enum.IntEnum):
    """The values of the metric."""

    CLOSED = 0
    """Every dial goes through."""
    HALF_OPEN = 1
    """One dial goes through, or is under way."""
    OPEN = 2
    """None does."""


class Verdict(enum.Enum):
    """What the end of an attempt says about the recognizer."""

    DOWN = "down"
    UP = "up"
    """It refuses this stream, and so it is there: another stream may be taken."""
    NOTHING = "nothing"


_AFTER_ACCEPTANCE: Final = (Trouble.SEND_TIMEOUT, Trouble.FINAL_TIMEOUT)
_OUTSIDE_THE_MAINLAND: Final = 6001  # depends on the way that our calls take, as a failure to connect does
_FIRST_OF_ITS_OWN_CODES: Final = 5000  # 4000 to 4999 are the request, the account and its concurrency


def verdict_of(what: Trouble | int | Problem) -> Verdict:
    """What a failed attempt to connect says: the trouble, the recognizer's own code, or the problem made of either."""
    if isinstance(what, Problem):
        if what.recognizer_code is not None:
            return verdict_of(what.recognizer_code)
        is_down = what.slug in (Slug.RECOGNIZER_UNAVAILABLE, Slug.RECOGNIZER_TIMEOUT)
        return Verdict.DOWN if is_down else Verdict.NOTHING
    if isinstance(what, Trouble):
        return Verdict.NOTHING if what in _AFTER_ACCEPTANCE else Verdict.DOWN
    return Verdict.DOWN if what >= _FIRST_OF_ITS_OWN_CODES or what == _OUTSIDE_THE_MAINLAND else Verdict.UP


def label_of(what: Trouble | int | Problem) -> str:
    """The same for people: one of `tencent.ERROR_LABELS`, or a slug."""
    if isinstance(what, Problem):
        return what.slug if what.recognizer_code is None else code_label(what.recognizer_code)
    return what if isinstance(what, Trouble) else code_label(what)


@dataclass(slots=True)
class Circuit:
    """The state; `now` is any steady clock, in seconds, and never goes back."""

    state: State = State.CLOSED
    failures: int = 0
    """In a row, since the last attempt that found the recognizer up."""
    pauses: int = 0
    """Openings since then."""
    pause_s: float = 0.0
    _opened_at: float = 0.0
    _trial_until: float | None = None

    def admits(self, now: float) -> bool:
        """Whether to dial now. Who is told yes while HALF_OPEN makes the trial, and says what came of it."""
        self.tick(now)
        if self.state is not State.HALF_OPEN:
            return self.state is State.CLOSED
        if self._trial_until is not None and now < self._trial_until:
            return False
        self._trial_until = now + TRIAL_S
        return True

    def tick(self, now: float) -> None:
        """Notice that a pause is over."""
        if self.state is State.OPEN and now >= self.pause_ends_at:
            self.state, self._trial_until = State.HALF_OPEN, None

    def failed(self, now: float, chance: float) -> None:
        """An attempt has found the recognizer down. `chance` is from 0 to 1.

        While OPEN it was begun before, and says nothing new; while HALF_OPEN without a trial, too.
        """
        if self.state is State.CLOSED:
            self.failures += 1
            if self.failures >= FAILURES:
                self._open(now, chance)
        elif self.state is State.HALF_OPEN and self._trial_until is not None:
            self.failures += 1
            self._open(now, chance)

    def succeeded(self) -> None:
        """An attempt has found the recognizer up, whenever it was begun."""
        self.state, self.failures, self.pauses, self._trial_until = State.CLOSED, 0, 0, None

    def gave_up(self) -> None:
        """An attempt has ended without a result, because its stream did: another one may be the trial."""
        self._trial_until = None

    def probed(self, now: float) -> None:
        """A probe has succeeded."""
        if self.state is State.OPEN and now >= self.probe_from:
            self.state, self._trial_until = State.HALF_OPEN, None

    @property
    def pause_ends_at(self) -> float:
        """When a dial is let through, whatever the probes say; only while OPEN."""
        return self._opened_at + self.pause_s

    @property
    def probe_from(self) -> float:
        """When a probe can first end the pause; only while OPEN."""
        return self._opened_at + self.pause_s * PROBED_SHARE

    def dial_in_s(self, now: float) -> float:
        """How long until it is known, or can be tried, whether the recognizer works: 0 while CLOSED."""
        if self.state is State.OPEN:
            return max(0.0, self.pause_ends_at - now)
        if self.state is State.HALF_OPEN and self._trial_until is not None:
            return min(1.0, max(0.0, self._trial_until - now))  # that it is accepted takes a fraction of a second
        return 0.0

    def _open(self, now: float, chance: float) -> None:
        shortest_s, longest_s = PAUSE_S
        doubled_s = min(longest_s, shortest_s * 2.0 ** min(self.pauses, 30))
        self.pause_s = doubled_s * (1 - JITTER + 2 * JITTER * chance)
        self.pauses += 1
        self.state, self._opened_at, self._trial_until = State.OPEN, now, None
