"""Sentence finding, with a decoder that hears one word per utterance: how many frames it was given."""

from service.localasr.engine import Event, SentenceClosed, SentenceHeard, SentenceOpened, StreamSettings, Word
from service.localasr.speech import FRAME_BYTES, FRAME_MS, PRE_SPEECH_FRAMES, SentenceFinder, Timed
from service.localasr.worker import clean_words

VOICED, QUIET = b"\1" * FRAME_BYTES, bytes(FRAME_BYTES)


class CountingDecoder:
    """Hears the word ``n<bytes>``, told every 10 frames, over the whole utterance."""

    def __init__(self) -> None:
        self.heard_bytes = 0
        self.utterances = 0
        self.running = False

    def start(self) -> None:
        assert not self.running
        self.running, self.heard_bytes = True, 0
        self.utterances += 1

    def hear(self, pcm: bytes) -> None:
        assert self.running
        self.heard_bytes += len(pcm)

    def words(self) -> list[Timed]:
        frames = self.heard_bytes // FRAME_BYTES // 10 * 10
        return [(f"n{frames}", 0, self.heard_bytes // 32 + 5)] if frames else []

    def end(self) -> None:
        assert self.running
        self.running = False


def hear(pieces: list[bytes], settings: StreamSettings) -> list[Event]:
    decoder = CountingDecoder()
    finder = SentenceFinder(settings, decoder, lambda frame: frame[0] == 1)
    events: list[Event] = []
    for piece in pieces:
        events += finder.feed(piece)
    events += finder.finish()
    assert not decoder.running
    return events


def test_a_sentence_opens_with_kept_audio_and_closes_after_silence() -> None:
    settings = StreamSettings(16000, silence_ms=300)
    events = hear([QUIET * 40, VOICED * 20, QUIET * 15, QUIET * 40], settings)
    # Detected at the 5th voiced frame; the decoder starts half a second before that.
    detected_ms = 45 * FRAME_MS
    start_ms = detected_ms - PRE_SPEECH_FRAMES * FRAME_MS
    opened, *heard, closed = events
    assert opened == SentenceOpened(40 * FRAME_MS)
    assert all(isinstance(event, SentenceHeard) and not event.words[0].stable for event in heard)
    assert isinstance(closed, SentenceClosed)
    frames = PRE_SPEECH_FRAMES + 15 + 10
    assert closed.words == (Word("n40", start_ms, start_ms + frames * FRAME_MS),)


def test_clicks_neither_open_nor_prolong_a_sentence() -> None:
    settings = StreamSettings(16000, silence_ms=300)
    click = VOICED * 2 + QUIET * 4
    assert hear([click * 20], settings) == []
    events = hear([VOICED * 20 + (QUIET * 3 + VOICED) * 4, VOICED * 3, QUIET * 5], settings)
    assert sum(isinstance(event, SentenceClosed) for event in events) == 1


def test_long_speech_is_cut_and_goes_on_with_nothing_heard_twice() -> None:
    settings = StreamSettings(16000, silence_ms=300, max_sentence_ms=600)
    events = hear([VOICED] * 50, settings)
    starts = [event.start_ms for event in events if isinstance(event, SentenceOpened)]
    assert starts == [0, 600, 1200]
    ends = [event.words[-1].end_ms for event in events if isinstance(event, SentenceClosed)]
    assert ends == [600, 1200, 1500]


def test_without_silence_detection_everything_is_heard_in_segments() -> None:
    settings = StreamSettings(16000, silence_ms=None, max_sentence_ms=600)
    events = hear([QUIET * 25 + b"ab"], settings)
    assert [event.start_ms for event in events if isinstance(event, SentenceOpened)] == [0, 600]
    tail_only = hear([b"ab"], settings)
    assert tail_only == [SentenceOpened(0), SentenceClosed(())]
    assert hear([], settings) == []


def test_a_tail_shorter_than_a_frame_is_heard_or_dropped() -> None:
    settings = StreamSettings(16000, silence_ms=300)
    assert hear([b"ab"], settings) == []
    events = hear([VOICED * 10 + VOICED[:64]], settings)
    assert events[-1] == SentenceClosed((Word("n10", 0, 10 * FRAME_MS + 2),))


def test_words_are_what_was_said() -> None:
    segments = [
        ("<s>", 0, 24),
        ("<sil>", 25, 45),
        ("go", 46, 63),
        ("and(2)", 64, 80),
        ("[NOISE]", 81, 90),
        ("++UH++", 91, 95),
    ]
    assert clean_words([*segments, ("</s>", 96, 99)]) == [("go", 460, 640), ("and", 640, 810)]
