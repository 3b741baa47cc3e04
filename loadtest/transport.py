"""The bytes of one connection: a Trio stream under the WebSocket library, with a short way for audio.

The library writes through `send_all`, and so may we; a lock keeps whole messages together. Audio takes `send_now`: one
system call in the calling task, no lock, no checkpoint. What the kernel does not take at once is sent by `send_rest`,
and the wait there is the service's backpressure. 300 phones send 7500 frames a second, so this is the path that counts.

Besides, a phone can do with it what a library does not offer: not read for a while, vanish, and be cut off.
"""

import os
import socket
import ssl
import struct
from collections.abc import Callable
from typing import Final

import trio

from service.tls_stream import TlsStream

_LINGER_NOT: Final = struct.pack("ii", 1, 0)  # close with a reset, as a phone that changes networks does
_HEAD_BYTES: Final = 64  # of the answer to the upgrade: its status line


class Transport(trio.abc.Stream):
    """A stream that owns another one. Whoever made it closes it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._plain = stream if isinstance(stream, trio.SocketStream) and os.name == "posix" else None
        self._tls = stream if isinstance(stream, TlsStream) else None
        self._sending = trio.StrictFIFOLock()
        self._rest_sent: trio.Event | None = None
        """Set until the rest of a message is sent that the kernel took in part."""
        self._reading = trio.Event()
        self._reading.set()
        self._is_discarding = False
        self.head = b""
        """The first bytes that came."""
        self.ended = False
        """Whether the other side has closed, or the connection is broken or closed."""
        self.on_end: Callable[[], object] | None = None
        """Called when it has ended, once."""
        self.ends_after_bytes: int | None = None
        """The reader sees the end after so many more bytes; None: when it comes."""

    # Sending.

    def send_now(self, wire: bytes) -> int:
        """Write without waiting and return how many bytes were taken.

        When they are not all, `send_rest` has to follow before anything else is done. Raises trio.BrokenResourceError.
        """
        if self._sending.locked() or self._rest_sent is not None:
            return 0
        if self._tls is not None:
            taken = self._tls.write_now(wire)
        elif self._plain is not None:
            try:
                taken = os.write(self._plain.socket.fileno(), wire)
            except BlockingIOError:
                return 0
            except OSError as error:  # also when it is closed: its number is then -1
                raise trio.BrokenResourceError(str(error)) from error
        else:
            return 0
        if taken < len(wire):
            self._rest_sent = trio.Event()  # the rest of this message comes next, whoever else wants to send
        return taken

    async def send_rest(self, wire: bytes, taken: int) -> None:
        """Send what `send_now` left of the message. Raises as `send_all`, and leaves as much when it is cancelled."""
        rest_sent = self._rest_sent
        if rest_sent is None:
            await self.send_all(wire)
            return
        try:
            await self._stream.send_all(memoryview(wire)[taken:])
        finally:
            self._rest_sent = None
            rest_sent.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Cancelled, it leaves part of a message behind: the connection is finished then."""
        async with self._sending:
            if self._rest_sent is not None:
                await self._rest_sent.wait()
            await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until there is room. Waits for the sender at work, too."""
        async with self._sending:
            await self._stream.wait_send_all_might_not_block()

    # Receiving.

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """What has come, empty at the end. Does not return while reading is held up, nor bytes after `discard`."""
        try:
            while True:
                data = await self._stream.receive_some(max_bytes)
                if not self._reading.is_set():
                    await self._reading.wait()
                if not data or not self._is_discarding:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end()
            raise
        if data and self.ends_after_bytes is not None:
            self.ends_after_bytes -= len(data)
            if self.ends_after_bytes < 0:
                data = b""
        if not data:
            self._end()
        elif len(self.head) < _HEAD_BYTES:
            self.head += data[:_HEAD_BYTES]
        return data

    def hold(self) -> None:
        """Give nothing to the reader until `release`: no message is seen and no ping answered."""
        self._reading = trio.Event()

    def release(self) -> None:
        """Read on."""
        self._reading.set()

    def discard(self) -> None:
        """From now on the reader sees nothing but the end.

        The bytes are taken and thrown away. For the service that is what the receive buffer of a lost phone looks like
        (these few KB would fit into it), and behind unread bytes the end could not be seen.
        """
        self._is_discarding = True

    def limit_receive_buffer(self, size_bytes: int) -> None:
        """Have the kernel keep little of what is not read. Without effect where there is no socket."""
        tcp = self._tcp()
        if tcp is not None:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)

    # The end.

    async def aclose(self) -> None:
        """Close, with TLS's own goodbye where there is TLS."""
        self._end()
        await self._stream.aclose()

    async def abort(self) -> None:
        """Cut the connection off: a reset instead of an end, where there is a socket. Does not wait."""
        tcp = self._tcp()
        if tcp is not None and tcp.fileno() >= 0:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        self._end()
        await trio.aclose_forcefully(self._stream)

    def _end(self) -> None:
        self.ended = True
        on_end, self.on_end = self.on_end, None
        self._reading.set()
        if on_end is not None:
            on_end()

    def _tcp(self) -> trio.socket.SocketType | ssl.SSLSocket | None:
        return self._stream.socket if isinstance(self._stream, trio.SocketStream | TlsStream) else None
