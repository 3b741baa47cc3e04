"""The clocks of one stream: until when what has to happen, and what it means when it did not. Pure.

Times are seconds of any monotonic clock. One task keeps all of them: it sleeps until `next_deadline` and looks again.
"""

import math
from typing import Final

from service.stream.outcome import End, Outcome

IDLE_S: Final = 25.0  # two heartbeats of 10 s may be lost
PAUSE_S: Final = 5.0  # Tencent may fail after 6 s without audio, and does after 15 s (document 1093/48982)
FINISH_S: Final = 10.0  # from the last audio sent to everything settled; third parties wait 5 to 10 s
FAILOVER_S: Final = 15.0
"""What lost connections may cost behind `stop`: a second one that takes as long as the first, and a pause before it."""
DEAF_S: Final = 1.0  # a send that took longer has kept us from reading the client
GOAWAY_S: Final = 10.0
"""How long before its end a stream is told: a sentence that has begun can be finished."""


class Clocks:
    """When a stream has to end, or to be told so."""

    def __init__(self, now: float, max_stream_s: float) -> None:
        self.began_at = now
        self.stopped_at = now
        self.answer_by = math.inf
        """When the recognizer must have settled what it was sent."""
        self.finish_by = math.inf
        """When a connection must have settled all that is left, behind `stop`."""
        self.give_up_at = math.inf
        """When `stopped` is due, whatever connections were lost on the way."""
        self.read_at = now
        """Until when the client was not being listened to: while the backlog was full, or a send took its time."""
        self.limit_at = now + max_stream_s
        """When the stream ends itself, as if the client had said `stop`."""
        self.limit_outcome = Outcome(End.TIME_LIMIT)
        """How it ended then."""
        self._goaway_at = max(now, self.limit_at - GOAWAY_S)

    def end_early(self, at: float, tell_at: float, outcome: Outcome) -> None:
        """The stream ends itself at that time with this outcome, unless it ends before; its client is told before."""
        if at < self.limit_at:
            self.limit_at, self.limit_outcome = at, outcome
            self._goaway_at = tell_at

    def take_goaway(self, now: float) -> float | None:
        """How many seconds the client is to be told that are left, when that is due; only once for each reason."""
        if now < self._goaway_at:
            return None
        self._goaway_at = math.inf
        return max(0.0, self.limit_at - now)

    def stop(self, now: float, settlings: int, backlog_s: float) -> None:
        """The end of the audio is known: so many connections have to be settled, behind so much audio."""
        self.stopped_at = now
        self.finish(now, settlings, backlog_s)
        self.give_up_at = self.finish_by + FAILOVER_S

    def finish(self, now: float, settlings: int, backlog_s: float) -> None:
        """From now on so many connections have to be settled, behind so much audio."""
        self.finish_by = now + FINISH_S * settlings + backlog_s

    def take_overdue(self, now: float) -> bool:
        """Whether the present connection has not answered in time; only once."""
        if now < min(self.answer_by, self.finish_by):
            return False
        self.release()
        return True

    def release(self) -> None:
        """There is no connection that owes an answer."""
        self.answer_by = self.finish_by = math.inf

    def idle_at(self, last_heard: float) -> float:
        """When a client that says nothing more counts as gone."""
        return max(last_heard, self.read_at) + IDLE_S

    def next_deadline(self, last_heard: float, *, stopped: bool) -> float:
        """When to look at these clocks again. Behind `stop` we owe the client; the recognizer's clocks bound that."""
        ours = min(self.answer_by, self.finish_by, self.give_up_at)
        return ours if stopped else min(ours, self._goaway_at, self.limit_at, self.idle_at(last_heard))
