"""What a sink hears is a function of the amount of audio."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.sink.hearing import Heard, Hearing, Manner
from service.localasr.engine import SentenceClosed, StreamSettings
from service.localasr.scripted import CLOCK_SENTENCE_MS, CLOCK_WORD_MS, ClockRecognizer

RATES = st.sampled_from((8000, 16000))
MANNERS = st.builds(Manner, st.integers(20, 1000), st.integers(1, 12))


def heard_in(cuts: list[int], rate_hz: int, manner: Manner) -> tuple[list[Heard], Hearing]:
    hearing = Hearing(rate_hz, manner)
    results = [result for cut in cuts for result in hearing.hear(cut)]
    last = hearing.settle()
    return results if last is None else [*results, last], hearing


@given(st.lists(st.integers(0, 40_000), max_size=20), RATES, MANNERS)
def test_any_cut_of_the_audio_gives_the_same_results(cuts: list[int], rate_hz: int, manner: Manner) -> None:
    whole, at_once = heard_in([sum(cuts)], rate_hz, manner)
    assert heard_in(cuts, rate_hz, manner)[0] == whole
    assert at_once.audio_bytes == sum(cuts)
    assert at_once.audio_ms == sum(cuts) * 1000 // (2 * rate_hz)


@given(st.integers(0, 400_000), RATES, MANNERS)
def test_every_whole_word_is_settled_once_and_in_order(audio_bytes: int, rate_hz: int, manner: Manner) -> None:
    results, hearing = heard_in([audio_bytes], rate_hz, manner)
    finals = [result for result in results if result.settled]
    starts_ms = [start_ms for final in finals for start_ms in final.word_starts_ms]
    words = hearing.audio_ms // manner.word_ms
    assert starts_ms == list(range(0, words * manner.word_ms, manner.word_ms))
    assert [final.sentence for final in finals] == list(range(hearing.sentences))
    assert hearing.settled_ms == words * manner.word_ms
    assert len(results) - words in (0, 1)  # the last one may settle words that were all said
    assert all(result.words <= manner.sentence_words for result in results)


@given(st.lists(st.integers(0, 20_000), max_size=8), RATES, MANNERS)
def test_settling_in_between_moves_no_word(parts: list[int], rate_hz: int, manner: Manner) -> None:
    hearing, text = Hearing(rate_hz, manner), []
    for part in parts:
        text += [result.text for result in hearing.hear(part) if result.settled]
        last = hearing.settle()
        text += [] if last is None else [last.text]
        assert hearing.settle() is None
    whole, _ = heard_in([sum(parts)], rate_hz, manner)
    assert " ".join(text) == " ".join(result.text for result in whole if result.settled)


def test_results_over_one_sentence() -> None:
    hearing = Hearing(16000, Manner(word_ms=200, sentence_words=3))
    assert hearing.hear(6399) == ()
    assert [(r.text, r.start_ms, r.end_ms, r.settled) for r in hearing.hear(1 + 3 * 6400)] == [
        ("t0", 0, 200, False),
        ("t0 t200", 0, 400, False),
        ("t0 t200 t400", 0, 600, True),
        ("t600", 600, 800, False),
    ]


@given(st.integers(0, 400_000), RATES)
def test_the_transcript_is_that_of_the_scripted_recognizer(audio_bytes: int, rate_hz: int) -> None:
    """With its length of words and sentences: so one can stand in for the other."""
    sentences: list[str] = []

    def emit(event: object) -> None:
        if isinstance(event, SentenceClosed):
            sentences.append(" ".join(word.text for word in event.words))

    scripted = ClockRecognizer(StreamSettings(sample_rate_hz=rate_hz), emit)
    scripted.feed(bytes(audio_bytes))
    scripted.finish()
    manner = Manner(word_ms=CLOCK_WORD_MS, sentence_words=CLOCK_SENTENCE_MS // CLOCK_WORD_MS)
    results, _ = heard_in([audio_bytes], rate_hz, manner)
    assert [result.text for result in results if result.settled] == sentences
