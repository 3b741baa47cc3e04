"""The server: a connection is a WebSocket stream under /asr/v2/, or a plain HTTP request: a sentence or the time.

In a test, over any Trio stream and in virtual time::

    recognizer = Recognizer(ScriptedEngine(), RecognizerConfig(wall_clock=lambda: 1_700_000_000.0))
    nursery.start_soon(recognizer.serve_stream, server_end)   # of trio.testing.memory_stream_pair()

On a socket::

    url = await nursery.start(serve, recognizer, "127.0.0.1", 0)   # "ws://127.0.0.1:40123"
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from service.localasr.codes import Code, Refusal, bad_parameter, refusal
from service.localasr.conversation import Conversation, Ending, Outcome
from service.localasr.decoders import DECODERS
from service.localasr.engine import Engine
from service.localasr.faults import Script
from service.localasr.http_head import BadHeadError, HttpAnswer, RequestHead, TappedStream, read_head
from service.localasr.messages import MessageWriter
from service.localasr.request import PATH_PREFIX, StreamRequest, Target, parse_request, parse_target
from service.localasr.sentences import SentenceService
from service.localasr.signature import Credentials, check_authorization

log = logging.getLogger(__name__)

UPGRADE_S = 10.0
CLOSE_S = 5.0
# A client may send 3 s of audio at once: 96 kB. Beyond this the library closes with 1009.
MAX_MESSAGE_BYTES = 1 << 20
READ_BYTES = 1 << 16
# Far above any capacity, so that a refusal is said in the protocol; beyond it a connection is closed unheard.
MAX_CONNECTIONS = 1024
# A voice_id is void after its first use. 10 000 ids of at most 128 characters: about 2 MB.
MAX_REMEMBERED_VOICE_IDS = 10_000

PlainHandler = Callable[[RequestHead, TappedStream], Awaitable[HttpAnswer | None]]
"""Answers one plain HTTP request; with None the connection is closed without an answer.

The stream still holds the whole request, head included, so a handler can read a body.
"""


class RecognizerConfig(msgspec.Struct, frozen=True):
    """What a recognizer accepts and how it behaves.

    ``wall_clock`` gives unix seconds, for signatures and /server_time only.
    """

    credentials: Credentials = msgspec.field(default_factory=Credentials)
    script: Script = msgspec.field(default_factory=Script)
    wall_clock: Callable[[], float] = time.time


class Recognizer:
    """Tencent's real-time ASR protocol in front of ``engine``.

    One object may serve any number of connections of one Trio run; it keeps what they share: how many streams are
    live, the voice ids already used, the count of connections that the script refers to. ``routes`` maps method and
    path to the plain HTTP handlers.
    """

    def __init__(self, engine: Engine, config: RecognizerConfig | None = None) -> None:
        self.engine = engine
        self.config = config or RecognizerConfig()
        self.live = 0
        """Streams and sentences that hold a slot now."""
        self.connections = 0
        """Requests under /asr/v2/ so far."""
        config = self.config
        self.sentences = SentenceService(
            engine, config.credentials, config.script, config.wall_clock, self._slot_if_free
        )
        self.routes: dict[tuple[str, str], PlainHandler] = {
            ("GET", "/server_time"): self._server_time,
            ("POST", "/"): self.sentences.handle,
        }
        self._used_voice_ids: OrderedDict[str, None] = OrderedDict()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection from its first byte, and close it.

        Never raises for what a peer does: it is logged. Every wait has a deadline on Trio's clock.
        """
        try:
            await self._serve(stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionClosed):
            log.info("connection lost", extra={"event": "connection_lost"})
        except* Exception as group:  # one bad connection must not end the server
            log.error("connection failed", extra={"event": "connection_failed", "errors": describe_errors(group)})
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        try:
            head, received = await read_head(stream)
        except BadHeadError as error:
            log.info("bad request head: %s", error, extra={"event": "bad_head"})
            await _answer(stream, HttpAnswer(error.status))
            return
        tap = TappedStream(stream, received)
        if head.path.startswith(PATH_PREFIX):
            if head.wants_websocket:
                await self._serve_websocket(tap, head)
            else:
                await _answer(tap, HttpAnswer(400, "a WebSocket upgrade is needed here"))
            return
        handler = self.routes.get((head.method, head.path))
        answer = HttpAnswer(404) if handler is None else await handler(head, tap)
        if answer is not None:
            await _answer(tap, answer)

    async def _server_time(self, head: RequestHead, stream: TappedStream) -> HttpAnswer:
        """Unix seconds, as Tencent's own clients ask for them (tencentcloud-speech-sdk-js)."""
        del head, stream
        await trio.lowlevel.checkpoint()
        return HttpAnswer(200, str(int(self.config.wall_clock())))

    async def _serve_websocket(self, tap: TappedStream, head: RequestHead) -> None:
        self.connections += 1
        number = self.connections
        plan = self.config.script.for_connection(number)
        refuse = plan.standing("refuse")
        if refuse is not None:
            _log_end(number, Ending(Outcome.FAULT, refuse.status))
            await _answer(tap, HttpAnswer(refuse.status))
            return
        async with trio.open_nursery() as nursery:
            ws: WebSocketConnection | None = None
            with trio.move_on_after(UPGRADE_S):
                proposal = await wrap_server_stream(
                    nursery, tap, max_message_size=MAX_MESSAGE_BYTES, receive_buffer_size=READ_BYTES
                )
                ws = await proposal.accept()
            if ws is not None:
                ending, conversation = None, None
                verdict = self.judge(head)
                if isinstance(verdict, StreamRequest):
                    # The slot is free again before the last message goes out: who has read it may dial at once.
                    with self._slot():
                        conversation = Conversation(ws, tap, verdict, self.engine, self.config.script, plan)
                        _log_start(number, verdict)
                        ending = await conversation.run()
                else:
                    voice_id = _voice_id(head)
                    ending = Ending(Outcome.REFUSED, verdict.code, MessageWriter(voice_id).refused(verdict))
                _log_end(number, ending, conversation)
                await _close(ws, tap, ending)
            nursery.cancel_scope.cancel()

    def judge(self, head: RequestHead) -> StreamRequest | Refusal:
        """Whether a request may have a stream: parameters (4001), authorization (4002), fresh voice id (4001), a slot
        (4006).

        An authorized request uses up its voice id, whatever happens next.
        """
        target = parse_target(head.target)
        if not isinstance(target, Target):
            return target
        engine = self.engine
        request = parse_request(
            target.parameters, engine.engines, list_engines=engine.name == "pocketsphinx", formats=DECODERS
        )
        if not isinstance(request, StreamRequest):
            return request
        denied = check_authorization(
            self.config.credentials,
            target.app_id,
            target.parameters,
            head.headers.get("x-tc-token"),
            self.config.wall_clock(),
        )
        if denied is not None:
            return denied
        if request.voice_id in self._used_voice_ids:
            return bad_parameter("voice_id: already used")
        self._used_voice_ids[request.voice_id] = None
        if len(self._used_voice_ids) > MAX_REMEMBERED_VOICE_IDS:
            self._used_voice_ids.popitem(last=False)
        if self.live >= engine.capacity:
            return refusal(Code.TOO_MANY_STREAMS, f"limit {engine.capacity}")
        return request

    @contextmanager
    def _slot(self) -> Generator[None]:
        self.live += 1
        try:
            yield
        finally:
            self.live -= 1

    @contextmanager
    def _slot_if_free(self) -> Generator[bool]:
        """A slot for a sentence, while there is one."""
        if self.live >= self.engine.capacity:
            yield False
            return
        with self._slot():
            yield True


async def serve(
    recognizer: Recognizer,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on a TCP port until cancelled; connections end with it.

    ``task_status.started`` gets the base URL, ``ws://host:port``. Raises ``OSError`` when the port cannot be had.
    """
    open_connections = 0

    async def handle(stream: trio.SocketStream) -> None:
        nonlocal open_connections
        if open_connections >= MAX_CONNECTIONS:
            log.warning("too many connections", extra={"event": "too_many_connections"})
            await trio.aclose_forcefully(stream)
            return
        open_connections += 1
        try:
            await recognizer.serve_stream(stream)
        finally:
            open_connections -= 1

    listeners = await trio.open_tcp_listeners(port, host=host)
    bound_port = listeners[0].socket.getsockname()[1]
    shown_host = f"[{host}]" if ":" in host else host
    task_status.started(f"ws://{shown_host}:{bound_port}")
    await trio.serve_listeners(handle, listeners)


def describe_errors(error: BaseException) -> list[str]:
    """Each error inside ``error`` as its type and the line it came from; never its text, which may quote a request."""
    if isinstance(error, BaseExceptionGroup):
        return [line for inner in error.exceptions for line in describe_errors(inner)]
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return [type(error).__name__ + where]


async def _answer(stream: trio.abc.Stream, answer: HttpAnswer) -> None:
    with trio.move_on_after(CLOSE_S):
        await stream.send_all(answer.encode())
        await stream.aclose()


async def _close(ws: WebSocketConnection, tap: TappedStream, ending: Ending) -> None:
    """Say the last words and close; after 5 s, or if there are none, close by force."""
    if ending.text is not None:
        with trio.move_on_after(CLOSE_S):
            try:
                await ws.send_message(ending.text)
                await ws.aclose(1000)
            except ConnectionClosed:
                return
    await trio.aclose_forcefully(tap)


def _voice_id(head: RequestHead) -> str:
    """The voice id to echo in a refusal, as far as there is one."""
    target = parse_target(head.target)
    return target.parameters.get("voice_id", "")[:128] if isinstance(target, Target) else ""


def _log_start(number: int, request: StreamRequest) -> None:
    fields = {
        "event": "stream_opened",
        "connection": number,
        "voice_id": request.voice_id,
        "engine_model_type": request.engine_model_type,
        "voice_format": request.voice_format,
        "sample_rate_hz": request.settings.sample_rate_hz,
    }
    log.info("stream opened", extra=fields)


def _log_end(number: int, ending: Ending, conversation: Conversation | None = None) -> None:
    fields = {
        "event": "stream_ended",
        "connection": number,
        "outcome": ending.outcome.value,
        "code": ending.code,
        "audio_ms": conversation.audio_ms if conversation else 0,
        "results": conversation.results if conversation else 0,
    }
    log.info("stream ended", extra=fields)
