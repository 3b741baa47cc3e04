"""What a sink hears in audio: a word in each stretch of sound, named by its place in what is being said. Pure.

Somebody begins to speak with the first loud sample after `SILENCE_MS` in which none was, or after the beginning of the
stream. From there on each `word_ms` in which there is a loud sample is the word `t<ms since then>`, and
`sentence_words` of them are a sentence. Nothing is heard in silence.

So the words depend on the audio alone, however it was cut; recordings with silence between them have the words of each
recording alone; and what was lost at the end of one is missing from the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

SAMPLE_BYTES: Final = 2  # 16-bit mono PCM, the only audio that can be counted by its bytes
SILENCE_MS: Final = 200  # shorter than the gaps that make a new sentence, longer than the stops inside of a word
LOUDNESS: Final = 1024  # of 32768; room noise stays below, speech is far above

# The upper bytes of samples that are not loud. To look at these alone, with what is compiled, costs about a
# microsecond for a frame; to unpack every sample would cost more than all else that a sink does.
_QUIET: Final = bytes((0, 1, 2, 3, 252, 253, 254, 255))


@dataclass(frozen=True, slots=True)
class Manner:
    """How a sink answers."""

    word_ms: int = 200
    """A result comes for each stretch of this much speech, and has one word more."""
    sentence_words: int = 10
    final_delay_ms: int = 0
    """From the end of the audio (`end`, `stop`) to its last answers."""


class HeardWord(NamedTuple):
    """One word."""

    text: str
    start_ms: int
    end_ms: int
    """At most `word_ms` later; where the audio ended, when that was before."""


class Heard(NamedTuple):
    """A sentence so far, or settled. Hashable, and equal for streams of the same audio: its JSON is made once."""

    sentence: int
    """Its number in the stream, from 0."""
    words: tuple[HeardWord, ...]
    """At least one."""
    settled: bool

    @property
    def start_ms(self) -> int:
        """Where its first word begins in the audio."""
        return self.words[0].start_ms

    @property
    def end_ms(self) -> int:
        """Where its last word ends in the audio."""
        return self.words[-1].end_ms

    @property
    def text(self) -> str:
        """The words, such as `t2000 t2200`."""
        return " ".join(word.text for word in self.words)


class Hearing:
    """The audio of one stream."""

    def __init__(self, sample_rate_hz: int, manner: Manner) -> None:
        self._samples_per_ms = sample_rate_hz // 1000
        self._word_ms = manner.word_ms
        self._word_samples = manner.word_ms * self._samples_per_ms
        self._silence_samples = SILENCE_MS * self._samples_per_ms
        self._sentence_words = manner.sentence_words
        self._position = 0
        """In samples, of what was looked at."""
        self._began: int | None = None
        """Where somebody began to speak; None in silence."""
        self._word = 0
        """The number of the stretch since then."""
        self._quiet_samples = 0
        """Since the last loud one."""
        self._is_loud = False
        """Whether a loud sample was in this stretch, and its word has not been said."""
        self._is_said = False
        self._words: list[HeardWord] = []
        """Of the open sentence. Bound: `sentence_words`."""
        self.audio_bytes = 0
        self.sentences = 0
        """How many are settled."""
        self.settled_ms = 0
        """The end of the last settled sentence."""

    @property
    def audio_ms(self) -> int:
        """The position in the audio, rounded down."""
        return self.audio_bytes // (self._samples_per_ms * SAMPLE_BYTES)

    def hear(self, pcm: bytes) -> Sequence[Heard]:
        """Take audio, which may be cut inside of a sample; the results that it completes, in order."""
        levels = pcm[(self.audio_bytes + 1) % SAMPLE_BYTES :: SAMPLE_BYTES]  # the upper bytes: little-endian
        self.audio_bytes += len(pcm)
        results: list[Heard] = []
        while levels:
            if self._began is None:
                levels = self._wait_for_speech(levels)
            else:
                levels = self._listen(levels, self._began, results)
        return results

    def settle(self) -> Heard | None:
        """End the open sentence, with a word that has begun; None when it has no word."""
        if self._began is not None:
            self._say(self._began)
        return self._sentence(settled=True) if self._words else None

    def _wait_for_speech(self, levels: bytes) -> bytes:
        """Pass over silence; what is left begins with a loud sample."""
        left = levels.lstrip(_QUIET)
        self._position += len(levels) - len(left)
        if left:
            self._began, self._word, self._quiet_samples = self._position, 0, 0
            self._is_loud = self._is_said = False
        return left

    def _listen(self, levels: bytes, began: int, results: list[Heard]) -> bytes:
        """Take what belongs to this stretch, up to where it is over or silence has lasted; what is left."""
        # Never longer than a silence: so one that lasts is either all of a piece or goes on from the one before.
        stretch_end = began + (self._word + 1) * self._word_samples
        piece = levels[: min(stretch_end - self._position, self._silence_samples)]
        quiet = len(piece) - len(piece.lstrip(_QUIET))
        is_silence = self._quiet_samples + quiet >= self._silence_samples
        if is_silence:
            piece = piece[: self._silence_samples - self._quiet_samples]
            self._quiet_samples = self._silence_samples
        elif quiet == len(piece):
            self._quiet_samples += quiet
        else:
            self._quiet_samples = len(piece) - len(piece.rstrip(_QUIET))
            self._is_loud = not self._is_said
        self._position += len(piece)
        if is_silence or self._position == stretch_end:
            if self._say(began):
                results.append(self._sentence(settled=len(self._words) >= self._sentence_words))
            self._word += 1
            self._is_said = False
        if is_silence:
            self._began = None
        return levels[len(piece) :]

    def _say(self, began: int) -> bool:
        """Add the word of this stretch, when there is sound in it that has not been told; whether it was."""
        if not self._is_loud:
            return False
        self._is_loud, self._is_said = False, True
        begins = began + self._word * self._word_samples
        ends = min(self._position, begins + self._word_samples)
        spoken_ms = self._word * self._word_ms
        self._words.append(HeardWord(f"t{spoken_ms}", begins // self._samples_per_ms, ends // self._samples_per_ms))
        return True

    def _sentence(self, *, settled: bool) -> Heard:
        heard = Heard(self.sentences, tuple(self._words), settled)
        if settled:
            self.sentences += 1
            self.settled_ms = heard.end_ms
            self._words.clear()
        return heard
