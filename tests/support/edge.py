"""The edge on a free port of this machine, and clients that say exactly what a test wants said.

Real sockets: every use stands under `trio.fail_after`, and none of these tests may take `autojump_clock`.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import trio
import wsproto
from hypercorn.typing import ASGIFramework
from quart_trio import QuartTrio
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, RejectConnection, Request, TextMessage
from wsproto.utilities import LocalProtocolError

from service.deps import Deps
from service.edge.http import HttpServer
from service.edge.listener import Edge, open_listeners
from service.settings import Settings
from service.web.app import create_app
from service.web.echo import is_quiet

HANG_S = 20
"""A hang guard: no test needs a second of it."""


@dataclass
class Running:
    """An edge that accepts."""

    port: int
    edge: Edge
    http: HttpServer
    deps: Deps
    app: QuartTrio
    nursery: trio.Nursery
    """Where the edge runs: cancelling it stops the edge."""


def make_deps(**settings: Any) -> Deps:
    """Parts of their own, already serving."""
    deps = Deps.from_settings(Settings(**settings))
    deps.lifecycle.serve()
    return deps


@contextlib.asynccontextmanager
async def running_edge(
    deps: Deps, app: QuartTrio | None = None, *, hang_s: float = HANG_S, send_buffer_bytes: int | None = None
) -> AsyncIterator[Running]:
    """Serves the application until the end of the `async with`, which closes every connection.

    With `send_buffer_bytes` the kernel takes little of what a client does not read.
    """
    app = app or create_app(deps)
    http = HttpServer(_asgi(app), deps.settings, deps.lifecycle, is_quiet=is_quiet)
    edge = Edge(deps, http)
    try:
        with trio.fail_after(hang_s):
            async with http.running(), trio.open_nursery() as nursery:
                listeners = await open_listeners("127.0.0.1", 0)
                if send_buffer_bytes is not None:  # what is accepted inherits it
                    for listener in listeners:
                        listener.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_SNDBUF, send_buffer_bytes)
                addresses = await nursery.start(edge.serve, listeners)
                yield Running(addresses[0][1], edge, http, deps, app, nursery)
                nursery.cancel_scope.cancel()
    finally:
        while _opened:
            _opened.pop().socket.close()


def _asgi(app: QuartTrio) -> ASGIFramework:
    return app


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that happens in the kernel or behind it, and so has no event of its own."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.005)


async def open_stream(port: int, *, receive_buffer_bytes: int | None = None) -> trio.SocketStream:
    """A connection to the edge, closed with it at the latest."""
    socket = trio.socket.socket()
    if receive_buffer_bytes is not None:
        socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, receive_buffer_bytes)
    try:
        await socket.connect(("127.0.0.1", port))
        stream = trio.SocketStream(socket)
    except BaseException:
        socket.close()
        raise
    _opened.append(stream)
    return stream


_opened: list[trio.SocketStream] = []


@dataclass
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def envelope(self) -> Any:
        """The body, which must be JSON."""
        return msgspec.json.decode(self.body)


@dataclass
class HttpClient:
    """One connection on which requests go one after the other."""

    stream: trio.SocketStream
    buffer: bytearray = field(default_factory=bytearray)

    @classmethod
    async def connect(cls, port: int) -> "HttpClient":
        return cls(await open_stream(port))

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def request(self, method: str, target: str, headers: Iterable[str] = (), body: bytes = b"") -> Reply:
        lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        await self.send("\r\n".join([*lines, "", ""]).encode() + body)
        return await self.reply(has_body=method != "HEAD")

    async def reply(self, *, has_body: bool = True) -> Reply:
        """The next response. Raises EOFError when the connection ends before it is complete."""
        while b"\r\n\r\n" not in self.buffer:
            await self._more()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0")) if has_body else 0
        self.buffer[:] = rest
        while len(self.buffer) < length:
            await self._more()
        body = bytes(self.buffer[:length])
        del self.buffer[:length]
        return Reply(int(status.split()[1]), headers, body)

    async def ended(self) -> bool:
        """Whether the server has ended the connection; waits until it has, or sends something."""
        try:
            return not await self.stream.receive_some()
        except trio.BrokenResourceError:
            return True

    async def _more(self) -> None:
        data = await self.stream.receive_some()
        if not data:
            raise EOFError(bytes(self.buffer))
        self.buffer += data


async def get(port: int, target: str, headers: Iterable[str] = ()) -> Reply:
    """One GET on a connection of its own."""
    client = await HttpClient.connect(port)
    async with client.stream:
        return await client.request("GET", target, headers)


class Closed(Exception):
    """The server has closed a WebSocket, with this code (None: without a close frame)."""

    def __init__(self, code: int | None, reason: str | None = None) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class WsClient:
    """A WebSocket client whose every byte can be had. Ping frames are answered unless `answers_pings` is off."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.protocol = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self.pings = 0
        self._writing = trio.Lock()
        self.accepted: AcceptConnection | None = None

    @classmethod
    async def connect(
        cls, port: int, target: str = "/test-ws", *, receive_buffer_bytes: int | None = None, **options: Any
    ) -> "WsClient":
        """Connects. Raises RejectedUpgrade when the server answers otherwise than with 101."""
        self = cls(await open_stream(port, receive_buffer_bytes=receive_buffer_bytes))
        await self._write(self.protocol.send(Request(host="localhost", target=target, **options)))
        event = await self._event()
        if isinstance(event, RejectConnection):
            await self.stream.aclose()
            raise RejectedUpgrade(event.status_code, {name.decode(): value.decode() for name, value in event.headers})
        assert isinstance(event, AcceptConnection)
        self.accepted = event
        return self

    async def send(self, message: bytes | str) -> None:
        event = BytesMessage(data=message) if isinstance(message, bytes) else TextMessage(data=message)
        await self._write(self.protocol.send(event))

    async def send_json(self, **fields: Any) -> None:
        await self.send(msgspec.json.encode(fields).decode())

    async def receive(self) -> bytes | str:
        """The next message. Raises Closed."""
        whole: bytes | str | None = None
        while True:
            event = await self._event()
            if isinstance(event, TextMessage | BytesMessage):
                data = event.data if isinstance(event.data, str) else bytes(event.data)
                whole = data if whole is None else whole + data  # type: ignore[operator]
                if event.message_finished:
                    return whole
            elif isinstance(event, CloseConnection):
                with contextlib.suppress(trio.BrokenResourceError):
                    await self._write(self.protocol.send(event.response()))
                raise Closed(event.code, event.reason)

    async def receive_json(self) -> Any:
        return msgspec.json.decode(await self.receive())

    async def echoes(self, message: bytes | str) -> bool:
        """Whether a message comes back from `/test-ws?raw=1`."""
        await self.send(message)
        return await self.receive() == message

    async def close(self, code: int = 1000) -> int | None:
        """The closing handshake; the code that the server answers with, None when it drops the connection."""
        await self._write(self.protocol.send(CloseConnection(code=code)))
        try:
            while True:
                event = await self._event()
                if isinstance(event, CloseConnection):
                    return event.code
        except Closed as closed:
            return closed.code
        finally:
            await self.stream.aclose()

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            await self.stream.send_all(data)

    async def _event(self) -> wsproto.events.Event:
        while True:
            for event in self.protocol.events():
                if isinstance(event, Ping):
                    self.pings += 1
                    with contextlib.suppress(LocalProtocolError):  # we are closing
                        await self._write(self.protocol.send(event.response()))
                else:
                    return event
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                raise Closed(None) from None
            if not data:
                raise Closed(None)
            self.protocol.receive_data(data)


class RejectedUpgrade(Exception):
    """The upgrade got an ordinary HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        super().__init__(status, headers)
        self.status = status
        self.headers = headers


UPGRADE_HEAD = (
    b"GET %b HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
"""An upgrade as bytes; the target goes where `%b` is."""
