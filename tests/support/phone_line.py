"""A phone whose TCP connection is in the hands of the test: to break it at any moment, or to put something into it."""

import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from typing import Final

import trio
from trio_websocket import wrap_client_stream

from tests.support.wire_phone import PATH, WirePhone

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: see socket(7)


@contextlib.asynccontextmanager
async def phone_line(port: int) -> AsyncIterator[tuple[WirePhone, trio.SocketStream]]:
    """A phone that was welcomed, and its connection, which is closed without a word at the end of the `async with`.

    Raises OSError when nobody takes the connection. What breaks before the welcome may show as a hang: a deadline is
    the caller's.
    """
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream, trio.open_nursery() as nursery:
        websocket = await wrap_client_stream(nursery, stream, f"127.0.0.1:{port}", PATH, message_queue_size=256)
        phone = WirePhone(websocket)
        await phone.hear("welcome")
        yield phone, stream
        nursery.cancel_scope.cancel()


def reset_on_close(stream: trio.SocketStream) -> None:
    """When it is closed, the peer gets RST instead of FIN, and nothing that was not sent yet."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
