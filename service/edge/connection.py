"""One accepted TCP connection, as Hypercorn and the voice endpoint use it."""

import contextlib
import socket
import struct
from typing import Final

import trio

from service.websocket.plain import ReadySocket

CONNECTION_KEY: Final = "voice.connection"
"""Where the ASGI scope has the `Connection` of a request. Absent under plain Hypercorn."""

LINGER_S: Final = 2.0
"""How long an ended connection is still read: closing a socket that holds unread bytes resets the connection, and a
reset can destroy the last answer before the client has read it (RFC 9112 section 9.6). Two round trips of a bad mobile
network."""
LINGER_BYTES: Final = 4 * 1024 * 1024
"""How much is read meanwhile: the rest of an upload that was refused."""
_READ_BYTES: Final = 65536
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: see socket(7)


class Connection(ReadySocket):
    """A stream for Hypercorn (`receive_some`, `send_all`, `send_eof`, `aclose`, `socket`) that we can end.

    Hypercorn's `aclose` ends the conversation only: its reader and writer see a closed stream, and the socket stays for
    `linger`. Whoever accepted the connection closes the socket in the end, with `close`.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream.socket.fileno())
        self._stream = stream
        self.peer_address = ""
        """The IP address of the other end of this TCP connection: a proxy's where there is one before us."""
        with contextlib.suppress(OSError):  # it is gone already
            self.peer_address = str(stream.socket.getpeername()[0])
        self._replay = b""
        self._reading: trio.CancelScope | None = None
        self._ended = False
        self.shielded: trio.CancelScope | None = None
        """Of a write that is brought to its end although its task was cancelled; `close` ends it."""
        self.aborted = False
        """Whether `abort` was called."""
        self.last_heard = trio.current_time()
        """When the last byte came from the peer, on Trio's clock; before the first, the time of the accept."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket; Hypercorn asks it for the addresses."""
        return self._stream.socket

    def replay(self, data: bytes) -> None:
        """Makes `data`, which was read already, the next that `receive_some` returns."""
        self._replay = data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes, or b"" at the end. Raises trio.ClosedResourceError after `aclose` or `close`, also when they
        come while it waits, and trio.BrokenResourceError when the peer reset the connection."""
        if self._ended:
            raise trio.ClosedResourceError
        max_bytes = max_bytes or _READ_BYTES
        if self._replay:
            await trio.lowlevel.checkpoint()
            data, self._replay = self._replay[:max_bytes], self._replay[max_bytes:]
            return data
        with trio.CancelScope() as self._reading:
            data = await self._stream.receive_some(max_bytes)
            if data:
                self.last_heard = trio.current_time()
            return bytes(data)
        raise trio.ClosedResourceError  # `aclose` cancelled the read

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Writes everything. Raises trio.ClosedResourceError once the connection has ended; `abort` in another task
        makes it raise so at once, however shielded it is."""
        if self._ended:
            raise trio.ClosedResourceError
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        """Tells the peer that nothing more comes. Unlike Trio's it never collides with a write: Hypercorn says it while
        the application may be sending, which then gets trio.BrokenResourceError."""
        await trio.lowlevel.checkpoint()
        self._shut_down_writing()

    async def aclose(self) -> None:
        """Ends the conversation; the socket is left for `linger` and `close`."""
        self._ended = True
        self.forget()
        self._shut_down_writing()
        if self._reading is not None:
            self._reading.cancel()
        await trio.lowlevel.checkpoint()

    async def linger(self) -> None:
        """After the end: reads and drops what still comes, until the peer has closed, or the limits are reached."""
        if self.socket.fileno() == -1:
            return
        self._shut_down_writing()
        left = LINGER_BYTES
        with trio.move_on_after(LINGER_S):
            while left > 0:
                try:
                    data = await self._stream.receive_some(_READ_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return
                if not data:
                    return
                left -= len(data)

    def close(self) -> None:
        """Closes the socket now. Tasks that wait for it get trio.ClosedResourceError. May be called again."""
        self._ended = True
        self.forget()
        self.socket.close()
        if self.shielded is not None:
            self.shielded.cancel()

    def abort(self) -> None:
        """Resets the connection now: what was not sent yet is dropped.

        This, and only this, ends a write of Hypercorn's to a client that does not read: the write is shielded.
        """
        self.aborted = True
        if self.socket.fileno() != -1:
            with contextlib.suppress(OSError):  # the peer was faster
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def _shut_down_writing(self) -> None:
        if self.socket.fileno() != -1 and not self.socket.did_shutdown_SHUT_WR:
            with contextlib.suppress(OSError):  # the peer has reset the connection
                self.socket.shutdown(trio.socket.SHUT_WR)
