"""The recognizer driver over real sockets, against the real `service.localasr` with its scripted engine."""

import dataclasses
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from service.dialing import dial, tls_context
from service.failures import Problem, Slug, StreamFailed
from service.localasr.faults import Fault, Script
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig, serve
from service.localasr.signature import Credentials
from service.recognizer.connection import SEND_S, ConnectionGoneError, RecognizerConnection, open_recognizer
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES, SentenceResult, Settled
from service.settings import RecognizerKind, TencentCredentials
from service.telemetry.metrics import Metrics
from tests.support.fault_stream import FaultyStream
from tests.support.stream_world import World, words

PARAMETERS = {"engine_model_type": "16k_zh", "voice_format": "1", "needvad": "1"}
REAL_TIME_GUARD_S = 30


async def start(nursery: trio.Nursery, script: Script | None = None, *, token: str = "") -> RecognizerTarget:
    account = Credentials(token=token or None)
    config = RecognizerConfig(credentials=account, script=script or Script())
    url = await nursery.start(serve, Recognizer(ScriptedEngine("coded", 10), config), "127.0.0.1", 0)
    credentials = TencentCredentials(account.app_id, account.secret_id, account.secret_key, token)
    return RecognizerTarget(RecognizerKind.TENCENT, url, credentials, ENGINES)


async def test_audio_in_words_out(nursery: trio.Nursery) -> None:
    metrics = Metrics()
    heard: list[SentenceResult | Settled] = []
    with trio.fail_after(REAL_TIME_GUARD_S):
        target = await start(nursery)
        async with open_recognizer(target, PARAMETERS, metrics) as connection:
            audio = words(1, 2)
            await connection.send_audio(audio[place : place + 3200] for place in range(0, len(audio), 3200))
            await connection.send_end()
            while Settled() not in heard:
                heard += await connection.receive()
    *before, last, settled = heard
    assert settled == Settled()
    assert isinstance(last, SentenceResult)
    assert last == SentenceResult(0, "w1 w2", last.start_ms, last.end_ms, settled=True)
    assert not any(isinstance(one, Settled) for one in before)
    assert metrics.registry.get_sample_value("voice_recognizer_connect_seconds_count") == 1
    nursery.cancel_scope.cancel()


async def test_each_connection_has_its_own_voice_id(nursery: trio.Nursery) -> None:
    with trio.fail_after(REAL_TIME_GUARD_S):
        target = await start(nursery)  # it refuses an id that was used
        ids = set()
        for _ in range(3):
            async with open_recognizer(target, PARAMETERS, Metrics()) as connection:
                ids.add(connection.voice_id)
    assert len(ids) == 3
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("given", "slug"), [("the token", None), ("another", Slug.RECOGNIZER_REJECTED)])
async def test_temporary_credentials(given: str, slug: Slug | None, nursery: trio.Nursery) -> None:
    with trio.fail_after(REAL_TIME_GUARD_S):
        target = await start(nursery, token="the token")
        own = target.credentials
        mine = TencentCredentials(own.app_id, own.secret_id, own.secret_key, given)
        target = RecognizerTarget(target.kind, target.url, mine, target.engines)
        if slug is None:
            async with open_recognizer(target, PARAMETERS, Metrics()):
                pass
        else:
            with pytest.raises(StreamFailed) as caught:
                async with open_recognizer(target, PARAMETERS, Metrics()):
                    pytest.fail("accepted")
            assert caught.value.problem.slug is slug
    nursery.cancel_scope.cancel()


async def test_nobody_listens() -> None:
    target = RecognizerTarget(RecognizerKind.TENCENT, "ws://127.0.0.1:9", TencentCredentials("1", "a", "b"), ENGINES)
    with trio.fail_after(REAL_TIME_GUARD_S), pytest.raises(StreamFailed) as caught:
        async with open_recognizer(target, PARAMETERS, Metrics()):
            pytest.fail("connected")
    assert caught.value.problem.slug is Slug.RECOGNIZER_UNAVAILABLE


@pytest.fixture
def fresh_tls() -> Iterator[None]:
    """The authorities of the process are read again, for this test and for those after it."""
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@pytest.mark.usefixtures("fresh_tls")
@pytest.mark.parametrize(("host", "trusted"), [("127.0.0.1", True), ("localhost", False), ("127.0.0.1", False)])
async def test_tls_checks_the_certificate_and_its_name(
    host: str, trusted: bool, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    (authority if trusted or host == "localhost" else stranger).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    metrics = Metrics()
    with trio.fail_after(REAL_TIME_GUARD_S):
        plain = await start(nursery)
        recognizer = Recognizer(ScriptedEngine("coded", 10))
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
        nursery.start_soon(trio.serve_listeners, recognizer.serve_stream, listeners)
        transport = listeners[0].transport_listener
        assert isinstance(transport, trio.SocketListener)
        port = transport.socket.getsockname()[1]
        target = dataclasses.replace(plain, url=f"wss://{host}:{port}")
        if trusted:
            async with open_recognizer(target, PARAMETERS, metrics):
                pass
        else:
            with pytest.raises(StreamFailed) as caught:
                async with open_recognizer(target, PARAMETERS, metrics):
                    pytest.fail("connected")
            assert caught.value.problem.slug is Slug.RECOGNIZER_UNAVAILABLE
            assert metrics.registry.get_sample_value("voice_recognizer_errors_total", {"code": "connect"}) == 1
    nursery.cancel_scope.cancel()


async def test_a_refused_upgrade_names_the_status(nursery: trio.Nursery) -> None:
    with trio.fail_after(REAL_TIME_GUARD_S):
        target = await start(nursery, Script(faults=(Fault("refuse", status=502),)))
        with pytest.raises(StreamFailed) as caught:
            async with open_recognizer(target, PARAMETERS, Metrics()):
                pytest.fail("connected")
    assert "HTTP 502" in caught.value.problem.message
    nursery.cancel_scope.cancel()


async def test_a_connection_that_is_gone_sends_nothing_more(nursery: trio.Nursery) -> None:
    with trio.fail_after(REAL_TIME_GUARD_S):
        target = await start(nursery, Script(faults=(Fault("close", at_ms=100),)))
        async with open_recognizer(target, PARAMETERS, Metrics()) as connection:
            await connection.send_audio([words(1)[:6400]])
            with pytest.raises(StreamFailed) as lost:
                await _last_of(connection)
            assert lost.value.problem.slug is Slug.RECOGNIZER_UNAVAILABLE
            with pytest.raises(ConnectionGoneError):
                await connection.send_audio([bytes(3200)])
            with pytest.raises(ConnectionGoneError):
                await connection.send_end()
    nursery.cancel_scope.cancel()


async def test_a_recognizer_that_takes_nothing_is_gone_and_receive_says_why(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    """Counted once, whoever asks; what it had said before still comes first."""
    world, metrics = World(nursery), Metrics()
    dial_world = world.deps.dial
    target = world.deps.recognizer.required()

    async def narrow(url: str) -> trio.abc.Stream:
        return FaultyStream(await dial_world(url), fault_at=2, stalls=True)

    async with open_recognizer(
        target, PARAMETERS, metrics, dial=narrow, wall_clock=world.deps.wall_clock
    ) as connection:
        began = trio.current_time()
        with pytest.raises(ConnectionGoneError):
            await connection.send_audio([bytes(3200)])
        assert trio.current_time() - began == SEND_S
        assert connection.sent_bytes == 0
        with pytest.raises(ConnectionGoneError):
            await connection.send_end()
        for _ in range(2):
            with pytest.raises(StreamFailed) as lost:
                await connection.receive()
            assert lost.value.problem.slug is Slug.RECOGNIZER_TIMEOUT
    assert trio.current_time() - began == SEND_S
    assert metrics.registry.get_sample_value("voice_recognizer_errors_total", {"code": "send_timeout"}) == 1


async def test_a_recognizer_that_takes_nothing_wakes_who_receives(
    nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery)
    dial_world = world.deps.dial
    caught: list[Problem] = []

    async def narrow(url: str) -> trio.abc.Stream:
        return FaultyStream(await dial_world(url), fault_at=2, stalls=True)

    async def listen(connection: RecognizerConnection) -> None:
        with pytest.raises(StreamFailed) as lost:
            await connection.receive()
        caught.append(lost.value.problem)

    target = world.deps.recognizer.required()
    async with (
        open_recognizer(target, PARAMETERS, Metrics(), dial=narrow, wall_clock=world.deps.wall_clock) as connection,
        trio.open_nursery() as listening,
    ):
        listening.start_soon(listen, connection)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ConnectionGoneError):
            await connection.send_audio([bytes(3200)])
    assert [problem.slug for problem in caught] == [Slug.RECOGNIZER_TIMEOUT]


async def _last_of(connection: RecognizerConnection) -> None:
    while True:
        await connection.receive()


async def test_the_signed_url_is_in_no_log(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    """trio-websocket and the recognizer log at DEBUG what they do: our own side adds no URL to it."""
    caplog.set_level(logging.DEBUG)
    with trio.fail_after(REAL_TIME_GUARD_S):
        target = await start(nursery)
        async with open_recognizer(target, PARAMETERS, Metrics()):
            pass
    assert caplog.records
    assert "signature" not in caplog.text
    assert target.credentials.secret_id not in caplog.text
    nursery.cancel_scope.cancel()


async def test_dial_leaves_nothing_open_when_it_fails(nursery: trio.Nursery) -> None:
    with trio.fail_after(REAL_TIME_GUARD_S):
        with pytest.raises(OSError, match=r"all attempts|refused"):
            await dial("ws://127.0.0.1:9")
