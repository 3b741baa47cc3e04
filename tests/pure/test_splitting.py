"""Long audio in parts: nothing lost, cut where it is quiet; and their results as one."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.recognizer.splitting import MAX_PART_MS, Part, Sentence, Word, join, mean_level, quietest_ms, split
from service.text import joined


def tone(length_ms: int, level: int = 3000) -> bytes:
    return array("h", [level, -level] * (8 * length_ms)).tobytes()


def test_short_audio_is_one_part() -> None:
    pcm = tone(MAX_PART_MS)
    assert split(pcm, 16000) == [Part(0, pcm)]
    assert split(b"", 16000) == [Part(0, b"")]


def test_cut_in_the_middle_of_a_pause() -> None:
    pcm = tone(45_000) + tone(600, level=5) + tone(30_000)
    first, second = split(pcm, 16000)
    assert first.start_ms == 0
    assert 45_000 < second.start_ms < 45_600
    assert first.data + second.data == pcm


def test_the_last_of_equal_pauses_counts() -> None:
    pcm = tone(42_000) + bytes(600 * 32) + tone(5_000) + bytes(600 * 32) + tone(20_000)
    assert 47_600 < split(pcm, 16000)[1].start_ms < 48_200


def test_a_voice_detector_may_stand_in() -> None:
    quiet_at = array("h", [7] * 320)
    pcm = tone(50_000) + quiet_at.tobytes() * 20 + tone(20_000)
    parts = split(pcm, 16000, loudness=lambda samples: float(samples != quiet_at))
    assert 50_000 < parts[1].start_ms < 50_400


@given(st.integers(0, 4000), st.sampled_from([8000, 16000]), st.integers(100, 900), st.integers(0, 255))
def test_nothing_is_lost_and_no_part_is_too_long(samples: int, rate: int, max_part_ms: int, level: int) -> None:
    pcm = array("h", [(place * level) % 501 - 250 for place in range(samples * 10)]).tobytes()
    parts = split(pcm, rate, max_part_ms=max_part_ms)
    assert b"".join(part.data for part in parts) == pcm
    place = 0
    for part in parts:
        assert place == part.start_ms * rate // 1000 * 2
        assert len(part.data) <= max_part_ms * rate // 1000 * 2
        place += len(part.data)


def test_levels() -> None:
    assert mean_level(array("h", [-3, 5])) == 4
    assert mean_level(array("h")) == 0
    assert quietest_ms(bytes(32 * 10), 32, mean_level) == 20, "a window shorter than a step still goes on"


def test_results_are_joined() -> None:
    first = Sentence("go forward ", 1000, (Word("go", 10, 20),))
    second = Sentence("ten meters", 500, (Word("ten", 5, 15), Word("meters", 20, 30)))
    assert join([(0, first), (1000, second)]) == Sentence(
        "go forward ten meters", 1500, (Word("go", 10, 20), Word("ten", 1005, 1015), Word("meters", 1020, 1030))
    )
    assert join([]) == Sentence("", 0)


@pytest.mark.parametrize(
    ("sentences", "expected"), [([], ""), (["a", "b"], "a b"), (["你好。", "世界"], "你好。世界"), (["", "a"], "a")]
)
def test_joined(sentences: list[str], expected: str) -> None:
    assert joined(sentences) == expected
