"""A gateway of a few lines: it speaks protocol 1 as a script tells it to, over real sockets."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

GUARD_S: Final = 20.0  # real time, so that no test hangs; nothing is decided by it

Script = Callable[["Phone"], Awaitable[None]]


class Phone:
    """The server's side of one connection, and everything that came over it."""

    def __init__(
        self, request: WebSocketRequest, connection: WebSocketConnection, stream: trio.abc.Stream | None = None
    ) -> None:
        self.path = request.path
        self.headers = dict(request.headers)
        self.audio_bytes = 0
        self.heard: list[dict[str, Any]] = []
        self.audio = bytearray()
        self.starts = 0
        self._connection = connection
        self._stream = stream

    async def say(self, type_: str, **fields: Any) -> None:
        await self._connection.send_message(json.dumps({"type": type_, **fields}))

    async def say_raw(self, message: str | bytes) -> None:
        await self._connection.send_message(message)

    async def close(self, code: int) -> None:
        await self._connection.aclose(code)

    async def drop(self) -> None:
        """End the connection without a close frame."""
        assert self._stream is not None
        await trio.aclose_forcefully(self._stream)

    def _take_audio(self, message: bytes) -> None:
        self.audio_bytes += len(message)
        self.audio += message

    async def hear(self, type_: str) -> dict[str, Any]:
        """The next message of this type; audio on the way is counted, other messages are kept in `heard`."""
        while True:
            message = await self._connection.get_message()
            if isinstance(message, bytes):
                self._take_audio(message)
                continue
            fields: dict[str, Any] = json.loads(message)
            self.heard.append(fields)
            if fields["type"] == type_:
                return fields

    async def hear_audio(self, at_least_bytes: int) -> None:
        """Take audio until so many bytes have come."""
        while self.audio_bytes < at_least_bytes:
            message = await self._connection.get_message()
            assert isinstance(message, bytes)
            self._take_audio(message)

    async def stay_silent(self) -> None:
        """Read until the client goes away, and answer nothing."""
        with suppress(ConnectionClosed):
            await self.hear("nothing that a client says")

    async def take(self) -> str | bytes:
        """The next message, whatever it is."""
        message: str | bytes = await self._connection.get_message()
        return message

    async def ping(self) -> None:
        """Ping, and wait for the pong."""
        await self._connection.ping()

    async def greet(self, *, resume: bool = False) -> dict[str, Any]:
        """`welcome`, `start`, `ready`: returns the `start`."""
        offered = {"resume": True} if resume else {}
        limits = {"heartbeatMs": 10000, "maxStreamMs": 600000, "maxMessageBytes": 65536}
        await self.say("welcome", protocol=1, timestamp=0, **limits, **offered)
        start = await self.hear("start")
        await self.say("ready", streamId="s-1", voiceId="v-1")
        return start


class Gateway:
    """Where the server listens, and who called."""

    def __init__(self) -> None:
        self.url = ""
        self.phones: list[Phone] = []


@asynccontextmanager
async def gateway(script: Script) -> AsyncIterator[Gateway]:
    """Run the script for every connection. Leaving the context ends the server and its connections at once.

    Raises TooSlowError when what is done with it takes longer than GUARD_S.
    """
    running = Gateway()

    async def serve(request: WebSocketRequest) -> None:
        phone = Phone(request, await request.accept())
        running.phones.append(phone)
        await script(phone)

    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_websocket, serve, "127.0.0.1", 0, None)
            running.url = f"http://127.0.0.1:{server.port}"
            yield running
            nursery.cancel_scope.cancel()
