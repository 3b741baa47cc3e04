"""One connection to the service: dial, upgrade, whole messages both ways, the end.

trio-websocket does the upgrade, reads, and answers pings and closes. What it leaves to its user is done here:

* a send that was cancelled or failed leaves a connection that looks open and is dead: it is never used again;
* an upgrade whose answer is EOF would be waited for forever;
* it leaves the transport open where the service closes first: the one who dialed closes it, in `with_connection`.
"""

import errno
import http
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11
import trio
import trio_websocket
import wsproto.utilities

from loadtest.record import Ending
from loadtest.transport import Transport
from service.dialing import dial
from service.groups import leaves

CLOSE_LIMIT_S: Final = 2.0  # for the closing handshake; nothing is lost when it does not come

# Messages that may wait while one is looked at, a few KiB each. A full queue stops the library's reader, and with it
# the answers to pings.
_QUEUE_MESSAGES: Final = 64
_RECEIVE_BYTES: Final = 16 * 1024
_ABNORMAL: Final = 1006  # what the library says where no close frame came
_MAX_ANSWER_BYTES: Final = 64 * 1024  # to the upgrade: a page of HTML at most
# What the library's reader raises for bytes that are neither HTTP nor WebSocket.
_NOT_A_WEBSOCKET: Final = (wsproto.utilities.ProtocolError, h11.ProtocolError)
# A connection that failed for want of these has failed here, and says nothing about the service.
_OWN_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
LOAD_TESTER_FAILED: Final = "the load tester failed"
"""How the problem of a stream begins that is our own fault: it makes the run invalid."""
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})\b")

Dial = Callable[[str], Awaitable[trio.abc.Stream]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where and how to connect; the same for all phones."""

    url: str
    """The full `ws://` or `wss://` address of the stream."""
    get_token: Callable[[], str | None]
    """Called at each dial."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """Further headers of the upgrade."""
    dial: Dial = dial
    """How a connection is made: TCP, and TLS for `wss`."""


@dataclass(frozen=True, slots=True)
class NoConnection:
    """Why there was no connection."""

    ending: Ending
    problem: str
    http_status: int | None = None


class ConnectionLost(Exception):
    """The connection is gone. The code of the service's close frame, None without one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class Connection:
    """A connection after its upgrade."""

    def __init__(self, transport: Transport, connection: trio_websocket.WebSocketConnection) -> None:
        self.transport = transport
        self.is_usable = True
        """Whether anything can still be sent."""
        self.connect_s = 0.0
        self.upgrade_s = 0.0
        self._connection = connection
        self._sending = trio.CancelScope()

    async def receive(self) -> str | bytes:
        """The next message. Raises ConnectionLost when there is none any more. Cancelled, it loses nothing."""
        try:
            message: str | bytes = await self._connection.get_message()
        except trio_websocket.ConnectionClosed as closed:
            code = None if closed.reason is None else int(closed.reason.code)
            raise ConnectionLost(None if code == _ABNORMAL else code) from None
        return message

    async def send(self, message: str | bytes, limit_s: float) -> None:
        """Send a whole message, shielded from cancellation for at most `limit_s`.

        Raises ConnectionLost, and trio.TooSlowError when the service does not read; the connection is not usable then.
        """
        await self._whole(lambda: self._connection.send_message(message), limit_s)

    async def send_raw(self, wire: bytes, limit_s: float) -> None:
        """As `send`, for bytes that are no message, or several."""
        await self._whole(lambda: self.transport.send_all(wire), limit_s)

    def send_now(self, wire: bytes) -> int:
        """See `Transport.send_now`. Raises ConnectionLost."""
        if not self.is_usable or self._connection.closed is not None:
            self.is_usable = False
            raise ConnectionLost
        try:
            return self.transport.send_now(wire)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.is_usable = False
            raise ConnectionLost from None

    def hurry(self, limit_s: float) -> None:
        """A send that is under way has no more than this left."""
        self._sending.deadline = min(self._sending.deadline, trio.current_time() + limit_s)

    async def send_rest(self, wire: bytes, taken: int, limit_s: float) -> None:
        """As `send`, for what `send_now` left."""
        await self._whole(lambda: self.transport.send_rest(wire, taken), limit_s)

    async def _whole(self, send: Callable[[], Awaitable[None]], limit_s: float) -> None:
        if not self.is_usable:
            raise ConnectionLost
        with trio.CancelScope(shield=True, deadline=trio.current_time() + limit_s) as sending:
            self._sending = sending
            try:
                await send()
            except (trio_websocket.ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
                self.is_usable = False
                raise ConnectionLost from None
        if sending.cancelled_caught:
            self.is_usable = False
            raise trio.TooSlowError
        await trio.lowlevel.checkpoint_if_cancelled()

    async def close(self) -> None:
        """Close in order where that is still possible, for at most CLOSE_LIMIT_S."""
        self.is_usable = False
        with trio.move_on_after(CLOSE_LIMIT_S):
            await self._connection.aclose()


async def with_connection(
    target: Target, connect_limit_s: float, use: Callable[[Connection], Awaitable[None]], token: str | None
) -> NoConnection | None:
    """Dial, have the connection used, and close it. Returns None, or why there was none.

    Raises what `use` raises, in a group. Cancelled, it closes the connection without a word.
    """
    call = _Dialed(target, connect_limit_s, token)
    try:
        async with trio.open_nursery() as nursery:  # the library's reader lives here
            connection = await call.dial(nursery)
            if connection is not None:
                await use(connection)
                await connection.close()
            nursery.cancel_scope.cancel()
    except* trio_websocket.ConnectionRejected as rejections:
        call.note_rejection(rejections.exceptions[0])
    except* _NOT_A_WEBSOCKET as errors:
        call.note_nonsense(next(leaves(errors)))
    finally:
        if call.transport is not None:
            await trio.aclose_forcefully(call.transport)
    return call.no_connection


class _Dialed:
    """The steps to a connection, and why it did not come to be."""

    def __init__(self, target: Target, limit_s: float, token: str | None) -> None:
        self.transport: Transport | None = None
        self.no_connection: NoConnection | None = None
        self._target = target
        self._limit_s = limit_s
        self._token = token

    async def dial(self, nursery: trio.Nursery) -> Connection | None:
        url = self._target.url
        began_s = trio.current_time()
        doing = "connection"
        try:
            with trio.fail_after(self._limit_s):
                transport = self.transport = Transport(await self._target.dial(url))
                connected_s = trio.current_time()
                doing = "answer to the WebSocket upgrade"
                connection = await self._upgrade(nursery, transport)
        except trio.TooSlowError:
            status = None if self.transport is None else status_of(self.transport.head)
            if status is None or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                self._fail(f"no {doing} within {self._limit_s:g} s")
            else:  # the page that comes with it has no end
                self._refuse(status)
        except ssl.SSLError as error:
            self._fail(f"TLS failed: {error.reason or error}")
        except (OSError, trio.BrokenResourceError) as error:
            if is_our_own(error):
                self._fail_here(root_of(error))
                return None
            self._fail(f"cannot be reached: {root_of(error)}", separator=" ")
        else:
            if connection is not None:
                line = Connection(transport, connection)
                line.connect_s = connected_s - began_s
                line.upgrade_s = trio.current_time() - connected_s
                return line
            self._note_end(transport)
        return None

    async def _upgrade(self, nursery: trio.Nursery, transport: Transport) -> trio_websocket.WebSocketConnection | None:
        """The upgraded connection; None when the transport ended first, of which the library would not tell."""
        headers = list(self._target.headers)
        if self._token is not None:
            headers.append((b"Authorization", b"Bearer " + self._token.encode()))
        with trio.CancelScope() as upgrading:
            transport.on_end = upgrading.cancel
            transport.ends_after_bytes = _MAX_ANSWER_BYTES
            connection = await trio_websocket.wrap_client_stream(
                nursery,
                transport,  # type: ignore[arg-type]  # any stream will do
                urlsplit(self._target.url).netloc,
                urlsplit(self._target.url).path,
                extra_headers=headers,
                message_queue_size=_QUEUE_MESSAGES,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            transport.on_end = transport.ends_after_bytes = None
            return connection
        return None

    def note_rejection(self, rejection: BaseException) -> None:
        assert isinstance(rejection, trio_websocket.ConnectionRejected)  # noqa: S101 - raised by the reader, not nested
        retry_after = dict(rejection.headers).get(b"retry-after")
        self._refuse(rejection.status_code, f" (Retry-After: {retry_after.decode('latin-1')})" if retry_after else "")

    def note_nonsense(self, error: BaseException) -> None:
        """The answer to the upgrade, or what came after it, is not what such an answer can be."""
        cause = error.__context__ or error  # the library fails once more while it handles what was wrong
        problem = f"{self._target.url} answered with what is no WebSocket ({cause})"
        self.no_connection = NoConnection(Ending.PROTOCOL, problem)

    def _note_end(self, transport: Transport) -> None:
        status = status_of(transport.head)
        if status is not None:
            self._refuse(status)
        else:
            self._fail("the connection ended before the answer to the WebSocket upgrade")

    def _refuse(self, status: int, hint: str = "") -> None:
        problem = f"{self._target.url} answered HTTP {status} instead of opening a WebSocket{hint}"
        self.no_connection = NoConnection(Ending.REFUSED, problem, status)

    def _fail_here(self, error: BaseException) -> None:
        cause = str(error)
        if isinstance(error, OSError) and error.errno == errno.EMFILE:
            cause = f"{error.strerror} (see `ulimit -n`)"
        self.no_connection = NoConnection(Ending.FAILED, f"{LOAD_TESTER_FAILED}: {cause}")

    def _fail(self, problem: str, separator: str = ": ") -> None:
        self.no_connection = NoConnection(Ending.UNREACHABLE, f"{self._target.url}{separator}{problem}")


def status_of(head: bytes) -> int | None:
    """The status in the first bytes of an HTTP answer, None when they are something else."""
    found = _STATUS_LINE.match(head)
    return None if found is None else int(found[1])


def is_our_own(error: BaseException) -> bool:
    """Whether a connection did not come about for want of something on this machine, at every address of a name."""
    causes = leaves(error.__cause__) if isinstance(error.__cause__, BaseExceptionGroup) else [root_of(error)]
    return all(isinstance(cause, OSError) and cause.errno in _OWN_ERRNOS for cause in causes)


def root_of(error: BaseException) -> BaseException:
    """What the system said: Trio tries every address of a name and groups what became of it."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return error
