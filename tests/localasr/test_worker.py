"""The decoder itself, in this process: what it hears does not depend on what it heard before."""

import wave
from pathlib import Path

import pytest

from service.localasr.engine import SentenceClosed, SentenceHeard, SentenceOpened, StreamFinished, StreamSettings
from service.localasr.worker import Worker
from service.localasr.worker_wire import Abandon, Audio, Begin, Finish, FromWorker, Idle, Prepare, Ready, Taken

SAMPLES = Path(__file__).parents[2] / "loadtest" / "samples"
SPLIT = StreamSettings(16000, silence_ms=1000)


class Desk:
    """A worker and what it said."""

    def __init__(self) -> None:
        self.said: list[FromWorker] = []
        self.worker = Worker(self.said.append)

    def hear(self, pcm: bytes, settings: StreamSettings = SPLIT, packet_bytes: int = 3200) -> list[FromWorker]:
        self.said.clear()
        self.worker.handle(Begin(settings))
        for at in range(0, len(pcm), packet_bytes):
            self.worker.handle(Audio(pcm[at : at + packet_bytes]))
        self.worker.handle(Finish())
        return list(self.said)


@pytest.fixture(scope="module")
def desk() -> Desk:
    desk = Desk()
    desk.worker.handle(Prepare())
    (ready,) = desk.said
    assert isinstance(ready, Ready)
    assert ready.cost > 0
    return desk


def sample(name: str) -> bytes:
    with wave.open(str(SAMPLES / name)) as clip:
        pcm: bytes = clip.readframes(clip.getnframes())
        return pcm


def sentences(said: list[FromWorker]) -> list[str]:
    return [" ".join(word.text for word in event.words) for event in said if isinstance(event, SentenceClosed)]


@pytest.mark.parametrize("settings", [SPLIT, StreamSettings(16000, None)])
@pytest.mark.parametrize("packet_bytes", [640, 3200, 32000])
def test_the_samples(desk: Desk, settings: StreamSettings, packet_bytes: int) -> None:
    go, something = sample("goforward.wav"), sample("something.wav")
    assert sentences(desk.hear(something, settings, packet_bytes)) == ["go somewhere and do something"]
    assert sentences(desk.hear(go, settings, packet_bytes)) == ["go forward ten meters"]


def test_a_stream_does_not_depend_on_the_one_before(desk: Desk) -> None:
    go = sample("goforward.wav")
    first = desk.hear(go)
    desk.hear(sample("austen-0870.wav"))
    assert desk.hear(go) == first


def test_first_words_come_within_half_a_second_of_speech(desk: Desk) -> None:
    said = desk.hear(sample("goforward.wav"))
    (opened,) = [event for event in said if isinstance(event, SentenceOpened)]
    heard = [at for at, event in enumerate(said) if isinstance(event, SentenceHeard) and event.words]
    taken_ms = sum(event.size_bytes for event in said[: heard[0]] if isinstance(event, Taken)) // 32 + 100
    assert taken_ms - opened.start_ms <= 500


def test_silence_splits_and_the_clock_goes_on(desk: Desk) -> None:
    go, something = sample("goforward.wav"), sample("something.wav")
    said = desk.hear(go + bytes(48000) + something)
    assert sentences(said) == ["go forward ten meters", "go somewhere and do something"]
    second = [event for event in said if isinstance(event, SentenceClosed)][1]
    after_ms = (len(go) + 48000) // 32
    assert after_ms + 300 <= second.words[0].start_ms <= after_ms + 600
    assert said[-1] == StreamFinished()


def test_silence_says_nothing_and_8_khz_is_taken(desk: Desk) -> None:
    assert sentences(desk.hear(bytes(64000))) == []
    narrow = b"".join(sample("goforward.wav")[at : at + 2] for at in range(0, 88000, 4))
    assert sentences(desk.hear(narrow, StreamSettings(8000, 1000))) != []


def test_an_abandoned_stream_is_forgotten(desk: Desk) -> None:
    desk.worker.handle(Begin(SPLIT))
    desk.worker.handle(Audio(sample("something.wav")[:48000]))
    desk.said.clear()
    desk.worker.handle(Abandon())
    assert desk.said == [Idle()]
    desk.worker.handle(Abandon())
    with pytest.raises(RuntimeError):
        desk.worker.handle(Audio(b"ab"))
    assert sentences(desk.hear(sample("goforward.wav"))) == ["go forward ten meters"]


def test_messages_out_of_order() -> None:
    with pytest.raises(RuntimeError):
        Desk().worker.handle(Begin(SPLIT))
