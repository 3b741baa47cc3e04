"""The probe over real sockets, with and without TLS."""

from functools import partial

import pytest
import trio

from service import dialing
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, serve
from service.recognizer.breaker import Breaker
from service.recognizer.circuit import FAILURES, State
from service.recognizer.probe import answers, keep_probing
from service.recognizer.target import RecognizerDirectory, RecognizerTarget
from service.recognizer.tencent import Trouble
from service.settings import RecognizerKind, TencentCredentials
from tests.support.tls import contexts

HANG_S = 20


async def test_the_local_recognizer_answers(nursery: trio.Nursery) -> None:
    with trio.fail_after(HANG_S):
        url = await nursery.start(serve, Recognizer(ScriptedEngine("coded", 1)), "127.0.0.1", 0)
        assert await answers(url)
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])  # the certificate is for the first one only
async def test_tls_is_checked(nursery: trio.Nursery, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server_context, client_context = contexts()
    monkeypatch.setattr(dialing, "tls_context", lambda: client_context)
    recognizer = Recognizer(ScriptedEngine("coded", 1))

    async def serve_tls(stream: trio.SocketStream) -> None:
        await recognizer.serve_stream(trio.SSLStream(stream, server_context, server_side=True, https_compatible=True))

    with trio.fail_after(HANG_S):
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(partial(trio.serve_listeners, serve_tls, listeners))
        assert await answers(f"wss://{host}:{port}") is (host == "localhost")
    nursery.cancel_scope.cancel()


async def test_a_port_where_nobody_listens_does_not() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with trio.fail_after(HANG_S):
        assert not await answers(f"ws://127.0.0.1:{port}")


async def test_a_recognizer_that_is_back_is_tried(nursery: trio.Nursery) -> None:
    with trio.fail_after(HANG_S):
        url = await nursery.start(serve, Recognizer(ScriptedEngine("coded", 1)), "127.0.0.1", 0)
        target = RecognizerTarget(RecognizerKind.TENCENT, url, TencentCredentials("1", "b", "c"), ())
        breaker = Breaker()
        nursery.start_soon(keep_probing, breaker, RecognizerDirectory(target))
        for _ in range(FAILURES):
            breaker.failed(Trouble.CONNECT)
        breaker._circuit.pause_s = 3600  # so that it is not over first, however slow this machine is
        breaker._circuit._opened_at -= 1800
        while breaker.state is State.OPEN:  # noqa: ASYNC110 - it has no event for us
            await trio.sleep(0.01)
        assert breaker.state is State.HALF_OPEN
    nursery.cancel_scope.cancel()
