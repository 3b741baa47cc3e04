"""The check before a run: each way in which there is no gateway is said in a line, with what to check."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from loadtest.preflight import NotReachable, check_service
from loadtest.scenario import Phone as Limits
from loadtest.urls import stream_url
from tests.loadtest.protocol_server import GUARD_S, Phone, gateway

QUICK = Limits(connect_limit_s=0.5, welcome_limit_s=0.3)


async def problem_of(url: str, limits: Limits = QUICK) -> str:
    with pytest.raises(NotReachable) as raised:
        await check_service(stream_url(url), [], limits)
    text = str(raised.value)
    assert "\n" not in text
    return text.removeprefix(stream_url(url))


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """A server that gives one answer to whatever comes; its address."""

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some(4096)
        if answer:
            await stream.send_all(answer)
        await stream.aclose()

    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            await nursery.start(trio.serve_listeners, serve, listeners)
            yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
            nursery.cancel_scope.cancel()


async def test_a_gateway_that_says_welcome_is_left_at_once() -> None:
    left = trio.Event()

    async def script(phone: Phone) -> None:
        assert phone.headers[b"x-env"] == b"a"
        await phone.say("welcome", protocol=1)
        await phone.stay_silent()
        left.set()

    async with gateway(script) as server:
        await check_service(stream_url(server.url), [(b"X-Env", b"a")], QUICK)
        await left.wait()


async def test_nothing_listens() -> None:
    async with answering(b"") as url:
        pass
    assert (await problem_of(url)).startswith(": connection refused: nothing listens there. Is the service running")


async def test_a_name_without_an_address() -> None:
    limits = Limits(connect_limit_s=GUARD_S)
    assert ": no address for 'no-such-host.invalid'" in await problem_of("http://no-such-host.invalid", limits)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            " answered HTTP 404 in place of a WebSocket: no voice stream",
        ),
        (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            " answered HTTP 401 in place of a WebSocket: the token",
        ),
        (b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", " answered HTTP 301, a redirect: use the"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", " answered HTTP 200 in place of a WebSocket: check --url"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", ": what answers there does not open WebSockets"),
        (b"", ": no answer to the WebSocket upgrade within 0.5 s"),
    ],
)
async def test_what_is_no_gateway(answer: bytes, said: str) -> None:
    async with answering(answer) as url:
        assert (await problem_of(url)).startswith(said)


async def test_no_tls_where_tls_was_expected() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert ": TLS failed (" in await problem_of(url.replace("http:", "https:"))


async def test_no_welcome() -> None:
    async with gateway(Phone.stay_silent) as server:
        assert await problem_of(server.url) == " opened a WebSocket, and did not say `welcome` within 0.3 s"


async def test_closed_before_welcome() -> None:
    async def script(phone: Phone) -> None:
        await phone.close(4503)

    async with gateway(script) as server:
        assert await problem_of(server.url) == " opened a WebSocket, and closed it before `welcome` (4503)"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('{"type": "error", "code": "overloaded", "message": "full"}', " refuses streams: overloaded: full"),
        (
            '{"type": "error", "code": "not_configured", "message": "locked"}',
            " refuses streams: not_configured: locked (the service was started locked: it wants JWT_SECRET",
        ),
        ('{"type": "ready"}', " is not a voice gateway: its first message is not `welcome`"),
        ('{"type": "welcome", "protocol": 2}', " speaks protocol 2: this is for protocol 1"),
        ("hello", " is not a voice gateway: the server sent a message that is not of protocol 1"),
    ],
)
async def test_another_first_message(message: str, said: str) -> None:
    async def script(phone: Phone) -> None:
        await phone.say_raw(message)
        await phone.stay_silent()

    async with gateway(script) as server:
        assert (await problem_of(server.url)).startswith(said)
