"""Audio longer than the recognizer takes, cut at pauses; and the results of the parts, joined. Pure."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from service.text import joined

MAX_PART_MS: Final = 55_000
"""Below the recognizer's 60 s, so that rounding never decides."""
SEARCH_MS: Final = 15_000
"""A pause is looked for in the last part of what is allowed: people take breath more often than that."""
PAUSE_MS: Final = 300
"""A pause between words; shorter ones are also inside words (stops such as p, t, k)."""
_STEP_MS: Final = 20

Loudness = Callable[["array[int]"], float]
"""How loud some samples are, on any scale; a voice detector may stand here (0 no speech, 1 speech)."""


def mean_level(samples: "array[int]") -> float:
    """The mean of the absolute values; 0 for no samples."""
    return sum(map(abs, samples)) / len(samples) if samples else 0.0


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of audio and where it begins in the whole."""

    start_ms: int
    data: bytes


def split(
    pcm: bytes, sample_rate: int, *, max_part_ms: int = MAX_PART_MS, loudness: Loudness = mean_level
) -> list[Part]:
    """Cut 16-bit mono PCM into parts of at most `max_part_ms`, at the quietest place near the end of each.

    Nothing is lost or doubled: the parts one after the other are the whole. Of equally quiet places the last counts.
    """
    bytes_per_ms = 2 * sample_rate // 1000
    parts, start_ms = [], 0
    length_ms = -(-len(pcm) // bytes_per_ms)
    while length_ms - start_ms > max_part_ms:
        end_ms = start_ms + max_part_ms
        searched_ms = min(SEARCH_MS, max_part_ms // 2)
        window = pcm[(end_ms - searched_ms) * bytes_per_ms : end_ms * bytes_per_ms]
        cut_ms = end_ms - searched_ms + quietest_ms(window, bytes_per_ms, loudness)
        parts.append(Part(start_ms, pcm[start_ms * bytes_per_ms : cut_ms * bytes_per_ms]))
        start_ms = cut_ms
    parts.append(Part(start_ms, pcm[start_ms * bytes_per_ms :]))
    return parts


def quietest_ms(window: bytes, bytes_per_ms: int, loudness: Loudness) -> int:
    """The middle of the quietest PAUSE_MS of a window, in milliseconds from its beginning."""
    samples = array("h", window)
    step = _STEP_MS * bytes_per_ms // 2
    levels = [loudness(samples[place : place + step]) for place in range(0, len(samples), step)]
    width = min(PAUSE_MS // _STEP_MS, len(levels))
    sums = [sum(levels[place : place + width]) for place in range(len(levels) - width + 1)]
    quiet = min(reversed(range(len(sums))), key=sums.__getitem__)
    return (quiet + width // 2) * _STEP_MS or _STEP_MS


@dataclass(frozen=True, slots=True)
class Word:
    """A word and where it is in the audio."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was recognized in one piece of audio."""

    text: str
    audio_ms: int
    words: tuple[Word, ...] = ()


def join(results: Sequence[tuple[int, Sentence]]) -> Sentence:
    """The results of parts, each with the time at which its part begins, as one; times are on the whole's clock."""
    return Sentence(
        joined(sentence.text.strip() for _, sentence in results),
        sum(sentence.audio_ms for _, sentence in results),
        tuple(
            Word(word.text, start_ms + word.start_ms, start_ms + word.end_ms)
            for start_ms, sentence in results
            for word in sentence.words
        ),
    )
