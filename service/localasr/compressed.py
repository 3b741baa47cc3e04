"""Compressed audio into samples, by PyAV: whole files of a sentence, and mp3 streams.

Import this file only where PyAV is installed; ``decoders`` knows.
"""

from __future__ import annotations

import io

import av

from service.localasr.audio import AudioRejectedError, doubled
from service.localasr.mp3_frames import Mp3Frame, Mp3Framer

RATE_HZ = 16000
# A sentence lasts at most 60 s; what is decoded beyond it only shows that it is too long. 2 MB.
MAX_FILE_SAMPLES = 61 * RATE_HZ
# A client may send 3 s of audio within a second. What one message decodes to beyond 4 s is dropped: it is refused
# anyway, and a message of 1 MiB could hold a quarter of an hour. That costs 20 ms at most (measured).
MAX_MESSAGE_S = 4

# The demuxer and the decoders behind each VoiceFormat.
_CONTAINERS: dict[str, tuple[str, frozenset[str]]] = {
    "wav": ("wav", frozenset({"pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_alaw", "pcm_mulaw"})),
    "mp3": ("mp3", frozenset({"mp3", "mp3float"})),
    "aac": ("aac", frozenset({"aac"})),
    "m4a": ("mov", frozenset({"aac", "alac"})),
    "amr": ("amr", frozenset({"amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb"})),
    "ogg-opus": ("ogg", frozenset({"opus", "libopus"})),
    "speex": ("ogg", frozenset({"speex", "libspeex"})),
}
FILE_FORMATS = frozenset(_CONTAINERS)


class _Resampler:
    """Frames of any kind into 16-bit mono at one rate."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._kind: tuple[int, str, str] | None = None
        self._inner: av.AudioResampler | None = None
        self._doubling = False

    def feed(self, frame: av.AudioFrame) -> bytes:
        """The samples of ``frame``, and those that the filter kept back before."""
        kind = (frame.sample_rate, frame.layout.name, frame.format.name)
        kept = b""
        if self._inner is None or kind != self._kind:
            kept = self.finish()
            self._kind = kind
            self._doubling = (frame.sample_rate, self._rate_hz) == (8000, 16000)
            self._inner = av.AudioResampler("s16", "mono", 8000 if self._doubling else self._rate_hz)
        frame.pts = None
        return kept + self._take(self._inner.resample(frame))

    def finish(self) -> bytes:
        """What the filter still holds."""
        return b"" if self._inner is None else self._take(self._inner.resample(None))

    def _take(self, frames: list[av.AudioFrame]) -> bytes:
        pcm = b"".join(bytes(frame.planes[0])[: 2 * frame.samples] for frame in frames)
        return doubled(pcm) if self._doubling else pcm


def decode_file(voice_format: str, data: bytes) -> bytes:
    """A whole file as 16 kHz samples, at most 61 s of them; blocks for up to half a second.

    Raises ``AudioRejectedError`` when it is not a file of that format, or more of it is broken than not.
    """
    container_name, codecs = _CONTAINERS[voice_format]
    resampler = _Resampler(RATE_HZ)
    pcm = bytearray()
    good = broken = 0
    try:
        with av.open(io.BytesIO(data), "r", format=container_name) as container:
            stream = next(iter(container.streams.audio), None)
            # A codec that libav does not know has no context, whatever the types say.
            if stream is None or getattr(stream.codec_context, "name", None) not in codecs:
                raise AudioRejectedError("another codec")
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    broken += 1
                    continue
                good += 1
                for frame in frames:
                    pcm += resampler.feed(frame)
                if len(pcm) > 2 * MAX_FILE_SAMPLES:
                    break
        pcm += resampler.finish()
    except (av.FFmpegError, ValueError) as error:
        raise AudioRejectedError("not decodable") from error
    if not pcm or broken > good:
        raise AudioRejectedError("not decodable")
    return bytes(pcm[: 2 * MAX_FILE_SAMPLES])


class Mp3Decoder:
    """``voice_format=8``, frame by frame: an ``AudioDecoder``.

    A frame that cannot be decoded (one may lean on bits from before a cut) is silence of the same length, so that
    positions stay true.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._framer = Mp3Framer()
        self._codec = av.CodecContext.create("mp3", "r")
        self._resampler = _Resampler(sample_rate_hz)

    def feed(self, data: bytes) -> bytes:
        """The samples of the frames that ``data`` completes, at most about 4 s of them."""
        pcm = bytearray()
        for frame in self._framer.feed(data):
            if len(pcm) > 2 * self._rate_hz * MAX_MESSAGE_S:
                break
            pcm += self._decode(frame)
        return bytes(pcm)

    def finish(self) -> bytes:
        """What a last frame and the filter still held."""
        last = [self._decode(frame) for frame in self._framer.finish()]
        return b"".join(last) + self._resampler.finish()

    def _decode(self, frame: Mp3Frame) -> bytes:
        try:
            frames = self._codec.decode(av.Packet(frame.data))
        except av.FFmpegError:
            return bytes(2 * (frame.header.samples * self._rate_hz // frame.header.rate_hz))
        return b"".join(self._resampler.feed(decoded) for decoded in frames)
