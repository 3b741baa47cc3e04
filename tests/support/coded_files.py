"""Recordings in the formats of phones, made with PyAV from PCM."""

import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from service.recognizer.formats import AudioFormat

SAMPLES = Path(__file__).parents[2] / "loadtest" / "samples"


@dataclass(frozen=True)
class Recorder:
    """How a format is made."""

    container: str
    codec: str
    rate: int = 16000
    bit_rate: int | None = None


RECORDERS = {
    AudioFormat.MP3: Recorder("mp3", "libmp3lame", bit_rate=48000),
    AudioFormat.M4A: Recorder("ipod", "aac"),
    AudioFormat.AAC: Recorder("adts", "aac"),
    AudioFormat.AMR: Recorder("amr", "libopencore_amrnb", 8000, 12200),
    AudioFormat.OGG_OPUS: Recorder("ogg", "libopus"),
    AudioFormat.SPEEX: Recorder("ogg", "libspeex"),
    AudioFormat.WEBM: Recorder("webm", "libopus"),
    AudioFormat.FLAC: Recorder("flac", "flac"),
    AudioFormat.OGG: Recorder("ogg", "libvorbis"),
}


def can_make(audio_format: AudioFormat) -> bool:
    """Whether this PyAV has the encoder."""
    return RECORDERS[audio_format].codec in av.codecs_available


def made(audio_format: AudioFormat, pcm: bytes) -> bytes:
    """16 kHz mono PCM, recorded in a format."""
    recorder = RECORDERS[audio_format]
    file = io.BytesIO()
    with av.open(file, "w", format=recorder.container) as container:
        track: Any = container.add_stream(recorder.codec, rate=recorder.rate, layout="mono")
        if recorder.bit_rate is not None:
            track.bit_rate = recorder.bit_rate
        with av.open(io.BytesIO(wav(pcm)), "r", format="wav") as source:
            for frame in source.decode(audio=0):
                container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return file.getvalue()


def wav(pcm: bytes, rate: int = 16000) -> bytes:
    """PCM behind a wav header, written by the standard library."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


def sample_pcm(name: str = "goforward") -> bytes:
    """A sample as 16 kHz mono PCM."""
    with wave.open(str(SAMPLES / f"{name}.wav"), "rb") as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (16000, 1, 2)
        return reader.readframes(reader.getnframes())
