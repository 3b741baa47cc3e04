"""What a sink hears is a function of the audio: of where there is sound in it, and of nothing else."""

import itertools
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.audio import load_clips, make_track
from loadtest.record import Transcript
from loadtest.scenario import Audio
from loadtest.sink.hearing import LOUDNESS, SILENCE_MS, Heard, Hearing, Manner
from loadtest.transcripts import compare
from service.localasr.engine import SentenceClosed, StreamSettings
from service.localasr.scripted import CLOCK_SENTENCE_MS, CLOCK_WORD_MS, ClockRecognizer
from tests.loadtest.sink_support import sound

RATE_HZ = 16000
RATES = st.sampled_from((8000, 16000))
MANNERS = st.builds(Manner, st.integers(20, 1000), st.integers(1, 12))
# Stretches of sound and of silence, in samples, about as long as what ends a word or a sentence.
SOUNDS = st.lists(st.tuples(st.booleans(), st.integers(1, 8000)), max_size=12)


def pcm_of(sounds: list[tuple[bool, int]]) -> bytes:
    """Noise, in which any sample may be quiet but the last ones, and silence."""
    source = random.Random(repr(sounds))
    pieces = []
    for is_loud, samples in sounds:
        level = 30000 if is_loud else LOUDNESS - 1
        pieces.append(struct.pack(f"<{samples}h", *(source.randint(-level, level) for _ in range(samples))))
    return b"".join(pieces)


def heard_in(parts: list[bytes], rate_hz: int, manner: Manner) -> tuple[list[Heard], Hearing]:
    hearing = Hearing(rate_hz, manner)
    results = [result for part in parts for result in hearing.hear(part)]
    last = hearing.settle()
    return results if last is None else [*results, last], hearing


def words_in(pcm: bytes, rate_hz: int = RATE_HZ, manner: Manner | None = None) -> list[str]:
    results, _ = heard_in([pcm], rate_hz, manner or Manner())
    return [word.text for result in results if result.settled for word in result.words]


@given(SOUNDS, st.lists(st.integers(0, 40_000), max_size=20), RATES, MANNERS)
def test_any_cut_of_the_audio_gives_the_same_results(
    sounds: list[tuple[bool, int]], cuts: list[int], rate_hz: int, manner: Manner
) -> None:
    pcm = pcm_of(sounds)
    edges = sorted(min(cut, len(pcm)) for cut in cuts)
    parts = [pcm[begin:end] for begin, end in zip([0, *edges], [*edges, len(pcm)], strict=True)]
    whole, at_once = heard_in([pcm], rate_hz, manner)
    assert heard_in(parts, rate_hz, manner)[0] == whole
    assert at_once.audio_bytes == len(pcm)
    assert at_once.audio_ms == len(pcm) * 1000 // (2 * rate_hz)


@given(SOUNDS, RATES, MANNERS)
def test_every_word_is_settled_once_and_in_order(sounds: list[tuple[bool, int]], rate_hz: int, manner: Manner) -> None:
    pcm = pcm_of(sounds)
    results, hearing = heard_in([pcm], rate_hz, manner)
    finals = [result for result in results if result.settled]
    words = [word for final in finals for word in final.words]
    assert [final.sentence for final in finals] == list(range(hearing.sentences))
    assert hearing.settled_ms == (words[-1].end_ms if words else 0) <= hearing.audio_ms
    for word, following in itertools.pairwise(words):
        assert word.start_ms <= word.end_ms <= following.start_ms
    assert all(word.end_ms - word.start_ms <= manner.word_ms + 1 for word in words)
    assert all(0 < len(result.words) <= manner.sentence_words for result in results)


@given(SOUNDS, st.lists(st.integers(0, 40_000), max_size=5), RATES, MANNERS)
def test_settling_in_between_moves_no_word(
    sounds: list[tuple[bool, int]], cuts: list[int], rate_hz: int, manner: Manner
) -> None:
    pcm = pcm_of(sounds)
    hearing, text, at = Hearing(rate_hz, manner), "", 0
    for cut in sorted(min(cut, len(pcm)) for cut in [*cuts, len(pcm)]):
        text += "".join(f" {result.text}" for result in hearing.hear(pcm[at:cut]) if result.settled)
        last = hearing.settle()
        text += "" if last is None else f" {last.text}"
        assert hearing.settle() is None
        at = cut
    assert text.split() == words_in(pcm, rate_hz, manner)


@given(
    st.lists(SOUNDS, min_size=1, max_size=4),
    st.integers(RATE_HZ * SILENCE_MS // 1000, 30_000),
    MANNERS,
)
def test_recordings_with_silence_between_them_have_the_words_of_each_alone(
    recordings: list[list[tuple[bool, int]]], gap_samples: int, manner: Manner
) -> None:
    alone = [pcm_of(sounds) for sounds in recordings]
    together = bytes(2 * gap_samples).join(alone)
    assert words_in(together, manner=manner) == [word for pcm in alone for word in words_in(pcm, manner=manner)]


@pytest.mark.parametrize("silence", [b"", bytes(64000), pcm_of([(False, 32000)])])
def test_nothing_is_heard_in_silence(silence: bytes) -> None:
    assert words_in(silence) == []
    results, _ = heard_in([silence + sound(6400)], RATE_HZ, Manner())
    begin_ms = len(silence) // 32
    assert results[0].words == (("t0", begin_ms, begin_ms + 200),)


def test_the_first_word_of_the_bundled_samples_is_said_where_speech_begins() -> None:
    for clip in load_clips(Audio().files, None):
        results, _ = heard_in([clip.speech.pcm], clip.speech.sample_rate_hz, Manner())
        assert clip.onset_s is not None
        assert results[0].start_ms == pytest.approx(clip.onset_s * 1000, abs=20)


def test_a_call_of_bundled_samples_is_complete_and_without_its_end_truncated() -> None:
    clips = load_clips(Audio().files, None)
    alone = [words_in(clip.speech.pcm) for clip in clips]
    call = make_track(clips, [1, 0, 1], Audio().gap_s).speech.pcm
    expected = [*alone[1], *alone[0], *alone[1]]
    assert compare(expected, words_in(call)).verdict is Transcript.COMPLETE
    for lost_s in (2.0, 4.0):
        assert compare(expected, words_in(call[: -int(lost_s * 32000)])).verdict is Transcript.TRUNCATED


def test_results_over_one_sentence() -> None:
    hearing = Hearing(16000, Manner(word_ms=200, sentence_words=3))
    assert hearing.hear(sound(6399)) == []
    assert [(r.text, r.start_ms, r.end_ms, r.settled) for r in hearing.hear(sound(1 + 3 * 6400))] == [
        ("t0", 0, 200, False),
        ("t0 t200", 0, 400, False),
        ("t0 t200 t400", 0, 600, True),
        ("t600", 600, 800, False),
    ]


@given(st.integers(0, 500), RATES)
def test_the_transcript_of_sound_is_that_of_the_scripted_recognizer(words: int, rate_hz: int) -> None:
    """With its length of words and sentences, and as long as nobody is silent: that one does not listen at all."""
    sentences: list[str] = []

    def emit(event: object) -> None:
        if isinstance(event, SentenceClosed):
            sentences.append(" ".join(word.text for word in event.words))

    pcm = sound(words * CLOCK_WORD_MS * rate_hz // 500)
    scripted = ClockRecognizer(StreamSettings(sample_rate_hz=rate_hz), emit)
    scripted.feed(pcm)
    scripted.finish()
    manner = Manner(word_ms=CLOCK_WORD_MS, sentence_words=CLOCK_SENTENCE_MS // CLOCK_WORD_MS)
    results, _ = heard_in([pcm], rate_hz, manner)
    assert [result.text for result in results if result.settled] == sentences
