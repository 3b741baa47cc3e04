import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.coded_audio import coded_pcm, silence
from service.localasr.engine import (
    Event,
    SentenceClosed,
    SentenceHeard,
    SentenceOpened,
    StreamFinished,
    StreamSettings,
    Word,
)
from service.localasr.scripted import ClockRecognizer, CodedRecognizer, ScriptedEngine

SPLIT = StreamSettings(16000, silence_ms=1000, max_sentence_ms=5000)


def hear(
    pcm: bytes,
    settings: StreamSettings = SPLIT,
    cuts: list[int] | None = None,
    kind: type[CodedRecognizer | ClockRecognizer] = CodedRecognizer,
) -> list[Event]:
    events: list[Event] = []
    recognizer = kind(settings, events.append)
    at = 0
    for size in cuts or []:
        recognizer.feed(pcm[at : at + 2 * size])
        at += 2 * size
    recognizer.feed(pcm[at:])
    recognizer.finish()
    return events


def sentences(events: list[Event]) -> list[list[tuple[str, int, int]]]:
    closed = [event for event in events if isinstance(event, SentenceClosed)]
    return [[(word.text, word.start_ms, word.end_ms) for word in event.words] for event in closed]


def test_events_in_full() -> None:
    pcm = coded_pcm([silence(100), (7, 450), silence(50), (8, 60), silence(1500)])
    first, second = Word("w7", 100, 550), Word("w8", 600, 660)
    assert hear(pcm) == [
        SentenceOpened(100),
        SentenceHeard((Word("w7", 100, 300, stable=False),)),
        SentenceHeard((Word("w7", 100, 500, stable=False),)),
        SentenceHeard((first,)),
        SentenceHeard((first, second)),
        SentenceClosed((first, second)),
        StreamFinished(),
    ]


def test_silence_ends_a_sentence_where_it_counts() -> None:
    pcm = coded_pcm([(1, 100), silence(999), (2, 100), silence(1000), (3, 100)])
    assert sentences(hear(pcm)) == [[("w1", 0, 100), ("w2", 1099, 1199)], [("w3", 2199, 2299)]]
    unsplit = StreamSettings(16000, silence_ms=None, max_sentence_ms=60000)
    assert sentences(hear(pcm, unsplit)) == [[("w1", 0, 100), ("w2", 1099, 1199), ("w3", 2199, 2299)]]


def test_runs_below_20_ms_are_silence() -> None:
    assert sentences(hear(coded_pcm([(1, 20), (2, 19), (3, 20)]))) == [[("w1", 0, 20), ("w3", 39, 59)]]
    # A click across the end of the silence does not put off the end of the sentence.
    clicked = coded_pcm([(1, 100), silence(995), (9, 10), silence(5), (2, 100)])
    assert sentences(hear(clicked)) == [[("w1", 0, 100)], [("w2", 1110, 1210)]]
    # One right before the next word neither.
    rough = coded_pcm([(1, 100), silence(995), (9, 10), (2, 100)])
    assert sentences(hear(rough)) == [[("w1", 0, 100)], [("w2", 1105, 1205)]]


def test_long_speech_is_cut_between_words_or_inside_one_that_fills_a_sentence() -> None:
    parts = [(n + 1, 900) for n in range(7)]
    assert sentences(hear(coded_pcm(parts))) == [
        [(f"w{n + 1}", 900 * n, 900 * n + 900) for n in range(5)],
        [(f"w{n + 1}", 900 * n, 900 * n + 900) for n in range(5, 7)],
    ]
    assert sentences(hear(coded_pcm([(1, 7000)]))) == [[("w1", 0, 5000)], [("w1", 5000, 7000)]]
    quiet = StreamSettings(16000, silence_ms=None, max_sentence_ms=5000)
    assert sentences(hear(coded_pcm([(1, 100), silence(6000), (2, 100)]), quiet)) == [
        [("w1", 0, 100)],
        [("w2", 6100, 6200)],
    ]


def test_8_khz() -> None:
    settings = StreamSettings(8000, silence_ms=500)
    assert sentences(hear(coded_pcm([(1, 100), silence(500), (2, 30)], 8000), settings)) == [
        [("w1", 0, 100)],
        [("w2", 600, 630)],
    ]


parts = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 1800)), max_size=15)
cuts = st.lists(st.integers(0, 20000), max_size=30)


@settings(deadline=None)
@given(parts, cuts, st.sampled_from([SPLIT, StreamSettings(16000, None, 5000), StreamSettings(16000, 500, 2000)]))
def test_any_cut_gives_the_same_events(
    spoken: list[tuple[int, int]], sizes: list[int], settings: StreamSettings
) -> None:
    pcm = b"".join(array.array("h", [value]).tobytes() * (16 * duration_ms) for value, duration_ms in spoken)
    assert hear(pcm, settings, sizes) == hear(pcm, settings)


@settings(deadline=None)
@given(st.integers(0, 60000), cuts)
def test_the_clock_in_any_cut_gives_the_same_events(samples: int, sizes: list[int]) -> None:
    pcm = bytes(2 * samples)
    events = hear(pcm, SPLIT, sizes, ClockRecognizer)
    assert events == hear(pcm, kind=ClockRecognizer)
    words = [word for sentence in sentences(events) for word in sentence]
    assert words == [(f"t{at}", at, at + 400) for at in range(0, samples // 16 // 400 * 400, 400)]
    assert all(len(sentence) == 5 for sentence in sentences(events)[:-1])


@pytest.mark.parametrize(("mode", "kind"), [("coded", CodedRecognizer), ("clock", ClockRecognizer)])
async def test_the_engine_opens_what_its_mode_says(mode: str, kind: type) -> None:
    async with ScriptedEngine(mode).open(SPLIT, lambda event: None) as stream:
        assert isinstance(stream, kind)
