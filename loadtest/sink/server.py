"""The WebSocket around a sink's streams, on picows: asyncio, and no task or queue for a connection.

Everything happens in the callback of what was read. What a connection may hold of unsent messages is the transport's
high-water mark (64 KiB) and the answers to one read: a peer that does not read is not read either, and is dropped after
`STALLED_S`. One task ticks for all connections, once a second.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import urlsplit

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from loadtest.sink.answer import Answer, Stream

TICK_S: Final = 1.0
STALLED_S: Final = 10  # as long as the service lets a client not read
CLOSING_S: Final = 5  # for the peer's own close frame
MAX_MESSAGE_BYTES: Final = 65536  # as the service announces; the recognizer's packets are far smaller
# Calls come in bursts, and a full queue would be counted as the latency of whoever is measured.
BACKLOG: Final = 4096

_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CONTINUATION: Final = WSMsgType.CONTINUATION
_PING: Final = WSMsgType.PING
_CLOSE: Final = WSMsgType.CLOSE


class Connection(WSListener):
    """One WebSocket; what is said is decided by its stream."""

    def __init__(self, stream: Stream, sink: "Sink") -> None:
        super().__init__()
        self._stream = stream
        self._sink = sink
        self._transport: WSTransport | None = None
        self._finishing: asyncio.TimerHandle | None = None
        self._in_pieces = False
        """A message of audio has begun that goes on in continuation frames."""
        self._stalled_s = 0
        self._stalled = False
        self._closing_s = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade was answered."""
        self._transport = transport
        self._sink.connections.add(self)
        self._give(transport, self._stream.opened(round(time.time() * 1000)))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame came. The frequent case stands first."""
        kind = frame.msg_type
        if transport.is_close_frame_sent and kind != _CLOSE:
            return
        if kind == _BINARY or (kind == _CONTINUATION and self._in_pieces):
            self._in_pieces = not frame.fin
            for message in self._stream.audio(frame.get_payload_as_bytes()):
                transport.send(_TEXT, message)
        elif kind == _TEXT and frame.fin:
            self._said(transport, frame)
        elif kind == _PING:
            transport.send_pong(frame.get_payload_as_bytes())
            self._stream.alive()
        elif kind == _CLOSE:
            transport.send_close(WSCloseCode.OK)  # does nothing when ours was sent
            transport.disconnect()
        elif kind in (_TEXT, _CONTINUATION):
            transport.send_close(WSCloseCode.UNSUPPORTED_DATA, "text in pieces is not taken")
        else:
            self._stream.alive()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is gone."""
        self._sink.connections.discard(self)
        if self._finishing is not None:
            self._finishing.cancel()

    def pause_writing(self) -> None:
        """The peer does not read: stop reading it, since only that makes more to send."""
        self._stalled, self._stalled_s = True, 0
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()

    def resume_writing(self) -> None:
        """The peer has read."""
        self._stalled = False
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    def tick(self) -> None:
        """Another second has passed."""
        transport = self._transport
        if transport is None:
            return
        if transport.is_close_frame_sent:
            self._closing_s += 1
        elif self._stalled:
            self._stalled_s += 1
        else:
            self._give(transport, self._stream.tick())
        if self._closing_s > CLOSING_S or self._stalled_s > STALLED_S:
            transport.disconnect(graceful=False)

    def go_away(self) -> None:
        """The sink is being stopped."""
        if self._transport is not None:
            self._transport.send_close(WSCloseCode.GOING_AWAY)
            self._transport.disconnect()

    def _said(self, transport: WSTransport, frame: WSFrame) -> None:
        try:
            text = frame.get_payload_as_utf8_text()
        except UnicodeDecodeError:
            transport.send_close(WSCloseCode.INVALID_TEXT)
            return
        self._give(transport, self._stream.said(text, self._sink.clock()))

    def _give(self, transport: WSTransport, answer: Answer) -> None:
        for message in answer.messages:
            transport.send(_TEXT, message)
        if answer.close is not None:
            if self._finishing is not None:
                self._finishing.cancel()
            # Codes of applications are no members of picows' enum; it takes numbers.
            transport.send_close(cast(WSCloseCode, answer.close.code), answer.close.reason)
        if answer.finish:
            if self._sink.final_delay_s > 0:
                loop = asyncio.get_running_loop()
                self._finishing = loop.call_later(self._sink.final_delay_s, self._finish, transport)
            else:
                self._finish(transport)

    def _finish(self, transport: WSTransport) -> None:
        self._finishing = None
        if not transport.is_disconnected:
            self._give(transport, self._stream.finish(self._sink.clock()))


class Sink:
    """What all connections share, and who gets one.

    `new_stream` makes the stream for a request target, or gives None where no stream is at that path.
    """

    def __init__(self, new_stream: Callable[[str], Stream | None], *, final_delay_s: float = 0.0) -> None:
        self._new_stream = new_stream
        self.final_delay_s = final_delay_s
        self.connections: set[Connection] = set()
        self.clock = time.monotonic
        self._metrics = CollectorRegistry()
        ProcessCollector(registry=self._metrics)
        active = Gauge("voice_streams_active", "Connections of the sink", registry=self._metrics)
        active.set_function(lambda: len(self.connections))

    async def serve(
        self, host: str, port: int, tls: ssl.SSLContext | None, announce: Callable[[int], None], stop: asyncio.Event
    ) -> None:
        """Listen until `stop`; `announce` is told the port. Every connection is closed at the end. Raises OSError."""
        server = await ws_create_server(
            self._answer_request,
            host,
            port,
            ssl=tls,
            backlog=BACKLOG,
            enable_auto_pong=False,  # pings are signs of life
            max_frame_size=MAX_MESSAGE_BYTES,
        )
        ticking = asyncio.create_task(self._tick(), name="tick")
        try:
            announce(server.sockets[0].getsockname()[1])
            await stop.wait()
        finally:
            ticking.cancel()
            server.close()
            for connection in tuple(self.connections):
                connection.go_away()
            await asyncio.wait((ticking,))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for connection in tuple(self.connections):
                connection.tick()

    def _answer_request(self, request: WSUpgradeRequest) -> Connection | WSUpgradeResponseWithListener | None:
        target = request.path.decode("latin-1")
        match urlsplit(target).path:
            case "/health":
                envelope = {"code": 0, "message": "ok", "data": None, "timestamp": round(time.time() * 1000)}
                return _page(json.dumps(envelope).encode(), "application/json")
            case "/metrics":
                return _page(generate_latest(self._metrics), CONTENT_TYPE_LATEST)
            case "/server_time":  # Tencent's clock, for whoever signs
                return _page(str(int(time.time())).encode(), "text/plain")
        stream = self._new_stream(target)
        return None if stream is None else Connection(stream, self)


def _page(body: bytes, content_type: str) -> WSUpgradeResponseWithListener:
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_ok_response(body, {"Content-Type": content_type}), None
    )
