"""What a malformed connection says, piece by piece, and how it leaves. Pure."""

import enum
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

VOICE: Final = b"/api/realtime-voice/stream"
RECOGNIZE: Final = b"/api/realtime-voice/recognize"
ECHOES: Final = (b"/test-ws", b"/test-ws?raw=1", b"/api/realtime-voice/test", b"/test-ws?quiet=1")
PAGES: Final = (b"/", b"/health", b"/ready", b"/metrics", b"/nothing")
END: Final = b"\r\n\r\n"

REPLY_S: Final = 2.0
"""How long a piece waits for an answer before the next one goes out; the answer ends the wait."""


class Leave(enum.Enum):
    """How a connection is left when everything was sent."""

    WAIT = "wait"
    """The gateway has to end it, and is waited for."""
    HALF_CLOSE = "half-close"
    """Nothing more comes from us; the gateway has to end it, and is waited for."""
    CLOSE = "close"
    RESET = "reset"
    """By SO_LINGER 0: the gateway reads ECONNRESET."""
    LOITER = "loiter"
    """Closed after a moment in which nothing is said."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that go out at once, and how long something is listened for before the next ones, at most."""

    data: bytes
    listen_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Talk:
    """Everything that one side says. `is_fatal`: after that the gateway has to end the connection by itself."""

    pieces: tuple[Piece, ...]
    is_fatal: bool


@dataclass(frozen=True, slots=True)
class Attack:
    """One malformed connection."""

    kind: str
    pieces: tuple[Piece, ...]
    leave: Leave


Kind = Callable[[random.Random], Talk]
"""Makes the bytes of one connection; everything that varies comes from the generator given."""


def said(*data: bytes, fatal: bool, listen_s: float = 0.0) -> Talk:
    """A talk of pieces that are alike."""
    return Talk(tuple(Piece(part, listen_s) for part in data), fatal)


def dripped(chance: random.Random, data: bytes, *, most: int) -> list[Piece]:
    """The first bytes of `data` in up to `most` small pieces, with pauses that add up to about a second."""
    pieces, place = [], 0
    for _ in range(chance.randrange(3, most)):
        size = chance.randrange(1, 6)
        pieces.append(Piece(data[place : place + size], chance.uniform(0.002, 0.04)))
        place += size
        if place >= len(data):
            break
    return pieces


def head(method: bytes, target: bytes, *lines: bytes, version: bytes = b"HTTP/1.1", host: bool = True) -> bytes:
    """A request head."""
    return b"\r\n".join([b" ".join([method, target, version]), *([b"Host: localhost"] if host else []), *lines]) + END


UPGRADE_LINES: Final = (
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def upgraded(chance: random.Random, target: bytes, pieces: Sequence[bytes], *, fatal: bool) -> Talk:
    """A proper upgrade, and what follows it: in one piece with it, or after the answer."""
    request = head(b"GET", target, *UPGRADE_LINES)
    if chance.random() < 0.3:
        return said(request + b"".join(pieces), fatal=fatal)
    return Talk((Piece(request, REPLY_S), *(Piece(data) for data in pieces)), fatal)


def frame(
    chance: random.Random,
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    is_masked: bool = True,
) -> bytes:
    """A WebSocket frame of a client, wrong where the arguments make it so."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    if not is_masked:
        return frame_head(first, len(payload), mask_bit=0) + payload
    mask = chance.randbytes(4)
    size = len(payload)
    key = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    masked = (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")
    return frame_head(first, size) + mask + masked


def frame_head(first: int, size: int, *, mask_bit: int = 0x80) -> bytes:
    """First byte and length, without the mask; `size` may be a lie."""
    if size < 126:
        return bytes((first, mask_bit | size))
    if size < 1 << 16:
        return bytes((first, mask_bit | 126)) + size.to_bytes(2, "big")
    return bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")
