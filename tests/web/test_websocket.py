"""What handlers see of a WebSocket, and what QuartClient makes of it. Real sockets."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from quart import websocket
from quart_trio import QuartTrio

from service.stream.client import Client, ClientGone, ClientTooSlow
from service.web import websocket as module
from service.web.app import create_app
from service.web.websocket import QuartClient, WebsocketConnection
from tests.support.edge import UPGRADE_HEAD, Closed, HttpClient, WsClient, make_deps, running_edge, until

Handler = Callable[[QuartClient], Awaitable[None]]


def app_with(handler: Handler, **options: Any) -> tuple[Any, QuartTrio]:
    """Parts, and an application with the handler at /ws."""
    deps = make_deps()
    app = create_app(deps)

    @app.websocket("/ws")
    async def ws() -> None:
        await websocket.accept()
        await handler(QuartClient(websocket, **options))

    return deps, app


async def test_everything_sent_before_leaving_is_delivered() -> None:
    seen: list[bytes | str] = []
    ended = trio.Event()

    async def handler(client: QuartClient) -> None:
        as_protocol: Client = client  # it is one
        try:
            while True:
                await trio.sleep(0.01)  # slower than the client
                seen.extend(await as_protocol.receive())
        except ClientGone:
            ended.set()

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        sent: list[bytes | str] = [b"", "", *(bytes([number]) for number in range(100)), "last"]
        for message in sent:
            await client.send(message)
        await client.close()
        await ended.wait()
        assert seen == sent


async def test_receive_returns_all_there_is_and_loses_nothing_when_cancelled() -> None:
    batches: list[list[bytes | str]] = []
    go = trio.Event()

    async def handler(client: QuartClient) -> None:
        with trio.move_on_after(0.01) as cancelled:
            await client.receive()
        assert cancelled.cancelled_caught
        await client.send("ready")
        await go.wait()
        batches.append(await client.receive())
        await client.send("done")

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        assert await client.receive() == "ready"
        for number in range(5):
            await client.send(bytes([number]))
        await trio.sleep(0.05)  # until the kernel and the pump have moved them
        go.set()
        assert await client.receive() == "done"
        assert batches == [[bytes([number]) for number in range(5)]]


async def test_handler_that_does_not_end_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_DISCONNECT_S", 0.1)
    ended = trio.Event()

    async def handler(client: QuartClient) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        await client.stream.aclose()
        await ended.wait()


async def test_stalled_client_is_dropped_at_the_deadline() -> None:
    outcome: list[type[Exception]] = []
    ended = trio.Event()

    async def handler(client: QuartClient) -> None:
        started = trio.current_time()
        try:
            while True:
                await client.send("x" * 65536)
        except (ClientTooSlow, ClientGone) as error:
            outcome.append(type(error))
        assert 0.2 < trio.current_time() - started < 5
        with pytest.raises(ClientGone):
            await client.send("more")
        await client.close(4408, "too slow")
        ended.set()

    deps, app = app_with(handler, send_deadline_s=0.3)
    async with running_edge(deps, app) as running:
        live = await WsClient.connect(running.port, "/test-ws?raw=1")
        client = await HttpClient.connect(running.port)
        client.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
        await client.send(UPGRADE_HEAD % b"/ws")
        await ended.wait()
        assert outcome == [ClientTooSlow]
        assert await live.echoes("others do not notice")
        await until(lambda: running.edge.open_connections == 1)


async def test_sends_of_two_tasks_do_not_collide() -> None:
    async def handler(client: QuartClient) -> None:
        async def send_many(letter: str) -> None:
            for _ in range(20):
                await client.send(letter * 50_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_many, "a")
            nursery.start_soon(send_many, "b")
        await client.close(1000, "enough")

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        got = [await client.receive() for _ in range(40)]
        assert sorted(got) == ["a" * 50_000] * 20 + ["b" * 50_000] * 20
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert (closed.value.code, closed.value.reason) == (1000, "enough")


async def test_sending_to_a_client_that_left() -> None:
    ended = trio.Event()

    async def handler(client: QuartClient) -> None:
        with contextlib.suppress(ClientGone):
            while True:
                await client.receive()
        with pytest.raises(ClientGone):
            await client.send("too late")
        await client.close(1000, "")
        ended.set()

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        assert await client.close() == 1000
        await ended.wait()


async def test_cancelled_write_ends_the_connection() -> None:
    ended = trio.Event()

    async def handler(client: QuartClient) -> None:
        async def fill() -> None:
            with contextlib.suppress(ClientGone):
                while True:
                    await client.send("x" * 65536)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fill)
            await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
            client._connection.abort()  # a write that is stuck ends so only
        with pytest.raises(ClientGone):
            await client.send("x")
        ended.set()

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        await WsClient.connect(running.port, "/ws")
        await ended.wait()


@pytest.mark.parametrize("answers", [True, False])
async def test_close_reaches_a_client_that_goes_on_sending(answers: bool) -> None:
    took: list[float] = []

    async def handler(client: QuartClient) -> None:
        await client.receive()
        started = trio.current_time()
        await client.close(4401, "x" * 500)  # a reason may have 123 bytes
        took.append(trio.current_time() - started)

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        for _ in range(100):
            await client.send(bytes(1280))
        if not answers:
            await until(lambda: bool(took))
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 4401
        await until(lambda: bool(took))
        assert took[0] < (1 if answers else 2.5)


async def test_bug_in_a_handler_is_1011(expected_errors: list[Any]) -> None:
    async def handler(client: QuartClient) -> None:
        raise ValueError("secret-text")

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 1011
        assert "secret" not in (closed.value.reason or "")
    (record,) = expected_errors
    assert record.voice_fields["exception"] == "ValueError"
    assert record.voice_fields["at"] is None  # tests are not our code
    expected_errors.clear()


async def test_last_heard_is_the_last_byte() -> None:
    heard: list[float] = []
    go = trio.Event()

    async def handler(client: QuartClient) -> None:
        heard.append(client.last_heard)
        await go.wait()
        heard.append(client.last_heard)

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        await until(lambda: bool(heard))
        before = trio.current_time()
        await client.stream.send_all(b"\x8a\x80\x00\x00\x00\x00")  # a pong that nobody asked for
        await trio.sleep(0.05)
        go.set()
        await until(lambda: len(heard) == 2)
        assert heard[0] < before < heard[1]


async def test_without_our_edge_the_last_message_counts() -> None:
    """The test client of Quart-Trio has no transport, as plain Hypercorn has none of ours."""
    heard: list[float] = []

    async def handler(client: QuartClient) -> None:
        heard.append(client.last_heard)
        await client.receive()
        heard.append(client.last_heard)
        assert WebsocketConnection.of(websocket).transport is None
        await client.send("done")

    _, app = app_with(handler)
    with trio.fail_after(5):
        async with app.test_client().websocket("/ws") as client:
            await client.send(b"x")
            assert await client.receive() == "done"
    assert heard[0] <= heard[1]


@pytest.mark.parametrize("steps", list(range(8)) * 5)
async def test_what_follows_a_cancelled_write_arrives(steps: int) -> None:
    """One task of a stream fails while the other is writing: the client is still told why."""

    async def handler(client: QuartClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, "a result")
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        await client.send("why")
        await client.close(4503, "why")

    deps, app = app_with(handler)
    async with running_edge(deps, app) as running:
        client = await WsClient.connect(running.port, "/ws")
        heard = []
        while "why" not in heard:
            heard.append(await client.receive())
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert heard in (["a result", "why"], ["why"])
        assert closed.value.code == 4503
