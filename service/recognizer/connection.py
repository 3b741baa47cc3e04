"""One recognizer connection: the driver of Tencent's protocol over trio-websocket.

Owner of these deadlines: connecting (TCP, TLS and upgrade), the first message, each send, the close. A send that failed
or ran out of time leaves a connection that looks open and is dead (trio-websocket counts the bytes as sent), so it is
never used again. Messages that wait to be received are bounded; up to that bound pings are answered while nobody
receives.

The signed URL is a credential: it is in no log line and in no exception that leaves this file.
"""

import contextlib
import secrets
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final, cast
from urllib.parse import urlsplit

import trio
import trio_websocket
from wsproto.utilities import LocalProtocolError, ProtocolError

from service.cancellation import cancel_when
from service.dialing import dial
from service.failures import Slug, StreamFailed, problem
from service.groups import leaves
from service.recognizer import tencent
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import RecognizerMessage, SentenceResult, Settled, Trouble
from service.retry_hint import retry_hint_ms
from service.telemetry.metrics import Metrics

CONNECT_S: Final = 5.0  # as Tencent's own Java client
FIRST_MESSAGE_S: Final = 10.0  # Tencent's Java client waits 15 s; nobody holds a microphone open that long
SEND_S: Final = 5.0
CLOSE_S: Final = 2.0
MAX_WAITING_MESSAGES: Final = 64  # some 7 s of results at ten a second; longer than a send to the client may take
MAX_MESSAGE_BYTES: Final = 1024 * 1024  # a sentence of 90 s with its words is below 50 kB

Dial = Callable[[str], Awaitable[trio.abc.Stream]]
"""Opens a connection to a `ws://` or `wss://` address, TLS included."""


class ConnectionGoneError(Exception):
    """The connection ended before or while something was sent: `receive` raises why, at once."""


class RecognizerConnection:
    """An accepted connection. One task may send while another receives."""

    def __init__(
        self,
        socket: trio_websocket.WebSocketConnection,
        voice_id: str,
        target: RecognizerTarget,
        engine: str,
        metrics: Metrics,
    ) -> None:
        self._socket = socket
        self._target = target
        self._engine = engine
        self._metrics = metrics
        self._sendable = True
        self._said: deque[RecognizerMessage] = deque()
        """What the last message said and was not received yet."""
        self.voice_id = voice_id
        self.sent_bytes = 0

    async def send_audio(self, packets: Iterable[bytes]) -> None:
        """Send packets of audio, in order; `sent_bytes` counts those that were written.

        Raises ConnectionGoneError when the connection has ended, StreamFailed when they could not all be written in
        SEND_S. After either, and after a cancellation, the connection sends nothing more.
        """
        with trio.move_on_after(SEND_S) as limit:
            for packet in packets:
                await self._send(packet)
                self.sent_bytes += len(packet)
        self._check_sent(limit)

    async def send_end(self) -> None:
        """Say that no audio follows. Raises as `send_audio`."""
        with trio.move_on_after(SEND_S) as limit:
            await self._send(tencent.END_MESSAGE)
        self._check_sent(limit)

    async def receive(self) -> SentenceResult | Settled:
        """The next thing the recognizer says. Raises StreamFailed for an error, a garbled message or the end.

        Waits as long as it takes. Cancelled, it loses nothing.
        """
        if not self._said:
            self._said.extend(await self._receive())
        said = self._said.popleft()
        if isinstance(said, SentenceResult | Settled):
            return said
        raise self._failed(Trouble.GARBLED, "The recognizer spoke out of turn.")

    async def wait_accepted(self) -> None:
        """Wait for the first message. Raises StreamFailed when it refuses the stream or does not come in time."""
        with trio.move_on_after(FIRST_MESSAGE_S) as limit:
            if await self._receive() != [tencent.Accepted()]:
                raise self._failed(Trouble.GARBLED, "The recognizer did not begin with its handshake.")
        if limit.cancelled_caught:
            raise self._failed(
                Trouble.FIRST_MESSAGE_TIMEOUT, f"The recognizer did not answer within {FIRST_MESSAGE_S:g} s."
            )

    async def wait_closed(self) -> None:
        """Wait until the recognizer has closed, as it does when it has settled everything.

        No handshake of ours: Tencent's server begins it, and trio-websocket cannot answer a ping once it has begun one.
        """
        with contextlib.suppress(trio_websocket.ConnectionClosed):
            while True:
                await self._socket.get_message()

    async def _send(self, message: str | bytes) -> None:
        if not self._sendable:
            raise ConnectionGoneError
        self._sendable = False
        try:
            await self._socket.send_message(message)
        except (trio_websocket.ConnectionClosed, LocalProtocolError):
            raise ConnectionGoneError from None
        self._sendable = True

    def _check_sent(self, limit: trio.CancelScope) -> None:
        if limit.cancelled_caught:
            raise self._failed(Trouble.SEND_TIMEOUT, f"The recognizer took no audio for {SEND_S:g} s.")

    async def _receive(self) -> list[RecognizerMessage]:
        """What the next message says; nothing of it is an error."""
        try:
            said = tencent.decode(await self._socket.get_message())
        except trio_websocket.ConnectionClosed:
            raise self._failed(Trouble.LOST, "The recognizer closed the connection.") from None
        except tencent.GarbledError:
            raise self._failed(Trouble.GARBLED, "The recognizer sent something else than its protocol.") from None
        if isinstance(said[0], tencent.Refused):
            self._metrics.recognizer_errors.labels(tencent.code_label(said[0].code)).inc()
            raise StreamFailed(
                tencent.problem_of(
                    said[0], engine=self._engine, engines=self._target.engines, retry_after_ms=retry_hint_ms()
                )
            )
        return said

    def _failed(self, trouble: Trouble, message: str) -> StreamFailed:
        return failed(trouble, message, self._metrics)


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
    dial: Dial = dial,
    wall_clock: Callable[[], float] = time.time,
) -> AsyncIterator[RecognizerConnection]:
    """A connection that the recognizer has accepted, with a fresh voice id, while the `async with` lasts.

    `parameters` are Tencent's request parameters without those of the signature. Raises StreamFailed, alone or in an
    ExceptionGroup, when the connection is refused or cannot be had in time. Left in order, it gives the recognizer
    CLOSE_S to close; left by an exception or a cancellation, it closes by force at once.
    """
    began = trio.current_time()
    with trio.move_on_at(began + CONNECT_S) as limit:
        stream = await _connected(target, metrics, dial)
    if limit.cancelled_caught:
        raise _connect_timeout(metrics)
    voice_id = str(uuid.uuid4())
    watched = _WatchedStream(stream)
    socket = None
    try:
        async with trio.open_nursery() as nursery:  # of trio-websocket's reader; nothing else runs in it
            resource = _signed(target, parameters | {"voice_id": voice_id}, wall_clock)
            with trio.move_on_at(began + CONNECT_S) as limit:
                socket = await _upgraded(nursery, watched, target, resource)
            if limit.cancelled_caught:
                raise _connect_timeout(metrics)
            if socket is None:
                raise failed(Trouble.UPGRADE, "The recognizer hung up instead of accepting the upgrade.", metrics)
            connection = RecognizerConnection(socket, voice_id, target, parameters["engine_model_type"], metrics)
            await connection.wait_accepted()
            metrics.recognizer_connect.observe(trio.current_time() - began)
            yield connection
            with trio.move_on_after(CLOSE_S):
                await connection.wait_closed()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        named = _named(group, metrics, upgraded=socket is not None)
        if named is None:
            raise
        raise named from None
    finally:
        await trio.aclose_forcefully(stream)


async def _upgraded(
    nursery: trio.Nursery, stream: "_WatchedStream", target: RecognizerTarget, resource: str
) -> trio_websocket.WebSocketConnection | None:
    """The WebSocket, or None when the stream ends before it is one: trio-websocket would wait on for it."""
    socket = None
    async with trio.open_nursery() as racing:
        racing.start_soon(cancel_when, stream.ended, racing.cancel_scope)
        socket = await trio_websocket.wrap_client_stream(
            nursery,
            cast("trio.SocketStream", stream),  # any Stream will do
            urlsplit(target.url).netloc,
            resource,
            extra_headers=_headers(target),
            message_queue_size=MAX_WAITING_MESSAGES,
            max_message_size=MAX_MESSAGE_BYTES,
        )
        racing.cancel_scope.cancel()
    return socket


def _named(group: BaseExceptionGroup[BaseException], metrics: Metrics, *, upgraded: bool) -> StreamFailed | None:
    """What an exception of the libraries means, or None where the exceptions are somebody else's."""
    ends = list(leaves(group))
    for end in ends:
        if isinstance(end, trio_websocket.ConnectionRejected):
            message = f"The recognizer answered the upgrade with HTTP {end.status_code}."
            return failed(Trouble.UPGRADE, message, metrics)
    if any(isinstance(end, StreamFailed) or not isinstance(end, Exception) for end in ends):
        return None
    if not upgraded or all(isinstance(end, ProtocolError) for end in ends):
        return failed(Trouble.GARBLED, "The recognizer does not speak WebSocket as expected.", metrics)
    return None


class _WatchedStream(trio.abc.Stream):
    """Passes everything on, and notes when nothing more can come."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.ended = trio.Event()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _connected(target: RecognizerTarget, metrics: Metrics, dial: Dial) -> trio.abc.Stream:
    try:
        return await dial(target.url)
    except (OSError, trio.BrokenResourceError):
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
