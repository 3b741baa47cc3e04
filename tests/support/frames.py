"""WebSocket frames (RFC 6455 section 5.2) written by hand, the wrong ones too, and what comes back taken apart."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from websockets.speedups import apply_mask

CONT: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
MASK: Final = b"\x37\xfa\x21\x3d"
"""The mask of RFC 6455's own example."""


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    mask: bytes | None = MASK,
    says_bytes: int | None = None,
) -> bytes:
    """One frame; `reserved` are the three bits, `says_bytes` a size that the header gives instead of its own."""
    size = len(payload) if says_bytes is None else says_bytes
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit = 0 if mask is None else 0x80
    if size < 126:
        head = bytes((first, bit | size))
    elif size < 65536:
        head = bytes((first, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + size.to_bytes(8, "big")
    return head + payload if mask is None else head + mask + apply_mask(payload, mask)


def close_frame(code: int, reason: bytes = b"", *, mask: bytes | None = MASK) -> bytes:
    """A close frame with a code, valid or not."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason, mask=mask)


def fragments(opcode: int, parts: Iterable[bytes], *, mask: bytes | None = MASK) -> list[bytes]:
    """The frames of one message in these parts, of which there is at least one."""
    *before, last = parts
    opcodes = [opcode, *[CONT] * len(before)]
    started = [frame(kind, part, fin=False, mask=mask) for kind, part in zip(opcodes, before, strict=False)]
    return [*started, frame(opcodes[len(before)], last, mask=mask)]


def cut(data: bytes, size: int) -> list[bytes]:
    """The pieces of `data`, each of `size` bytes but for the last."""
    return [data[start : start + size] for start in range(0, len(data), size)]


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame that came."""

    opcode: int
    payload: bytes
    fin: bool = True
    reserved: int = 0
    is_masked: bool = False

    @property
    def close_code(self) -> int | None:
        """Of a close frame; None without one."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


class FrameReader:
    """Takes bytes apart, as they come."""

    def __init__(self) -> None:
        self.rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Seen]:
        """The frames that are complete with `data`."""
        self.rest += data
        while len(self.rest) >= 2:
            body, size = 2, self.rest[1] & 0x7F
            if size >= 126:
                body = 4 if size == 126 else 10
                size = int.from_bytes(self.rest[2:body], "big")
            is_masked = bool(self.rest[1] & 0x80)
            start = body + 4 if is_masked else body
            if len(self.rest) < start + size:
                return
            first = self.rest[0]
            payload = bytes(self.rest[start : start + size])
            if is_masked:
                payload = apply_mask(payload, bytes(self.rest[body:start]))
            del self.rest[: start + size]
            yield Seen(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 7, is_masked)


def frames_in(data: bytes) -> list[Seen]:
    """The frames in `data`, which must end with the last of them."""
    reader = FrameReader()
    seen = list(reader.feed(data))
    assert not reader.rest
    return seen
