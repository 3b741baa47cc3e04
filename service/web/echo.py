"""`WS /test-ws`: an echo, for finding out what a network or a platform does to a WebSocket. It needs no login."""

from typing import Final, Protocol
from urllib.parse import parse_qs

import trio
from quart import websocket
from quart_trio import QuartTrio

from service.deps import Deps
from service.stream.client import Client, ClientGone, ClientTooSlow
from service.stream.protocol import Amount, ServerMessage
from service.web.envelope import now_ms
from service.web.websocket import QuartClient

PATHS: Final = ("/test-ws", "/api/realtime-voice/test")
MAX_ECHOES: Final = 32
"""Echo connections at a time: enough for an operator's tools, too few to starve voice."""
IDLE_S: Final = 60.0
"""Without a byte from the client, pongs included: six pings of the server went unanswered."""
QUIET_IDLE_S: Final = 180.0
"""With `?quiet=1`: three times the 60 s after which proxies cut idle connections by default."""


class Connected(ServerMessage, frozen=True, tag="connected"):
    """The greeting of the echo."""

    timestamp: Amount
    """The server's clock, in milliseconds since 1970."""


class Echoed(ServerMessage, frozen=True, tag="echo"):
    """A text message, come back."""

    data: str
    """The text as it was sent."""
    timestamp: Amount
    """The server's clock, in milliseconds since 1970."""


def is_quiet(target: str) -> bool:
    """Whether a request target asks for an echo without pings from the server."""
    path, _, query = target.partition("?")
    return path in PATHS and _flag(query, "quiet")


class EchoClient(Client, Protocol):
    """A client that takes binary messages, too."""

    async def send(self, message: bytes | str) -> None:
        """As `Client.send`."""


class Echo:
    """Serves echoes, so many at a time."""

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._places = trio.CapacityLimiter(MAX_ECHOES)

    async def serve(self, client: EchoClient, query: str) -> None:
        """Echoes until the client is gone, idle, too slow, or sends too much. Returns when it is closed or gone."""
        place = object()
        try:
            self._places.acquire_on_behalf_of_nowait(place)
        except trio.WouldBlock:
            await client.close(1013, f"all {MAX_ECHOES} places are taken")  # 1013: try again later, IANA's registry
            return
        try:
            await _echo(
                client,
                raw=_flag(query, "raw"),
                idle_s=QUIET_IDLE_S if _flag(query, "quiet") else IDLE_S,
                max_bytes=self._deps.settings.test_ws_max_bytes,
            )
        except (ClientGone, ClientTooSlow):
            await client.close(1000, "")
        finally:
            self._places.release_on_behalf_of(place)


def register_echo(app: QuartTrio, deps: Deps) -> None:
    """Adds the echo's routes to the application."""
    echo = Echo(deps)

    async def test_ws() -> None:
        query = websocket.query_string.decode("latin-1")
        await websocket.accept()
        await echo.serve(QuartClient(websocket), query)

    for number, path in enumerate(PATHS):
        app.add_websocket(path, endpoint=f"test_ws_{number}", view_func=test_ws)


async def _echo(client: EchoClient, *, raw: bool, idle_s: float, max_bytes: int) -> None:
    if not raw:
        await client.send(Connected(now_ms()).encode())
    while True:
        messages: list[bytes | str] = []
        with trio.move_on_at(client.last_heard + idle_s):
            messages = await client.receive()
        if not messages and trio.current_time() >= client.last_heard + idle_s:
            await client.close(4408, f"nothing came for {idle_s:.0f} s")
            return
        for message in messages:
            if len(message.encode() if isinstance(message, str) else message) > max_bytes:
                await client.close(1009, f"a message may have {max_bytes} bytes")
                return
            if raw or isinstance(message, bytes):
                await client.send(message)
            else:
                await client.send(Echoed(message, now_ms()).encode())


def _flag(query: str, name: str) -> bool:
    return parse_qs(query).get(name, ["0"])[-1] in ("1", "true")
