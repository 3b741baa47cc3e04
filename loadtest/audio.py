"""What simulated phones say: clips, and tracks made of them. `load_clips` reads files; the rest is pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.onset import speech_onset_s
from loadtest.scenario import Audio, ScenarioError
from loadtest.wav import Speech, WavError, read_wav

SAMPLES: Final = Path(__file__).parent / "samples"
_SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording."""

    name: str
    """As the scenario has it."""
    speech: Speech
    onset_s: float | None
    """Where speech begins; None where there is none to be found."""


@dataclass(frozen=True, slots=True)
class Track:
    """The audio of one call: clips in order, with silence between them."""

    speech: Speech
    onset_s: float
    """Where speech begins, in seconds of the audio."""
    clips: tuple[int, ...]
    """Indices into `scenario.audio.files`: the words to be heard are those of these clips, one after the other."""


def load_clips(files: Sequence[str], directory: Path | None) -> tuple[Clip, ...]:
    """The recordings of a scenario, in its order. Blocks while it reads.

    A name is that of a file in `directory`, the scenario's own, or else of a bundled sample. Raises ScenarioError,
    which names the key, for what cannot be read and for another sample rate than that of the first file.
    """
    clips: list[Clip] = []
    for index, name in enumerate(files):
        try:
            speech = read_wav(_path(name, directory))
        except (WavError, ValueError) as error:
            bundled = ", ".join(sorted(path.name for path in SAMPLES.glob("*.wav")))
            raise ScenarioError(f"`audio.files[{index}]`: {error} (bundled samples: {bundled})") from None
        if clips and speech.sample_rate_hz != clips[0].speech.sample_rate_hz:
            raise ScenarioError(
                f"`audio.files[{index}]`: {name} has {speech.sample_rate_hz} Hz; "
                f"expected {clips[0].speech.sample_rate_hz} Hz, as {clips[0].name}"
            )
        clips.append(Clip(name, speech, speech_onset_s(speech)))
    return tuple(clips)


def _path(name: str, directory: Path | None) -> Path:
    if directory is not None and (directory / name).exists():
        return directory / name
    if Path(name).name == name and (SAMPLES / name).is_file():
        return SAMPLES / name
    return (directory or Path()) / name


def make_track(clips: Sequence[Clip], indices: Sequence[int], gap_s: float) -> Track:
    """The clips of these indices, with digital silence of `gap_s` between them.

    The onset is that of the first clip that has one; without any it is 0, which makes a latency longer, never shorter.
    """
    sample_rate_hz = clips[indices[0]].speech.sample_rate_hz
    silence = bytes(round(gap_s * sample_rate_hz) * _SAMPLE_BYTES)
    onset_s = None
    pcm = bytearray()
    for position, index in enumerate(indices):
        if position:
            pcm += silence
        clip_onset_s = clips[index].onset_s
        if onset_s is None and clip_onset_s is not None:
            onset_s = len(pcm) / (sample_rate_hz * _SAMPLE_BYTES) + clip_onset_s
        pcm += clips[index].speech.pcm
    return Track(Speech(bytes(pcm), sample_rate_hz), onset_s or 0.0, tuple(indices))


def frame_bytes(audio: Audio, sample_rate_hz: int) -> int:
    """The size of a full frame: `frame_bytes` as it is, odd or not, or else whole samples nearest to `frame_ms`."""
    if audio.frame_bytes is not None:
        return audio.frame_bytes
    return round(sample_rate_hz * audio.frame_ms / 1000) * _SAMPLE_BYTES


def frame_s(audio: Audio, sample_rate_hz: int) -> float:
    """How much time a full frame covers."""
    return frame_bytes(audio, sample_rate_hz) / (sample_rate_hz * _SAMPLE_BYTES)


def frames(track: Track, audio: Audio) -> tuple[bytes, ...]:
    """The audio in frames; the last one may be shorter. Frames of `frame_bytes` may cut through a sample."""
    size = frame_bytes(audio, track.speech.sample_rate_hz)
    pcm = track.speech.pcm
    return tuple(pcm[begin : begin + size] for begin in range(0, len(pcm), size))
