"""What the edge relies on inside Hypercorn 0.18. When one fails after an upgrade, read service/edge/http.py."""

import inspect
from importlib import metadata
from typing import Any

import h11
import pytest
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WebsocketBuffer, WSStream
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import TrioSingleTask, WorkerContext
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIWebsocketConnection

from service.edge.connection import CONNECTION_KEY, Connection
from service.edge.http import HttpServer, LifespanFailed, make_config
from service.lifecycle import Lifecycle
from service.settings import Settings
from tests.support.edge import HANG_S


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_version() -> None:
    assert metadata.version("hypercorn").startswith("0.18.")
    assert metadata.version("quart-trio").startswith("0.12.")


def test_signatures() -> None:
    assert parameters(TCPServer) == ["app", "config", "context", "state", "stream"]
    assert parameters(WorkerContext) == ["max_requests"]
    assert parameters(Lifespan) == ["app", "config", "state"]
    assert parameters(ASGIWrapper) == ["app"]
    assert parameters(H11Protocol) == [
        "app", "config", "context", "task_group", "connection_state", "ssl", "client", "server", "send",
    ]  # fmt: skip
    for owner, names in {
        TCPServer: ["run", "protocol_send", "_read_data", "_close", "_idle_timeout"],
        H11Protocol: ["handle", "_check_protocol", "_create_stream", "_send_error_response"],
        WSStream: ["_send_pings", "_handle_events"],
        WebsocketBuffer: ["extend", "clear"],
        TrioSingleTask: ["restart", "stop"],
        Lifespan: ["handle_lifespan", "wait_for_startup", "wait_for_shutdown"],
        TrioASGIWebsocketConnection: [
            "handle_messages", "handle_websocket", "_create_websocket_from_scope", "accept_connection",
        ],
    }.items():  # fmt: skip
        for name in names:
            assert callable(getattr(owner, name)), (owner, name)


def test_methods_that_are_replaced_are_the_ones_that_are_called() -> None:
    """Each of these is a line that an override depends on."""
    assert "self._read_data()" in inspect.getsource(TCPServer.run)
    assert "self.protocol_send" in inspect.getsource(TCPServer.run)
    assert "self._check_protocol(event)" in inspect.getsource(H11Protocol._handle_events)
    assert "self._create_stream(event)" in inspect.getsource(H11Protocol._handle_events)
    assert "self.can_read.wait()" in inspect.getsource(H11Protocol._handle_events)
    assert "self.context.sleep(" in inspect.getsource(WSStream._send_pings)
    assert inspect.getsource(WSStream).count("self.context.") == 1  # the ping clock need not be a whole context
    assert "self.buffer.extend(event)" in inspect.getsource(WSStream._handle_events)
    assert "self.context.terminated.wait()" in inspect.getsource(TCPServer._idle_timeout)


def test_config_names_are_checked() -> None:
    config = make_config(Settings())
    assert config.websocket_ping_interval == 10
    assert config.websocket_max_message_size == 4 * 65536
    assert make_config(Settings(test_ws_max_bytes=1_000_000)).websocket_max_message_size == 1_000_000
    assert config.log.error_logger is None
    assert config.log.access_logger is None
    with pytest.raises(AttributeError):
        make_config(Settings(), websocket_ping_intervall=1)
    assert Config().websocket_ping_interval is None


def test_h11_request_can_be_made_again() -> None:
    made = h11.Request(method=b"GET", target=b"/a", headers=[(b"host", b"a"), (b"x", b"\xff")], http_version=b"1.0")
    assert (made.method, made.target, made.http_version, list(made.headers)) == (
        b"GET",
        b"/a",
        b"1.0",
        [(b"host", b"a"), (b"x", b"\xff")],
    )


async def socket_pair() -> tuple[Connection, trio.SocketStream]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        peer = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return Connection(await listener.accept()), peer


async def test_server_takes_our_connection_and_its_replayed_bytes() -> None:
    """No `do_handshake`, so no TLS; `socket`, `receive_some`, `send_all`, `send_eof` and `aclose` are all it needs."""
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    http = HttpServer(app, Settings(), Lifecycle())
    connection, peer = await socket_pair()
    connection.replay(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert not hasattr(connection, "do_handshake")
    with trio.fail_after(HANG_S):
        async with peer:
            await http.serve_connection(connection, "/a", upgrade=False, single=False)
            connection.close()
            assert (await peer.receive_some()).startswith(b"HTTP/1.1 204")
    assert scopes[0][CONNECTION_KEY] is connection


async def test_closing_ends_a_write_that_is_shielded() -> None:
    for end in (Connection.abort, Connection.close):
        connection, peer = await socket_pair()
        outcome: list[type[Exception]] = []

        async def write(target: Connection, seen: list[type[Exception]]) -> None:
            with trio.CancelScope(shield=True):
                try:
                    await target.send_all(bytes(50_000_000))
                except trio.ClosedResourceError as error:
                    seen.append(type(error))

        with trio.fail_after(HANG_S):
            async with peer, trio.open_nursery() as nursery:
                nursery.start_soon(write, connection, outcome)
                await trio.sleep(0.05)
                end(connection)
        assert outcome == [trio.ClosedResourceError]
        with pytest.raises(trio.ClosedResourceError):
            await connection.send_all(b"x")
        with pytest.raises(trio.ClosedResourceError):
            await connection.receive_some()
        connection.abort()  # again


async def test_saying_that_nothing_more_comes_does_not_collide_with_a_write() -> None:
    connection, peer = await socket_pair()
    with trio.fail_after(HANG_S):
        async with peer, trio.open_nursery() as nursery:

            async def write() -> None:
                with pytest.raises(trio.BrokenResourceError):
                    await connection.send_all(bytes(50_000_000))

            nursery.start_soon(write)
            await trio.sleep(0.05)
            await connection.send_eof()
            await connection.send_eof()
    connection.close()


async def test_ending_wakes_the_reader_and_lingers() -> None:
    connection, peer = await socket_pair()
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await connection.receive_some()

            nursery.start_soon(read)
            await trio.sleep(0.05)
            await connection.aclose()
        await peer.send_all(b"what was on its way")
        await peer.aclose()
        await connection.linger()
        connection.close()
        await connection.linger()


def app_with(**hooks: Any) -> Any:
    app = QuartTrio("test")
    if "before" in hooks:
        app.before_serving(hooks["before"])
    if "after" in hooks:
        app.after_serving(hooks["after"])
    return app


async def test_lifespan_runs_around() -> None:
    seen: list[str] = []

    async def before() -> None:
        seen.append("before")

    async def after() -> None:
        seen.append("after")

    with trio.fail_after(HANG_S):
        async with HttpServer(app_with(before=before, after=after), Settings(), Lifecycle()).running():
            seen.append("serving")
    assert seen == ["before", "serving", "after"]


async def _fail() -> None:
    raise ValueError("no")


@pytest.mark.parametrize("hook", ["before", "after"])
async def test_lifespan_that_fails_is_an_exception(hook: str, expected_errors: list[Any]) -> None:
    with trio.fail_after(HANG_S), pytest.RaisesGroup(LifespanFailed, flatten_subgroups=True):
        async with HttpServer(app_with(**{hook: _fail}), Settings(), Lifecycle()).running():
            assert hook == "after"
    assert {record.name for record in expected_errors} == {"test"}  # Quart logs what an application raised
    expected_errors.clear()


async def test_application_without_lifespan_is_an_exception() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("only http")

    with trio.fail_after(HANG_S), pytest.RaisesGroup(LifespanFailed, flatten_subgroups=True):
        async with HttpServer(app, Settings(), Lifecycle()).running():
            raise AssertionError("it must not start")
