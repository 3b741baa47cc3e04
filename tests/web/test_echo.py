"""`/test-ws`. Real sockets."""

import pytest
import trio

from service.edge import voice
from service.web import echo
from tests.support.edge import Closed, WsClient, get, make_deps, running_edge


@pytest.mark.parametrize("path", echo.PATHS)
async def test_greets_and_echoes(path: str) -> None:
    async with running_edge(make_deps()) as running:
        client = await WsClient.connect(running.port, path)
        greeting = await client.receive_json()
        assert greeting["type"] == "connected"
        assert isinstance(greeting["timestamp"], int)
        for text in ("hello", "", "你好", '{"type": "ping"}'):
            await client.send(text)
            back = await client.receive_json()
            assert (back["type"], back["data"]) == ("echo", text)
            assert isinstance(back["timestamp"], int)
        for data in (b"\x00\xff", b"", bytes(65536)):
            await client.send(data)
            assert await client.receive() == data
        assert await client.close() == 1000


async def test_raw_is_an_echo_and_nothing_else() -> None:
    async with running_edge(make_deps()) as running:
        client = await WsClient.connect(running.port, "/test-ws?raw=1")
        for message in ("", b"", "a", b"b", "c" * 65536):
            assert await client.echoes(message)


async def test_plain_request_is_no_websocket() -> None:
    async with running_edge(make_deps()) as running:
        reply = await get(running.port, "/test-ws")
        assert 400 <= reply.status < 500
        assert reply.envelope()["code"] == reply.status


@pytest.mark.parametrize("message", [b"12345", "12345", "你好"])
async def test_message_over_the_limit_is_1009(message: bytes | str) -> None:
    async with running_edge(make_deps(test_ws_max_bytes=4)) as running:
        client = await WsClient.connect(running.port, "/test-ws?raw=1")
        assert await client.echoes(b"1234")
        await client.send(message)
        with pytest.raises(Closed) as closed:
            await client.receive()
        assert closed.value.code == 1009


async def test_places_are_limited_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "MAX_ECHOES", 1)
    async with running_edge(make_deps()) as running:
        first = await WsClient.connect(running.port, "/test-ws?raw=1")
        assert await first.echoes("one")
        second = await WsClient.connect(running.port, "/test-ws?raw=1")
        with pytest.raises(Closed) as closed:
            await second.receive()
        assert closed.value.code == 1013
        assert await first.close() == 1000
        while True:
            third = await WsClient.connect(running.port, "/test-ws?raw=1")
            try:
                assert await third.echoes("three")
            except Closed:
                continue  # the first one's place was not given back yet
            break


async def test_idle_client_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "IDLE_S", 0.2)
    async with running_edge(make_deps()) as running:
        client = await WsClient.connect(running.port, "/test-ws?raw=1&quiet=1")
        idle = await WsClient.connect(running.port, "/test-ws?raw=1")
        with pytest.raises(Closed) as closed:
            await idle.receive()
        assert closed.value.code == 4408
        assert await client.echoes("quiet has a longer limit")


async def test_pongs_keep_alive_and_quiet_has_no_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "IDLE_S", 0.3)
    monkeypatch.setattr(echo, "QUIET_IDLE_S", 0.9)
    monkeypatch.setattr(voice, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(voice, "TICK_S", 0.02)
    async with running_edge(make_deps()) as running:
        loud = await WsClient.connect(running.port, "/test-ws?raw=1")
        quiet = await WsClient.connect(running.port, "/test-ws?quiet=1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_forever, loud)
            await quiet.receive()
            with pytest.raises(Closed) as closed:
                await quiet.receive()
            nursery.cancel_scope.cancel()
        assert closed.value.code == 4408
        assert quiet.pings == 0
        assert loud.pings > 3
        assert await loud.echoes("three times the limit is over, and every ping was answered")


@pytest.mark.parametrize(
    ("target", "quiet"),
    [
        ("/test-ws?quiet=1", True),
        ("/api/realtime-voice/test?raw=1&quiet=true", True),
        ("/test-ws", False),
        ("/test-ws?quiet=0", False),
        ("/other?quiet=1", False),
    ],
)
def test_is_quiet(target: str, quiet: bool) -> None:
    assert echo.is_quiet(target) is quiet


async def _read_forever(client: WsClient) -> None:
    while True:
        await client.receive()
