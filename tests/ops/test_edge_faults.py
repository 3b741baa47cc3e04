"""Each fault of the edge simulation, on the wire: real nginx and HAProxy before the real edge."""

import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from ops.edge.authority import HOST
from ops.edge.door import Door, front_door
from ops.edge.faults import FAULTS, fault_named
from ops.edge.programs import EdgeError
from tests.conftest import NOT_HERE
from tests.support.edge import Running, make_deps, running_edge
from tests.support.front_door import needs_haproxy, needs_nginx

HANG_S = 30
VOICE = "/api/realtime-voice/stream"
TLS_NAMES = ["expired", "wrong-name", "untrusted", "incomplete-chain", "old-tls"]
UPGRADES = {
    "prefix-stripped": (404, "404"),
    "no-upgrade": (400, "400"),
    "bad-gateway": (502, None),
    "unavailable": (503, None),
    "http10": (426, "426"),
    "function": (200, None),
}
"""Fault → the status of an upgrade of the voice route, and the container's own as the gateway tells it."""


@contextlib.asynccontextmanager
async def door_with(name: str, *, idle_s: float = 60, delay_s: float = 1) -> AsyncIterator[tuple[Door, Running]]:
    """A door with this fault before an edge of this process."""
    with trio.fail_after(HANG_S):
        async with (
            running_edge(make_deps(auth_mode="off"), hang_s=HANG_S) as edge,
            front_door(f"http://127.0.0.1:{edge.port}", fault_named(name), idle_s=idle_s, delay_s=delay_s) as door,
        ):
            yield door, edge


def trusting(door: Door) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=door.ca)


async def http(door: Door, head: str, body: bytes = b"", *, context: ssl.SSLContext | None = None) -> tuple[str, str]:
    """Status line with headers, in small letters, and the body, of one request over TLS."""
    stream = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", door.tls_port, ssl_context=context or trusting(door), https_compatible=True
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return await ask(stream, head, body)


async def ask(stream: trio.abc.Stream, head: str, body: bytes = b"") -> tuple[str, str]:
    answer = b""
    async with stream:
        request = f"{head} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        with contextlib.suppress(trio.BrokenResourceError):  # whoever refuses a body need not read it
            await stream.send_all(request.encode() + body)
        with contextlib.suppress(trio.BrokenResourceError):
            while data := await stream.receive_some():
                answer += data
    found, _, content = answer.decode().partition("\r\n\r\n")
    return found.lower(), content


@contextlib.asynccontextmanager
async def websocket(door: Door, path: str) -> AsyncIterator[WebSocketConnection]:
    stream = await trio.open_ssl_over_tcp_stream(
        "127.0.0.1", door.tls_port, ssl_context=trusting(door), https_compatible=True
    )
    # The transport is ours to close: trio-websocket leaves it open when the other side has closed first.
    async with stream, trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, HOST, path)
        nursery.cancel_scope.cancel()


async def upgrade(door: Door, path: str) -> str:
    """The head of the answer to an upgrade, in small letters."""
    stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", door.tls_port, ssl_context=trusting(door))
    lines = (
        f"GET {path} HTTP/1.1",
        f"Host: {HOST}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    answer = b""
    async with stream:
        await stream.send_all("\r\n".join((*lines, "", "")).encode())
        while b"\r\n\r\n" not in answer:
            data = await stream.receive_some()
            assert data, answer
            answer += data
    return answer.partition(b"\r\n\r\n")[0].decode().lower()


@needs_nginx
async def test_a_sound_door() -> None:
    async with door_with("sound") as (door, _edge):
        head, body = await http(door, "GET /health")
        assert head.startswith("http/1.1 200")
        assert "x-cloudbase-upstream-status-code: 200" in head
        assert '"code":0' in body.replace(" ", "")
        async with websocket(door, "/test-ws?raw=1") as echo:
            await echo.send_message("there")
            assert await echo.get_message() == "there"
            await echo.send_message(b"\0" * 4096)
            assert await echo.get_message() == b"\0" * 4096
        async with websocket(door, VOICE) as phone:
            assert '"welcome"' in await phone.get_message()


@needs_nginx
async def test_the_headers_that_a_gateway_adds() -> None:
    heads: list[str] = []

    async def container(stream: trio.SocketStream) -> None:
        heads.append((await stream.receive_some()).decode())
        await stream.send_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await stream.aclose()

    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, container, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            async with front_door(f"http://127.0.0.1:{port}") as door:
                head, _ = await http(door, "GET /somewhere?x=1")
            nursery.cancel_scope.cancel()
    assert head.startswith("http/1.1 204")
    (seen,) = heads
    assert seen.startswith("GET /somewhere?x=1 HTTP/1.1\r\n")
    lines = seen.lower().split("\r\n")
    assert f"host: {HOST}" in lines
    for wanted in ("x-real-ip: 127.0.0.1", "x-forwarded-for: 127.0.0.1", "x-forwarded-proto: https"):
        assert wanted in lines
    assert any(line.startswith("x-request-id: ") for line in lines)


@needs_nginx
async def test_without_tls_everybody_is_sent_to_it() -> None:
    async with door_with("redirect") as (door, _edge):
        assert door.url == door.http_url
        for path in ("/health", VOICE):
            head, _ = await ask(await trio.open_tcp_stream("127.0.0.1", door.plain_port), f"GET {path}")
            assert head.startswith("http/1.1 307")
            assert f"location: https://{HOST}:{door.tls_port}{path}" in head
        head, _ = await http(door, "GET /health")
        assert head.startswith("http/1.1 200")


@needs_nginx
async def test_a_silent_connection_is_cut_and_one_that_talks_is_not() -> None:
    async with (
        door_with("idle-cut", idle_s=2) as (door, _edge),
        websocket(door, "/test-ws?raw=1&quiet=1") as talking,
    ):
        async with websocket(door, "/test-ws?raw=1&quiet=1") as silent, trio.open_nursery() as nursery:

            async def talk() -> None:
                while True:
                    await talking.send_message("still there?")
                    assert await talking.get_message() == "still there?"
                    await trio.sleep(0.2)

            nursery.start_soon(talk)
            with pytest.raises(ConnectionClosed) as caught:
                await silent.get_message()
            nursery.cancel_scope.cancel()
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1006
        # A cancelled send leaves that connection unusable: what shows is that it was not cut while the other one was.
        assert talking.closed is None


@needs_nginx
@pytest.mark.parametrize("name", UPGRADES)
async def test_an_upgrade_that_fails(name: str) -> None:
    status, container_status = UPGRADES[name]
    async with door_with(name) as (door, _edge):
        head = await upgrade(door, VOICE)
    assert head.startswith(f"http/1.1 {status}")
    assert "x-cloudbase-upstream-type: tencent-cloudbaserun" in head
    told = re.search("x-cloudbase-upstream-status-code: (.*)", head)
    assert (told and told[1].strip()) == container_status


@needs_nginx
async def test_a_prefix_is_stripped_from_its_own_routes_alone() -> None:
    async with door_with("prefix-stripped") as (door, _edge), websocket(door, "/test-ws?raw=1") as echo:
        await echo.send_message("there")
        assert await echo.get_message() == "there"


@needs_nginx
@pytest.mark.parametrize("name", [name for name in TLS_NAMES if name != "old-tls"])
async def test_a_certificate_that_is_refused(name: str) -> None:
    reason = {
        "expired": "certificate has expired",
        "wrong-name": "IP address mismatch",
        "untrusted": "unable to get local issuer certificate",
        "incomplete-chain": "unable to get local issuer certificate",
    }[name]
    async with door_with(name) as (door, _edge):
        with pytest.raises(trio.BrokenResourceError) as caught:
            await http(door, "GET /health")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        assert reason in caught.value.__cause__.verify_message
        blind = ssl.create_default_context()
        blind.check_hostname = False
        blind.verify_mode = ssl.CERT_NONE
        head, _ = await http(door, "GET /health", context=blind)
        assert head.startswith("http/1.1 200")  # the certificate is all that is wrong


@needs_nginx
async def test_an_old_tls() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with door_with("old-tls") as (door, _edge):
        with pytest.raises(trio.BrokenResourceError) as caught:
            await http(door, "GET /health")
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert not isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        try:
            head, _ = await http(door, "GET /health", context=old)
        except trio.BrokenResourceError:
            pytest.skip(f"{NOT_HERE}this OpenSSL has no TLS 1.1")
        assert head.startswith("http/1.1 200")


@needs_nginx
async def test_a_small_body() -> None:
    async with door_with("small-body") as (door, _edge):
        head, _ = await http(door, "POST /api/realtime-voice/recognize", b"\0" * 20_000)
        assert head.startswith("http/1.1 413")
        assert "upstream-status-code" not in head
        head, _ = await http(door, "POST /api/realtime-voice/recognize", b"\0" * 10_000)
        assert "x-cloudbase-upstream-status-code" in head
    async with door_with("sound") as (door, _edge):
        head, _ = await http(door, "POST /api/realtime-voice/recognize", b"\0" * 20_000)
        assert "x-cloudbase-upstream-status-code" in head


@needs_haproxy
async def test_a_cold_start_makes_the_first_request_wait() -> None:
    async with door_with("slow", delay_s=1) as (door, _edge):
        # Whoever only connects, or shakes hands, wakes nobody.
        stream = await trio.open_ssl_over_tcp_stream("127.0.0.1", door.tls_port, ssl_context=trusting(door))
        async with stream:
            await stream.do_handshake()
        began = trio.current_time()
        head, _ = await http(door, "GET /health")
        assert trio.current_time() - began >= 1
        assert head.startswith("http/1.1 200")
        assert "server: tcbgw" in head
        async with websocket(door, "/test-ws?raw=1") as echo:
            await echo.send_message("there")
            assert await echo.get_message() == "there"


def test_every_fault_is_shown_here() -> None:
    shown = {"sound", "redirect", "idle-cut", "small-body", "slow", *TLS_NAMES, *UPGRADES}
    assert shown == {fault.name for fault in FAULTS}


@pytest.mark.parametrize(
    "upstream", ["https://127.0.0.1:1", "127.0.0.1:80", "http://", "http://h:99999", "http://h/api"]
)
async def test_an_upstream_that_cannot_be_used(upstream: str) -> None:
    with pytest.raises(EdgeError, match="expected http://HOST:PORT"):
        async with front_door(upstream):
            pass


async def test_a_program_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_arguments, **_options: None)
    with pytest.raises(EdgeError, match="apt install nginx"):
        async with front_door("http://127.0.0.1:1"):
            pass
