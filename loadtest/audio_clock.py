"""When which audio is due. Pure.

The clock begins when `ready` has come: position p of the audio is said at the origin + p, plus the pauses before p. A
frame is due when its last sample has been said. Every latency is counted from these times, never from a send.
"""

import bisect
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from wsproto.frame_protocol import FrameProtocol

# More than a scenario has tracks (64), so that a run encodes each of them once.
_TRACKS = 128


@functools.lru_cache(_TRACKS)
def wire_of(frames: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Each frame as one masked WebSocket message, ready to be written. Encoded once for all calls that say the same.

    Masks protect proxies from what a web page chooses to send; the same one again for the next call does no harm here.
    """
    return tuple(as_wire(frame) for frame in frames)


def as_wire(message: bytes) -> bytes:
    """One binary message of a client as it stands on the wire."""
    return bytes(FrameProtocol(client=True, extensions=[]).send_data(message))


@functools.lru_cache(_TRACKS)
def ends_s_of(frames: tuple[bytes, ...], bytes_per_s: int) -> tuple[float, ...]:
    """Where in the audio each frame ends, in seconds. Counted in bytes, so that no error adds up."""
    return tuple(end_bytes / bytes_per_s for end_bytes in accumulate(map(len, frames)))


@dataclass(slots=True)
class AudioClock:
    """Positions in the audio against the time at which they are said."""

    origin_s: float
    """When position 0 is said."""
    ends_s: Sequence[float]
    """Where in the audio each frame ends, ascending."""
    _pauses: list[tuple[float, float]] = field(default_factory=list)
    _now_s: float = 0.0
    """Time of position 0, had all pauses so far come before it: for frames that are still to be said."""

    def __post_init__(self) -> None:
        self._now_s = self.origin_s

    @property
    def duration_s(self) -> float:
        """Length of the audio."""
        return self.ends_s[-1] if self.ends_s else 0.0

    @property
    def has_paused(self) -> bool:
        """Whether a pause has begun."""
        return bool(self._pauses)

    @property
    def over_s(self) -> float:
        """When the audio is over, a pause at its end included: then `stop` is due."""
        return self._now_s + self.duration_s

    def pause(self, position_s: float, length_s: float) -> float:
        """Nothing is said for so long at this position; returns until when. Pauses come in the order of the audio.

        The last one may be named again, by a phone that was in it when it lost its stream: nothing is added then.
        """
        if self._pauses and self._pauses[-1][0] == position_s:
            return self._now_s + position_s
        self._pauses.append((position_s, length_s))
        self._now_s += length_s
        return self._now_s + position_s

    def due_s(self, number: int) -> float:
        """When this frame is due, which lies after every pause so far."""
        return self._now_s + self.ends_s[number]

    def said_by(self, now_s: float) -> int:
        """How many frames have been said by now, those before a pause included."""
        return bisect.bisect_right(range(len(self.ends_s)), now_s, key=lambda number: self.time_of(self.ends_s[number]))

    def time_of(self, position_s: float) -> float:
        """When this position has been said. What ends exactly where a pause begins was said before it."""
        return self.origin_s + position_s + sum(length_s for at_s, length_s in self._pauses if at_s < position_s)
