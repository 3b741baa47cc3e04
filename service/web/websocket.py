"""WebSockets of the application, with what Quart-Trio lacks for them.

Quart-Trio 0.12 hands an empty binary message over as None, and cancels the handler as soon as the client is gone, with
whatever the client had sent last still unread. `WebsocketConnection` keeps messages as they are and ends the handler's
input instead. `QuartClient` is a `service.stream.client.Client` on top of it.

Under plain Hypercorn (no `Connection` in the scope) a write to a client that does not read cannot be ended: Hypercorn
shields it. `send` waits there until TCP itself gives up.
"""

import math
from typing import Any, Final

import h11
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart import Websocket
from quart_trio.asgi import TrioASGIWebsocketConnection
from werkzeug.datastructures import Headers

from service.edge.connection import CONNECTION_KEY, Connection
from service.stream.client import ClientGone, ClientTooSlow, WaitingClient

SEND_DEADLINE_S: Final = 5.0
"""How long one message may take to be written. A message is a few KiB; the kernel's buffers hold seconds of results
before a write waits at all."""
CLOSE_S: Final = 2.0
"""How long the client may take to answer a close frame: two round trips of a bad mobile network."""
AFTER_DISCONNECT_S: Final = 20.0
"""How long a handler may go on when its client is gone. The finishing of a stream takes 10 s plus its backlog."""
QUEUE_MESSAGES: Final = 32
"""Messages that wait for the handler, at most Hypercorn's limit each (8 MiB by default); then reading stops."""

_LOOK_S: Final = 0.5
_KEY: Final = "voice.websocket"


class WebsocketConnection(TrioASGIWebsocketConnection):
    """One WebSocket between Hypercorn and a handler. Set as `asgi_websocket_class` of the application."""

    def __init__(self, app: Any, scope: WebsocketScope) -> None:
        super().__init__(app, scope)
        self.send_channel, self.receive_channel = trio.open_memory_channel[bytes | str](QUEUE_MESSAGES)
        self.transport: Connection | None = scope.get(CONNECTION_KEY)  # type: ignore[assignment]
        """The TCP connection; None under plain Hypercorn."""
        self.gone = False
        """The client has closed or vanished; messages may still be waiting."""
        self._write_deadline = math.inf
        self.too_slow = False
        """A write took longer than its deadline."""
        self._last_message = trio.current_time()
        scope[_KEY] = self  # type: ignore[typeddict-unknown-key]

    @classmethod
    def of(cls, websocket: Websocket) -> "WebsocketConnection":
        """The connection that serves a Quart websocket."""
        found: WebsocketConnection = websocket.scope[_KEY]  # type: ignore[typeddict-item]
        return found

    @property
    def last_heard(self) -> float:
        """When the last byte came from the client; under plain Hypercorn the last message. Trio's clock."""
        return self.transport.last_heard if self.transport is not None else self._last_message

    @property
    def accepted(self) -> bool:
        """Whether the upgrade was accepted."""
        return bool(self._accepted)

    async def receive_batch(self) -> list[bytes | str]:
        """All messages that are there, after waiting for at least one; bytes and text as they were sent.

        Raises trio.EndOfChannel when the client is gone and everything was returned. Cancelled, it has taken nothing.
        """
        batch = [await self.receive_channel.receive()]
        while True:
            try:
                batch.append(self.receive_channel.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                return batch

    async def write(self, websocket: Websocket, data: bytes | str, *, within_s: float) -> bool:
        """Sends one message; returns False when that took longer than `within_s`: the transport was reset for it.

        Hypercorn does not say when the client is gone: see `gone`.
        """
        self._write_deadline = trio.current_time() + within_s
        try:
            await websocket.send(data)
        finally:
            self._write_deadline = math.inf
        return not self.too_slow

    async def write_close(self, websocket: Websocket, code: int, reason: str, *, within_s: float) -> None:
        """Sends the close frame; aborts the transport when that takes longer than `within_s`."""
        self._write_deadline = trio.current_time() + within_s
        try:
            await websocket.close(code, reason)
        finally:
            self._write_deadline = math.inf

    @property
    def aborted(self) -> bool:
        """Whether the TCP connection was dropped by us."""
        return self.transport is not None and self.transport.aborted

    def abort(self) -> None:
        """Drops the TCP connection, where there is one of ours."""
        if self.transport is not None:
            self.transport.abort()

    async def accept_connection(self, send: ASGISendCallable, headers: Headers, subprotocol: str | None) -> None:
        """Accepts the upgrade. Raises ClientGone when the client broke the protocol before: Hypercorn has answered."""
        try:
            await super().accept_connection(send, headers, subprotocol)
        except h11.LocalProtocolError:
            self.gone = self._closed = True
            raise ClientGone from None

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Runs the handler until it returns, or for AFTER_DISCONNECT_S after the client is gone."""
        websocket = self._create_websocket_from_scope(send)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.handle_messages, nursery, receive, name="websocket messages")
            if self.transport is not None:
                nursery.start_soon(self._watch_writes, name="websocket write deadline")
            nursery.start_soon(self.handle_websocket, nursery, websocket, send, name="websocket handler")

    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, receive: ASGIReceiveCallable
    ) -> None:
        """Passes messages on until the client is gone; cancels a handler that does not come to its end then."""
        async with self.send_channel:
            while True:
                event = await receive()
                if event["type"] == "websocket.receive":
                    self._last_message = trio.current_time()
                    data = event.get("bytes")
                    await self._pass_on(event["text"] if data is None else data)  # type: ignore[arg-type]
                elif event["type"] == "websocket.disconnect":
                    self.gone = True
                    break
        await trio.sleep(AFTER_DISCONNECT_S)
        nursery.cancel_scope.cancel()

    async def _pass_on(self, message: bytes | str) -> None:
        await self.send_channel.send(message)

    async def _watch_writes(self) -> None:
        # One sleeping task for the connection instead of a timer for each write. A write takes its deadline when it
        # starts, so one that starts right after a look is noticed late by at most the time between two.
        while True:
            now = trio.current_time()
            if now >= self._write_deadline:
                self.too_slow = True
                self.abort()
                return
            await trio.sleep(min(self._write_deadline - now, _LOOK_S))


class QuartClient(WaitingClient):
    """A client behind a Quart websocket that was accepted: what `service.stream.client.Client` asks for, and binary."""

    def __init__(self, websocket: Websocket, *, send_deadline_s: float = SEND_DEADLINE_S) -> None:
        self._websocket = websocket
        self._connection = WebsocketConnection.of(websocket)
        self._send_deadline_s = send_deadline_s
        self._writing = trio.Lock()  # Hypercorn does not serialize what two tasks send
        self._finished = False

    @property
    def last_heard(self) -> float:
        """When the last byte came from the client; under plain Hypercorn the last message. Trio's clock."""
        return self._connection.last_heard

    async def receive(self) -> list[bytes | str]:
        """All messages that are available now, at least one. Cancelled, it has taken nothing.

        Raises ClientGone when the client is gone and everything was returned.
        """
        try:
            return await self._connection.receive_batch()
        except trio.EndOfChannel:
            raise ClientGone from None

    async def send(self, message: bytes | str) -> None:
        """Sends one message; always executes a checkpoint. Calls from several tasks go one after the other.

        Raises ClientGone when the client is gone, and ClientTooSlow when the write took longer than the deadline (5 s):
        the connection has been reset then. After either, later calls raise ClientGone. Cancelled, it still brings the
        write that has begun to its end, within its deadline: so the message that says why a stream ended can follow.
        """
        await trio.lowlevel.checkpoint()  # Hypercorn returns without one when the client is gone
        async with self._writing:
            if self._finished or self._connection.gone:
                raise ClientGone
            # A write that does not come to its end may have left part of a frame behind.
            self._finished = True
            written = False
            with trio.move_on_after(2 * self._send_deadline_s, shield=True) as shielded:  # the watch on writes is first
                if self._connection.transport is not None:
                    self._connection.transport.shielded = shielded
                written = await self._connection.write(self._websocket, message, within_s=self._send_deadline_s)
            if shielded.cancelled_caught and not self._connection.too_slow:
                self._connection.abort()  # it was closed under the write, or nobody watched any more
                raise ClientGone
            if not written:
                raise ClientTooSlow
            if self._connection.aborted:
                raise ClientGone
            self._finished = False

    async def close(self, code: int, reason: str) -> None:
        """Sends a close frame and waits until the client has answered it, both together for at most 2 s.

        What the client still sends is dropped. A client that is gone, or does not answer, is no error; one that takes
        not even the close frame is reset.
        """
        deadline = trio.current_time() + CLOSE_S
        with trio.move_on_at(deadline):
            async with self._writing:
                if self._finished or self._connection.gone:
                    return
                self._finished = True
                await self._connection.write_close(self._websocket, code, reason, within_s=CLOSE_S)
            await self._until_gone()
            return
        if self._writing.locked():  # another task's write is stuck
            self._connection.abort()

    async def _until_gone(self) -> None:
        try:
            while True:
                await self._connection.receive_batch()
        except trio.EndOfChannel:
            return
