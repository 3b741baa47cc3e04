"""Whole gateways in this process, with a real recognizer program behind and one fault in them, for the doctor."""

import contextlib
import dataclasses
import email.utils
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import trio

from ops.doctor.stage import Context, Target
from service.deps import Deps
from service.localasr.faults import Fault, Script
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig, serve
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import AuthMode, RecognizerKind, Settings, TencentCredentials
from tests.support.edge import make_deps, running_edge
from tests.support.gateway import CREDENTIALS

HANG_S = 60
SECRET = "a secret of the service that is long enough"
CLOCK = Script(mode="clock")
"""Hears words in any audio."""
WRONG_KEY = TencentCredentials(CREDENTIALS.app_id, CREDENTIALS.secret_id, "SECRETKEYOFSOMEBODYELSE00000000")


@dataclass
class World:
    """A gateway, and how the doctor is to examine it."""

    context: Context
    deps: Deps
    recognizer: Recognizer

    @property
    def url(self) -> str:
        """The base of the gateway."""
        return f"http://127.0.0.1:{self.context.target.port}"


def ahead(by_s: float) -> Callable[[], float]:
    """A wall clock that is wrong."""
    return lambda: time.time() + by_s


def target(host: str = "127.0.0.1", port: int = 80, scheme: str = "http", prefix: str = "") -> Target:
    """What is examined."""
    return Target(scheme=scheme, host=host, port=port, prefix=prefix)


def errs(code: int) -> Script:
    """A recognizer that answers every stream with a code."""
    return Script(mode="clock", faults=(Fault(do="error", code=code),))


@contextlib.asynccontextmanager
async def world(
    script: Script = CLOCK,
    *,
    recognizer_clock: Callable[[], float] = time.time,
    gateway_clock: Callable[[], float] = time.time,
    is_known: bool = False,
    token: str | None = None,
    prefix: str = "",
    **settings: Any,
) -> AsyncIterator[World]:
    """A gateway that serves. `is_known`: the doctor has its settings, as with `--local`."""
    recognizer = Recognizer(
        ScriptedEngine(script.mode, 100), RecognizerConfig(script=script, wall_clock=recognizer_clock)
    )
    async with trio.open_nursery() as nursery:
        asr_url = await nursery.start(serve, recognizer, "127.0.0.1", 0)
        chosen = {
            "auth_mode": AuthMode.OFF,
            "recognizer": RecognizerKind.TENCENT,
            "credentials": CREDENTIALS,
            "tencent_asr_url": asr_url,
            **settings,
        }
        deps = dataclasses.replace(make_deps(**chosen), wall_clock=gateway_clock)
        if deps.settings.recognizer is not RecognizerKind.NONE:
            deps.recognizer.target = RecognizerTarget(
                RecognizerKind.TENCENT, deps.settings.tencent_asr_url, deps.settings.credentials or CREDENTIALS, ENGINES
            )
        await nursery.start(deps.pump.run)
        async with running_edge(deps, hang_s=HANG_S) as running:
            context = Context(
                target=target(port=running.port, prefix=prefix),
                token=token,
                settings=deps.settings if is_known else None,
            )
            yield World(context, deps, recognizer)
        nursery.cancel_scope.cancel()


def settings_of(asr_url: str, **settings: Any) -> Settings:
    """Settings with an account and this recognizer."""
    return Settings(
        auth_mode=AuthMode.OFF,
        recognizer=RecognizerKind.TENCENT,
        credentials=CREDENTIALS,
        tencent_asr_url=asr_url,
        **settings,
    )


async def unused_port() -> int:
    """A port at which nobody listens any more."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        return int(listener.socket.getsockname()[1])


@contextlib.asynccontextmanager
async def http_server(
    clock: Callable[[], float] = time.time, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A real server that answers every request with 204 and the time of its clock; its port."""

    async def answer(plain: trio.SocketStream) -> None:
        stream: trio.abc.Stream = plain
        try:
            if tls is not None:
                stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
            head = b""
            while b"\r\n\r\n" not in head:
                data = await stream.receive_some(4096)
                if not data:
                    return
                head += data
            date = email.utils.formatdate(clock(), usegmt=True)
            await stream.send_all(f"HTTP/1.1 204 No Content\r\nDate: {date}\r\nConnection: close\r\n\r\n".encode())
        except (trio.BrokenResourceError, OSError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, answer, listeners)
        yield int(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def tls_refuser(tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A server whose handshakes fail as other servers' do: with an alert, which Trio's TLS leaves out; its port."""

    def shake_hands(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5.0)
            tls.wrap_socket(connection, server_side=True).close()

    async def refuse(plain: trio.SocketStream) -> None:
        async with plain:
            await trio.to_thread.run_sync(shake_hands, socket.socket(fileno=os.dup(plain.socket.fileno())))

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, refuse, listeners)
        yield int(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def tls_front(port: int, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """Ends TLS before a server on this machine; its port."""

    async def copy(source: trio.abc.Stream, sink: trio.abc.Stream, done: trio.CancelScope) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await source.receive_some(65536):
                await sink.send_all(data)
        done.cancel()

    async def serve_one(plain: trio.SocketStream) -> None:
        outside = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
        inside = await trio.open_tcp_stream("127.0.0.1", port)
        try:
            async with trio.open_nursery() as both:
                both.start_soon(copy, outside, inside, both.cancel_scope)
                both.start_soon(copy, inside, outside, both.cancel_scope)
        finally:
            await trio.aclose_forcefully(outside)
            await trio.aclose_forcefully(inside)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(trio.serve_listeners, serve_one, listeners)
        yield int(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()
