"""One recognizer connection: the driver of Tencent's protocol over our WebSocket.

Owner of these deadlines: connecting (TCP, TLS and upgrade), the first message, each send, the close. A send that
failed or ran out of time leaves half a frame behind, so nothing is ever sent after it. While nobody receives nothing
more is read than one read brings, so that TCP holds the recognizer back.

The signed URL is a credential: it is in no log line and in no exception that leaves this file.
"""

import contextlib
import secrets
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import Final

import trio
from websockets.protocol import Side

from service.dialing import dial
from service.failures import Slug, StreamFailed, problem
from service.recognizer import tencent
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import RecognizerMessage, SentenceResult, Settled, Trouble
from service.retry_hint import retry_hint_ms
from service.telemetry.metrics import Metrics
from service.tls_stream import TlsStream
from service.websocket.handshake import ClientHandshake, UpgradeFailed
from service.websocket.plain import PlainSocket
from service.websocket.pump import Pump
from service.websocket.websocket import WebSocket, WebSocketEnded, WriteTooSlow
from service.websocket.wire import Wire

CONNECT_S: Final = 5.0  # as Tencent's own Java client
FIRST_MESSAGE_S: Final = 10.0  # Tencent's Java client waits 15 s; nobody holds a microphone open that long
SEND_S: Final = 5.0
CLOSE_S: Final = 2.0
MAX_MESSAGE_BYTES: Final = 1024 * 1024  # a sentence of 90 s with its words is below 50 kB

Taker = Callable[[SentenceResult, float], bool]
"""Takes a result at once, without a wait, at a time of Trio's clock; whether it has."""

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens a connection to a `ws://` or `wss://` address, TLS included."""


class ConnectionGoneError(Exception):
    """The connection ended before or while something was sent: `receive` raises why, at once."""


class RecognizerConnection:
    """An accepted connection. One task may send while another receives."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        early: bytes,
        pump: Pump | None,
        voice_id: str,
        target: RecognizerTarget,
        engine: str,
        metrics: Metrics,
    ) -> None:
        self._stream = stream
        self._wire = Wire(Side.CLIENT, MAX_MESSAGE_BYTES)
        self._over = over = PlainSocket(stream) if isinstance(stream, trio.SocketStream) else stream
        self._socket = WebSocket(over, self._wire, early=early, send_s=SEND_S)
        if pump is not None and isinstance(over, PlainSocket | TlsStream):
            self._socket.start_pump(pump, over)
        self._target = target
        self._engine = engine
        self._metrics = metrics
        self._waiting: deque[bytes | str] = deque()
        """Messages that came with the last read, and were not looked at yet."""
        self._why: StreamFailed | None = None
        """What ended the connection, where it was not the recognizer."""
        self.voice_id = voice_id
        self.sent_bytes = 0

    async def send_audio(self, packets: Iterable[bytes]) -> None:
        """Send packets of audio, in order and in one write; `sent_bytes` counts them when they were written.

        Raises ConnectionGoneError when the connection has ended, also because they could not all be written in SEND_S:
        `receive` raises why. After that, and after a cancellation, the connection sends nothing more.
        """
        audio = list(packets)
        await self._send(self._wire.encode_all(audio))
        self.sent_bytes += sum(map(len, audio))

    async def send_end(self) -> None:
        """Say that no audio follows. Raises as `send_audio`."""
        await self._send(self._wire.encode(tencent.END_MESSAGE))

    async def receive(self) -> list[SentenceResult | Settled]:
        """All that the recognizer has said by now, at least one thing, in order.

        Raises StreamFailed for an error, a garbled message or the end, when all that was said before was returned.
        Waits as long as it takes. Cancelled, it loses nothing.
        """
        if not self._waiting:
            await self._wait()
        heard: list[SentenceResult | Settled] = []
        while self._waiting:
            said = _decoded(self._waiting[0])
            results = [one for one in said if isinstance(one, SentenceResult | Settled)]
            if heard and not results:
                break  # an error, for the next call
            self._waiting.popleft()
            heard += results
            if not results:
                raise self._unwanted(said)
        return heard

    def relay_to(self, taker: Taker | None) -> None:
        """Offer results to `taker` first while a task waits in `receive`: it says whether it has taken this one.

        It is called when they come, without a task switch; over what is no socket this is ignored.
        """
        self._socket.taker = None if taker is None else partial(self._offer, taker)

    @staticmethod
    def _offer(taker: Taker, messages: list[bytes | str], now: float) -> int:
        for number, message in enumerate(messages):
            said = _decoded(message)
            if len(said) != 1 or not isinstance(said[0], SentenceResult) or not taker(said[0], now):
                return number
        return len(messages)

    @property
    def can_send_now(self) -> bool:
        """Whether `send_audio_now` may be called: nothing that was sent before is still waiting."""
        return self._socket.can_send_now

    def send_audio_now(self, packets: list[bytes]) -> bool:
        """As `send_audio`, without a wait. Returns whether it is all on its way; else `flush` must follow soon."""
        is_sent = self._socket.send_now(self._wire.encode_all(packets))
        self.sent_bytes += sum(map(len, packets))
        return is_sent

    async def flush(self) -> None:
        """Wait for what `send_audio_now` left. Raises as `send_audio`."""
        await self._sending(self._socket.flush())

    def end(self) -> None:
        """Read and write nothing more: before the stream is closed."""
        self._socket.end()
        if isinstance(self._over, PlainSocket):
            self._over.forget()

    async def wait_accepted(self) -> None:
        """Wait for the first message. Raises StreamFailed when it refuses the stream or does not come in time."""
        with trio.move_on_after(FIRST_MESSAGE_S) as limit:
            if not self._waiting:
                await self._wait()
            said = _decoded(self._waiting.popleft())
            if said != [tencent.Accepted()]:
                raise self._unwanted(said)
        if limit.cancelled_caught:
            raise self._failed(
                Trouble.FIRST_MESSAGE_TIMEOUT, f"The recognizer did not answer within {FIRST_MESSAGE_S:g} s."
            )

    async def wait_closed(self) -> None:
        """Wait until the recognizer has closed, as it does when it has settled everything: Tencent's server begins."""
        with contextlib.suppress(WebSocketEnded):
            while True:
                await self._socket.receive()

    async def _send(self, frames: bytes) -> None:
        await self._sending(self._socket.send(frames, shield=False))

    async def _sending(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (WebSocketEnded, WriteTooSlow) as error:
            if isinstance(error, WriteTooSlow):
                self._why = self._failed(Trouble.SEND_TIMEOUT, f"The recognizer took no audio for {SEND_S:g} s.")
            self.end()
            await trio.aclose_forcefully(self._stream)  # so that `receive` does not wait for a peer that is half gone
            raise ConnectionGoneError from None

    async def _wait(self) -> None:
        """Until something was said."""
        try:
            self._waiting.extend(await self._socket.receive())
        except WebSocketEnded:
            if self._why is not None:
                raise self._why from None
            if self._wire.has_broken_the_protocol:
                raise self._failed(Trouble.GARBLED, "The recognizer does not speak WebSocket as expected.") from None
            raise self._failed(Trouble.LOST, "The recognizer closed the connection.") from None

    def _unwanted(self, said: list[RecognizerMessage]) -> StreamFailed:
        """The failure for a message that has no place here; empty when it is none of the protocol."""
        if not said:
            return self._failed(Trouble.GARBLED, "The recognizer sent something else than its protocol.")
        if not isinstance(said[0], tencent.Refused):
            return self._failed(Trouble.GARBLED, "The recognizer spoke out of turn.")
        self._metrics.recognizer_errors.labels(tencent.code_label(said[0].code)).inc()
        return StreamFailed(
            tencent.problem_of(
                said[0], engine=self._engine, engines=self._target.engines, retry_after_ms=retry_hint_ms()
            )
        )

    def _failed(self, trouble: Trouble, message: str) -> StreamFailed:
        return failed(trouble, message, self._metrics)


def _decoded(message: bytes | str) -> list[RecognizerMessage]:
    """What a message says; nothing, when it is none of the protocol."""
    try:
        return tencent.decode(message)
    except tencent.GarbledError:
        return []


_TIMEOUTS: Final = (
    Trouble.CONNECT_TIMEOUT,
    Trouble.FIRST_MESSAGE_TIMEOUT,
    Trouble.SEND_TIMEOUT,
    Trouble.FINAL_TIMEOUT,
)


def failed(trouble: Trouble, message: str, metrics: Metrics) -> StreamFailed:
    """The failure for what happened to a connection, counted."""
    metrics.recognizer_errors.labels(trouble).inc()
    slug = Slug.RECOGNIZER_TIMEOUT if trouble in _TIMEOUTS else Slug.RECOGNIZER_UNAVAILABLE
    return StreamFailed(problem(slug, message))


@contextlib.asynccontextmanager
async def open_recognizer(
    target: RecognizerTarget,
    parameters: dict[str, str],
    metrics: Metrics,
    *,
    pump: Pump | None = None,
    dial: Dial = dial,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[RecognizerConnection]:
    """A connection that the recognizer has accepted, with a fresh voice id, while the `async with` lasts.

    `parameters` are Tencent's request parameters without those of the signature. Raises StreamFailed when the
    connection is refused or cannot be had in time. Left in order, it gives the recognizer CLOSE_S to close; left by an
    exception or a cancellation, it closes by force at once.
    """
    began = trio.current_time()
    with trio.move_on_at(began + CONNECT_S) as limit:
        stream = await _connected(target, metrics, dial)
    if limit.cancelled_caught:
        raise _connect_timeout(metrics)
    try:
        voice_id = str(uuid.uuid4())
        resource = _signed(target, parameters | {"voice_id": voice_id}, wall_clock)
        early: bytes | None = None
        with trio.move_on_at(began + CONNECT_S):
            early = await _upgraded(stream, ClientHandshake(target.url, resource, _headers(target)), metrics)
        if early is None:
            raise _connect_timeout(metrics)
        engine = parameters["engine_model_type"]
        connection = RecognizerConnection(stream, early, pump, voice_id, target, engine, metrics)
        try:
            await connection.wait_accepted()
            metrics.recognizer_connect.observe(trio.current_time() - began)
            yield connection
            with trio.move_on_after(CLOSE_S):
                await connection.wait_closed()
        finally:
            connection.end()
    finally:
        await trio.aclose_forcefully(stream)


async def _upgraded(stream: trio.abc.Stream, handshake: ClientHandshake, metrics: Metrics) -> bytes:
    """Ask for the upgrade; what came behind the answer. Raises StreamFailed."""
    try:
        await stream.send_all(handshake.request)
        while True:
            data = await stream.receive_some()
            if not data:
                break
            early = handshake.feed(bytes(data))
            if early is not None:
                return early
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    except UpgradeFailed as refusal:
        if refusal.status is None:
            raise failed(Trouble.GARBLED, "The recognizer does not speak WebSocket as expected.", metrics) from None
        message = f"The recognizer answered the upgrade with HTTP {refusal.status}."
        raise failed(Trouble.UPGRADE, message, metrics) from None
    raise failed(Trouble.UPGRADE, "The recognizer hung up instead of accepting the upgrade.", metrics)


async def _connected(target: RecognizerTarget, metrics: Metrics, dial: Dial) -> trio.abc.Stream:
    try:
        return await dial(target.url)
    except (OSError, UnicodeError, trio.BrokenResourceError):  # UnicodeError: a host that cannot be a name, as a..b
        raise failed(Trouble.CONNECT, "No connection to the recognizer.", metrics) from None


def _connect_timeout(metrics: Metrics) -> StreamFailed:
    return failed(Trouble.CONNECT_TIMEOUT, f"No connection to the recognizer within {CONNECT_S:g} s.", metrics)


def _signed(target: RecognizerTarget, parameters: tencent.Parameters, wall_clock: Callable[[], float]) -> str:
    nonce = 1 + secrets.randbelow(9_999_999_999)  # positive, at most 10 digits
    return tencent.resource(target.credentials, parameters, now_s=int(wall_clock()), nonce=nonce)


def _headers(target: RecognizerTarget) -> list[tuple[bytes, bytes]]:
    """Temporary credentials travel in a header, as in Tencent's Java SDK: so the token is in no URL."""
    token = target.credentials.token
    return [(b"X-TC-Token", token.encode())] if token else []
