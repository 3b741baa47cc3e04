"""The bundled clips in the formats of real devices, encoded with PyAV.

Left out: speex, which libav decodes but does not encode, and silk, which it does neither.
"""

import io
import wave
from pathlib import Path

import av

SAMPLES = Path(__file__).parents[2] / "loadtest" / "samples"
# VoiceFormat to encoder, muxer, sample rate and bit rate.
ENCODERS = {
    "mp3": ("libmp3lame", "mp3", 16000, 48000),
    "aac": ("aac", "adts", 44100, 64000),
    "m4a": ("aac", "ipod", 16000, 48000),
    "amr": ("libopencore_amrnb", "amr", 8000, 12200),
    "ogg-opus": ("libopus", "ogg", 48000, 32000),
}


def clip(name: str = "goforward") -> bytes:
    """The samples of a clip: 16 kHz, mono."""
    with wave.open(str(SAMPLES / f"{name}.wav")) as file:
        pcm: bytes = file.readframes(file.getnframes())
        return pcm


def as_wav(pcm: bytes, rate_hz: int = 16000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def encode(pcm: bytes, voice_format: str, *, rate_hz: int | None = None) -> bytes:
    """16 kHz samples as a file of ``voice_format``."""
    codec, muxer, usual_rate_hz, bit_rate = ENCODERS[voice_format]
    rate_hz = rate_hz or usual_rate_hz
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = bit_rate
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = 16000
        frame.planes[0].update(pcm)
        resampler = av.AudioResampler(
            stream.format.name, "mono", rate_hz, frame_size=stream.codec_context.frame_size or None
        )
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            for packet in stream.encode(piece):
                container.mux(packet)
    return file.getvalue()
