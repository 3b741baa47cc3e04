"""Whether this process has more to do than it can. Pure: lag and time are arguments.

The event loop's lag is the first thing that rises, and it hurts every stream alike: audio goes in through the loop and
results come out through it, so a stream sees each lag about twice. What was admitted is to be finished well, so new
streams are refused before the admitted ones notice.

One late sample is nothing: a collection of garbage takes 100 ms, a container may be paused for seconds, and either
gives one sample, however long it was. Three among eight (2 s) is a loop that does not keep up. Refusing ends when the
lag has stayed under half the bound for a while; when it has to begin again soon, that while is twice as long, so that
a process at its limit changes its mind rarely.
"""

from collections import deque
from typing import Final

WINDOW: Final = 8
"""Samples that are looked at: 2 s of them (loop_watch measures four times a second)."""
LATE: Final = 3
"""So many late ones among them begin the refusing: after 0.75 s at the earliest."""
CALM_SHARE: Final = 0.5
"""A sample over this share of the bound is not calm. One in a window is forgiven, as above."""
CALM_S: Final = (5.0, 40.0)
"""How long the lag must be calm, at first and at most. Clients come back after 1 to 4 s and more."""
SOON_S: Final = 30.0
"""Refusing again within this time after it has ended counts as again."""


class Overload:
    """What the lag samples say. `now` is any steady clock, in seconds."""

    def __init__(self, max_lag_s: float) -> None:
        """The bound: by default 0.1 s. Streams feel live up to 0.3 s and are too slow from 0.8 s on; twice the bound
        takes 0.2 s of the time between, and leaves the rest to the recognizer and the network."""
        self._max_lag_s = max_lag_s
        self._samples: deque[float] = deque(maxlen=WINDOW)
        self.is_shedding = False
        """Whether new streams are to be refused."""
        self._calm_s = CALM_S[0]
        self._calm_since: float | None = None
        self._ended_at: float | None = None

    def note(self, lag_s: float, now: float) -> bool:
        """Take a sample. Returns whether `is_shedding` has changed."""
        self._samples.append(lag_s)
        if self.is_shedding:
            return self._may_end(now)
        if self._count_over(self._max_lag_s) < LATE:
            return False
        again = self._ended_at is not None and now - self._ended_at < SOON_S
        self._calm_s = min(CALM_S[1], 2 * self._calm_s) if again else CALM_S[0]
        self._calm_since = None
        self.is_shedding = True
        return True

    def wait_s(self, now: float) -> float:
        """How long new streams are refused at least; 0 when they are not."""
        if not self.is_shedding:
            return 0.0
        return self._calm_s if self._calm_since is None else max(0.0, self._calm_since + self._calm_s - now)

    def _may_end(self, now: float) -> bool:
        if self._count_over(self._max_lag_s * CALM_SHARE) > 1:
            self._calm_since = None
            return False
        if self._calm_since is None:
            self._calm_since = now
        if now < self._calm_since + self._calm_s:
            return False
        self.is_shedding, self._ended_at = False, now
        return True

    def _count_over(self, bound_s: float) -> int:
        return sum(lag_s > bound_s for lag_s in self._samples)
