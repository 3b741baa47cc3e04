"""What the engine and its worker processes say to each other: frames of a 4-byte length and msgpack. Pure."""

from __future__ import annotations

import struct

import msgspec

from service.localasr.engine import (
    SentenceClosed,
    SentenceHeard,
    SentenceOpened,
    StreamFailed,
    StreamFinished,
    StreamSettings,
)

# The largest frame is a sentence of 90 s, word by word, or a second of audio: well below 100 kB.
MAX_FRAME_BYTES = 1 << 20
_LENGTH = struct.Struct("<I")


class Prepare(msgspec.Struct, frozen=True, array_like=True, tag="prepare"):
    """First message to a worker: load the model; ``mean`` is another worker's, so that this one need not calibrate."""

    mean: str | None = None


class Begin(msgspec.Struct, frozen=True, array_like=True, tag="begin"):
    """A stream starts."""

    settings: StreamSettings


class Audio(msgspec.Struct, frozen=True, array_like=True, tag="audio"):
    """Samples of the stream at its own rate."""

    pcm: bytes


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="finish"):
    """No more audio; the worker answers with the rest of the events and ``StreamFinished``, and is idle."""


class Abandon(msgspec.Struct, frozen=True, array_like=True, tag="abandon"):
    """Forget the stream; the worker answers ``Idle``."""


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The model is loaded.

    ``cost`` is CPU seconds per second of speech (0 when not measured), ``mean`` the cepstral mean.
    """

    cost: float
    mean: str


class Taken(msgspec.Struct, frozen=True, array_like=True, tag="taken"):
    """So many bytes of ``Audio`` are decoded."""

    size_bytes: int


class Idle(msgspec.Struct, frozen=True, array_like=True, tag="idle"):
    """The stream was abandoned."""


ToWorker = Prepare | Begin | Audio | Finish | Abandon
FromWorker = Ready | Taken | Idle | SentenceOpened | SentenceHeard | SentenceClosed | StreamFinished | StreamFailed


class FrameError(Exception):
    """A length beyond the bound: the peer is not speaking this protocol."""


class FrameReader:
    """Bytes, cut anywhere, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        """The frames that ``data`` completes. Raises ``FrameError``."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._buffer)
            if size > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {size} bytes")
            if len(self._buffer) < _LENGTH.size + size:
                break
            frames.append(bytes(self._buffer[_LENGTH.size : _LENGTH.size + size]))
            del self._buffer[: _LENGTH.size + size]
        return frames


def encode_frame(message: ToWorker | FromWorker) -> bytes:
    """A message as bytes on the pipe."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


def decode_to_worker(frame: bytes) -> ToWorker:
    """A message of the engine. Raises ``msgspec.DecodeError``."""
    message: ToWorker = msgspec.msgpack.decode(frame, type=ToWorker)
    return message


def decode_from_worker(frame: bytes) -> FromWorker:
    """A message of a worker. Raises ``msgspec.DecodeError``."""
    message: FromWorker = msgspec.msgpack.decode(frame, type=FromWorker)
    return message
