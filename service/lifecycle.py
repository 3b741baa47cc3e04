"""Where the process stands, as the routes and the streams see it, and the plan of its orderly stop. Pure."""

import contextlib
import enum
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

FINISHING_S: Final = 8.0
"""What a stop keeps for the ends of its streams, of `DRAIN_S`. The recognizer's last words come within a second of the
end of the audio, or within some seconds when audio waits that is sent at twice its speed; then `stopped`, the closing
handshake (2 s), and TELLING_S for those that did not get so far."""
TELLING_S: Final = 2.0
"""How long before the hard end a stream that has not settled is given up: time for its `error` and the closing
handshake, two round trips of a bad mobile network."""

SETTLE_SPREAD_S: Final = 4.0
"""Streams that go on talking are settled over this last part of the time they were given, at most half of it."""


class Phase(enum.StrEnum):
    """A process goes through these once, in this order."""

    STARTING = "starting"
    """The recognizer is not up yet."""
    SERVING = "serving"
    DRAINING = "draining"
    """Told to stop: no new streams."""


@dataclass(frozen=True, slots=True)
class DrainPlan:
    """An orderly stop, in seconds from the signal on."""

    settle_s: float
    """Until then people may finish their sentences; then streams are settled as after `stop`."""
    give_up_s: float
    """Streams that have not settled by then are told `restarting`."""
    end_s: float
    """What is open then is closed by force."""


def drain_plan(drain_s: float) -> DrainPlan:
    """The plan for a `DRAIN_S`.

    One of 8 s or less leaves no time to go on talking: streams are settled at once. Under 4 s, half of it is for
    settling and half for telling; with 0 the process closes everything at once.
    """
    return DrainPlan(max(0.0, drain_s - FINISHING_S), drain_s - min(TELLING_S, drain_s / 2), drain_s)


def settle_at(settle_by: float, now: float, chance: float) -> float:
    """When one stream is settled that pays no heed to `goaway`; `chance` is random, from 0 to 1.

    Not all of them in the same moment: each of them costs a handshake with the recognizer, and brings a client back.
    """
    return now if settle_by <= now else settle_by - min(SETTLE_SPREAD_S, (settle_by - now) / 2) * chance


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    go_away: Callable[[float], None]
    give_up: Callable[[], None]


class Lifecycle:
    """The phase of this process. `/ready` answers 200 in SERVING only."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._told: set[_Told] = set()

    def serve(self) -> None:
        """The recognizer is up. Nothing happens in a process that is being stopped already."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def drain(self, settle_by: float = -math.inf) -> None:
        """No new streams from now on; those that run are told to settle by a time on Trio's clock, or else at once."""
        self.phase = Phase.DRAINING
        for one in tuple(self._told):
            one.go_away(settle_by)

    def give_up(self) -> None:
        """The time for an orderly end is over: streams that still run are told so."""
        for one in tuple(self._told):
            one.give_up()

    @contextlib.contextmanager
    def told(self, go_away: Callable[[float], None], give_up: Callable[[], None]) -> Iterator[None]:
        """While the `with` lasts, `drain` and `give_up` call these. They must not block or raise."""
        one = _Told(go_away, give_up)
        self._told.add(one)
        try:
            yield
        finally:
            self._told.discard(one)
