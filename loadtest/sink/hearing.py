"""What a sink hears in audio: a word in each stretch of it, whatever it holds. Pure.

Audio is counted and not looked at. Each whole `word_ms` is the word `t<start ms>`, and `sentence_words` of them are a
sentence. So the transcript is a function of the amount of audio, however it was cut: two streams of the same length
have the same words, and what was lost at the end is missing from the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

SAMPLE_BYTES: Final = 2  # 16-bit mono PCM, the only audio that can be counted by its bytes


@dataclass(frozen=True, slots=True)
class Manner:
    """How a sink answers."""

    word_ms: int = 200
    """A result comes for each whole stretch of this much audio, and has one word more."""
    sentence_words: int = 10
    final_delay_ms: int = 0
    """From the end of the audio (`end`, `stop`) to its last answers."""


class Heard(NamedTuple):
    """A sentence so far, or settled. Hashable and equal for all streams, so that its JSON is made once."""

    sentence: int
    """Its number in the stream, from 0."""
    first_word: int
    """Its number in the stream, from 0."""
    words: int
    word_ms: int
    settled: bool

    @property
    def start_ms(self) -> int:
        """Where its first word begins in the audio."""
        return self.first_word * self.word_ms

    @property
    def end_ms(self) -> int:
        """Where its last word ends in the audio."""
        return (self.first_word + self.words) * self.word_ms

    @property
    def word_starts_ms(self) -> range:
        """Where each word begins; it ends `word_ms` later."""
        return range(self.start_ms, self.end_ms, self.word_ms)

    @property
    def text(self) -> str:
        """The words, such as `t2000 t2200`."""
        return " ".join(map(word_at, self.word_starts_ms))


def word_at(start_ms: int) -> str:
    """The word that begins there."""
    return f"t{start_ms}"


class Hearing:
    """The audio of one stream, counted."""

    def __init__(self, sample_rate_hz: int, manner: Manner) -> None:
        self._bytes_per_ms = sample_rate_hz * SAMPLE_BYTES // 1000
        self._word_ms = manner.word_ms
        self._word_bytes = manner.word_ms * self._bytes_per_ms
        self._sentence_words = manner.sentence_words
        self._next_bytes = self._word_bytes
        """The amount of audio that completes the next word."""
        self._words = 0
        self._first_word = 0
        """Of the open sentence."""
        self.audio_bytes = 0
        self.sentences = 0
        """How many are settled."""
        self.settled_ms = 0
        """The end of the last settled sentence."""

    @property
    def audio_ms(self) -> int:
        """The position in the audio, rounded down."""
        return self.audio_bytes // self._bytes_per_ms

    def hear(self, audio_bytes: int) -> Sequence[Heard]:
        """Take audio; the results that it completes, in order."""
        self.audio_bytes += audio_bytes
        if self.audio_bytes < self._next_bytes:
            return ()
        results = []
        while self._next_bytes <= self.audio_bytes:
            self._next_bytes += self._word_bytes
            self._words += 1
            results.append(self._sentence(settled=self._words - self._first_word >= self._sentence_words))
        return results

    def settle(self) -> Heard | None:
        """End the open sentence; None when it has no word yet. A word that is not whole belongs to the next one."""
        return self._sentence(settled=True) if self._words > self._first_word else None

    def _sentence(self, *, settled: bool) -> Heard:
        heard = Heard(self.sentences, self._first_word, self._words - self._first_word, self._word_ms, settled)
        if settled:
            self.sentences += 1
            self.settled_ms = heard.end_ms
            self._first_word = self._words
        return heard
