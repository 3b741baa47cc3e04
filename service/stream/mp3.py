"""An mp3 stream in any cut into whole frames (ISO 11172-3 and 13818-3, layer III, and the unofficial 2.5). Pure.

A frame is believed where the last one ended (or a tag did) if its header agrees with that frame's, and elsewhere if
another header that agrees follows at its end: four bytes alone occur in any data. What belongs to no frame (tags, an
encoder's table of contents, garbage) is dropped and counted.
"""

import re
from dataclasses import dataclass
from typing import Final

from service.recognizer.formats import mpeg_at

HEADER_BYTES: Final = 4
LONGEST_FRAME_BYTES: Final = 1441  # 320 kbit/s at 32 kHz, padded
_SIDE_INFO_BYTES: Final = {(False, 1): 17, (False, 2): 32, (True, 1): 9, (True, 2): 17}
"""By (lower sampling frequencies, channels)."""
_ID3V1_BYTES: Final = 128
_ID3V2_HEADER_BYTES: Final = 10
_MAX_TAG_BYTES: Final = 1 << 20  # no recorder writes a picture of a megabyte into each recording
_CANDIDATE: Final = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|ID3")


@dataclass(frozen=True, slots=True)
class Header:
    """What a frame header says."""

    length_bytes: int
    """Of the whole frame, its header included."""
    samples: int
    sample_rate: int
    channels: int
    low: bool
    """MPEG 2 or 2.5: the lower sampling frequencies."""
    has_checksum: bool

    def agrees_with(self, other: "Header") -> bool:
        """Whether frames with these headers may belong to one stream."""
        return (self.sample_rate, self.channels) == (other.sample_rate, other.channels)

    @property
    def side_info_at(self) -> int:
        """Where the side information begins in the frame."""
        return HEADER_BYTES + 2 * self.has_checksum

    @property
    def main_data_at(self) -> int:
        """Where the main data begins in the frame."""
        return self.side_info_at + _SIDE_INFO_BYTES[self.low, self.channels]


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole frame."""

    data: bytes
    header: Header

    @property
    def main_data_bytes(self) -> int:
        """How much of the stream's main data it carries."""
        return max(0, len(self.data) - self.header.main_data_at)

    @property
    def main_data_begin(self) -> int:
        """How many bytes of main data, carried by the frames before it, it needs to be decoded."""
        side_info = self.data[self.header.side_info_at : self.header.side_info_at + 2]
        if self.header.low or len(side_info) < 2:
            return side_info[0] if side_info else 0
        return side_info[0] << 1 | side_info[1] >> 7

    @property
    def is_contents(self) -> bool:
        """Whether it is an encoder's description of the file, which holds no sound."""
        place = self.header.main_data_at
        return self.data[place : place + 4] in (b"Xing", b"Info")


def header_at(data: bytes | bytearray, place: int = 0) -> Header | None:
    """The layer III header at this place; None where there is none."""
    if place + HEADER_BYTES > len(data) or data[place] != 0xFF or data[place + 1] & 0xE6 != 0xE2:
        return None
    frame = mpeg_at(data, place)
    if frame is None:
        return None
    return Header(
        length_bytes=frame.length_bytes,
        samples=frame.samples,
        sample_rate=frame.sample_rate,
        channels=1 if data[place + 3] >> 6 == 3 else 2,
        low=data[place + 1] & 0x18 != 0x18,
        has_checksum=not data[place + 1] & 1,
    )


def begins_mp3(data: bytes) -> bool | None:
    """Whether two consecutive frame headers that agree begin the data; None while it is too short to tell."""
    header = header_at(data)
    if header is None:
        return False if len(data) >= HEADER_BYTES else None
    if len(data) < header.length_bytes + HEADER_BYTES:
        return None
    following = header_at(data, header.length_bytes)
    return following is not None and following.agrees_with(header)


class Splitter:
    """Bytes in any cut into whole frames; the cuts change nothing. Holds less than two frames."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._tag_left = 0
        """Bytes of a tag still to come."""
        self._last: Header | None = None
        """Of the frame that ended where the held bytes begin; None after garbage."""
        self._garbage_bytes = 0
        self.dropped_bytes = 0
        """What belongs to no frame, so far: given = frames + dropped + held."""
        self.most_garbage_bytes = 0
        """The longest run of bytes that are neither a frame nor a tag."""

    @property
    def held_bytes(self) -> int:
        """What may become a frame with the bytes to come."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that these bytes complete."""
        self._held += data
        frames: list[Frame] = []
        place = 0
        while (step := self._step(place, frames)) is not None:
            place += step
        del self._held[:place]
        return frames

    def finish(self) -> list[Frame]:
        """No bytes follow: the last frame, if it is whole and waited for the next one's header; the rest is dropped."""
        header = header_at(self._held)
        frames: list[Frame] = []
        if header is not None and header.length_bytes == len(self._held):
            self._add(0, header, frames)
        else:
            self.dropped_bytes += len(self._held)
        self._held.clear()
        self._last = None
        return frames

    def _step(self, place: int, frames: list[Frame]) -> int | None:
        """How many bytes can be done with, from this place on; None when more are needed to tell."""
        held = self._held
        left = len(held) - place
        if self._tag_left:
            step = min(left, self._tag_left)
            self._tag_left -= step
            self.dropped_bytes += step
            return step or None
        if left < HEADER_BYTES:
            return None
        if held[place : place + 3] == b"ID3":
            if left < _ID3V2_HEADER_BYTES:
                return None
            self._tag_left = _tag_bytes(bytes(held[place : place + _ID3V2_HEADER_BYTES]))
            return 0 if self._tag_left else self._skip(place)
        if self._last is not None and held[place : place + 3] == b"TAG":
            self._tag_left = _ID3V1_BYTES
            return 0
        header = header_at(held, place)
        if header is None or (self._last is not None and not header.agrees_with(self._last)):
            return self._lost(place)
        end = place + header.length_bytes
        if self._last is None:
            if len(held) < end + HEADER_BYTES:
                return None
            following = header_at(held, end)
            if following is None or not following.agrees_with(header):
                return self._skip(place)
        if len(held) < end:
            return None
        return self._add(place, header, frames)

    def _add(self, place: int, header: Header, frames: list[Frame]) -> int:
        frame = Frame(bytes(self._held[place : place + header.length_bytes]), header)
        self._last = header
        self._garbage_bytes = 0
        if frame.is_contents:
            self.dropped_bytes += header.length_bytes
        else:
            frames.append(frame)
        return header.length_bytes

    def _lost(self, place: int) -> int:
        """Nothing fits behind the last frame: look again at this place without it, or behind this place."""
        if self._last is None:
            return self._skip(place)
        self._last = None
        return 0

    def _skip(self, place: int) -> int:
        """Drop bytes up to what may be a header. The last two may be the beginning of one."""
        self._last = None
        found = _CANDIDATE.search(self._held, place + 1)
        step = found.start() - place if found else max(1, len(self._held) - 2 - place)
        self._garbage_bytes += step
        self.most_garbage_bytes = max(self.most_garbage_bytes, self._garbage_bytes)
        self.dropped_bytes += step
        return step


def _tag_bytes(head: bytes) -> int:
    """The length of an ID3v2 tag with its header (ID3v2.4, 3.1: seven bits a byte); 0 when it cannot be one."""
    if 0xFF in head[3:5] or head[5] & 0x0F or max(head[6:10]) >= 0x80:
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    footer = _ID3V2_HEADER_BYTES if head[5] & 0x10 else 0
    return _ID3V2_HEADER_BYTES + size + footer if size <= _MAX_TAG_BYTES else 0
