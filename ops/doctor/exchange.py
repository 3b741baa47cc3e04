"""One request on a connection of its own, and its answer, also the one to a WebSocket upgrade.

`h11` reads the answer for both, so that a refused upgrade shows as much as a page: libraries for WebSockets keep the
status and drop the headers and the body, which tell who refused, and why.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import h11
import trio
from websockets.protocol import Side
from websockets.utils import accept_key, generate_key

from ops.doctor.address import host_header
from ops.doctor.stage import Context
from service.dialing import connect_tls
from service.websocket.websocket import WebSocket, WebSocketEnded
from service.websocket.wire import Wire

ANSWER_S: Final = 15.0
"""From dialing to the head of the answer: a gateway that starts an instance takes seconds."""
MAX_BODY_BYTES: Final = 16 * 1024
"""What is read of a body: enough to know who wrote it."""
MAX_MESSAGE_BYTES: Final = 2**20
_BODY_S: Final = 2.0
_SEND_S: Final = 5.0
_CLOSE_S: Final = 1.0
_READ_BYTES: Final = 65536
_SWITCHING: Final = 101

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    """Its beginning."""
    http_version: str
    took_s: float
    """From dialing to the end of the head."""

    def header(self, name: str) -> str:
        """The first value of a header, "" without one."""
        return next((value for found, value in self.headers if found == name), "")

    @property
    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode("utf-8", errors="replace")


class NoAnswer(Exception):
    """There was no HTTP answer. `kind` is "refused", "unreachable", "tls", "closed", "not_http" or "timeout"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class Opened:
    """An open WebSocket; `answer` is the 101."""

    def __init__(self, answer: Answer, stream: trio.abc.Stream, early: bytes, *, is_key_right: bool) -> None:
        self.answer = answer
        self.is_key_right = is_key_right
        self._wire = Wire(Side.CLIENT, MAX_MESSAGE_BYTES)
        self._socket = WebSocket(stream, self._wire, early=early, send_s=_SEND_S)
        self._waiting: list[bytes | str] = []

    async def send(self, message: bytes | str) -> None:
        """Send one message. Raises WebSocketEnded, and WriteTooSlow after 5 s."""
        if not self._socket.is_sendable:
            await trio.lowlevel.checkpoint()
            raise WebSocketEnded
        await self._socket.send(self._wire.encode(message), shield=False)

    async def receive(self) -> bytes | str:
        """The next message. Raises WebSocketEnded with the close code, None without a close frame."""
        if not self._waiting:
            self._waiting = await self._socket.receive()
        return self._waiting.pop(0)

    async def close(self) -> None:
        """Say goodbye and wait for the answer, for 1 s at most."""
        await self._socket.close(1000, "", _CLOSE_S)


async def get(
    context: Context, path: str, *, plain_port: int | None = None, upgrade: bool = False, limit_s: float | None = None
) -> Answer:
    """The answer to a GET; redirects are not followed. `upgrade` asks for a WebSocket, and drops the one it gets.

    With `plain_port` the request goes there without TLS. Takes ANSWER_S at most, or `limit_s`. Raises NoAnswer.
    Cancelled, it leaves nothing open.
    """
    headers = _upgrade_headers(generate_key(), (), with_deflate=False) if upgrade else [("Connection", "close")]
    async with _asked(context, path, headers, plain_port, limit_s) as (answer, _, _):
        return answer


@contextlib.asynccontextmanager
async def upgraded(
    context: Context,
    path: str,
    *,
    subprotocols: Sequence[str] = (),
    with_deflate: bool = False,
    limit_s: float | None = None,
) -> AsyncIterator[Opened | Answer]:
    """The WebSocket at a path, or the answer that refused it. Raises NoAnswer. Closed at the end."""
    key = generate_key()
    headers = _upgrade_headers(key, subprotocols, with_deflate=with_deflate)
    async with _asked(context, path, headers, None, limit_s) as (answer, stream, early):
        if answer.status != _SWITCHING:
            yield answer
            return
        is_key_right = answer.header("sec-websocket-accept") == accept_key(key)
        opened = Opened(answer, stream, early, is_key_right=is_key_right)
        try:
            yield opened
        finally:
            if opened.is_key_right:
                with trio.move_on_after(_CLOSE_S, shield=True):
                    await opened.close()


def path_of(context: Context, path: str) -> str:
    """A path of the gateway under the target's prefix."""
    return context.target.prefix + path


@contextlib.asynccontextmanager
async def _asked(
    context: Context, path: str, headers: Headers, plain_port: int | None, limit_s: float | None
) -> AsyncIterator[tuple[Answer, trio.abc.Stream, bytes]]:
    limit_s = ANSWER_S if limit_s is None else limit_s
    target = context.target
    is_secure = target.is_secure and plain_port is None
    port = plain_port or target.port
    began = trio.current_time()
    stream: trio.abc.Stream | None = None
    try:
        with _explained(limit_s), trio.fail_after(limit_s):
            if is_secure:
                tls = context.tls
                if tls is None:
                    tls = await trio.to_thread.run_sync(ssl.create_default_context)
                stream = await connect_tls(target.host, port, tls)
            else:
                stream = await trio.open_tcp_stream(target.host, port)
            connection = h11.Connection(h11.CLIENT)
            named = [("Host", host_header(target.host, port, is_secure=is_secure)), ("User-Agent", "voice-doctor")]
            request = h11.Request(method="GET", target=path, headers=[*named, *headers])
            await stream.send_all((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
            answer = await _read(stream, connection, began)
        yield answer, stream, bytes(connection.trailing_data[0])
    finally:
        if stream is not None:
            await trio.aclose_forcefully(stream)


async def _read(stream: trio.abc.Stream, connection: h11.Connection, began: float) -> Answer:
    """The answer, or what came of it before the body was late. Raises h11.RemoteProtocolError."""
    head: h11.Response | h11.InformationalResponse | None = None
    took_s = 0.0
    body = b""
    with trio.CancelScope() as waiting:
        while len(body) < MAX_BODY_BYTES:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
            elif isinstance(event, h11.InformationalResponse) and event.status_code != _SWITCHING:
                continue
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                head = event
                took_s = trio.current_time() - began
                waiting.deadline = trio.current_time() + _BODY_S
                if event.status_code == _SWITCHING:
                    break
            elif isinstance(event, h11.Data):
                body += event.data
            else:  # the end of the message, or of the connection
                break
    if head is None:
        raise h11.RemoteProtocolError("closed without an answer")
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
    version = head.http_version.decode("ascii")
    return Answer(head.status_code, headers, body[:MAX_BODY_BYTES], version, took_s)


@contextlib.contextmanager
def _explained(limit_s: float) -> Iterator[None]:
    try:
        yield
    except trio.TooSlowError:
        raise NoAnswer("timeout", f"no answer within {limit_s:g} s") from None
    except h11.RemoteProtocolError as error:
        kind = "closed" if "without" in str(error) or "peer" in str(error) else "not_http"
        raise NoAnswer(kind, str(error)) from None
    except trio.BrokenResourceError:
        raise NoAnswer("closed", "the connection was reset") from None
    except ssl.SSLError as error:
        raise NoAnswer("tls", error.reason or str(error)) from None
    except OSError as error:
        cause = error.__cause__ if isinstance(error.__cause__, BaseException) else error
        is_refused = "refused" in str(error).lower() or "refused" in str(cause).lower()
        raise NoAnswer("refused" if is_refused else "unreachable", str(error)) from None


def _upgrade_headers(key: str, subprotocols: Sequence[str], *, with_deflate: bool) -> list[tuple[str, str]]:
    headers = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    if subprotocols:
        headers.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if with_deflate:
        headers.append(("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"))
    return headers
