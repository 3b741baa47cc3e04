"""Frames of one phone on their way through the pacer: each is sent when it is due, with one system call."""

from collections.abc import Callable, Sequence

from loadtest.audio_clock import AudioClock
from loadtest.connection import Connection, ConnectionLost

NoteFrame = Callable[[int, float, float, float], None]
"""Takes the number of a frame that was sent, when it was due, when its send began, and how long that waited."""


class DueFrames:
    """The frames from one number to before another; `loadtest.pacer.Frames`."""

    __slots__ = ("_clock", "_connection", "_end", "_note", "_stuck", "_wire", "is_lost", "is_stuck", "number", "taken")

    def __init__(
        self, connection: Connection, wire: Sequence[bytes], clock: AudioClock, span: tuple[int, int], note: NoteFrame
    ) -> None:
        self.number, self._end = span
        self.taken = 0
        """How much of the frame at `number`, the next one, the service has taken when it is stuck."""
        self.is_stuck = False
        self.is_lost = False
        self._connection = connection
        self._wire = wire
        self._clock = clock
        self._note = note
        self._stuck = (0.0, 0.0)

    def send_next(self, now_s: float) -> float | None:
        """Send the frame that is due, and return when the next one is; None when the phone has to see to it."""
        number = self.number
        wire = self._wire[number]
        due_s = self._clock.due_s(number)
        try:
            self.taken = self._connection.send_now(wire)
        except ConnectionLost:
            self.is_lost = True
            return None
        if self.taken != len(wire):
            self.is_stuck, self._stuck = True, (due_s, now_s)
            return None
        self._note(number, due_s, now_s, 0.0)
        self.number = number + 1
        return self._clock.due_s(number + 1) if number + 1 < self._end else None

    @property
    def stuck_since_s(self) -> float:
        """When the frame was tried that the service did not take."""
        return self._stuck[1]

    def unstick(self, now_s: float) -> None:
        """The frame is sent now."""
        due_s, began_s = self._stuck
        self._note(self.number, due_s, began_s, now_s - began_s)
        self.number += 1
        self.is_stuck = False
