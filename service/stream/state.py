"""The states of one stream towards the recognizer. Pure.

Theory of operation
-------------------
A stream lives longer than its recognizer connections. The client's audio waits in an `Uplink`; a connection exists only
while there is something to recognize. One mechanism serves the first connection, the one after a pause, and the one
after `finalize`: *end, then dial lazily*. Whatever must be settled is settled by ending the connection (`end`, then the
recognizer's last results and its final message), and the next connection is dialed when audio is there to send.

    DIALING    a connection is being opened (the first one at once, since `ready` needs the recognizer's word)
    RELAYING   audio goes to the recognizer, results come back
    SETTLING   `end` was said, results still come, the final message is awaited
    RESTING    no connection; everything that was sent is settled, or waits to be sent again

`finalize` and `stop` are marks in the audio. What is before a mark is sent, then the connection is ended, and in
RESTING the mark is passed: the client is answered, and behind `stop` the stream ends. Marks and pauses are looked at
again whenever something happened (`look`), so a request that comes at an awkward time waits in the audio, not in the
state.

A connection that is *lost* (closed, failed, silent for too long) is no end: what it has not settled goes back to the
audio that waits, and from RESTING on everything is as ever. Whether another is dialed, and when, is `failover`'s.

The table is total: a pair that is not in it is the recognizer speaking out of turn, and raises. So does a final
message that was not asked for: what became of the audio sent since is not known.
"""

import enum
from dataclasses import dataclass
from typing import Final


class Phase(enum.Enum):
    """See the theory of operation."""

    DIALING = enum.auto()
    RELAYING = enum.auto()
    SETTLING = enum.auto()
    RESTING = enum.auto()


class Event(enum.Enum):
    """What can happen."""

    ACCEPTED = enum.auto()
    """The recognizer accepted the connection."""
    SETTLED = enum.auto()
    """The recognizer sent its final message."""
    AUDIO = enum.auto()
    """Audio is there to send."""
    MARK = enum.auto()
    """All audio before the first mark was sent."""
    MARK_UNUSED = enum.auto()
    """The same, and this connection was sent no audio: there is nothing to settle."""
    PAUSE = enum.auto()
    """No audio has come for a while."""
    LOST = enum.auto()
    """The connection is gone without a final message, and may be replaced."""


class Action(enum.Enum):
    """What to do about it."""

    NOTHING = enum.auto()
    DIAL = enum.auto()
    END = enum.auto()
    """Tell the recognizer that no audio follows."""
    PASS = enum.auto()
    """Answer the first mark."""


_P, _E, _A = Phase, Event, Action

TABLE: Final[dict[tuple[Phase, Event], tuple[Phase, Action]]] = {
    (_P.DIALING, _E.ACCEPTED): (_P.RELAYING, _A.NOTHING),
    (_P.DIALING, _E.AUDIO): (_P.DIALING, _A.NOTHING),
    (_P.DIALING, _E.MARK): (_P.DIALING, _A.NOTHING),
    (_P.DIALING, _E.MARK_UNUSED): (_P.DIALING, _A.NOTHING),
    (_P.DIALING, _E.PAUSE): (_P.DIALING, _A.NOTHING),
    (_P.DIALING, _E.LOST): (_P.DIALING, _A.NOTHING),
    (_P.RELAYING, _E.AUDIO): (_P.RELAYING, _A.NOTHING),
    (_P.RELAYING, _E.MARK): (_P.SETTLING, _A.END),
    (_P.RELAYING, _E.MARK_UNUSED): (_P.RELAYING, _A.PASS),
    (_P.RELAYING, _E.PAUSE): (_P.SETTLING, _A.END),
    (_P.RELAYING, _E.LOST): (_P.RESTING, _A.NOTHING),
    (_P.SETTLING, _E.SETTLED): (_P.RESTING, _A.NOTHING),
    (_P.SETTLING, _E.AUDIO): (_P.SETTLING, _A.NOTHING),
    (_P.SETTLING, _E.MARK): (_P.SETTLING, _A.NOTHING),
    (_P.SETTLING, _E.MARK_UNUSED): (_P.SETTLING, _A.NOTHING),
    (_P.SETTLING, _E.PAUSE): (_P.SETTLING, _A.NOTHING),
    (_P.SETTLING, _E.LOST): (_P.RESTING, _A.NOTHING),
    (_P.RESTING, _E.AUDIO): (_P.DIALING, _A.DIAL),
    (_P.RESTING, _E.MARK): (_P.RESTING, _A.PASS),
    (_P.RESTING, _E.MARK_UNUSED): (_P.RESTING, _A.PASS),
    (_P.RESTING, _E.PAUSE): (_P.RESTING, _A.NOTHING),
}


class OutOfTurnError(Exception):
    """The recognizer said something that has no place in this phase."""


def step(phase: Phase, event: Event) -> tuple[Phase, Action]:
    """The next phase and what to do. Raises OutOfTurnError for a pair outside the table."""
    try:
        return TABLE[phase, event]
    except KeyError:
        raise OutOfTurnError(f"{event.name} in {phase.name}") from None


@dataclass(frozen=True, slots=True)
class Situation:
    """What `look` decides on."""

    has_audio: bool
    """A whole sample waits before the first mark."""
    at_mark: bool
    used: bool
    """The present connection was sent audio."""
    paused: bool


def look(situation: Situation) -> Event | None:
    """The event that a situation amounts to, if any. A mark comes before a pause: it wants an answer."""
    if situation.has_audio:
        return Event.AUDIO
    if situation.at_mark:
        return Event.MARK if situation.used else Event.MARK_UNUSED
    return Event.PAUSE if situation.paused else None
