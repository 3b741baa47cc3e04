"""The port: heads, bounds, caps, drain. Real sockets."""

import contextlib
import errno
import logging

import pytest
import trio

from service.edge import http, listener
from service.edge.answers import PROBE_RESERVE
from service.edge.head import MAX_HEAD_BYTES
from tests.support.edge import (
    HANG_S,
    UPGRADE_HEAD,
    Closed,
    HttpClient,
    RejectedUpgrade,
    WsClient,
    get,
    make_deps,
    running_edge,
    until,
)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"OPTIONS http://[ HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (b"GET http://test:port/ HTTP/1.1\r\nHost: test\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEAD_BYTES, 431),
    ],
)
async def test_what_is_no_head_gets_a_short_answer(sent: bytes, status: int) -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        await client.send(sent)
        reply = await client.reply()
        assert reply.status == status
        assert reply.headers["connection"] == "close"
        assert reply.envelope()["code"] == status
        assert await client.ended()


async def test_an_upgrade_by_http_1_0_is_told_what_is_wrong() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        await client.send(
            b"GET /test-ws HTTP/1.0\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        reply = await client.reply()
        assert reply.status == 426
        assert reply.headers["connection"] == "close, upgrade"
        assert reply.headers["upgrade"] == "websocket"
        assert "proxy_http_version" in reply.envelope()["message"]


async def test_a_later_request_with_a_target_that_is_none() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        await client.send(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await client.reply()).status == 200
        await client.send(b"OPTIONS http://[ HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await client.reply()).status == 400


async def test_a_connection_that_is_to_be_closed_is() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        await client.send(b"GET /health HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert (await client.reply()).status == 200
        assert await client.ended()


async def test_slow_head_is_answered_with_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_S", 0.1)
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        await client.send(b"GET / HTTP/1.1\r\nHost")
        assert (await client.reply()).status == 408
        assert await client.ended()


async def test_head_may_come_byte_by_byte() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        for byte in b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n":
            await client.send(bytes([byte]))
        assert (await client.reply()).status == 200


async def test_two_requests_on_one_connection() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        for target in ("/health", "/", "/nothing"):
            reply = await client.request("GET", target)
            assert reply.status == (404 if target == "/nothing" else 200)
        assert running.edge.open_connections == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        await client.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [(await client.reply()).status for _ in range(2)] == [200, 404]


async def test_h2c_upgrade_is_ignored() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        headers = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]
        assert (await client.request("GET", "/health", headers)).status == 200


async def test_large_upload_to_an_unknown_route_reads_its_404() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        reply = await client.request("POST", "/nothing", body=b"x" * 1_000_000)
        assert reply.status == 404
        assert reply.envelope()["code"] == 404


async def test_large_upload_arrives() -> None:
    from quart import request

    from service.web.app import create_app

    deps = make_deps()
    app = create_app(deps)

    @app.post("/upload")
    async def upload() -> str:
        return str(len(await request.get_data()))

    async with running_edge(deps, app) as running:
        client = await HttpClient.connect(running.port)
        for _ in range(2):
            assert (await client.request("POST", "/upload", body=b"x" * 1_000_000)).body == b"1000000"


async def test_upgrade_on_a_kept_connection_has_no_deflate_either() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        assert (await client.request("GET", "/health")).status == 200
        head = UPGRADE_HEAD % b"/test-ws?raw=1"
        await client.send(head.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"))
        reply = await client.reply(has_body=False)
        assert reply.status == 101
        assert "sec-websocket-extensions" not in reply.headers


async def test_permessage_deflate_is_not_negotiated() -> None:
    from wsproto.extensions import PerMessageDeflate

    async with running_edge(make_deps()) as running:
        client = await WsClient.connect(running.port, "/test-ws?raw=1", extensions=[PerMessageDeflate()])
        assert client.accepted is not None
        assert not client.accepted.extensions
        assert await client.echoes("a" * 1000)


async def test_connection_cap_refuses_upgrades_and_answers_probes() -> None:
    deps = make_deps(max_connections=2)
    async with running_edge(deps) as running:
        clients = [await WsClient.connect(running.port, "/test-ws?raw=1") for _ in range(2)]
        with pytest.raises(RejectedUpgrade) as refused:
            await WsClient.connect(running.port)
        assert refused.value.status == 503
        assert 1 <= int(refused.value.headers["retry-after"]) <= 4
        assert (await get(running.port, "/other")).status == 503
        for target in ("/health", "/ready", "/metrics", "/"):
            reply = await get(running.port, target)
            assert reply.status == 200
            assert reply.headers["connection"] == "close"  # the reserve is for one request
        for client in clients:
            assert await client.echoes(b"still here")
            assert await client.close() == 1000
        await until(lambda: running.edge.open_connections == 0)
        assert await (await WsClient.connect(running.port, "/test-ws?raw=1")).echoes("place again")


async def test_the_reserve_has_an_end() -> None:
    deps = make_deps(max_connections=1)
    async with running_edge(deps) as running:
        await WsClient.connect(running.port)
        running.edge._served += PROBE_RESERVE
        assert (await get(running.port, "/health")).status == 503
        running.edge._served -= PROBE_RESERVE


async def test_too_many_unread_heads_are_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MAX_HEADS", 2)
    async with running_edge(make_deps()) as running:
        waiting = [await HttpClient.connect(running.port) for _ in range(2)]
        await until(lambda: running.edge._heads == 2)
        with contextlib.suppress(OSError):  # the reset may come while it is still connecting
            assert await (await HttpClient.connect(running.port)).ended()
        assert (await waiting[0].request("GET", "/health")).status == 200


async def test_drain_refuses_upgrades_and_goes_on_with_the_rest() -> None:
    deps = make_deps()
    async with running_edge(deps) as running:
        before = await WsClient.connect(running.port, "/test-ws?raw=1")
        kept = await HttpClient.connect(running.port)
        assert (await kept.request("GET", "/ready")).status == 200
        deps.lifecycle.drain()
        with pytest.raises(RejectedUpgrade) as refused:
            await WsClient.connect(running.port)
        assert refused.value.status == 503
        assert "retry-after" in refused.value.headers
        # On a connection that Hypercorn has already, too.
        await kept.send(UPGRADE_HEAD % b"/test-ws")
        reply = await kept.reply()
        assert reply.status == 503
        assert "retry-after" in reply.headers
        assert (await get(running.port, "/ready")).status == 503
        assert (await get(running.port, "/health")).status == 200
        assert await before.echoes("as before")


async def test_idle_connections_are_closed_at_once_and_later_ones_served() -> None:
    async with running_edge(make_deps()) as running:
        kept = await HttpClient.connect(running.port)
        assert (await kept.request("GET", "/health")).status == 200
        websocket = await WsClient.connect(running.port, "/test-ws?raw=1")
        await running.http.close_idle()
        assert await kept.ended()
        assert (await get(running.port, "/health")).status == 200
        assert await websocket.echoes("as before")


async def test_idle_connection_ends_after_the_keep_alive_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_KEEP_ALIVE_S", 0.2)
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        for _ in range(2):
            assert (await client.request("GET", "/health")).status == 200
        assert await client.ended()


async def test_stop_accepting_lets_open_connections_go_on() -> None:
    deps = make_deps()
    with trio.fail_after(HANG_S):
        async with running_edge(deps) as running:
            client = await WsClient.connect(running.port, "/test-ws?raw=1")
            running.edge.stop_accepting()
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(OSError, match="all attempts"):
                await trio.open_tcp_stream("127.0.0.1", running.port)
            assert await client.echoes(b"still here")


async def test_cancelling_ends_every_connection_and_a_write_that_is_stuck() -> None:
    deps = make_deps()
    async with running_edge(deps) as running:
        idle = await HttpClient.connect(running.port)
        stuck = await WsClient.connect(running.port, "/test-ws?raw=1")
        for _ in range(200):  # nothing is read: the echo blocks in a write that Hypercorn has shielded
            with trio.move_on_after(0.2) as full:
                await stuck.send(bytes(65536))
            if full.cancelled_caught:
                break
        assert full.cancelled_caught
        started = trio.current_time()
        running.nursery.cancel_scope.cancel()
        assert await idle.ended()
    assert trio.current_time() - started < 2
    assert running.edge.open_connections == 0
    assert deps.metrics.registry.get_sample_value("voice_connections_active") == 0


async def test_accepting_survives_running_out_of_descriptors(
    monkeypatch: pytest.MonkeyPatch, expected_errors: list[logging.LogRecord]
) -> None:
    real_accept = trio.SocketListener.accept
    failures = [errno.EMFILE, errno.ENFILE, errno.EMFILE]

    async def accept(self: trio.SocketListener) -> trio.SocketStream:
        if failures:
            raise OSError(failures.pop(), "full")
        return await real_accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", accept)
    async with running_edge(make_deps()) as running:
        assert (await get(running.port, "/health")).status == 200
    assert not failures
    assert [record.getMessage() for record in expected_errors] == ["accept_exhausted"]
    expected_errors.clear()


async def test_connections_are_counted() -> None:
    deps = make_deps()
    async with running_edge(deps) as running:
        client = await WsClient.connect(running.port, "/test-ws?raw=1")
        assert deps.metrics.registry.get_sample_value("voice_connections_active") == 1
        await client.close()
        await until(lambda: running.edge.open_connections == 0)
        assert deps.metrics.registry.get_sample_value("voice_connections_active") == 0


async def test_message_over_hypercorns_limit_is_1009_and_not_collected() -> None:
    async with running_edge(make_deps()) as running:
        client = await WsClient.connect(running.port, "/test-ws?raw=1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.send, bytes(3_000_000))
            with pytest.raises(Closed) as closed:
                await client.receive()
        assert closed.value.code == 1009
