"""A phone whose TCP connection is in the hands of the test: to break it at any moment, or to put something into it."""

import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from tests.support.wire_phone import PATH, WirePhone

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: see socket(7)


@contextlib.asynccontextmanager
async def phone_line(port: int) -> AsyncIterator[tuple[WirePhone, trio.SocketStream]]:
    """A phone that was welcomed, and its connection, which is closed without a word at the end of the `async with`.

    Raises OSError when nobody takes the connection, BrokenResourceError in a group when it ends before the upgrade.
    What is silent before the welcome shows as a hang: a deadline is the caller's.
    """
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        phone = WirePhone(await _upgraded(nursery, stream, port))
        await phone.hear("welcome")
        yield phone, stream
        nursery.cancel_scope.cancel()


async def _upgraded(nursery: trio.Nursery, stream: trio.SocketStream, port: int) -> WebSocketConnection:
    """Raises BrokenResourceError when the stream ends before: trio-websocket waits for ever then."""
    watched = _Watched(stream)
    with trio.CancelScope() as watched.ended:
        return await wrap_client_stream(
            nursery,
            watched,  # type: ignore[arg-type]  # any stream will do
            f"127.0.0.1:{port}",
            PATH,
            message_queue_size=256,
        )
    raise trio.BrokenResourceError("the connection ended before the upgrade")


class _Watched(trio.abc.Stream):
    """A stream that cancels a scope at its end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.ended = trio.CancelScope()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            data = bytes(await self._stream.receive_some(max_bytes))
        except trio.BrokenResourceError:
            self.ended.cancel()
            raise
        if not data:
            self.ended.cancel()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self.ended.cancel()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def reset_on_close(stream: trio.SocketStream) -> None:
    """When it is closed, the peer gets RST instead of FIN, and nothing that was not sent yet."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
