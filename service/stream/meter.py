"""How fast one connection may send messages. Pure.

A recorder sends 8 to 50 frames a second; a phone that was without a network for a while sends what it has kept at once.
So the limit has a burst. It is the *generic cell rate algorithm* (ITU-T I.371): one number, the time at which the
messages so far would all have come at the rate, which may be ahead of the clock by the burst.

It is charged once for what one read brought, with the time of that read: no clock is asked for it.
"""

from typing import Final

from service.failures import Problem, Slug, problem
from service.retry_hint import retry_hint_ms

BURST_S: Final = 10.0
"""Messages of so many seconds at the rate may come at once. A phone that resumes sends what it has kept as fast as the
connection takes it, which is audio.BACKLOG_S at once and twice the speed of speech from then on. At 200 a second that
fits however much it has kept, in frames of 10 ms, and 25 s of it in those of 8 ms (an audio worklet's)."""


class MessageMeter:
    """The meter of one connection. Times are seconds of any monotonic clock."""

    __slots__ = ("_each_s", "_messages_per_s", "_paid_until")

    def __init__(self, messages_per_s: float) -> None:
        self._messages_per_s = messages_per_s
        self._each_s = 1 / messages_per_s
        self._paid_until = float("-inf")

    def charge(self, count: int, now: float) -> Problem | None:
        """So many messages have come at this time. Returns why they are too many, when they are."""
        paid_until = self._paid_until
        if paid_until < now - BURST_S:
            paid_until = now - BURST_S
        self._paid_until = paid_until = paid_until + count * self._each_s
        return None if paid_until <= now else self._too_fast()

    def _too_fast(self) -> Problem:
        return problem(
            Slug.QUOTA_EXCEEDED,
            f"More than {self._messages_per_s:g} messages a second: send audio in real time, in larger frames.",
            retry_after_ms=retry_hint_ms(),
        )
