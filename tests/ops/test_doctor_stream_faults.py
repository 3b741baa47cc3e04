"""Each fault of the table is planted for real, and the doctor has to name it."""

import contextlib
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import jwt
import pytest
import trio
import trustme

from ops.doctor.causes import CATALOGUE
from ops.doctor.finding import Finding
from ops.doctor.stage import Context
from ops.doctor.stages_stream import STAGES, stream
from service.localasr.faults import Fault, Script
from service.recognizer import connection
from service.recognizer.circuit import State
from service.recognizer.tencent import Trouble
from service.settings import AuthMode, RecognizerKind, Settings
from tests.ops.doctor_stream_faults import STREAM_FAULTS, StreamFault
from tests.ops.doctor_stream_world import (
    HANG_S,
    SECRET,
    WRONG_KEY,
    World,
    ahead,
    errs,
    http_server,
    settings_of,
    target,
    tls_refuser,
    unused_port,
    world,
)
from tests.support.gateway import CREDENTIALS
from tests.support.wire_phone import connected

BY_NAME = {stage.name: stage for stage in STAGES}
HOST = "voice.example.com"
Planted = AbstractAsyncContextManager[Context]


def signed(secret: str, expires_in_s: float) -> str:
    return jwt.encode({"sub": "doctor", "exp": int(time.time() + expires_in_s)}, secret, "HS256")


@contextlib.asynccontextmanager
async def planted(running: AbstractAsyncContextManager[World]) -> AsyncIterator[Context]:
    async with running as there:
        yield there.context


@contextlib.asynccontextmanager
async def draining() -> AsyncIterator[Context]:
    async with world() as there:
        there.deps.lifecycle.drain(trio.current_time() + HANG_S)
        yield there.context


@contextlib.asynccontextmanager
async def recognizer_gone() -> AsyncIterator[Context]:
    async with world() as there:
        there.deps.recognizer.target = None
        yield there.context


@contextlib.asynccontextmanager
async def not_dialed() -> AsyncIterator[Context]:
    async with world(tencent_asr_url=f"ws://127.0.0.1:{await unused_port()}") as there:
        breaker = there.deps.breaker
        while breaker.state is State.CLOSED:
            breaker.check()
            breaker.failed(Trouble.CONNECT)
        yield there.context


@contextlib.asynccontextmanager
async def occupied(**settings: Any) -> AsyncIterator[Context]:
    """One phone is in a stream."""
    async with world(**settings) as there, connected(there.url):
        yield there.context


@contextlib.asynccontextmanager
async def late_loop() -> AsyncIterator[Context]:
    async with world() as there:
        for _ in range(8):
            there.deps.admission.overload.note(1.0, trio.current_time())
        yield there.context


@contextlib.asynccontextmanager
async def nobody_there(*, is_known: bool) -> AsyncIterator[Context]:
    async with world(is_known=is_known, tencent_asr_url=f"ws://127.0.0.1:{await unused_port()}") as there:
        yield there.context


@contextlib.asynccontextmanager
async def at_address(asr_url: str) -> AsyncIterator[Context]:
    yield Context(target=target(), settings=settings_of(asr_url))


@contextlib.asynccontextmanager
async def untrusted_recognizer() -> AsyncIterator[Context]:
    async with http_server(tls=_server_tls(trustme.CA(), "localhost")) as port:
        yield Context(target=target(), settings=settings_of(f"wss://localhost:{port}"))


@contextlib.asynccontextmanager
async def other_server() -> AsyncIterator[Context]:
    async with http_server() as port:
        yield Context(target=target(), settings=settings_of(f"ws://127.0.0.1:{port}"))


@contextlib.asynccontextmanager
async def silent_recognizer() -> AsyncIterator[Context]:
    script = Script(mode="clock", faults=(Fault(do="silent_handshake"),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "FIRST_MESSAGE_S", 0.3)
        async with world(script, is_known=True) as there:
            yield there.context


@contextlib.asynccontextmanager
async def local_with_other_words() -> AsyncIterator[Context]:
    async with world() as there:
        there.context.settings = Settings(
            auth_mode=AuthMode.OFF, recognizer=RecognizerKind.LOCAL, default_engine="16k_en"
        )
        yield there.context


@contextlib.asynccontextmanager
async def clock_of_a_proxy() -> AsyncIterator[Context]:
    async with http_server(ahead(120)) as port:
        yield Context(target=target(port=port))


@contextlib.asynccontextmanager
async def named(host: str, port: int = 443, scheme: str = "https") -> AsyncIterator[Context]:
    yield Context(target=target(host, port, scheme), found={"addresses": []})


@contextlib.asynccontextmanager
async def tls_server(host: str = HOST, *, is_trusted: bool = True, is_old: bool = False) -> AsyncIterator[Context]:
    """A server of this name on this machine, at another port than 443."""
    authority = trustme.CA()
    tls = _server_tls(authority, host, is_old=is_old)
    with pytest.MonkeyPatch.context() as patch, authority.cert_pem.tempfile() as trusted:
        if is_trusted:
            patch.setenv("SSL_CERT_FILE", trusted)
        async with tls_refuser(tls) if is_old else http_server(tls=tls) as port:
            yield Context(target=target(host, port, "https"), found={"addresses": ["127.0.0.1"]})


def _server_tls(authority: trustme.CA, name: str, *, is_old: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    if is_old:
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):  # deprecated, which is the point
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


WITH_TOKENS: dict[str, Any] = {"auth_mode": AuthMode.TOKEN, "jwt_secret": SECRET}
PLANTS: dict[str, Callable[[], Planted]] = {
    "nothing": lambda: planted(world()),
    "locked: no recognizer": lambda: planted(world(recognizer=RecognizerKind.NONE, credentials=None)),
    "locked: no authentication": lambda: planted(world(auth_mode=AuthMode.LOCKED)),
    "no token given": lambda: planted(world(**WITH_TOKENS)),
    "token of another service": lambda: planted(world(**WITH_TOKENS, token=signed("x" * 32, 600))),
    "expired token": lambda: planted(world(**WITH_TOKENS, token=signed(SECRET, -600))),
    "instance draining": draining,
    "local recognizer gone": recognizer_gone,
    "recognizer slots full": lambda: occupied(upstream_concurrency=1),
    "recognizer refused too often": not_dialed,
    "wrong key": lambda: planted(world(credentials=WRONG_KEY)),
    "wrong key, settings known": lambda: planted(world(credentials=WRONG_KEY, is_known=True)),
    "not activated (4003)": lambda: planted(world(errs(4003), is_known=True)),
    "resource package used up (4004)": lambda: planted(world(errs(4004))),
    "arrears (4005)": lambda: planted(world(errs(4005))),
    "arrears (4005), settings known": lambda: planted(world(errs(4005), is_known=True)),
    "account's streams all taken (4006)": lambda: planted(world(errs(4006))),
    "account's streams all taken (4006), settings known": lambda: planted(world(errs(4006), is_known=True)),
    "call from abroad (6001)": lambda: planted(world(errs(6001))),
    "message not understood (4010), settings known": lambda: planted(world(errs(4010), is_known=True)),
    "recognizer overloaded (5000)": lambda: planted(world(errs(5000))),
    "engine that the recognizer lacks (4001)": lambda: planted(world(default_engine="16k_klingon")),
    "recognizer down": lambda: nobody_there(is_known=False),
    "recognizer down, settings known": lambda: nobody_there(is_known=True),
    "recognizer's name unknown": lambda: at_address("wss://no-such-recognizer.invalid"),
    "recognizer's TLS not trusted": untrusted_recognizer,
    "another server at the recognizer's address": other_server,
    "recognizer accepts and says nothing": silent_recognizer,
    "first words after 1.5 s": lambda: planted(world(Script(mode="clock", result_delay_ms=1500))),
    "last words 1.5 s late": lambda: planted(world(Script(mode="clock", final_delay_ms=1500))),
    "engine of another language": lambda: planted(world(Script(mode="coded"))),
    "words lost by the recognizer": local_with_other_words,
    "MAX_STREAMS reached": lambda: occupied(max_streams=1),
    "address has MAX_STREAMS_PER_ADDRESS streams": lambda: occupied(max_streams_per_address=1),
    "event loop late": late_loop,
    "MAX_STREAM_S of 1": lambda: planted(world(max_stream_s=1)),
    "stream's path not routed": lambda: planted(world(prefix="/elsewhere")),
    "gateway's clock 10 min ahead": lambda: planted(world(gateway_clock=ahead(600))),
    "gateway's clock 10 min behind, seen by a refusal": lambda: planted(world(gateway_clock=ahead(-600))),
    "proxy's clock 2 min ahead": clock_of_a_proxy,
    "this machine's clock 10 min behind": lambda: planted(
        world(recognizer_clock=ahead(600), gateway_clock=ahead(600), is_known=True)
    ),
    "http, not https": lambda: named("voice.example.com", 80, "http"),
    "IP address": lambda: named("203.0.113.7", 80, "http"),
    "name of a private network": lambda: named("gateway.internal", 80, "http"),
    "default domain of the platform": lambda: tls_server("voice-1250000000.sh.run.tcloudbase.com"),
    "a port other than 443": tls_server,
    "certificate of a private authority": lambda: tls_server(is_trusted=False),
    "TLS 1.1 only": lambda: tls_server(is_old=True),
}
ASKED_BEFORE = {
    "gateway's clock 10 min ahead": ("locked",),
    "gateway's clock 10 min behind, seen by a refusal": ("locked", "clock"),
    "this machine's clock 10 min behind": ("locked", "recognizer"),
    "MAX_STREAM_S of 1": ("locked",),
}


SLOW = ("first words after 1.5 s", "last words 1.5 s late")


def check_told(finding: Finding) -> None:
    """What holds for every finding: its causes exist, and nothing secret is said."""
    for slug in finding.causes:
        assert slug in CATALOGUE, slug
    said = repr(finding)
    for secret in (CREDENTIALS.secret_id, CREDENTIALS.secret_key, WRONG_KEY.secret_key, SECRET, "eyJ", "t400"):
        assert secret not in said
    assert finding.summary.en
    assert finding.summary.zh


@pytest.mark.parametrize("fault", STREAM_FAULTS, ids=lambda fault: fault.name)
async def test_named(fault: StreamFault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LATE_HERE_S", HANG_S)  # a busy machine is not what is tested
    if fault.name not in SLOW:
        monkeypatch.setattr(stream, "TOO_SLOW_S", HANG_S)
    with trio.fail_after(HANG_S):
        async with PLANTS[fault.name]() as context:
            for name in ASKED_BEFORE.get(fault.name, ()):
                check_told(await BY_NAME[name].check(context))
            finding = await BY_NAME[fault.stage].check(context)
    check_told(finding)
    assert (finding.stage, str(finding.verdict)) == (fault.stage, fault.verdict), finding
    named = finding.causes if fault.name in SLOW else finding.causes[:1]  # on a busy machine the others are slow, too
    assert fault.cause in (named or ("",)), finding


def test_every_row_is_planted() -> None:
    assert {fault.name for fault in STREAM_FAULTS} == set(PLANTS)
    assert len(STREAM_FAULTS) == len(PLANTS)
