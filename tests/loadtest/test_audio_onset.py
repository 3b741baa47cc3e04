"""Where speech begins: in the bundled samples, behind silence and noise, through codecs, and where there is none."""

import array
import io
import math
import random
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.onset import speech_onset_s
from loadtest.wav import Speech
from service.recognizer.formats import AudioFormat
from tests.support.coded_files import RECORDERS, can_make, made, sample_pcm

RATE_HZ = 16000
# By ear and by eye, in the waveform. The recognizer's first word begins 30 to 60 ms before each of these.
ONSETS_S = {"goforward": 0.5, "something": 0.46, "austen-0870": 0.25, "austen-0880": 0.26}


def noise(samples: int, level: int, seed: int = 1) -> bytes:
    source = random.Random(seed)
    return array.array("h", (source.randint(-level, level) for _ in range(samples))).tobytes()


def tone(samples: int, level: int) -> bytes:
    wave = (round(level * math.sin(index * 0.3)) for index in range(samples))
    return array.array("h", wave).tobytes()


def mixed(one: bytes, other: bytes) -> bytes:
    pairs = zip(array.array("h", one), array.array("h", other), strict=True)
    return array.array("h", (max(-32768, min(32767, a + b)) for a, b in pairs)).tobytes()


def onset_s(pcm: bytes, sample_rate_hz: int = RATE_HZ) -> float | None:
    return speech_onset_s(Speech(pcm, sample_rate_hz))


@pytest.mark.parametrize("name", ONSETS_S)
def test_the_bundled_samples(name: str) -> None:
    assert onset_s(sample_pcm(name)) == pytest.approx(ONSETS_S[name], abs=0.011)


@pytest.mark.parametrize("name", ONSETS_S)
@pytest.mark.parametrize("lead_s", [0.1, 1.0, 20.0])
def test_digital_silence_before_it(name: str, lead_s: float) -> None:
    """Speech recorded by a program that delivers zeros until the microphone is open."""
    found_s = onset_s(bytes(round(lead_s * RATE_HZ) * 2) + sample_pcm(name))
    assert found_s == pytest.approx(lead_s + ONSETS_S[name], abs=0.05)


@pytest.mark.parametrize("name", ONSETS_S)
def test_noise_under_it(name: str) -> None:
    pcm = sample_pcm(name)
    assert onset_s(mixed(pcm, noise(len(pcm) // 2, 200))) == pytest.approx(ONSETS_S[name], abs=0.06)


def test_a_constant_offset_is_no_sound() -> None:
    pcm = sample_pcm()
    offset = array.array("h", [3000] * (len(pcm) // 2)).tobytes()
    assert onset_s(mixed(pcm, offset)) == pytest.approx(ONSETS_S["goforward"], abs=0.011)
    assert onset_s(offset) is None


def test_a_click_is_no_speech() -> None:
    pcm = bytes(RATE_HZ) + tone(RATE_HZ // 50, 20000) + bytes(2 * RATE_HZ)  # 20 ms
    assert onset_s(pcm) is None
    assert onset_s(pcm + tone(RATE_HZ, 20000)) == pytest.approx(0.5 + 0.02 + 1.0, abs=0.011)


@pytest.mark.parametrize("level", [0, 1, 5, 100, 3000, 30000])
def test_silence_and_noise_have_no_onset(level: int) -> None:
    assert onset_s(noise(2 * RATE_HZ, level)) is None


def test_speech_without_any_pause_begins_at_once() -> None:
    """A clip cut close: there is no noise to compare with."""
    pcm = sample_pcm("something")[round(0.6 * RATE_HZ) * 2 : round(1.6 * RATE_HZ) * 2]
    assert onset_s(pcm) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 6 * 160 - 1])
def test_too_little_to_say(samples: int) -> None:
    assert onset_s(tone(samples, 20000)) is None


@given(st.binary(max_size=4000), st.sampled_from([8000, 16000]))
@settings(max_examples=50)
def test_anything_has_an_onset_inside_of_it_or_none(pcm: bytes, sample_rate_hz: int) -> None:
    speech = Speech(pcm[: len(pcm) // 2 * 2], sample_rate_hz)
    found_s = speech_onset_s(speech)
    assert found_s is None or 0 <= found_s < speech.duration_s


@pytest.mark.parametrize("audio_format", [one for one in RECORDERS if can_make(one)], ids=str)
def test_coded_audio(audio_format: AudioFormat) -> None:
    """A codec smears the beginning and adds some tens of milliseconds of its own before it."""
    pcm, sample_rate_hz = decoded(made(audio_format, sample_pcm()))
    assert onset_s(pcm, sample_rate_hz) == pytest.approx(ONSETS_S["goforward"], abs=0.08)


def decoded(coded: bytes) -> tuple[bytes, int]:
    """The audio as 16-bit mono PCM of its own rate."""
    pieces: list[bytes] = []
    with av.open(io.BytesIO(coded), "r") as container:
        rate_hz = container.streams.audio[0].rate
        resampler: Any = av.AudioResampler("s16", "mono", rate_hz)
        for frame in container.decode(audio=0):
            pieces += [bytes(piece.planes[0])[: 2 * piece.samples] for piece in resampler.resample(frame)]
    return b"".join(pieces), rate_hz
