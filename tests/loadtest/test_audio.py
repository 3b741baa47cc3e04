"""Clips, tracks and frames."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.audio import SAMPLES, Clip, frame_bytes, frame_s, frames, load_clips, make_track
from loadtest.scenario import Audio, ScenarioError
from loadtest.wav import Speech
from tests.support.coded_files import wav


def clip(pcm: bytes, onset_s: float | None, sample_rate_hz: int = 16000) -> Clip:
    return Clip("clip.wav", Speech(pcm, sample_rate_hz), onset_s)


def test_a_name_is_that_of_a_bundled_sample() -> None:
    one, other = load_clips(("goforward.wav", "something.wav"), None)
    assert (one.name, other.name) == ("goforward.wav", "something.wav")
    assert one.speech.pcm == (SAMPLES / "goforward.wav").read_bytes()[44:]
    assert one.onset_s is not None


def test_a_file_of_the_scenarios_own_goes_first(tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "a.wav").write_bytes(wav(bytes(64)))
    (tmp_path / "goforward.wav").write_bytes(wav(bytes(32)))
    names = ("voices/a.wav", "goforward.wav", "something.wav", str(tmp_path / "goforward.wav"))
    clips = load_clips(names, tmp_path)
    assert [len(clip.speech.pcm) for clip in clips[:2]] == [64, 32]
    assert clips[2].speech == load_clips(("something.wav",), None)[0].speech
    assert clips[3].speech == clips[1].speech


@pytest.mark.parametrize("name", ["missing.wav", "../samples/goforward.wav", "README.md", "nul\0.wav", ".", ""])
def test_what_cannot_be_read_is_named_with_its_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(ScenarioError, match=r"`audio\.files\[1\]`: .*bundled samples: .*goforward\.wav"):
        load_clips(("goforward.wav", name), tmp_path)


def test_all_files_have_one_sample_rate(tmp_path: Path) -> None:
    (tmp_path / "narrow.wav").write_bytes(wav(bytes(32), 8000))
    with pytest.raises(
        ScenarioError, match=r"`audio\.files\[1\]`: narrow\.wav has 8000 Hz; expected 16000 Hz, as go.*wav"
    ):
        load_clips(("goforward.wav", "narrow.wav"), tmp_path)


def test_a_track_is_its_clips_with_silence_between_them() -> None:
    track = make_track([clip(b"\1\1", 0.0), clip(b"\2\2\3\3", 0.0)], (1, 0, 1), 3 / 16000)
    assert track.speech == Speech(b"\2\2\3\3" + bytes(6) + b"\1\1" + bytes(6) + b"\2\2\3\3", 16000)
    assert track.clips == (1, 0, 1)


def test_the_onset_of_a_track_is_that_of_its_first_clip_with_speech() -> None:
    speech, silence = clip(bytes(32000), 0.25), clip(bytes(16000), None)
    assert make_track([speech, silence], (0, 1, 0), 1.0).onset_s == 0.25
    assert make_track([speech, silence], (1, 0), 1.0).onset_s == 0.5 + 1.0 + 0.25
    assert make_track([speech, silence], (1, 1), 1.0).onset_s == 0.0


@pytest.mark.parametrize(
    ("audio", "sample_rate_hz", "size"),
    [
        (Audio(), 16000, 1280),
        (Audio(frame_ms=20), 8000, 320),
        (Audio(frame_ms=62.5), 16000, 2000),
        (Audio(frame_ms=10.01), 16000, 320),  # whole samples
        (Audio(frame_bytes=1310), 16000, 1310),
        (Audio(frame_bytes=1023, frame_ms=20), 16000, 1023),  # odd, and before frame_ms
    ],
)
def test_the_size_of_a_frame(audio: Audio, sample_rate_hz: int, size: int) -> None:
    assert frame_bytes(audio, sample_rate_hz) == size
    assert frame_s(audio, sample_rate_hz) == size / 2 / sample_rate_hz


@given(st.integers(1, 4000), st.integers(1, 5000))
def test_frames_are_the_whole_audio(samples: int, size: int) -> None:
    track = make_track([clip(bytes(index % 251 for index in range(2 * samples)), 0.0)], (0,), 0.0)
    parts = frames(track, Audio(frame_bytes=size))
    assert b"".join(parts) == track.speech.pcm
    assert all(len(part) == size for part in parts[:-1])
    assert 0 < len(parts[-1]) <= size
