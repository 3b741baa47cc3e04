"""Where sentences begin and end in speech, and what a decoder hears in them. Pure: voice detector and decoder are
arguments.

Theory of operation. Audio is cut into frames of 30 ms, each voiced or not. While nobody speaks, the last half second
is kept. When 5 of the last 7 frames are voiced, a sentence opens: the decoder gets the kept half second (a word's
soft start lies before the first voiced frame, and the model wants a little silence) and every frame from there. It
closes when no speech was heard for ``silence_ms``, at ``max_sentence_ms``, or at the end. Inside a sentence, single
voiced frames are clicks: 3 in a row are speech. Without silence detection the decoder gets everything, in segments of
``max_sentence_ms``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from service.localasr.engine import Event, SentenceClosed, SentenceHeard, SentenceOpened, StreamSettings, Word

RATE_HZ = 16000
FRAME_MS = 30
FRAME_BYTES = RATE_HZ * 2 * FRAME_MS // 1000
PRE_SPEECH_FRAMES = 17
ONSET_WINDOW_FRAMES, ONSET_VOICED_FRAMES = 7, 5
RESUME_FRAMES = 3
# Asking the decoder for its words costs about as much as decoding 20 ms.
TELL_MS = 90

Timed = tuple[str, int, int]
"""A word as the decoder gives it: text, start and end in ms from the start of its utterance."""


class UtteranceDecoder(Protocol):
    """A decoder of one utterance at a time."""

    def start(self) -> None:
        """Begin an utterance."""

    def hear(self, pcm: bytes) -> None:
        """Decode 16 kHz samples."""

    def words(self) -> list[Timed]:
        """The best guess so far; after ``end``, the last word on it."""

    def end(self) -> None:
        """End the utterance."""


class SentenceFinder:
    """Turns 16 kHz PCM, cut anywhere, into events."""

    def __init__(self, settings: StreamSettings, decoder: UtteranceDecoder, is_voiced: Callable[[bytes], bool]) -> None:
        self._decoder = decoder
        self._is_voiced = is_voiced
        self._silence_ms = settings.silence_ms
        self._max_sentence_ms = settings.max_sentence_ms
        self._pending = b""
        self._at_ms = 0  # the clock: end of the last whole frame
        self._kept: deque[tuple[bytes, bool]] = deque(maxlen=PRE_SPEECH_FRAMES)
        self._open = False
        self._utterance_ms = 0  # where the utterance of the decoder starts
        self._sentence_ms = 0
        self._last_voiced_ms = 0
        self._voiced_run = 0
        self._shown: list[str] = []
        self._told_ms = 0
        self._events: list[Event] = []

    def feed(self, pcm: bytes) -> list[Event]:
        """What ``pcm`` brought about; a change of the open sentence's text is told once per call and 90 ms of audio."""
        self._pending += pcm
        whole = len(self._pending) - len(self._pending) % FRAME_BYTES
        for at in range(0, whole, FRAME_BYTES):
            self._frame(self._pending[at : at + FRAME_BYTES])
        self._pending = self._pending[whole:]
        if self._open and self._at_ms - self._told_ms >= TELL_MS:
            self._told_ms = self._at_ms
            self._tell_words()
        return self._take_events()

    def finish(self) -> list[Event]:
        """Close what is open."""
        if self._pending and (self._open or self._silence_ms is None):
            if not self._open:
                self._begin(self._at_ms, self._at_ms)
            self._decoder.hear(self._pending)
            self._at_ms += len(self._pending) * 1000 // (2 * RATE_HZ)
        self._pending = b""
        if self._open:
            self._close()
        return self._take_events()

    def _frame(self, frame: bytes) -> None:
        if self._silence_ms is None:
            if not self._open:
                self._begin(self._at_ms, self._at_ms)
            self._decoder.hear(frame)
            self._at_ms += FRAME_MS
        else:
            self._frame_with_silence(frame, self._is_voiced(frame), self._silence_ms)
        if self._open and self._at_ms - self._sentence_ms >= self._max_sentence_ms:
            self._close()
            if self._silence_ms is not None:
                # Speech goes on: the next sentence starts here, with nothing heard twice.
                self._begin(self._at_ms, self._at_ms)

    def _frame_with_silence(self, frame: bytes, voiced: bool, silence_ms: int) -> None:
        self._at_ms += FRAME_MS
        if self._open:
            self._decoder.hear(frame)
            self._voiced_run = self._voiced_run + 1 if voiced else 0
            if self._voiced_run >= RESUME_FRAMES:
                self._last_voiced_ms = self._at_ms
            elif self._at_ms - self._last_voiced_ms >= silence_ms:
                self._close()
            return
        self._kept.append((frame, voiced))
        window = list(self._kept)[-ONSET_WINDOW_FRAMES:]
        if sum(is_voiced for _, is_voiced in window) < ONSET_VOICED_FRAMES:
            return
        first = next(index for index, (_, is_voiced) in enumerate(window) if is_voiced)
        self._begin(self._at_ms - len(self._kept) * FRAME_MS, self._at_ms - (len(window) - first) * FRAME_MS)
        self._decoder.hear(b"".join(kept for kept, _ in self._kept))
        self._kept.clear()

    def _begin(self, utterance_ms: int, sentence_ms: int) -> None:
        self._open = True
        self._utterance_ms, self._sentence_ms = utterance_ms, sentence_ms
        self._last_voiced_ms = self._at_ms
        self._voiced_run = 0
        self._shown, self._told_ms = [], self._at_ms - TELL_MS
        self._decoder.start()
        self._events.append(SentenceOpened(sentence_ms))

    def _close(self) -> None:
        self._decoder.end()
        self._open = False
        self._events.append(SentenceClosed(self._words(stable=True)))

    def _tell_words(self) -> None:
        words = self._words(stable=False)
        texts = [word.text for word in words]
        if texts != self._shown:
            self._shown = texts
            self._events.append(SentenceHeard(words))

    def _words(self, *, stable: bool) -> tuple[Word, ...]:
        start_ms, limit_ms = self._utterance_ms, self._at_ms
        return tuple(
            Word(text, min(start_ms + begin, limit_ms), min(start_ms + end, limit_ms), stable)
            for text, begin, end in self._decoder.words()
        )

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events
