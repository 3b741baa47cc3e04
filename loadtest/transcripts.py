"""Words of a transcript, and how two transcripts differ. Pure.

Recognizers punctuate, capitalize and space the same words differently from one time to the next, so words are compared
and not texts. Chinese is written without spaces: there, a character is a word.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.record import Transcript

# Up to here the words are aligned exactly, which takes some milliseconds at most: this runs in the process that keeps
# the time of several hundred phones. Of longer texts, words are counted without regard to their order.
MAX_ALIGNED_WORDS: Final = 2000

_CJK: Final = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD: Final = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_APOSTROPHE: Final = re.compile(r"(?<=\w)['\u2019](?=\w)")


@dataclass(frozen=True, slots=True)
class TranscriptComparison:
    """How what was heard differs from what was expected."""

    verdict: Transcript
    missing_words: int
    extra_words: int


def words(text: str) -> list[str]:
    """The words of a text: case folded, full-width forms as plain ones, no punctuation; CJK character by character."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _WORD.findall(_APOSTROPHE.sub("", folded))


def compare(expected: Sequence[str], heard: Sequence[str]) -> TranscriptComparison:
    """Compare words, as `words` gives them. `TRUNCATED`: the heard ones are a proper prefix of the expected ones."""
    same = _common_prefix(expected, heard)
    if same == len(heard):
        missing = len(expected) - same
        return TranscriptComparison(Transcript.TRUNCATED if missing else Transcript.COMPLETE, missing, 0)
    common = _common_words(expected[same:], heard[same:]) + same
    return TranscriptComparison(Transcript.DIFFERENT, len(expected) - common, len(heard) - common)


def _common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    for position, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return position
    return min(len(one), len(other))


def _common_words(expected: Sequence[str], heard: Sequence[str]) -> int:
    if max(len(expected), len(heard)) > MAX_ALIGNED_WORDS:
        return (Counter(expected) & Counter(heard)).total()
    return _longest_common_subsequence(expected, heard)


def _longest_common_subsequence(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Its length, by bit-parallel dynamic programming (Hyyrö 2004): a row of the table is one integer."""
    positions: dict[str, int] = {}
    for position, word in enumerate(expected):
        positions[word] = positions.get(word, 0) | 1 << position
    every = (1 << len(expected)) - 1
    row = every
    for word in heard:
        matches = row & positions.get(word, 0)
        row = (row + matches | row - matches) & every
    return len(expected) - row.bit_count()
