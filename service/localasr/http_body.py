"""The body of a plain HTTP request, read within bounds of size and time."""

from __future__ import annotations

import trio

from service.localasr.http_head import BadHeadError, RequestHead

# Enough for 10 MB from a phone on a slow network.
BODY_S = 30.0
# Of a body that is refused for its size, so much is still read: whoever sends cannot hear an answer before.
MAX_DISCARDED_BYTES = 32 << 20
_READ_BYTES = 65536


class BodyTooLargeError(Exception):
    """The body is larger than asked for; it was read and thrown away, as far as it is worth it."""


def body_length(head: RequestHead) -> int:
    """The Content-Length. Raises ``BadHeadError`` when there is none, or another way to send a body."""
    length = head.headers.get("content-length", "")
    if "transfer-encoding" in head.headers or not length:
        raise BadHeadError("a body needs a Content-Length", 411)
    if not (length.isascii() and length.isdigit()) or len(length) > 12:
        raise BadHeadError("content length", 400)
    return int(length)


async def read_body(stream: trio.abc.Stream, head: RequestHead, max_bytes: int) -> bytes:
    """The body behind the head, which ``stream`` still holds; asks for it first where the client waits to be asked.

    At most 30 s. Raises ``BadHeadError`` (its ``status`` is the answer) and ``BodyTooLargeError``. Cancellation loses
    the bytes read, so the stream is good for closing only.
    """
    length = body_length(head)
    with trio.move_on_after(BODY_S):
        received = b""
        while b"\r\n\r\n" not in received:  # the head is known to be there, so this ends
            received += await _some(stream)
        body = bytearray(received.partition(b"\r\n\r\n")[2])
        if len(body) < length and head.headers.get("expect", "").lower() == "100-continue":
            if length > max_bytes:
                raise BodyTooLargeError
            await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        if length > max_bytes:
            left = min(length, MAX_DISCARDED_BYTES) - len(body)
            while left > 0:
                left -= len(await _some(stream))
            raise BodyTooLargeError
        while len(body) < length:
            body += await _some(stream)
        return bytes(body[:length])
    raise BadHeadError("body too slow", 408)


async def _some(stream: trio.abc.Stream) -> bytes:
    data = await stream.receive_some(_READ_BYTES)
    if not data:
        raise BadHeadError("connection ended inside the body", 400)
    return bytes(data)
