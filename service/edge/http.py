"""Everything that is not voice: each connection is served by Hypercorn's own connection server.

`hypercorn.trio.tcp_server.TCPServer` and what it needs are private; the version is pinned to 0.18.* and
tests/edge/test_hypercorn_contract.py fails when something that is relied on here has changed. What is changed of its
behavior, for every request of a connection, the ones after the first included:

* permessage-deflate is never negotiated: it inflates without a bound, and PCM does not compress;
* HTTP/2 is not spoken (see head.py);
* an upgrade is refused with 503 while the process drains;
* the tasks that send pings and close idle connections end with their connection, not up to 10 s later;
* a reader that waits for an answer which cannot be written any more does not wait forever;
* a message over the limit is dropped as it comes. Hypercorn goes on collecting it after it has closed with 1009.
"""

import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import FrameTooLargeError, WebsocketBuffer, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGISendCallable,
    ConnectionState,
    LifespanState,
    Scope,
)
from hypercorn.utils import LifespanFailureError, LifespanTimeoutError
from wsproto.events import Message

from service.edge.answers import retry_after_s
from service.edge.connection import CONNECTION_KEY, Connection
from service.edge.head import MAX_HEAD_BYTES, is_target
from service.lifecycle import Lifecycle, Phase
from service.settings import MAX_MESSAGE_BYTES, Settings

PING_INTERVAL_S: Final = 10
"""Under half of the 25 s without a byte after which a client counts as gone, so that one lost ping is no end."""
_KEEP_ALIVE_S: Final = 5
"""How long a connection may be idle between two requests."""
_BODY_SILENCE_S: Final = 60
"""How long a plain HTTP client may send nothing while its request lasts; longer than the longest request takes."""
_STARTUP_S: Final = 30
_SHUTDOWN_S: Final = 10
_IDLE_TASK_S: Final = 1.0
"""For starting or stopping the idle timer: a lock that nobody holds for longer than the start of a task."""
_OVERSIZE_S: Final = 2.0
"""How long a client may go on with a message that was refused with 1009: what it had sent before it knew."""


class LifespanFailed(Exception):
    """The application could not be started or stopped."""


class HttpServer:
    """Serves connections with one ASGI application, between the `async with running()` of its lifespan."""

    def __init__(
        self,
        app: ASGIFramework,
        settings: Settings,
        lifecycle: Lifecycle,
        *,
        is_quiet: Callable[[str], bool] = lambda target: False,
    ) -> None:
        """`is_quiet` tells by the request target which WebSockets get no pings from the server."""
        self._app = app
        self._lifecycle = lifecycle
        self._is_quiet = is_quiet
        self._plain = make_config(settings, read_timeout=_BODY_SILENCE_S)
        self._single = make_config(settings, read_timeout=_BODY_SILENCE_S, keep_alive_max_requests=0)
        self._upgrade = make_config(settings)
        self._quiet = make_config(settings, websocket_ping_interval=None)
        self._state = LifespanState({})
        self._context = WorkerContext(None)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The application's lifespan: started on entry, stopped at the end. Raises LifespanFailed when either fails.

        Cancelled, the application is not told to stop.
        """
        lifespan = _Lifespan(Lifespan(ASGIWrapper(self._app), self._plain, self._state))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lifespan.run, name="application lifespan")
            await lifespan.start()
            yield
            await lifespan.stop()

    async def serve_connection(self, connection: Connection, target: str, *, upgrade: bool, single: bool) -> None:
        """Serves one connection until it ends. `connection` replays what was read of it, from its first byte on.

        `target` and `upgrade` are those of the first request; with `single` no second one is taken. The socket is left
        open for `Connection.linger`. Raises whatever Hypercorn lets escape: a malformed frame is enough, so the caller
        contains it. Cancelled, it ends at once, unless a write is stuck: that ends with `Connection.abort`.
        """
        if upgrade:
            config = self._quiet if self._is_quiet(target) else self._upgrade
        else:
            config = self._single if single else self._plain
        wrapper = ASGIWrapper(cast(ASGIFramework, _ForConnection(self._app, connection, self._lifecycle)))
        state = cast(LifespanState, ConnectionState(self._state.copy()))
        await _Server(wrapper, config, self._context, state, cast(Any, connection)).run()

    async def close_idle(self) -> None:
        """Connections that wait for their next request are closed at once, those in a request when it is answered.

        Connections that are opened later are served as ever, so that health checks are answered during a drain.
        """
        context, self._context = self._context, WorkerContext(None)
        await context.terminated.set()


def make_config(settings: Settings, **options: object) -> Config:
    """Hypercorn's settings. Its own object keeps unknown names silently: here they are an AttributeError."""
    config = Config()
    everything: dict[str, object] = {
        "accesslog": None,
        "errorlog": None,  # its lines hold texts of exceptions; the guard of each connection logs without them
        "h11_max_incomplete_size": MAX_HEAD_BYTES,
        "include_server_header": False,
        "keep_alive_timeout": _KEEP_ALIVE_S,
        "shutdown_timeout": _SHUTDOWN_S,
        "startup_timeout": _STARTUP_S,
        # The stream endpoint answers what is over MAX_MESSAGE_BYTES in-band; this is the bound behind it.
        "websocket_max_message_size": max(4 * MAX_MESSAGE_BYTES, settings.test_ws_max_bytes),
        "websocket_ping_interval": PING_INTERVAL_S,
        **options,
    }
    for name, value in everything.items():
        getattr(config, name)
        setattr(config, name, value)
    return config


class _Lifespan:
    """Hypercorn's lifespan, which goes on without one when the application's fails, made strict."""

    def __init__(self, lifespan: Lifespan) -> None:
        self._lifespan = lifespan
        self._ended = trio.Event()
        self._error: BaseException | None = None

    async def run(self) -> None:
        """The application's lifespan task; returns when it has ended, however."""
        try:
            await self._lifespan.handle_lifespan()
        except* LifespanFailureError as group:
            self._error = group
        finally:
            self._ended.set()

    async def start(self) -> None:
        """Returns when the application is up. Raises LifespanFailed."""
        await self._step(self._lifespan.wait_for_startup)
        if self._lifespan.shutdown.is_set():  # Hypercorn sets both at the end, whatever the reason
            await self._ended.wait()
            raise LifespanFailed("the application did not start") from self._error

    async def stop(self) -> None:
        """Returns when the application has been stopped. Raises LifespanFailed."""
        if self._ended.is_set():
            raise LifespanFailed("the application's lifespan ended early") from self._error
        await self._step(self._lifespan.wait_for_shutdown)
        with trio.fail_after(_SHUTDOWN_S):
            await self._ended.wait()
        if self._error is not None:
            raise LifespanFailed("the application did not stop in order") from self._error

    async def _step(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except (LifespanTimeoutError, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LifespanFailed("the application's lifespan gave no answer") from error


class _ForConnection:
    """The ASGI application of one connection: it finds the connection in the scope."""

    def __init__(self, app: ASGIFramework, connection: Connection, lifecycle: Lifecycle) -> None:
        self._app = app
        self._connection = connection
        self._lifecycle = lifecycle

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket" and self._lifecycle.phase is Phase.DRAINING:
            headers = [
                (b"retry-after", str(retry_after_s()).encode()),
                (b"content-length", b"0"),
                (b"connection", b"close"),
            ]
            await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
            return
        cast(dict[str, object], scope)[CONNECTION_KEY] = self._connection
        await self._app(scope, receive, send)


class _Server(TCPServer):
    """Hypercorn's connection server, speaking our dialect of its protocol."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.reader_ended = trio.Event()

    async def _read_data(self) -> None:
        # Called once, when the protocol has been made and before anything is read.
        made = self.protocol.protocol
        if not isinstance(made, H11Protocol):  # only ALPN, which is TLS, chooses another one
            raise TypeError(type(made).__name__)
        self.protocol.protocol = _Protocol(
            made.app,
            made.config,
            made.context,
            made.task_group,
            made.connection_state,
            made.ssl,
            made.client,
            made.server,
            made.send,
        )
        self.protocol.protocol.abort = cast(Connection, self.stream).abort
        self.protocol.protocol.ping_clock = _PingClock(self.reader_ended)
        try:
            await super()._read_data()
        finally:
            self.reader_ended.set()
            with trio.move_on_after(_IDLE_TASK_S, shield=True):
                await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        # The application's task says that the connection is idle again just after it was told `http.disconnect`, on
        # which Quart-Trio cancels it: unshielded, the idle timer of kept connections would never start. It takes no
        # more than a lock and the start of a task.
        if isinstance(event, Updated) and self.reader_ended.is_set():
            return
        shielded = isinstance(event, Updated | Closed)
        with trio.CancelScope(deadline=trio.current_time() + _IDLE_TASK_S if shielded else math.inf, shield=shielded):
            await super().protocol_send(event)


class _Protocol(H11Protocol):
    """HTTP/1.1 and WebSocket, without what the module's text lists."""

    abort: Callable[[], None]
    ping_clock: "_PingClock"

    _reading: trio.CancelScope | None = None
    _closed = False

    async def handle(self, event: Event) -> None:
        """Takes what was read, or the news that the connection has ended.

        While a second request waits for the first one's answer, Hypercorn's reader sleeps until that is written. When
        writing it fails it would sleep forever, with its task, its socket and its place.
        """
        if isinstance(event, RawData):
            if not self._closed:
                with trio.CancelScope() as self._reading:
                    await super().handle(event)
            return
        await super().handle(event)
        if isinstance(event, Closed):
            self._closed = True
            if self._reading is not None and cast(Any, self.can_read)._event.statistics().tasks_waiting:
                self._reading.cancel()

    async def _check_protocol(self, event: h11.Request) -> None:
        """Where Hypercorn goes over to HTTP/2."""

    async def _create_stream(self, request: h11.Request) -> None:
        if not request.http_version.startswith(b"1.") or not is_target(request.target):
            await self._send_error_response(400 if request.http_version.startswith(b"1.") else 505)
            await self.send(Closed())
            return
        if any(name == b"sec-websocket-extensions" for name, _ in request.headers):
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=[(name, value) for name, value in request.headers if name != b"sec-websocket-extensions"],
                http_version=request.http_version,
            )
        await super()._create_stream(request)
        if isinstance(self.stream, WSStream):
            self.stream.context = cast(Any, self.ping_clock)
            self.stream.buffer = _BoundedBuffer(self.config.websocket_max_message_size, self.abort)


class _PingClock(WorkerContext):
    """For the task that sends pings: with Hypercorn's own it sleeps to the end of its interval after the connection has
    ended, and keeps the connection's place and its memory for that long."""

    def __init__(self, ended: trio.Event) -> None:
        super().__init__(None)
        self._ended = ended

    async def sleep(self, wait: float) -> None:  # type: ignore[override]
        """Sleeps, at most until nothing comes from the client any more."""
        with trio.move_on_after(wait):
            await self._ended.wait()


class _BoundedBuffer(WebsocketBuffer):
    """Collects the frames of a message, and nothing any more once it was too big."""

    def __init__(self, max_length: int, abort: Callable[[], None]) -> None:
        super().__init__(max_length)
        self._abort = abort
        self._refused_at: float | None = None

    def extend(self, event: "Message[Any]") -> None:
        """Raises FrameTooLargeError, which Hypercorn answers with 1009, also for everything that comes later."""
        now = trio.current_time()
        if self._refused_at is None and self.length + len(event.data) <= self.max_length:
            super().extend(event)
            return
        self.clear()
        if self._refused_at is None:
            self._refused_at = now
        elif now > self._refused_at + _OVERSIZE_S:
            self._abort()
        raise FrameTooLargeError
