"""A plain TCP stream of Trio's, read and written without a wait as well."""

import os
from typing import Final

import trio

_READ_BYTES: Final = 16384


class PlainSocket:
    """Over a `trio.SocketStream`, which whoever made it goes on owning."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    def fileno(self) -> int:
        """Of the socket; -1 when it is closed."""
        return self._stream.socket.fileno()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As Trio's."""
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As Trio's."""
        await self._stream.send_all(data)

    def read_now(self) -> bytes | None:
        """What is there, b"" at the end, None when there is nothing yet. Raises trio.BrokenResourceError."""
        try:
            return os.read(self.fileno(), _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    def write_now(self, data: bytes) -> int:
        """Write what the kernel takes; how many bytes that were. Raises trio.BrokenResourceError."""
        try:
            return os.write(self.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error
