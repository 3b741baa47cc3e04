"""Speech from WAV files, and every way in which a file is none."""

import wave
from pathlib import Path

import pytest

from loadtest.wav import Speech, WavError, read_wav

SAMPLES = Path(__file__).parents[2] / "loadtest" / "samples"


def write_wav(path: Path, pcm: bytes, *, channels: int = 1, sample_bytes: int = 2, rate_hz: int = 16000) -> Path:
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(channels)
        audio.setsampwidth(sample_bytes)
        audio.setframerate(rate_hz)
        audio.writeframes(pcm)
    return path


def test_the_bundled_samples_can_be_streamed() -> None:
    for path in SAMPLES.glob("*.wav"):
        speech = read_wav(path)
        assert speech.sample_rate_hz == 16000
        assert speech.duration_s > 2


def test_pcm_and_rate_come_out_as_they_went_in(tmp_path: Path) -> None:
    speech = read_wav(write_wav(tmp_path / "a.wav", bytes(range(200)), rate_hz=8000))
    assert speech == Speech(bytes(range(200)), 8000)
    assert speech.duration_s == 0.0125


def test_frames_are_the_audio_in_pieces_and_only_the_last_is_shorter() -> None:
    speech = Speech(bytes(16000 * 2 // 10), 16000)  # 100 ms
    frames = list(speech.frames(40))
    assert [len(frame) for frame in frames] == [1280, 1280, 640]
    assert b"".join(frames) == speech.pcm


def test_a_file_cut_short_gives_whole_samples(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "cut.wav", bytes(1000))
    path.write_bytes(path.read_bytes()[:-401])
    assert len(read_wav(path).pcm) == 598


@pytest.mark.parametrize(
    ("channels", "sample_bytes", "rate_hz", "found"),
    [
        (2, 2, 16000, r"2 channel\(s\) of 16 bit at 16000 Hz"),
        (1, 1, 16000, r"1 channel\(s\) of 8 bit at 16000 Hz"),
        (1, 2, 44100, r"1 channel\(s\) of 16 bit at 44100 Hz"),
    ],
)
def test_other_audio_is_named_with_what_was_expected(
    tmp_path: Path, channels: int, sample_bytes: int, rate_hz: int, found: str
) -> None:
    path = write_wav(tmp_path / "a.wav", bytes(400), channels=channels, sample_bytes=sample_bytes, rate_hz=rate_hz)
    with pytest.raises(WavError, match=found + ": expected one channel of 16 bit at 8000 or 16000 Hz"):
        read_wav(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it ends before the audio"),
        (b"RIFF", "it ends before the audio"),
        (b"\x1a\x45\xdf\xa3" + bytes(100), "does not start with RIFF"),
        (b"ID3" + bytes(100), "does not start with RIFF"),
    ],
)
def test_a_file_of_another_kind_is_said_to_be_one(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(WavError, match=f"a.wav is not a WAV file of PCM audio: .*{complaint}"):
        read_wav(path)


def test_a_file_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WavError, match="holds no audio"):
        read_wav(write_wav(tmp_path / "empty.wav", b""))


def test_what_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(WavError, match=r"missing\.wav: No such file"):
        read_wav(tmp_path / "missing.wav")
    with pytest.raises(WavError, match="Is a directory"):
        read_wav(tmp_path)
