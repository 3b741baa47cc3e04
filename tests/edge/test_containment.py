"""A malformed connection ends itself and nothing else. Real sockets."""

import contextlib
import logging
import random

import pytest
import trio

from tests.support.edge import UPGRADE_HEAD, HttpClient, WsClient, make_deps, running_edge, until

LIVE = 20


async def _all_echo(clients: list[WsClient], word: str) -> bool:
    return all([await client.echoes(f"{word} {number}") for number, client in enumerate(clients)])


async def _until_ended(client: HttpClient) -> None:
    async with client.stream:
        await client.stream.send_eof()
        while not await client.ended():
            pass


async def test_the_connection_that_kills_hypercorns_worker(caplog: pytest.LogCaptureFixture) -> None:
    async with running_edge(make_deps()) as running:
        live = [await WsClient.connect(running.port, "/test-ws?raw=1") for _ in range(LIVE)]
        for target in (b"/test-ws", b"/nothing", b"/test-ws?raw=1"):
            for rubbish in (b"\xff\xff\xff\xff", b"\xff" * 200, b"\x81\x00", b"\x81\x81\x00\x00\x00\x00\xff"):
                # Both in one piece with the head and after the upgrade was accepted.
                client = await HttpClient.connect(running.port)
                await client.send(UPGRADE_HEAD % target + rubbish)
                await _until_ended(client)
                client = await HttpClient.connect(running.port)
                await client.send(UPGRADE_HEAD % target)
                await client.reply()
                with contextlib.suppress(trio.BrokenResourceError):
                    await client.send(rubbish)
                await _until_ended(client)
        assert await _all_echo(live, "alive")
        await until(lambda: running.edge.open_connections == LIVE)
    failed = [record for record in caplog.records if record.getMessage() == "connection_failed"]
    assert {record.levelno for record in failed} <= {logging.WARNING}


def _malformed(chance: random.Random) -> list[bytes]:
    """Pieces of a connection that goes wrong somewhere."""
    upgrade = UPGRADE_HEAD % chance.choice([b"/test-ws", b"/test-ws?raw=1", b"/nothing", b"/health"])
    noise = chance.randbytes(chance.randrange(1, 300))
    frame = bytes([chance.randrange(256), chance.randrange(256)]) + chance.randbytes(chance.randrange(40))
    return chance.choice(
        [
            [noise],
            [upgrade[: chance.randrange(len(upgrade))]],
            [upgrade, noise],
            [upgrade + noise],
            [upgrade, frame, frame],
            [upgrade, b"\x88\x80\x00\x00\x00\x00", noise],  # rubbish after a close frame
            [upgrade, b"\x81\xfe\xff\xff\x00\x00\x00\x00" + noise],  # a frame cut short
            [upgrade.replace(b"13", b"12")],
            [upgrade.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"")],
            [upgrade.replace(b"Host: test", b"Sec-WebSocket-Protocol: \xff\xfe")],
            [upgrade.replace(b"Host: test\r\n", b"")],
            [upgrade.replace(b"Host: test", b"Content-Length: 5"), noise],
            [b"POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", noise],
            [b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"],
            [b"GET /%ff%00 HTTP/1.1\r\nHost: a\r\n\r\n"],
            [b"GET http://[ HTTP/1.1\r\nHost: a\r\n\r\n"],
            [b"GET * HTTP/1.1\r\nHost: \xff\r\n\r\n"],
            [b"OPTIONS * HTTP/1.1\r\nHost: a\r\nCookie: \xff=\xfe;;\r\n\r\n", noise],
            [b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", noise],
            [b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        ]
    )


async def _misbehave(port: int, seed: int) -> None:
    chance = random.Random(seed)
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    try:
        for piece in _malformed(chance):
            await stream.send_all(piece)
            if chance.random() < 0.5:
                with trio.move_on_after(0.01):
                    await stream.receive_some()
        end = chance.choice(["reset", "half-close", "close", "wait"])
        if end == "half-close":
            await stream.send_eof()
        if end in ("half-close", "wait"):
            with trio.move_on_after(0.05):
                while await stream.receive_some():
                    pass
        if end == "reset":
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    except trio.BrokenResourceError:
        pass  # the server was through with it
    finally:
        await stream.aclose()


@pytest.mark.proof
async def test_malformed_connections_leave_the_others_alone(expected_errors: list[logging.LogRecord]) -> None:
    async with running_edge(make_deps()) as running:
        live = [await WsClient.connect(running.port, "/test-ws?raw=1") for _ in range(LIVE)]
        for start in range(0, 300, 30):
            async with trio.open_nursery() as nursery:
                for seed in range(start, start + 30):
                    nursery.start_soon(_misbehave, running.port, seed)
            assert await _all_echo(live, f"after {start}")
        await until(lambda: running.edge.open_connections == LIVE)
    assert expected_errors == []
