"""TLS over a non-blocking socket, by the standard library's own C code, as a Trio stream.

`trio.SSLStream` works over any stream, at a price: what it encrypts goes through buffers of Python's and through the
checkpoints and locks of two streams, about 100 µs for a frame of audio. Over a socket OpenSSL reads and writes itself;
here is only the waiting. `write_now` does without that too.
"""

import contextlib
import functools
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import trio

T = TypeVar("T")
_READ_BYTES: Final = 65536
_RECORD_BYTES: Final = 16384
"""What one read can give at most: a record (RFC 8446 section 5.1)."""


class TlsStream(trio.abc.Stream):
    """The client's side of a TLS connection over a connected TCP socket, which it owns."""

    def __init__(self, connected: trio.SocketStream, context: ssl.SSLContext, server_hostname: str) -> None:
        """Takes the socket over. `do_handshake` comes next; whatever happens then, the caller closes this.

        Raises OSError when the other side has reset the connection already; nothing is left open then.
        """
        family, kind, proto = connected.socket.family, connected.socket.type, connected.socket.proto
        raw = socket.socket(family, kind, proto, fileno=connected.socket.detach())
        raw.setblocking(False)
        try:
            raw.getpeername()  # `wrap_socket` finds that out too, and leaves the socket to the garbage collector
        except OSError:
            raw.close()
            raise
        self._socket = context.wrap_socket(raw, server_hostname=server_hostname, do_handshake_on_connect=False)
        self._is_sending = False
        self._is_receiving = False
        self._is_cut = False  # a record may have been sent in part: OpenSSL would take what comes next for the rest

    @property
    def socket(self) -> ssl.SSLSocket:
        """For its options; who reads or writes it goes behind the back of the stream."""
        return self._socket

    async def do_handshake(self) -> None:
        """Shake hands. Raises ssl.SSLError, ssl.SSLCertVerificationError included, and trio.BrokenResourceError."""
        try:
            await self._retried(self._socket.do_handshake)
        except ssl.SSLError:
            raise
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send everything. Raises trio.BrokenResourceError.

        Cancelled, part of it may have been sent: nothing more can be, and it raises trio.BrokenResourceError from then.
        """
        with self._alone("_is_sending"):
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            left = memoryview(data)
            self._is_cut = True
            while left:
                try:
                    left = left[await self._retried(functools.partial(self._socket.send, left)) :]
                except (OSError, ValueError) as error:
                    raise self._broken(error) from error
            self._is_cut = False

    def write_now(self, data: bytes) -> int:
        """Write without waiting, and return how many bytes were taken; raises trio.BrokenResourceError.

        When they are not all, OpenSSL may have begun with the next ones: what is sent next must begin with the rest.
        Raises trio.BusyResourceError while another task is sending.
        """
        if self._is_sending:
            raise trio.BusyResourceError("another task is using this stream")
        if self._is_cut:
            self._check_sendable()
        try:
            return self._socket.write(data)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    def fileno(self) -> int:
        """Of the socket; -1 when it is closed."""
        return self._socket.fileno()

    def read_now(self) -> bytes | None:
        """What is there, b"" at the end, None when there is nothing yet. Raises as `receive_some`."""
        try:
            return self._socket.read(_RECORD_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """What has come, after waiting for something; b"" at the end, also when TLS itself was not ended.

        Raises trio.BrokenResourceError. Cancelled, it has taken nothing.
        """
        if max_bytes is not None and max_bytes < 1:
            raise ValueError("max_bytes must be 1 or more")
        with self._alone("_is_receiving"):
            await trio.lowlevel.checkpoint()
            self._check_open()
            try:
                return await self._retried(lambda: self._socket.recv(max_bytes or _READ_BYTES))
            except (OSError, ValueError) as error:
                raise self._broken(error) from error

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the kernel has room."""
        with self._alone("_is_sending"):
            await trio.lowlevel.checkpoint()
            self._check_open()
            await trio.lowlevel.wait_writable(self._socket)

    async def aclose(self) -> None:
        """Tell the other side that TLS ends, without waiting for its answer, and close."""
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._socket.fileno() == -1:
            return
        if not self._is_sending:  # else the notice would be written into the middle of a record
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    async def _retried(self, operation: Callable[[], T]) -> T:
        """Try until the socket has what it takes. OpenSSL wants the same call again after each wait."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                await trio.lowlevel.wait_readable(self._socket)
            except ssl.SSLWantWriteError:
                await trio.lowlevel.wait_writable(self._socket)

    @contextlib.contextmanager
    def _alone(self, flag: str) -> Iterator[None]:
        if getattr(self, flag):
            raise trio.BusyResourceError("another task is using this stream")
        setattr(self, flag, True)
        try:
            yield
        finally:
            setattr(self, flag, False)

    def _check_open(self) -> None:
        if self._socket.fileno() == -1:
            raise trio.ClosedResourceError

    def _check_sendable(self) -> None:
        self._check_open()
        if self._is_cut:
            raise trio.BrokenResourceError("a send was given up in the middle")

    def _broken(self, error: Exception) -> Exception:
        return trio.ClosedResourceError() if self._socket.fileno() == -1 else trio.BrokenResourceError(str(error))
