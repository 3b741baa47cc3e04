"""A whole gateway on real sockets: the edge, the pump that relays, and a scripted recognizer."""

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio

from service.localasr.engine import Engine, EngineStream, Event, StreamFinished, StreamSettings
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, serve
from service.localasr.signature import Credentials
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import AuthMode, RecognizerKind, TencentCredentials
from tests.support.edge import Running, WsClient, make_deps, running_edge
from tests.support.wire_phone import PATH

ACCOUNT = Credentials()
CREDENTIALS = TencentCredentials(ACCOUNT.app_id, ACCOUNT.secret_id, ACCOUNT.secret_key)


@contextlib.asynccontextmanager
async def running_gateway(
    engine: Engine | None = None, *, is_pumped: bool = True, send_buffer_bytes: int | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Serves until the end of the `async with`. Without an engine, what coded audio says is recognized."""
    recognizer = Recognizer(engine or ScriptedEngine("coded", 100))
    chosen = {"auth_mode": AuthMode.OFF, "recognizer": RecognizerKind.TENCENT, "credentials": CREDENTIALS, **settings}
    deps = make_deps(**chosen)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, recognizer, "127.0.0.1", 0)
        deps.recognizer.target = RecognizerTarget(RecognizerKind.TENCENT, url, CREDENTIALS, ENGINES)
        if is_pumped:
            await nursery.start(deps.pump.run)
        async with running_edge(deps, send_buffer_bytes=send_buffer_bytes) as running:
            yield running
        nursery.cancel_scope.cancel()


def metric(running: Running, name: str, **labels: str) -> float:
    """The value of a sample; 0 when it was never set."""
    return running.deps.metrics.registry.get_sample_value(name, labels) or 0.0


class Outburst(ScriptedEngine):
    """Says everything that it has to say at once, with the first audio that a stream brings."""

    def __init__(self, events: list[Event]) -> None:
        super().__init__("clock")  # which takes any format
        self.events = events
        self.heard_bytes: list[int] = []
        """Audio, by connection."""

    @contextlib.asynccontextmanager
    async def open(self, settings: StreamSettings, emit: Callable[[Event], None]) -> AsyncIterator[EngineStream]:
        self.heard_bytes.append(0)
        yield _OneOutburst(self, len(self.heard_bytes) - 1, emit)


class _OneOutburst:
    def __init__(self, engine: Outburst, number: int, emit: Callable[[Event], None]) -> None:
        self._engine = engine
        self._number = number
        self._emit = emit

    def feed(self, pcm: bytes) -> None:
        for event in () if self._engine.heard_bytes[self._number] else self._engine.events:
            self._emit(event)
        self._engine.heard_bytes[self._number] += len(pcm)

    def finish(self) -> None:
        self._emit(StreamFinished())


class PatientPhone:
    """A phone that reads when it is told to, and little: it has small buffers. Errors are messages like others."""

    def __init__(self, client: WsClient) -> None:
        self.client = client
        self.seen: list[dict[str, Any]] = []

    @classmethod
    async def connect(cls, port: int, **start: Any) -> "PatientPhone":
        """One whose stream is ready."""
        phone = cls(await WsClient.connect(port, PATH, receive_buffer_bytes=2304))
        await phone.hear("welcome")
        await phone.client.send_json(type="start", **start)
        await phone.hear("ready")
        return phone

    async def hear(self, kind: str) -> dict[str, Any]:
        """The next message of this type."""
        while True:
            message: dict[str, Any] = await self.client.receive_json()
            self.seen.append(message)
            if message["type"] == kind:
                return message
