"""The server's side of voice and echo WebSockets, on the connection as it was accepted.

Quart serves the same routes where there is no edge of ours (`service.web.voice`, `service.web.echo`), at several times
the cost.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from websockets.protocol import Side

from service.deps import Deps
from service.edge.connection import Connection
from service.edge.head import Head
from service.forwarded import client_address
from service.identity import Caller
from service.settings import MAX_MESSAGE_BYTES
from service.stream.client import TICK_S, ClientGone, ClientTooSlow, Taker
from service.stream.endpoint import serve_stream
from service.stream.upgrade import caller_of, chosen_subprotocol
from service.web.echo import PATHS as ECHO_PATHS
from service.web.echo import Echo, is_quiet
from service.web.voice import PATH
from service.websocket.handshake import answer_upgrade
from service.websocket.pump import Pump
from service.websocket.websocket import WebSocket, WebSocketEnded, WriteTooSlow
from service.websocket.wire import Wire

SEND_S: Final = 5.0
"""How long one message may take to be written. A message is a few KiB; the kernel's buffers hold seconds of results
before a write waits at all."""
CLOSE_S: Final = 2.0
"""How long the client may take to answer a close frame: two round trips of a bad mobile network."""
PING_EVERY_S: Final = 10.0
"""Under half of the 25 s without a byte after which a client counts as gone, so that one lost ping is no end."""
HANDSHAKE_S: Final = 5.0


class VoiceClient:
    """A client on a WebSocket of ours: a `service.stream.client.Client`, which takes binary messages, too."""

    def __init__(self, connection: Connection, wire: Wire, early: bytes, pump: Pump) -> None:
        """`end` must be called before the connection is closed."""
        self._connection = connection
        self._wire = wire
        self._socket = WebSocket(connection, wire, early=early, send_s=SEND_S)
        self._socket.start_pump(pump, connection)
        self._ping_at = trio.current_time() + PING_EVERY_S

    @property
    def last_heard(self) -> float:
        """When the last byte came from the client, on Trio's clock."""
        return self._socket.last_heard

    async def receive(self) -> list[bytes | str]:
        """All messages that are available now, at least one. Cancelled, it has taken nothing. Raises ClientGone."""
        try:
            return await self._socket.receive()
        except WebSocketEnded:
            raise ClientGone from None

    async def send(self, message: bytes | str) -> None:
        """Sends one message; always executes a checkpoint. Calls from several tasks go one after the other.

        Raises ClientGone, and ClientTooSlow after SEND_S: the connection has been reset then. Cancelled, it still
        brings a write that has begun to its end, so that the message that says why a stream ended can follow.
        """
        await self._sending(self._socket.send(self._wire.encode(message), shield=True))

    async def close(self, code: int, reason: str) -> None:
        """Sends a close frame and waits until the client has answered it, both together for at most CLOSE_S.

        A client that is gone, or does not answer, is no error; one that takes not even the close frame is reset.
        """
        if not await self._socket.close(code, reason, CLOSE_S):
            self._cut_off()

    def relay_to(self, taker: Taker | None) -> bool:
        """See `Client.relay_to`."""
        self._socket.taker = taker
        return self._socket.is_pumped

    @property
    def can_send_now(self) -> bool:
        """See `Client.can_send_now`."""
        return self._socket.can_send_now

    def send_now(self, text: str) -> bool:
        """See `Client.send_now`."""
        return self._socket.send_now(self._wire.encode(text))

    async def flush(self) -> None:
        """See `Client.flush`."""
        await self._sending(self._socket.flush())

    async def _sending(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except WebSocketEnded:
            raise ClientGone from None
        except WriteTooSlow:
            self._cut_off()
            raise ClientTooSlow from None

    def end(self) -> None:
        """Read nothing more."""
        self._socket.stop_pump()

    def _cut_off(self) -> None:
        self.end()
        self._connection.abort()

    def tick(self, now: float) -> None:
        """Does what is due without anything having come."""
        self._socket.tick(now)
        if now >= self._ping_at:
            self._ping_at = now + PING_EVERY_S
            self._socket.ping()


class VoiceServer:
    """Serves the voice route and the echo, and keeps their connections alive."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._echo = Echo(deps)
        self._clients: set[VoiceClient] = set()

    @staticmethod
    def takes(head: Head) -> bool:
        """Whether this is a request for us."""
        return head.is_websocket_upgrade and (head.path == PATH or head.path in ECHO_PATHS)

    async def serve(self, connection: Connection, head: Head, early: bytes) -> None:
        """Shake hands and serve the client; `early` is what came behind the head. The caller closes the connection."""
        if head.path == PATH:
            # What is a little over the limit is answered in-band, by the stream itself; this is the bound behind it.
            client = await self._shake_hands(connection, head, early, chosen_subprotocol, 4 * MAX_MESSAGE_BYTES)
            talk = partial(serve_stream, caller=self._caller(head, connection), deps=self._deps)
        else:
            most = self._deps.settings.test_ws_max_bytes
            client = await self._shake_hands(connection, head, early, _no_subprotocol, most)
            talk = partial(self._echo.serve, query=head.target.partition("?")[2])
        if client is None:
            return
        if not is_quiet(head.target):
            self._clients.add(client)
        try:
            await talk(client)
        finally:
            self._clients.discard(client)
            client.end()

    def _caller(self, head: Head, connection: Connection) -> Caller:
        found: dict[str, list[str]] = {}
        for name, value in head.headers:
            found.setdefault(name.decode(), []).append(value.decode("latin-1"))

        def headers(name: str) -> Sequence[str]:
            return found.get(name, ())

        offers = next(iter(headers("sec-websocket-protocol")), "")
        offered = [name.strip() for name in offers.split(",") if name.strip()]
        address = client_address(connection.peer_address, headers, self._deps.settings.trusted_proxies)
        return caller_of(headers, offered, address)

    async def keep_alive(self) -> None:
        """Keep the clients' clocks, until cancelled: one task for all."""
        while True:
            await trio.sleep(TICK_S)
            now = trio.current_time()
            for client in self._clients:
                client.tick(now)

    async def _shake_hands(
        self,
        connection: Connection,
        head: Head,
        early: bytes,
        choose: Callable[[Sequence[str]], str | None],
        max_message_bytes: int,
    ) -> VoiceClient | None:
        """The client, or None when its request was no proper upgrade, and was answered so."""
        answer = answer_upgrade(head.target, head.headers, choose)
        with trio.move_on_after(HANDSHAKE_S) as limit:
            try:
                await connection.send_all(answer.data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
        if limit.cancelled_caught or not answer.is_accepted:
            return None
        return VoiceClient(connection, Wire(Side.SERVER, max_message_bytes), early, self._deps.pump)


def _no_subprotocol(_offered: Sequence[str]) -> None:
    return None
