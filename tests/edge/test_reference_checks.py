"""What the reproduction scripts of reference/checks show of Hypercorn, quart-trio and trio-websocket, through the edge.

Each runs what the script does against a handler on the edge's own WebSocket, with the pump and without. Real sockets.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio

from service.edge import voice
from service.edge.voice import VoiceClient
from service.stream.client import ClientGone, ClientTooSlow
from service.web.echo import Echo
from tests.support.conformance import upgraded
from tests.support.edge import HANG_S, Running, WsClient, make_deps, running_edge, until
from tests.support.frames import BINARY, TEXT, FrameReader, Seen, close_frame, frame

BLOB = b"z" * 65536
Handler = Callable[[VoiceClient], Awaitable[None]]
Serving = Callable[[Handler], contextlib.AbstractAsyncContextManager[Running]]


@pytest.fixture(params=[True, False], ids=["pump", "tasks"])
def serving(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """An edge whose `/test-ws` is served by a handler; `/api/realtime-voice/test` stays the echo."""
    echo = Echo.serve

    @contextlib.asynccontextmanager
    async def serve(handler: Handler) -> AsyncIterator[Running]:
        async def either(self: Echo, client: VoiceClient, query: str) -> None:
            await (handler(client) if "handler" in query else echo(self, client, query))

        monkeypatch.setattr(Echo, "serve", either)
        deps = make_deps()
        with trio.fail_after(HANG_S):
            async with trio.open_nursery() as nursery:
                if request.param:
                    await nursery.start(deps.pump.run)
                async with running_edge(deps) as running:
                    yield running
                nursery.cancel_scope.cancel()

    return serve


async def to_handler(port: int) -> trio.SocketStream:
    """A WebSocket to the handler."""
    return await upgraded(port, b"/test-ws?handler=1")


async def test_hypercorn_send_after_close_busy_loop(serving: Serving) -> None:
    turns_of_others = 0
    ended = trio.Event()

    async def others() -> None:
        nonlocal turns_of_others
        while True:
            turns_of_others += 1
            await trio.lowlevel.checkpoint()

    async def handler(client: VoiceClient) -> None:
        with contextlib.suppress(ClientGone):
            while True:
                await client.receive()
        before = turns_of_others
        for _ in range(1000):
            with pytest.raises(ClientGone):
                await client.send(BLOB)
        assert turns_of_others - before >= 999  # the first or the last turn may be on the other side
        ended.set()

    async with serving(handler) as running, trio.open_nursery() as nursery:
        nursery.start_soon(others)
        await (await to_handler(running.port)).aclose()
        await ended.wait()
        nursery.cancel_scope.cancel()


async def test_hypercorn_stalled_client_deadline(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "SEND_S", 0.3)
    ends: list[type[Exception]] = []

    async def handler(client: VoiceClient) -> None:
        try:
            while True:
                await client.send(BLOB)
        except (ClientTooSlow, ClientGone) as error:
            ends.append(type(error))

    async with serving(handler) as running:
        live = await WsClient.connect(running.port, "/test-ws?raw=1")
        async with await to_handler(running.port):  # which never reads
            await until(lambda: running.edge.open_connections == 1)
            assert ends == [ClientTooSlow]
            assert await live.echoes("others do not notice")


async def test_hypercorn_stalled_client_shutdown(serving: Serving) -> None:
    stuck = trio.Event()

    async def handler(client: VoiceClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_send_forever, client, nursery.cancel_scope)
            await trio.sleep(0.1)
            stuck.set()

    async with serving(handler) as running, await to_handler(running.port):
        await stuck.wait()
        running.nursery.cancel_scope.cancel()
        await until(lambda: running.edge.open_connections == 0)


async def _send_forever(client: VoiceClient, _scope: trio.CancelScope) -> None:
    with contextlib.suppress(ClientGone):
        while True:
            await client.send(BLOB)


async def test_quart_trio_disconnect_cancels(serving: Serving) -> None:
    seen: list[bytes | str] = []
    ended = trio.Event()

    async def handler(client: VoiceClient) -> None:
        with contextlib.suppress(ClientGone):
            while True:
                seen.extend(await client.receive())
                await trio.sleep(0.01)  # slower than the client
        ended.set()

    async with serving(handler) as running:
        for farewell in (close_frame(1000), b""):
            stream = await to_handler(running.port)
            for number in range(8):
                await stream.send_all(frame(BINARY, bytes([number])))
                await trio.sleep(0.001)
            await stream.send_all(farewell)
            await stream.send_eof()
            await ended.wait()
            await stream.aclose()
            assert seen == [bytes([number]) for number in range(8)]
            seen.clear()
            ended = trio.Event()


async def test_quart_trio_empty_frame(serving: Serving) -> None:
    seen: list[bytes | str] = []

    async def handler(client: VoiceClient) -> None:
        while len(seen) < 3:
            seen.extend(await client.receive())
        await client.close(1000, "")

    async with serving(handler) as running, await to_handler(running.port) as stream:
        for opcode in (BINARY, TEXT, BINARY):
            await stream.send_all(frame(opcode))
        await until(lambda: len(seen) == 3)
    assert seen == [b"", "", b""]


async def test_trio_websocket_cancelled_send(serving: Serving) -> None:
    sent: list[bytes] = []
    cancelled = trio.Event()

    async def handler(client: VoiceClient) -> None:
        while not cancelled.is_set():
            message = b"%d" % len(sent) + BLOB
            sent.append(message)
            with trio.move_on_after(0.2) as limit:
                await client.send(message)
            if limit.cancelled_caught:
                cancelled.set()
        await client.send(b"MARK")
        await client.close(1000, "")

    async with serving(handler) as running, await to_handler(running.port) as stream:
        # Nothing is read until the write that is to be cancelled has waited for longer than its deadline.
        count = -1
        while count != len(sent):
            count = len(sent)
            await trio.sleep(0.3)
        reader, got = FrameReader(), list[Seen]()
        while not got or got[-1].opcode == BINARY:
            got += reader.feed(await stream.receive_some())
        assert cancelled.is_set()
    assert [one.payload for one in got] == [*sent, b"MARK", b"\x03\xe8"]


async def test_a_send_waits_for_one_that_waits_for_the_client(serving: Serving) -> None:
    async def handler(client: VoiceClient) -> None:
        async def send(letter: bytes) -> None:
            for _ in range(10):
                await client.send(letter * 500_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, b"a")
            nursery.start_soon(send, b"b")
        await client.close(1000, "")

    async with serving(handler) as running, await to_handler(running.port) as stream:
        await trio.sleep(0.1)  # until the buffers are full
        reader, got = FrameReader(), list[Seen]()
        while not got or got[-1].opcode == BINARY:
            data = await stream.receive_some()
            assert data
            got += reader.feed(data)
    assert sorted(one.payload[:1] for one in got[:-1]) == [b"a"] * 10 + [b"b"] * 10


async def test_trio_websocket_ping(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(voice, "TICK_S", 0.02)
    gone = trio.Event()

    async def handler(client: VoiceClient) -> None:
        try:
            await _send_forever(client, trio.CancelScope())
        finally:
            gone.set()

    async with serving(handler) as running:
        live = await WsClient.connect(running.port, "/test-ws?raw=1")
        stuck = await to_handler(running.port)  # takes no ping, and answers none
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_hear_forever, live)
            await until(lambda: live.pings > 3)
            assert not gone.is_set()
            stuck.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            await stuck.aclose()  # and drops the connection while pings of ours are unanswered
            await gone.wait()
            pings = live.pings
            await until(lambda: live.pings > pings + 3)
            nursery.cancel_scope.cancel()


async def _hear_forever(client: WsClient) -> None:
    while True:
        await client.receive()
