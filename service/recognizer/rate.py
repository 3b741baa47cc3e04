"""How often something may begin. Pure: time is an argument."""

from collections import deque


class Rate:
    """At most `per_s` beginnings in any stretch of one second, and at most `waiting` that are still ahead.

    Bound: `per_s` + `waiting` numbers.
    """

    def __init__(self, per_s: int, waiting: int) -> None:
        self._last: deque[float] = deque(maxlen=per_s)
        """When the last ones begin, in order; the oldest leaves by itself."""
        self._ahead: deque[float] = deque()
        self._waiting = waiting

    def reserve(self, now_s: float) -> float | None:
        """When the next one may begin (now or later); None when too many wait already."""
        while self._ahead and self._ahead[0] <= now_s:
            self._ahead.popleft()
        if len(self._ahead) >= self._waiting:
            return None
        begins_s = now_s
        if self._last:
            begins_s = max(begins_s, self._last[-1])
            if len(self._last) == self._last.maxlen:
                begins_s = max(begins_s, self._last[0] + 1)
        self._last.append(begins_s)
        if begins_s > now_s:
            self._ahead.append(begins_s)
        return begins_s

    def free_after_s(self, now_s: float) -> float:
        """How long until what waits now has begun."""
        return max(0.0, self._ahead[-1] - now_s) if self._ahead else 0.0
