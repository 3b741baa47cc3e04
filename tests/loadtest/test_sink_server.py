"""The WebSocket of a sink: what happens to peers that do not read, do not answer, or send what is no message."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from loadtest.sink import server
from loadtest.sink.gateway import GatewayStream
from loadtest.sink.hearing import Manner
from loadtest.sink.server import Sink
from tests.loadtest.sink_support import sound

GUARD_S = 30.0
START = b'{"type":"start"}'


class Peer(WSListener):
    """A client that keeps what it hears, and closes when it is told to."""

    def __init__(self, *, polite: bool = True) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.pongs: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self._polite = polite

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        match frame.msg_type:
            case WSMsgType.TEXT:
                self.heard.append(frame.get_payload_as_utf8_text())
            case WSMsgType.PONG:
                self.pongs.append(frame.get_payload_as_bytes())
            case WSMsgType.CLOSE:
                self.closed = (int(frame.get_close_code()), frame.get_close_reason())  # type: ignore[call-overload]
                if self._polite:
                    transport.send_close(WSCloseCode.OK)


@contextlib.asynccontextmanager
async def serving(manner: Manner | None = None) -> AsyncIterator[tuple[Sink, str]]:
    """A sink as a gateway in this process, and its address."""
    chosen = manner or Manner()
    sink = Sink(lambda target: GatewayStream("s1", chosen), final_delay_s=chosen.final_delay_ms / 1000)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(sink.serve("127.0.0.1", 0, None, port.set_result, stop))
    async with asyncio.timeout(GUARD_S):
        try:
            yield sink, f"ws://127.0.0.1:{await port}/"
        finally:
            stop.set()
            await task


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for it; the guard of `serving` ends a test in which it does not come."""
    while not is_so():  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.005)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def test_messages_in_pieces() -> None:
    async def test() -> None:
        async with serving() as (_, url):
            transport, peer = await ws_connect(lambda: Peer(), url)
            assert isinstance(peer, Peer)
            transport.send(WSMsgType.TEXT, START)
            transport.send(WSMsgType.BINARY, sound(3000), fin=False)
            transport.send(WSMsgType.PING, b"in between")
            transport.send(WSMsgType.CONTINUATION, sound(3000), fin=False)
            transport.send(WSMsgType.CONTINUATION, sound(400))
            await until(lambda: '"text":"t0"' in peer.heard[-1])
            assert peer.pongs == [b"in between"]
            transport.send(WSMsgType.TEXT, b'{"type"', fin=False)
            await transport.wait_disconnected()
            assert peer.closed == (1003, "text in pieces is not taken")

    run(test)


@pytest.mark.parametrize(
    ("kind", "payload", "code"),
    [
        (WSMsgType.TEXT, b'{"type":"\xff"}', 1007),
        (WSMsgType.BINARY, bytes(server.MAX_MESSAGE_BYTES + 1), 1009),
    ],
)
def test_frames_that_are_no_messages(
    kind: WSMsgType, payload: bytes, code: int, expected_errors: list[logging.LogRecord]
) -> None:
    async def test() -> None:
        async with serving() as (sink, url):
            transport, peer = await ws_connect(lambda: Peer(), url)
            assert isinstance(peer, Peer)
            transport.send(kind, payload)
            await transport.wait_disconnected()
            assert peer.closed is not None
            assert peer.closed[0] == code
            await until(lambda: not sink.connections)

    run(test)
    # picows logs what it refuses by itself, with sizes and no content.
    assert all(record.name.startswith("picows.") for record in expected_errors)
    expected_errors.clear()


def test_a_peer_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK_S", 0.01)

    async def test() -> None:
        async with serving() as (sink, url):
            transport, peer = await ws_connect(lambda: Peer(), url)
            assert isinstance(peer, Peer)
            await transport.wait_disconnected()
            assert peer.closed == (4408, "start_timeout")
            await until(lambda: not sink.connections)

    run(test)


def test_a_peer_that_does_not_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TICK_S", 0.01)

    async def test() -> None:
        async with serving() as (sink, url):
            transport, peer = await ws_connect(lambda: Peer(polite=False), url)
            assert isinstance(peer, Peer)
            transport.send(WSMsgType.TEXT, b'{"type":"cancel"}')
            await transport.wait_disconnected()
            assert peer.closed == (1000, "canceled")
            await until(lambda: not sink.connections)

    run(test)


def test_a_phone_that_leaves_before_the_final(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with serving(Manner(final_delay_ms=50)) as (sink, url):
            transport, _ = await ws_connect(lambda: Peer(), url)
            transport.send(WSMsgType.TEXT, START)
            transport.send(WSMsgType.TEXT, b'{"type":"stop"}')
            transport.disconnect()
            await until(lambda: not sink.connections)
            await asyncio.sleep(0.1)  # the timer would speak to nobody, and the loop would complain
            second, peer = await ws_connect(lambda: Peer(), url)
            assert isinstance(peer, Peer)
            second.send(WSMsgType.TEXT, START)
            second.send(WSMsgType.TEXT, b'{"type":"stop"}')
            await second.wait_disconnected()
            assert peer.closed == (1000, "completed")

    run(test)


def deaf_socket(url: str) -> socket.socket:
    """A client that has upgraded and started, with room for little."""
    host, port = url.removeprefix("ws://").rstrip("/").split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: sink\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + masked(1, START)
    )
    client.setblocking(False)
    return client


def masked(opcode: int, payload: bytes) -> bytes:
    """A frame of a client; a mask of zeros changes nothing."""
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


LONGEST = 400_000  # bytes of `stopped`, which has all the text
AUDIO = masked(2, sound(64000))  # two seconds: a hundred results


def test_a_peer_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read either, so that little is kept for it, and it is dropped in the end."""
    monkeypatch.setattr(server, "TICK_S", 0.05)

    async def test() -> None:
        async with serving(Manner(word_ms=20, sentence_words=100)) as (sink, url):
            with deaf_socket(url) as client:
                loop = asyncio.get_running_loop()
                sent_bytes = 0
                with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # it ends so, or by the guard
                    while True:
                        await loop.sock_sendall(client, AUDIO)
                        sent_bytes += len(AUDIO)
                # What the kernel holds of both directions (tcp_rmem, tcp_wmem) is all that could be sent.
                assert sent_bytes < 50_000_000
                await until(lambda: not sink.connections)

    run(test)


def test_a_peer_that_reads_late_gets_everything() -> None:
    async def test() -> None:
        async with serving(Manner(word_ms=20, sentence_words=100)) as (_, url):
            with deaf_socket(url) as client:
                loop = asyncio.get_running_loop()
                stop = masked(1, b'{"type":"stop"}')
                sending = asyncio.create_task(loop.sock_sendall(client, AUDIO * 300 + stop))
                await asyncio.sleep(0.5)
                assert not sending.done()
                tail = b""
                while not tail.endswith(b"\x03\xe8completed"):
                    tail = tail[-LONGEST:] + await loop.sock_recv(client, 1_000_000)
                await sending
                assert b'"receivedBytes":19200000,"relayedBytes":19200000,"droppedBytes":0' in tail

    run(test)
