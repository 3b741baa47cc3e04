"""How fast and how slow audio may come (Tencent doc 1093/48982, codes 4000 and 4008). Pure: times are arguments."""

from __future__ import annotations

from collections import deque

NO_AUDIO_S = 15.0
WINDOW_S = 1.0
MAX_AUDIO_IN_WINDOW_S = 3.0
# Arrivals closer together than this share an entry, so a flood of tiny packets holds at most 1000 entries.
_GRAIN_S = 0.001


class AudioPace:
    """The arrivals of one stream: more than 3 s of audio inside any second is too much, none for 15 s is too little.

    Whether an empty frame keeps a stream alive is documented nowhere; here it does not, which is the harder case for
    a client.
    """

    def __init__(self, bytes_per_s: int, now_s: float) -> None:
        self._max_bytes = int(MAX_AUDIO_IN_WINDOW_S * bytes_per_s)
        self._arrivals: deque[tuple[float, int]] = deque()
        self._window_bytes = 0
        self.silent_at_s = now_s + NO_AUDIO_S
        """When 4008 is due if nothing comes."""

    def heard(self, now_s: float) -> None:
        """A frame that is not empty came."""
        self.silent_at_s = now_s + NO_AUDIO_S

    def admit(self, now_s: float, audio_bytes: int) -> bool:
        """Count decoded audio; False when the last second now holds more than 3 s of it."""
        while self._arrivals and self._arrivals[0][0] <= now_s - WINDOW_S:
            self._window_bytes -= self._arrivals.popleft()[1]
        if self._arrivals and now_s - self._arrivals[-1][0] < _GRAIN_S:
            first_s, earlier_bytes = self._arrivals.pop()
            self._arrivals.append((first_s, earlier_bytes + audio_bytes))
        else:
            self._arrivals.append((now_s, audio_bytes))
        self._window_bytes += audio_bytes
        return self._window_bytes <= self._max_bytes
