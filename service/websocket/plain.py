"""A TCP socket read and written without a wait, by its descriptor; and a plain stream of Trio's with that added."""

import os
from typing import Final

import trio

_READ_BYTES: Final = 16384  # a dozen frames of audio; the buffer is made anew for each read


class ReadySocket:
    """A non-blocking socket that somebody else owns. `forget` must be called before it is closed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def forget(self) -> None:
        """The descriptor may soon be that of another socket. May be called again."""
        self._descriptor = -1

    def fileno(self) -> int:
        """Of the socket; -1 after `forget`."""
        return self._descriptor

    def read_now(self) -> bytes | None:
        """What is there, b"" at the end, None when there is nothing yet. Raises trio.BrokenResourceError."""
        try:
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error

    def write_now(self, data: bytes) -> int:
        """Write what the kernel takes; how many bytes that were. Raises trio.BrokenResourceError."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise trio.BrokenResourceError(str(error)) from error


class PlainSocket(ReadySocket):
    """Over a `trio.SocketStream`, which whoever made it goes on owning."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream.socket.fileno())
        self.receive_some = stream.receive_some
        self.send_all = stream.send_all
