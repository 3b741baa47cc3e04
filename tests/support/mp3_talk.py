"""Mp3 as a phone's recorder makes it, and what a recognizer hears of it. Needs PyAV."""

import io
from typing import Any

import av
import trio

from service.stream.mp3 import Frame, Splitter
from tests.support.stream_world import Phone, Script

FRAME_MS = 36  # at 16 kHz
CLOCK = Script(mode="clock")
"""For a recognizer that decodes what it gets, and hears a word in each 400 ms."""


def mp3_of(pcm: bytes, *, rate: int = 16000, channels: int = 1, bit_rate: int = 48000) -> bytes:
    """PCM as mp3 frames, without tags; the encoder's table of contents is left out, as recorders do."""
    file = io.BytesIO()
    layout = "mono" if channels == 1 else "stereo"
    with av.open(file, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as container:
        track: Any = container.add_stream("libmp3lame", rate=rate, layout=layout)
        track.bit_rate = bit_rate
        frame = av.AudioFrame(format="s16", layout=layout, samples=len(pcm) // 2 // channels)
        frame.sample_rate = rate
        frame.planes[0].update(pcm)
        resampler = av.AudioResampler(track.format.name, layout, rate, frame_size=track.codec_context.frame_size)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(track.encode(piece))
    return file.getvalue()


def frames_of(mp3: bytes) -> list[Frame]:
    """The whole frames of an mp3."""
    splitter = Splitter()
    return splitter.feed(mp3) + splitter.finish()


def decoded(frames: list[bytes]) -> list[bytes]:
    """What a fresh decoder makes of each frame; empty where it cannot decode it."""
    codec: Any = av.CodecContext.create("mp3", "r")
    sounds = []
    for frame in frames:
        try:
            sounds.append(b"".join(bytes(sound.planes[0]) for sound in codec.decode(av.Packet(frame))))
        except av.FFmpegError:
            sounds.append(b"")
    return sounds


async def speak(phone: Phone, frames: list[bytes]) -> None:
    """A frame of the recorder for each of the coding, in real time."""
    for frame in frames:
        phone.audio(frame)
        await trio.sleep(FRAME_MS / 1000)
