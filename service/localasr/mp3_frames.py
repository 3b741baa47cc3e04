"""An mp3 stream into whole frames (ISO/IEC 11172-3 and 13818-3, layer III). Pure.

A stream may be cut anywhere, begin inside a frame, and hold ID3 tags in front of any frame: a recorder that was stopped
and started again writes a new one. It counts as mp3 once two frames follow each other; bytes that do not belong to a
frame are skipped, but not for longer than the longest frame, doubled.
"""

from __future__ import annotations

import msgspec

from service.localasr.audio import AudioRejectedError

HEADER_BYTES = 4
_ID3_HEADER_BYTES = 10
# The longest frame (320 kbit/s at 32 kHz, padded) has 1441 bytes: inside so many bytes there are two whole ones.
MAX_SKIPPED_BYTES = 3 * 1441
_KBITS_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_V1 = (44100, 48000, 32000)
# By the two version bits: MPEG 2.5, reserved, 2, 1.
_RATE_DIVISORS = {0: 4, 2: 2, 3: 1}


class Mp3Header(msgspec.Struct, frozen=True):
    """What a frame header says: the size of the frame with its header, and what it decodes to."""

    size_bytes: int
    samples: int
    rate_hz: int


class Mp3Frame(msgspec.Struct, frozen=True):
    """One whole frame."""

    data: bytes
    header: Mp3Header


def parse_header(data: bytes | bytearray) -> Mp3Header | None:
    """The layer III header at the start of ``data``, or None. A free bit rate is not taken."""
    if len(data) < HEADER_BYTES or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    divisor = _RATE_DIVISORS.get(data[1] >> 3 & 3)
    bitrate, rate, padding = data[2] >> 4, data[2] >> 2 & 3, data[2] >> 1 & 1
    if divisor is None or bitrate in (0, 15) or rate == 3:
        return None
    rate_hz = _RATES_V1[rate] // divisor
    samples = 1152 if divisor == 1 else 576
    kbits = (_KBITS_V1 if divisor == 1 else _KBITS_V2)[bitrate]
    return Mp3Header(samples // 8 * kbits * 1000 // rate_hz + padding, samples, rate_hz)


class Mp3Framer:
    """Bytes, cut anywhere, into frames. Holds less than two frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._tag_bytes = 0  # of an ID3 tag, still to come
        self._in_step = False  # the next frame begins where the last one ended
        self._skipped = 0
        self._framed = False

    def feed(self, data: bytes) -> list[Mp3Frame]:
        """The frames that ``data`` completes, without a file's table of contents.

        Raises ``AudioRejectedError`` when too many bytes in a row are not mp3.
        """
        self._buffer += data
        frames: list[Mp3Frame] = []
        at = 0
        while (step := self._next(at, frames)) is not None:
            at += step
            if self._skipped > MAX_SKIPPED_BYTES:
                raise AudioRejectedError("not mp3")
        del self._buffer[:at]
        return frames

    def finish(self) -> list[Mp3Frame]:
        """A last frame that no other confirms. Raises ``AudioRejectedError`` when there was no frame in all of it."""
        header = parse_header(self._buffer)
        if header is not None and len(self._buffer) == header.size_bytes:
            self._framed = True
            return _audible(Mp3Frame(bytes(self._buffer), header))
        if not self._framed and (self._buffer or self._skipped):
            raise AudioRejectedError("not mp3")
        return []

    def _next(self, at: int, frames: list[Mp3Frame]) -> int | None:
        """How many bytes were used up, or None when more are needed."""
        buffer = self._buffer
        left = len(buffer) - at
        if self._tag_bytes:
            step = min(left, self._tag_bytes)
            self._tag_bytes -= step
            return step or None
        if left < HEADER_BYTES:
            return None
        if buffer[at : at + 3] == b"ID3":
            if left < _ID3_HEADER_BYTES:
                return None
            size = 0
            for byte in buffer[at + 6 : at + 10]:
                size = size << 7 | byte & 0x7F
            self._tag_bytes = _ID3_HEADER_BYTES + size
            return 0
        header = parse_header(buffer[at : at + HEADER_BYTES])
        if header is None:
            return self._skip()
        end = at + header.size_bytes
        if not self._in_step:
            if len(buffer) < end + HEADER_BYTES:
                return None
            following = parse_header(buffer[end : end + HEADER_BYTES])
            if following is None or following.rate_hz != header.rate_hz:
                return self._skip()
        if len(buffer) < end:
            return None
        self._in_step = self._framed = True
        self._skipped = 0
        frames += _audible(Mp3Frame(bytes(buffer[at:end]), header))
        return header.size_bytes

    def _skip(self) -> int:
        self._in_step = False
        self._skipped += 1
        return 1


def _audible(frame: Mp3Frame) -> list[Mp3Frame]:
    """Nothing for the frame in which an encoder describes the file: a decoder would make silence of it."""
    return [] if b"Xing" in frame.data[:40] or b"Info" in frame.data[:40] else [frame]
