"""A client of the protocol for these tests: signs, dials, sends audio, collects messages."""

import itertools
import json
import urllib.parse
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from service.localasr.server import Recognizer
from service.localasr.signature import Credentials, sign

NOW_S = 1_700_000_000
END = '{"type": "end"}'
_voice_ids = itertools.count(1)


def wall_clock() -> float:
    return float(NOW_S)


def parameters(now_s: int = NOW_S, **changes: str | None) -> dict[str, str]:
    """A good request for the default account; a change to None removes a parameter."""
    given: dict[str, str | None] = {
        "secretid": Credentials().secret_id,
        "timestamp": str(now_s),
        "expired": str(now_s + 3600),
        "nonce": "1234567890",
        "engine_model_type": "16k_zh",
        "voice_id": f"voice-{next(_voice_ids)}",
        "voice_format": "1",
        "needvad": "1",
        **changes,
    }
    kept = {name: value for name, value in given.items() if value is not None}
    if "signature" not in changes:
        kept["signature"] = sign(Credentials().secret_key, Credentials().app_id, kept)
    return kept


def resource(app_id: str = Credentials().app_id, now_s: int = NOW_S, **changes: str | None) -> str:
    """The request target, encoded."""
    return f"/asr/v2/{app_id}?{urllib.parse.urlencode(parameters(now_s, **changes))}"


class Client:
    """One connection. ``messages`` and ``close_code`` are what ``collect`` saw."""

    def __init__(self, ws: WebSocketConnection) -> None:
        self.ws = ws
        self.close_code: int | None = None

    async def next(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.ws.get_message())
        return message

    async def send(self, pcm: bytes, packet_bytes: int = 3200, *, pace: float = 1.0, rate_hz: int = 16000) -> None:
        """Send ``pcm`` in packets; ``pace`` 2 is twice as fast as speech."""
        for at in range(0, len(pcm), packet_bytes):
            packet = pcm[at : at + packet_bytes]
            await self.ws.send_message(packet)
            await trio.sleep(len(packet) / (2 * rate_hz) / pace)

    async def end(self) -> None:
        await self.ws.send_message(END)

    async def collect(self) -> list[dict[str, Any]]:
        """Every message until the server closes."""
        messages = []
        try:
            while True:
                messages.append(await self.next())
        except ConnectionClosed as closed:
            self.close_code = closed.reason.code if closed.reason else None
        return messages


@asynccontextmanager
async def in_memory(
    recognizer: Recognizer, target: str | None = None, headers: list[tuple[bytes, bytes]] | None = None
) -> AsyncGenerator[Client]:
    """A client on a memory stream; the connection ends with the context."""
    client_end, server_end = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(recognizer.serve_stream, server_end)
        wrapped: Any = client_end
        ws = await wrap_client_stream(nursery, wrapped, "localhost", target or resource(), extra_headers=headers)
        yield Client(ws)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def on_socket(url: str) -> AsyncGenerator[Client]:
    """A client on a socket; the socket is closed by force at the end."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    try:
        async with trio.open_nursery() as nursery:
            ws = await wrap_client_stream(nursery, stream, parts.netloc, f"{parts.path}?{parts.query}")
            yield Client(ws)
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


async def converse(
    client: Client, pcm: bytes, *, packet_bytes: int = 3200, pace: float = 1.0, rate_hz: int = 16000
) -> list[dict[str, Any]]:
    """Send all of ``pcm`` and `end`; every message after the handshake's. ``rate_hz`` is half the bytes of a second."""
    first = await client.next()
    assert (first["code"], first["message"]) == (0, "success")
    collected: list[dict[str, Any]] = []

    async def collect() -> None:
        collected.extend(await client.collect())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        await client.send(pcm, packet_bytes, pace=pace, rate_hz=rate_hz)
        await client.end()
    return collected


def finals(messages: list[dict[str, Any]]) -> list[tuple[int, str, int, int]]:
    """The settled sentences: index, text, start and end."""
    results = [m["result"] for m in messages if "result" in m]
    return [(r["index"], r["voice_text_str"], r["start_time"], r["end_time"]) for r in results if r["slice_type"] == 2]
