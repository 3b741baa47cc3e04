"""Speech from a WAV file, as the PCM that a stream carries.

Everything but the opening of the file is pure.
"""

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SAMPLE_BYTES: Final = 2
_SAMPLE_RATES_HZ: Final = (8000, 16000)  # what the recognizer takes


class WavError(ValueError):
    """A file that cannot be streamed; the text names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Speech:
    """16-bit little-endian mono PCM."""

    pcm: bytes
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length of the audio in seconds."""
        return len(self.pcm) / (self.sample_rate_hz * _SAMPLE_BYTES)

    def frames(self, frame_ms: int) -> Iterator[bytes]:
        """The audio in pieces of `frame_ms` milliseconds; the last one may be shorter. Never cuts a sample."""
        frame_bytes = self.sample_rate_hz * frame_ms // 1000 * _SAMPLE_BYTES
        for start in range(0, len(self.pcm), frame_bytes):
            yield self.pcm[start : start + frame_bytes]


def read_wav(path: Path) -> Speech:
    """The speech in a WAV file of 16-bit mono PCM at 8 or 16 kHz.

    Raises WavError when the file cannot be read, is no such WAV file, or holds no audio. A file that is cut short gives
    what is there.
    """
    try:
        with path.open("rb") as file, wave.open(file) as audio:
            channels, sample_bytes = audio.getnchannels(), audio.getsampwidth()
            sample_rate_hz = audio.getframerate()
            pcm = audio.readframes(audio.getnframes())
    except OSError as error:
        raise WavError(f"{path}: {error.strerror or error}") from None
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends before the audio"
        raise WavError(f"{path} is not a WAV file of PCM audio: {reason}") from None
    if channels != 1 or sample_bytes != _SAMPLE_BYTES or sample_rate_hz not in _SAMPLE_RATES_HZ:
        raise WavError(
            f"{path} has {channels} channel(s) of {8 * sample_bytes} bit at {sample_rate_hz} Hz: "
            "expected one channel of 16 bit at 8000 or 16000 Hz"
        )
    pcm = pcm[: len(pcm) // _SAMPLE_BYTES * _SAMPLE_BYTES]
    if not pcm:
        raise WavError(f"{path} holds no audio")
    return Speech(pcm, sample_rate_hz)
