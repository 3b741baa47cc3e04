"""How long audio is, where its container tells so without decoding. Pure.

Walking the frames of 10 MB takes some 100 ms, so this is for worker threads.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.recognizer.formats import AudioFormat, after_id3, frame_at

_PCM_TAG: Final = 1
_EXTENSIBLE_TAG: Final = 0xFFFE  # WAVE_FORMAT_EXTENSIBLE: the real tag is in the sub-format


@dataclass(frozen=True, slots=True)
class Wav:
    """What a wav file says of itself, and where its audio is."""

    tag: int
    channels: int
    sample_rate: int
    bits: int
    bytes_per_s: int
    begin: int
    end: int
    """Of the audio, in bytes of the file; a size that promises more than there is counts as what is there."""

    @property
    def is_plain(self) -> bool:
        """16-bit PCM, one channel."""
        return (self.tag, self.channels, self.bits) == (_PCM_TAG, 1, 16)

    @property
    def duration_ms(self) -> int:
        """How long the audio is; 0 when the header makes no sense."""
        return (self.end - self.begin) * 1000 // self.bytes_per_s if self.bytes_per_s else 0


def read_wav(data: bytes) -> Wav | None:
    """The layout of a wav; None when its chunks lead to no audio. RIFF: IBM and Microsoft 1991, chapter 2."""
    place, described = 12, b""
    while place + 8 <= len(data):
        name, size = data[place : place + 4], struct.unpack_from("<I", data, place + 4)[0]
        body = place + 8
        if name == b"fmt ":
            described = data[body : body + size]
        elif name == b"data":
            if len(described) < 16:
                return None
            tag, channels, rate, bytes_per_s, _, bits = struct.unpack_from("<HHIIHH", described)
            if tag == _EXTENSIBLE_TAG and len(described) >= 26:
                tag = struct.unpack_from("<H", described, 24)[0]
            # 0 and 0xFFFFFFFF are what a recorder writes when it does not know the length yet.
            end = len(data) if size in (0, 0xFFFFFFFF) else min(body + size, len(data))
            return Wav(tag, channels, rate, bits, bytes_per_s, body, end)
        place = body + size + size % 2
    return None


def duration_ms(data: bytes, audio_format: AudioFormat) -> int | None:
    """How long the audio is; None where only decoding can tell, or where the container makes no sense."""
    read = _READERS.get(audio_format)
    return None if read is None else read(data)


def _of_wav(data: bytes) -> int | None:
    wav = read_wav(data)
    return None if wav is None else wav.duration_ms


def _of_frames(data: bytes) -> int | None:
    """The sum over all frames from the first one on; what follows the last one (an ID3v1 tag) is not looked at."""
    place, samples, rate = after_id3(data), 0, 0
    while (frame := frame_at(data, place)) is not None:
        samples, rate = samples + frame.samples, frame.sample_rate
        place += frame.length_bytes
    return samples * 1000 // rate if rate else None


_AMR_FRAME_BYTES: Final = (13, 14, 16, 18, 20, 21, 27, 32, 6)  # RFC 4867 section 5.3, with the header byte
_AMR_NO_DATA: Final = 15
_AMR_FRAME_MS: Final = 20


def _of_amr(data: bytes) -> int | None:
    place, frames = 6, 0
    while place < len(data):
        mode = data[place] >> 3 & 0x0F
        if mode >= len(_AMR_FRAME_BYTES) and mode != _AMR_NO_DATA:
            return None
        place += 1 if mode == _AMR_NO_DATA else _AMR_FRAME_BYTES[mode]
        frames += 1
    return frames * _AMR_FRAME_MS


def _of_opus(data: bytes) -> int | None:
    return _of_ogg(data, 48000)  # RFC 7845 section 4: the clock of Opus, whatever was recorded


def _of_speex(data: bytes) -> int | None:
    header = data.find(b"Speex   ", 0, 512)
    if header < 0 or header + 40 > len(data):
        return None
    return _of_ogg(data, struct.unpack_from("<i", data, header + 36)[0])


def _of_ogg(data: bytes, clock_hz: int) -> int | None:
    """The granule position of the last page (RFC 3533 section 6)."""
    page = data.rfind(b"OggS")
    if page < 0 or page + 14 > len(data) or clock_hz <= 0:
        return None
    position = int(struct.unpack_from("<q", data, page + 6)[0])
    return position * 1000 // clock_hz if position >= 0 else None


def _of_m4a(data: bytes) -> int | None:
    """The duration in the movie header (ISO 14496-12, 8.2.2)."""
    movie = _box(data, 0, len(data), b"moov")
    header = None if movie is None else _box(data, *movie, b"mvhd")
    if header is None:
        return None
    begin, end = header
    layout, skip = (">IQ", 20) if data[begin : begin + 1] == b"\x01" else (">II", 12)
    if begin + skip + struct.calcsize(layout) > end:
        return None
    scale, length = struct.unpack_from(layout, data, begin + skip)
    return length * 1000 // scale if scale and length else None


def _box(data: bytes, place: int, end: int, wanted: bytes) -> tuple[int, int] | None:
    """Where the contents of a box are; None where it is missing or cut."""
    while place + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, place)
        header = 8
        if size == 1 and place + 16 <= end:
            size, header = struct.unpack_from(">Q", data, place + 8)[0], 16
        if size == 0:
            size = end - place
        if size < header or place + size > end:
            return None
        if name == wanted:
            return place + header, place + size
        place += size
    return None


_READERS: Final[dict[AudioFormat, Callable[[bytes], int | None]]] = {
    AudioFormat.WAV: _of_wav,
    AudioFormat.MP3: _of_frames,
    AudioFormat.AAC: _of_frames,
    AudioFormat.AMR: _of_amr,
    AudioFormat.OGG_OPUS: _of_opus,
    AudioFormat.SPEEX: _of_speex,
    AudioFormat.M4A: _of_m4a,
}
