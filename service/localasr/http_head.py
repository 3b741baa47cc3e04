"""The head of a request, read before anyone decides what a connection is, and plain HTTP answers.

Pure but for ``read_head``.
"""

from __future__ import annotations

import http
from collections.abc import Mapping

import msgspec
import trio

MAX_HEAD_BYTES = 16384
HEAD_S = 10.0
_READ_BYTES = 65536


class RequestHead(msgspec.Struct, frozen=True):
    """A parsed head. Header names are lower case; of a repeated header the last counts."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def wants_websocket(self) -> bool:
        """Whether this asks for an upgrade; the handshake itself is checked by the WebSocket library."""
        return self.method == "GET" and self.headers.get("upgrade", "").lower() == "websocket"


class HttpAnswer(msgspec.Struct, frozen=True):
    """A whole answer; the connection is closed after it."""

    status: int
    body: str = ""
    content_type: str = "text/plain"

    def encode(self) -> bytes:
        """The bytes on the wire."""
        try:
            phrase = http.HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        body = self.body.encode()
        head = (
            f"HTTP/1.1 {self.status} {phrase}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body


class BadHeadError(Exception):
    """The head is too long, too slow, malformed, or ends early."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


def parse_head(head: bytes) -> RequestHead:
    """The head up to its empty line. Raises ``BadHeadError``."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[1].startswith("/") or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadHeadError("request line", 400)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if line and (not colon or not name or name != name.strip()):
            raise BadHeadError("header line", 400)
        headers[name.lower()] = value.strip()
    headers.pop("", None)
    return RequestHead(parts[0], parts[1], headers)


async def read_head(stream: trio.abc.Stream) -> tuple[RequestHead, bytes]:
    """The head and all bytes read so far, head included.

    At most 16 KiB and 10 s. Raises ``BadHeadError``; cancellation loses the bytes read, so the stream is good for
    closing only.
    """
    received = b""
    with trio.move_on_after(HEAD_S):
        while b"\r\n\r\n" not in received:
            if len(received) > MAX_HEAD_BYTES:
                raise BadHeadError("head too long", 431)
            data = await stream.receive_some(_READ_BYTES)
            if not data:
                raise BadHeadError("connection ended inside the head", 400)
            received += data
        return parse_head(received.partition(b"\r\n\r\n")[0]), received
    raise BadHeadError("head too slow", 408)


class TappedStream(trio.abc.Stream):
    """A stream that hands out bytes already read before its own, and whose reading can be held (for faults).

    Closing it closes the stream inside.
    """

    def __init__(self, inner: trio.abc.Stream, already_read: bytes) -> None:
        self._inner = inner
        self._already_read = already_read
        self._flowing = trio.Event()
        self._flowing.set()

    def hold_reading(self) -> None:
        """From now on ``receive_some`` hands out nothing."""
        self._flowing = trio.Event()

    def resume_reading(self) -> None:
        """End ``hold_reading``."""
        self._flowing.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; b"" at the end."""
        data, self._already_read = self._already_read, b""
        if data:
            await trio.lowlevel.checkpoint()
        else:
            data = bytes(await self._inner.receive_some(max_bytes))
        if not self._flowing.is_set():  # asked first: a checkpoint per read is felt in a load test
            await self._flowing.wait()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See ``trio.abc.SendStream``."""
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """See ``trio.abc.SendStream``."""
        await self._inner.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the inner stream; a held reader is let go."""
        self._flowing.set()
        await self._inner.aclose()
