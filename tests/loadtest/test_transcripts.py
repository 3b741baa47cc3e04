"""Words, and how transcripts differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.record import Transcript
from loadtest.transcripts import MAX_ALIGNED_WORDS, compare, words

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Go forward, ten METERS!", ["go", "forward", "ten", "meters"]),
        ("今天天气不错。", ["今", "天", "天", "气", "不", "错"]),
        ("用iPhone打call，OK？", ["用", "iphone", "打", "call", "ok"]),
        ("ＡＢＣ１２", ["abc12"]),
        ("don't don\u2019t dont 'quoted'", ["dont", "dont", "dont", "quoted"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("well-known snake_case 3.5", ["well", "known", "snake", "case", "3", "5"]),
        ("𠀀ひらカタ々〇", ["𠀀", "ひ", "ら", "カ", "タ", "々", "〇"]),
        ("「你好」——《世界》…", ["你", "好", "世", "界"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_of_any_text_have_no_spaces_and_nothing_to_fold(text: str) -> None:
    found = words(text)
    assert all(word and not any(character.isspace() for character in word) for word in found)
    assert words(" ".join(found)) == found


@pytest.mark.parametrize(
    ("expected", "heard", "verdict", "missing", "extra"),
    [
        ("", "", Transcript.COMPLETE, 0, 0),
        ("a b c", "a b c", Transcript.COMPLETE, 0, 0),
        ("a b c", "a b", Transcript.TRUNCATED, 1, 0),
        ("a b c", "", Transcript.TRUNCATED, 3, 0),
        ("", "a", Transcript.DIFFERENT, 0, 1),
        ("a b c", "a b c d", Transcript.DIFFERENT, 0, 1),
        ("a b c", "b c", Transcript.DIFFERENT, 1, 0),
        ("a b c", "a c", Transcript.DIFFERENT, 1, 0),
        ("a b c", "a x c", Transcript.DIFFERENT, 1, 1),
        ("a b c d", "a c b d", Transcript.DIFFERENT, 1, 1),
        ("a b", "a b a b", Transcript.DIFFERENT, 0, 2),
    ],
)
def test_compare(expected: str, heard: str, verdict: Transcript, missing: int, extra: int) -> None:
    found = compare(expected.split(), heard.split())
    assert (found.verdict, found.missing_words, found.extra_words) == (verdict, missing, extra)


@given(WORDS, WORDS)
def test_missing_and_extra_words_are_what_is_beside_the_longest_common_subsequence(
    expected: list[str], heard: list[str]
) -> None:
    lengths = [[0] * (len(heard) + 1) for _ in range(len(expected) + 1)]
    for row, left in enumerate(expected, start=1):
        for column, right in enumerate(heard, start=1):
            above = max(lengths[row - 1][column], lengths[row][column - 1])
            lengths[row][column] = lengths[row - 1][column - 1] + 1 if left == right else above
    common = lengths[-1][-1]
    found = compare(expected, heard)
    assert (found.missing_words, found.extra_words) == (len(expected) - common, len(heard) - common)


@given(WORDS, st.integers(min_value=0, max_value=12))
def test_only_a_proper_prefix_is_truncated(expected: list[str], length: int) -> None:
    heard = expected[:length]
    verdict = Transcript.TRUNCATED if len(heard) < len(expected) else Transcript.COMPLETE
    assert compare(expected, heard).verdict is verdict


def test_beyond_the_bound_words_are_counted_without_their_order() -> None:
    expected = ["x", *map(str, range(MAX_ALIGNED_WORDS))]
    heard = [*expected[:0:-1], "y", "y"]
    found = compare(expected, heard)
    assert (found.verdict, found.missing_words, found.extra_words) == (Transcript.DIFFERENT, 1, 2)
