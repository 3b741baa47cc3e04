"""A phone on a real socket: speaks protocol 1 to a gateway in another process or in this one."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from tests.support import contract_check

PATH = "/api/realtime-voice/stream"
BYTES_PER_MS = 32


class WirePhone:
    """One connection; everything that came is kept in `seen`."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self.seen: list[dict[str, Any]] = []

    async def say(self, **fields: object) -> None:
        """A text message; a gateway that has hung up already is no error, what it said is still there to be heard."""
        with contextlib.suppress(ConnectionClosed):
            await self._socket.send_message(json.dumps(fields))

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these types; an error that is not asked for fails the test."""
        while True:
            text = await self._socket.get_message()
            assert isinstance(text, str), "the service says nothing in binary"
            contract_check.check(text, counts=False)
            message: dict[str, Any] = json.loads(text)
            self.seen.append(message)
            if message["type"] in kinds:
                return message
            assert message["type"] != "error", message

    async def talk(self, pcm: bytes, *, frame_ms: int = 40) -> None:
        """Send PCM in real time."""
        due = trio.current_time()
        for place in range(0, len(pcm), frame_ms * BYTES_PER_MS):
            await self._socket.send_message(pcm[place : place + frame_ms * BYTES_PER_MS])
            due += frame_ms / 1000
            await trio.sleep_until(due)

    async def talk_at_once(self, pcm: bytes) -> None:
        """Send PCM as fast as the connection takes it; a gateway that has hung up already is no error."""
        with contextlib.suppress(ConnectionClosed):
            for place in range(0, len(pcm), 40 * BYTES_PER_MS):
                await self._socket.send_message(pcm[place : place + 40 * BYTES_PER_MS])

    async def closed(self) -> tuple[int, str | None]:
        """Code and reason of the close, which must be the next thing that comes."""
        with pytest.raises(ConnectionClosed) as caught:
            await self._socket.get_message()
        assert caught.value.reason is not None
        return caught.value.reason.code, caught.value.reason.reason


@contextlib.asynccontextmanager
async def connected(base_url: str, **start: object) -> AsyncIterator[WirePhone]:
    """A phone whose stream is ready."""
    async with unstarted(base_url) as phone:
        await phone.say(type="start", **start)
        await phone.hear("ready")
        yield phone


@contextlib.asynccontextmanager
async def unstarted(base_url: str, *, headers: dict[str, str] | None = None) -> AsyncIterator[WirePhone]:
    """A phone that was welcomed."""
    parts = urlsplit(base_url)
    stream = await trio.open_tcp_stream(parts.hostname or "", parts.port or 80)
    # The transport is ours to close: trio-websocket leaves it open when the other side has closed first.
    async with stream, trio.open_nursery() as nursery:
        socket = await wrap_client_stream(
            nursery,
            stream,
            parts.netloc,
            PATH,
            message_queue_size=256,
            extra_headers=[(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        )
        phone = WirePhone(socket)
        await phone.hear("welcome")
        yield phone
        with trio.move_on_after(5):
            await socket.aclose()
        nursery.cancel_scope.cancel()
