"""Two equal channels announced as one are noticed; sound of one channel never is. Without Trio."""

import math
import random
import wave
from array import array
from pathlib import Path

import pytest

from service.localasr.coded_audio import coded_pcm, silence
from service.stream.stereo import BLOCK_BYTES, MAX_BLOCKS, StereoWatch, looks_interleaved

SAMPLES = Path(__file__).parents[2] / "loadtest" / "samples"
NAMES = ("goforward.wav", "something.wav", "austen-0870.wav", "austen-0880.wav")


def speech(name: str) -> "array[int]":
    with wave.open(str(SAMPLES / name)) as sample:
        return array("h", sample.readframes(sample.getnframes()))


def both(left: "array[int]", right: "array[int]") -> bytes:
    pairs = array("h", bytes(4 * len(left)))
    pairs[0::2], pairs[1::2] = left, right
    return pairs.tobytes()


def suspicions(pcm: bytes, cut: int = 1280) -> int:
    watch = StereoWatch()
    return sum(watch.take(pcm[place : place + cut]) for place in range(0, len(pcm), cut))


@pytest.mark.parametrize("cut", [1, 1310, 51200])
@pytest.mark.parametrize("name", NAMES)
def test_one_microphone_in_both_channels(name: str, cut: int) -> None:
    mono = speech(name)
    chance = random.Random(1)
    noisy = array("h", (max(-32768, min(32767, sample + chance.randint(-2, 2))) for sample in mono))
    assert suspicions(both(mono, mono), cut) == 1
    assert suspicions(both(mono, noisy), cut) == 1


@pytest.mark.parametrize("name", NAMES)
def test_speech_of_one_channel(name: str) -> None:
    mono = speech(name)
    assert suspicions(mono.tobytes()) == 0
    assert suspicions(mono[1:].tobytes()) == 0
    assert suspicions(mono[::2].tobytes()) == 0  # 8 kHz


def test_what_is_no_speech() -> None:
    chance = random.Random(2)
    noise = array("h", (chance.randint(-9000, 9000) for _ in range(64000)))
    assert suspicions(bytes(128000)) == 0
    assert suspicions(noise.tobytes()) == 0
    assert suspicions(coded_pcm([(7, 300), silence(100)] * 10)) == 0
    for hz in (50, 440, 1000, 3000, 7000):
        tone = array("h", (round(8000 * math.sin(2 * math.pi * hz * place / 16000)) for place in range(64000)))
        assert suspicions(tone.tobytes()) == 0


def test_whoever_is_silent_first_is_judged_when_he_speaks_but_not_for_ever() -> None:
    mono = speech("austen-0870.wav")
    stereo = both(mono, mono)
    assert suspicions(bytes(20 * BLOCK_BYTES) + stereo) == 1
    assert suspicions(bytes(40 * BLOCK_BYTES) + stereo) == 0


@pytest.mark.parametrize("cut", [1280, 8192])
def test_the_watch_is_over_when_it_has_judged_or_given_up(cut: int) -> None:
    mono = speech("austen-0870.wav")
    for pcm, blocks in (
        (both(mono, mono), None),
        (mono.tobytes(), None),
        (bytes(MAX_BLOCKS * BLOCK_BYTES), MAX_BLOCKS),
    ):
        watch, taken, over_at = StereoWatch(), 0, None
        assert not watch.is_done
        for place in range(0, len(pcm), cut):
            watch.take(pcm[place : place + cut])
            taken += cut
            if watch.is_done and over_at is None:
                over_at = taken // BLOCK_BYTES
        assert over_at is not None
        assert blocks in (None, over_at)


def test_nothing_is_suspected_when_the_watch_is_over() -> None:
    mono = speech("goforward.wav")
    watch = StereoWatch()
    watch.take(mono.tobytes())
    assert watch.is_done
    assert not watch.take(both(mono, mono))


def test_a_block() -> None:
    mono = speech("goforward.wav")[16000:18048]
    assert looks_interleaved(both(mono, mono)) is True
    assert looks_interleaved(speech("goforward.wav")[16000:20096].tobytes()) is False
    assert looks_interleaved(bytes(BLOCK_BYTES)) is None
