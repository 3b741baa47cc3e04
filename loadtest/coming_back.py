"""Whether and when a phone whose stream broke dials again, as a well-made client does. Pure.

It comes back from what may be over soon: a connection that was lost without a word, an error that the service calls
retryable, a proxy without a service behind it, a stream that the service settled before the audio was over. Everything
else is the end of the call. While there is no progress, it waits longer from try to try, and at most so long in all.
"""

from typing import Final

from loadtest.record import Ending, StreamRecord
from loadtest.seeds import shares_of

FIRST_DELAY_S: Final = 0.2
MAX_DELAY_S: Final = 2.0

_NO_SERVICE: Final = frozenset({502, 503, 504})  # a proxy's, and those of a gateway that is being stopped
# A close that no error and no `stopped` came before is a broken link, unless it blames the client.
_BROKEN: Final = frozenset({None, 1001, 1005, 1006, 1011, 1012, 1013, 1014})


def breaks_off(record: StreamRecord, *, is_retryable: bool) -> str | None:
    """What the phone comes back from, by the name it has in `breaks`; None for an end that stays the end.

    `is_retryable` is what the fatal error said, where there was one.
    """
    match record.ending:
        case Ending.CUT_SHORT:
            return "stopped"
        case Ending.LOST if record.close_code in _BROKEN:
            return f"closed_{record.close_code or 'none'}"
        case Ending.REFUSED | Ending.FAILED if is_retryable and record.slug:
            return record.slug
        case Ending.REFUSED if record.http_status in _NO_SERVICE:
            return f"http_{record.http_status}"
        case Ending.UNREACHABLE if record.connections:  # a service that never was there is not restarted
            return Ending.UNREACHABLE
        case _:
            return None


class BackOff:
    """The waits of one call: they double from FIRST_DELAY_S to MAX_DELAY_S, and have jitter, so that phones which lost
    their streams together do not come back together. Begins anew with each sentence that has become final."""

    def __init__(self, seed: int, limit_s: float) -> None:
        self._seed = seed
        self._limit_s = limit_s
        self._sentences = -1
        self._tries = 0
        self._waits = 0

    def delay_s(self, *, sentences: int, away_s: float, asked_s: float, at_once: bool) -> float | None:
        """How long to wait before the next try; None when the time is over.

        `sentences` are those that are final, `away_s` the time away since the last one of them; `asked_s` is what the
        service asked for. `at_once`: the first try need not wait, because the service is there.
        """
        if sentences != self._sentences:
            self._sentences, self._tries = sentences, 0
        delay_s = 0.0 if at_once and self._tries == 0 else self._jittered_s()
        self._tries += 1
        delay_s = max(delay_s, asked_s)
        return None if away_s + delay_s > self._limit_s else delay_s

    def _jittered_s(self) -> float:
        self._waits += 1
        share = 0.5 + shares_of(self._seed, "coming back", self._waits)[0]
        return min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._tries, 10) * share)
