"""The scripted engine: exact, deterministic words, for tests and load tests. Pure.

Mode ``coded`` hears coded audio (``coded_audio``): a run of one value other than 0 that lasts 20 ms is the word
``w<value>``; a shorter one is noise and counts as silence. A sentence opens when its first word reaches 20 ms.
Partial results come when a word ends, and each 200 ms of a word that goes on (then it is the last word, unstable). A
sentence closes when no word has been said for ``silence_ms`` (where silence counts at all), at ``max_sentence_ms``
after its start, or at the end of the stream. At ``max_sentence_ms`` a word in progress moves to the next sentence
whole; only a word that fills a sentence alone is cut.

Mode ``clock`` hears any audio: each whole 400 ms is the word ``t<start ms>``, five of them are a sentence.

Both give the same events for the same audio, however it is cut into packets.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from service.localasr.coded_audio import runs
from service.localasr.engine import (
    Event,
    SentenceClosed,
    SentenceHeard,
    SentenceOpened,
    StreamFinished,
    StreamSettings,
    Word,
)
from service.localasr.request import DOCUMENTED_ENGINES

MIN_WORD_MS = 20
PARTIAL_MS = 200
CLOCK_WORD_MS = 400
CLOCK_SENTENCE_MS = 2000
# As many as a Tencent account has by default (Tencent doc 1093/48982).
DEFAULT_CAPACITY = 200


class CodedRecognizer:
    """Hears coded audio. Positions inside are samples; every event has one, so packets cannot change it."""

    def __init__(self, settings: StreamSettings, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._rate_hz = settings.sample_rate_hz
        self._min_word = self._samples(MIN_WORD_MS)
        self._partial = self._samples(PARTIAL_MS)
        self._silence = None if settings.silence_ms is None else self._samples(settings.silence_ms)
        self._max_sentence = self._samples(settings.max_sentence_ms)
        self._at = 0
        self._run_value = 0
        self._run_start = 0
        self._in_word = False
        self._next_partial = 0
        self._sentence_start: int | None = None
        self._words: list[Word] = []
        self._last_word_end = 0

    def feed(self, pcm: bytes) -> None:
        """Hear whole samples."""
        for value, length in runs(pcm):
            if value != self._run_value:
                self._end_run()
                self._run_value = value
            self._advance(self._at + length)

    def finish(self) -> None:
        """Close the open word and sentence."""
        self._end_run()
        if self._sentence_start is not None:
            self._close_sentence()
        self._emit(StreamFinished())

    def _advance(self, target: int) -> None:
        """Move the clock inside the current run, doing what is due on the way, in order of position."""
        while (due := self._next_due()) is not None and due[0] <= target:
            self._at = max(self._at, due[0])
            due[1]()
        self._at = target

    def _next_due(self) -> tuple[int, Callable[[], None]] | None:
        candidates: list[tuple[int, Callable[[], None]]] = []
        if self._sentence_start is not None:
            if self._silence is not None and not self._in_word:
                silent_at = self._last_word_end + self._silence
                # A run that may still become a word is silence only up to its start.
                if self._run_value == 0 or self._run_start >= silent_at:
                    candidates.append((silent_at, self._close_sentence))
            candidates.append((self._sentence_start + self._max_sentence, self._cut_sentence))
        if self._in_word:
            candidates.append((self._next_partial, self._partial_result))
        elif self._run_value != 0:
            candidates.append((self._run_start + self._min_word, self._open_word))
        return min(candidates, key=lambda candidate: candidate[0]) if candidates else None

    def _end_run(self) -> None:
        if self._in_word:
            self._words.append(self._running_word(stable=True))
            self._last_word_end = self._at
            self._in_word = False
            self._emit(SentenceHeard(tuple(self._words)))
        self._run_start = self._at

    def _open_word(self) -> None:
        self._in_word = True
        self._next_partial = self._run_start + self._partial
        if self._sentence_start is None:
            self._open_sentence()

    def _open_sentence(self) -> None:
        self._sentence_start = self._run_start
        self._emit(SentenceOpened(self._ms(self._run_start)))

    def _partial_result(self) -> None:
        self._next_partial += self._partial
        self._emit(SentenceHeard((*self._words, self._running_word(stable=False))))

    def _cut_sentence(self) -> None:
        if self._in_word and not self._words:
            self._end_run()
        self._close_sentence()
        if self._in_word:
            self._open_sentence()

    def _close_sentence(self) -> None:
        self._emit(SentenceClosed(tuple(self._words)))
        self._words.clear()
        self._sentence_start = None

    def _running_word(self, *, stable: bool) -> Word:
        return Word(f"w{self._run_value}", self._ms(self._run_start), self._ms(self._at), stable)

    def _samples(self, duration_ms: int) -> int:
        return duration_ms * self._rate_hz // 1000

    def _ms(self, samples: int) -> int:
        return samples * 1000 // self._rate_hz


class ClockRecognizer:
    """Hears a word in each 400 ms of any audio."""

    def __init__(self, settings: StreamSettings, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._bytes_per_ms = settings.sample_rate_hz * 2 // 1000
        self._taken_bytes = 0
        self._words: list[Word] = []

    def feed(self, pcm: bytes) -> None:
        """Count whole samples; what they hold does not matter."""
        end_ms = (self._taken_bytes + len(pcm)) // self._bytes_per_ms
        start_ms = self._taken_bytes // self._bytes_per_ms // CLOCK_WORD_MS * CLOCK_WORD_MS
        self._taken_bytes += len(pcm)
        for at_ms in range(start_ms, end_ms - CLOCK_WORD_MS + 1, CLOCK_WORD_MS):
            if not self._words:
                self._emit(SentenceOpened(at_ms))
            self._words.append(Word(f"t{at_ms}", at_ms, at_ms + CLOCK_WORD_MS))
            self._emit(SentenceHeard(tuple(self._words)))
            if (at_ms + CLOCK_WORD_MS) % CLOCK_SENTENCE_MS == 0:
                self._close()

    def finish(self) -> None:
        """Close the open sentence."""
        if self._words:
            self._close()
        self._emit(StreamFinished())

    def _close(self) -> None:
        self._emit(SentenceClosed(tuple(self._words)))
        self._words.clear()


class _ScriptedStream(Protocol):
    def feed(self, pcm: bytes) -> None: ...
    def finish(self) -> None: ...


class ScriptedEngine:
    """Recognizes in the calling task, at once; events are emitted inside ``feed`` and ``finish``."""

    name = "script"
    engines = DOCUMENTED_ENGINES

    def __init__(self, mode: str = "coded", capacity: int = DEFAULT_CAPACITY) -> None:
        self.mode = mode
        self.exact = mode == "coded"
        self.capacity = capacity

    @asynccontextmanager
    async def open(
        self, settings: StreamSettings, emit: Callable[[Event], None]
    ) -> AsyncGenerator[_ScriptedStream, None]:
        """A stream of its own; never unavailable, holds nothing."""
        yield (ClockRecognizer if self.mode == "clock" else CodedRecognizer)(settings, emit)
