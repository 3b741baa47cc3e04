"""One speaker: a file of speech goes to the gateway in real time, and what comes back is written down.

`speak` is the whole of it, in the order of the protocol:

1. dial: TCP, TLS, upgrade;
2. wait for `welcome`, send `start`, wait for `ready`;
3. send frame k when it is due, at t0 + k * frame, so that no delay adds up; `finalize` where asked;
4. send `stop`, wait for `stopped`, let the server close.

Two tasks share the connection. The talker sends and keeps the clocks; the listener always reads (the WebSocket library
answers pings only while somebody does) and ends the talker when the server has had the last word. Whichever way a
stream ends, it ends with a Report, never with an exception.

A send that is cancelled leaves the connection looking open and dead, so every send is shielded from cancellation, for
at most `Deadlines.send_s`, and nothing is sent after one that failed.
"""

import enum
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import trio
import trio_websocket

from loadtest.messages import (
    PROTOCOL,
    AudioAccount,
    Finalized,
    Ready,
    Result,
    ServerError,
    ServerMessage,
    ServerMessageError,
    Stopped,
    Welcome,
    decode,
    encode,
)
from loadtest.wav import Speech
from service.dialing import dial

# Results that may wait while the caption is drawn. The server sends about five a second; a full queue would stop the
# library's reader and with it the answers to pings. At most 64 messages of a few KiB.
_MESSAGE_QUEUE_SIZE: Final = 64


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a speaker waits, in seconds, before it calls the stream failed."""

    connect_s: float = 10.0
    """TCP, TLS and upgrade together."""
    welcome_s: float = 15.0
    """A replica that is just starting is given as long as the clients of the replaced service gave it."""
    ready_s: float = 20.0
    """The gateway's own deadlines for its recognizer are shorter, and it should be the one to say so."""
    send_s: float = 10.0
    """A gateway that reads takes a frame at once."""
    stopped_s: float = 30.0
    """The gateway settles within 10 s plus the time for its backlog, which live speech keeps small."""
    close_s: float = 2.0
    """For the closing handshake; nothing is lost when it does not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one speaker does. `url` is the full address of the stream."""

    url: str
    speech: Speech
    token: str | None = None
    engine: str | None = None
    frame_ms: int = 40
    finalize_at_s: tuple[float, ...] = ()
    """Positions in the audio, in seconds and ascending, at which `finalize` is sent."""
    deadlines: Deadlines = Deadlines()


class Outcome(enum.StrEnum):
    """How a stream ended."""

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CANCELED = "canceled"


@dataclass(slots=True)
class Settled:
    """One `finalized`, and how long it took."""

    id: str
    after_s: float
    audio_ms: int
    sentences: int


@dataclass(slots=True)
class Report:
    """What one stream was like. Times are in seconds; None stands for what did not happen."""

    url: str
    outcome: Outcome | None = None
    problem: str | None = None
    """One line about what went wrong."""
    error: ServerError | None = None
    """The fatal error of the server, where it gave one."""
    close_code: int | None = None
    stream_id: str = ""
    text: str | None = None
    connect_s: float | None = None
    """TCP, TLS and upgrade."""
    welcome_s: float | None = None
    """From the upgrade to `welcome`."""
    ready_s: float | None = None
    """From `start` to `ready`."""
    first_partial_s: float | None = None
    """From the first byte of audio to the first words."""
    first_partial_before_end: bool | None = None
    """Whether the first words came while audio was still to be sent."""
    finalization_s: float | None = None
    """From `stop` to `stopped`."""
    latest_frame_s: float = 0.0
    """How late the latest frame was sent: a figure of this machine, which taints the others when it is large."""
    results: int = 0
    sentences: int = 0
    settled: list[Settled] = field(default_factory=list)
    warnings: list[ServerError] = field(default_factory=list)
    """Errors after which the stream went on."""
    audio: AudioAccount | None = None

    def end(self, outcome: Outcome, problem: str | None = None) -> None:
        """Write down how the stream ended. The first end counts; what follows from it does not."""
        if self.outcome is None:
            self.outcome, self.problem = outcome, problem


async def speak(
    plan: Plan,
    show: Callable[[Result, float], None],
    interrupted: trio.Event | None = None,
) -> Report:
    """Stream the speech of `plan` in real time and return the report.

    `show` is called with every result and the seconds since the first byte of audio (0.0 before it). When `interrupted`
    is set, the stream is dropped with a `cancel`. Raises nothing of its own; cancellation closes the connection without
    a word.
    """
    call = _Call(plan, show)
    async with trio.open_nursery() as nursery:
        if interrupted is not None:
            nursery.start_soon(call.hang_up_when, interrupted, name="interrupt")
        await call.run()
        nursery.cancel_scope.cancel()
    return call.report


class _GaveUp(Exception):
    """The talker met a deadline or a dead connection; the text is for the report."""


class _Call:
    def __init__(self, plan: Plan, show: Callable[[Result, float], None]) -> None:
        self.report = Report(url=plan.url)
        self._plan = plan
        self._limits = plan.deadlines
        self._show = show
        self._stream: trio.abc.Stream | None = None
        self._dialing = trio.CancelScope()
        self._talking = trio.CancelScope()
        self._welcome = trio.Event()
        self._ready = trio.Event()
        self._stopped = trio.Event()
        self._closed = trio.Event()
        self._heartbeat_s = 10.0
        self._can_send = True
        self._start_sent_s = 0.0  # all on Trio's clock
        self._first_audio_s: float | None = None
        self._stop_sent_s: float | None = None
        self._finalize_sent_s: dict[str, float] = {}

    async def hang_up_when(self, interrupted: trio.Event) -> None:
        await interrupted.wait()
        self.report.end(Outcome.CANCELED)
        self._dialing.cancel()
        self._talking.cancel()

    # Step 1: dial, and close what was dialed.

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:  # the library's reader lives here, around our two tasks
                connection = await self._dial(nursery)
                if connection is not None:
                    await self._converse(connection)
                    with trio.move_on_after(self._limits.close_s):
                        await connection.aclose()
                nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionRejected as rejections:
            self._note_rejection(rejections.exceptions[0])
        finally:
            if self._stream is not None:
                await trio.aclose_forcefully(self._stream)

    def _note_rejection(self, rejection: BaseException) -> None:
        assert isinstance(rejection, trio_websocket.ConnectionRejected)  # noqa: S101 - raised by the reader, not nested
        retry_after = dict(rejection.headers).get(b"retry-after")
        hint = f" (Retry-After: {retry_after.decode('latin-1')})" if retry_after else ""
        answer = f"answered HTTP {rejection.status_code} instead of opening a WebSocket{hint}"
        self.report.end(Outcome.FAILED, f"{self._plan.url} {answer}")

    async def _dial(self, nursery: trio.Nursery) -> trio_websocket.WebSocketConnection | None:
        """The open connection, or None with the reason in the report."""
        url = self._plan.url
        began_s = trio.current_time()
        doing = "connection"
        try:
            with self._dialing, trio.fail_after(self._limits.connect_s):
                self._stream = await dial(url)
                doing = "answer to the WebSocket upgrade"
                connection = await trio_websocket.wrap_client_stream(
                    nursery,
                    self._stream,  # type: ignore[arg-type]  # any stream will do
                    urlsplit(url).netloc,
                    urlsplit(url).path,
                    extra_headers=self._headers(),
                    message_queue_size=_MESSAGE_QUEUE_SIZE,
                )
                self.report.connect_s = trio.current_time() - began_s
                return connection
        except trio.TooSlowError:
            self.report.end(Outcome.UNREACHABLE, f"{url}: no {doing} within {self._limits.connect_s:g} s")
        except ssl.SSLError as error:
            self.report.end(Outcome.UNREACHABLE, f"{url}: TLS failed: {error.reason or error}")
        except (OSError, trio.BrokenResourceError) as error:
            self.report.end(Outcome.UNREACHABLE, f"{url} cannot be reached: {_root_of(error)}")
        return None

    def _headers(self) -> list[tuple[bytes, bytes]]:
        token = self._plan.token
        return [] if token is None else [(b"Authorization", b"Bearer " + token.encode())]

    # Steps 2 to 4: the talker, and the listener beside it.

    async def _converse(self, connection: trio_websocket.WebSocketConnection) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, connection, name="listener")
            with self._talking:
                try:
                    await self._talk(connection)
                except _GaveUp as reason:
                    self.report.end(Outcome.FAILED, str(reason))
            if self.report.outcome is Outcome.CANCELED and self._can_send:
                await self._send_last(connection, encode("cancel"))
            if self.report.error is not None or self.report.outcome in (Outcome.OK, Outcome.CANCELED):
                with trio.move_on_after(self._limits.close_s):
                    await self._closed.wait()  # the server closes, with a code that says why
            nursery.cancel_scope.cancel()

    async def _talk(self, connection: trio_websocket.WebSocketConnection) -> None:
        plan, report, limits = self._plan, self.report, self._limits
        began_s = trio.current_time()
        await self._wait(connection, self._welcome, limits.welcome_s, "`welcome`")
        report.welcome_s = trio.current_time() - began_s

        self._start_sent_s = trio.current_time()
        start = {"voiceFormat": "pcm", "sampleRate": plan.speech.sample_rate_hz}
        await self._send(connection, encode("start", **start, engineType=plan.engine, token=plan.token))
        await self._wait(connection, self._ready, limits.ready_s, "`ready`")

        await self._send_audio(connection)

        self._stop_sent_s = trio.current_time()
        await self._send(connection, encode("stop"))
        await self._wait(connection, self._stopped, limits.stopped_s, "`stopped`")

    async def _send_audio(self, connection: trio_websocket.WebSocketConnection) -> None:
        frame_s = self._plan.frame_ms / 1000
        positions_s = list(self._plan.finalize_at_s)
        began_s = self._first_audio_s = trio.current_time()
        for number, frame in enumerate(self._plan.speech.frames(self._plan.frame_ms)):
            due_s = began_s + number * frame_s
            # A frame is shorter than any heartbeat: no ping is needed while audio flows.
            await trio.sleep_until(due_s)
            self.report.latest_frame_s = max(self.report.latest_frame_s, trio.current_time() - due_s)
            while positions_s and positions_s[0] <= number * frame_s:
                await self._finalize(connection, positions_s.pop(0))
            await self._send(connection, frame)
        for position_s in positions_s:
            await self._finalize(connection, position_s)

    async def _finalize(self, connection: trio_websocket.WebSocketConnection, position_s: float) -> None:
        id_ = f"{len(self._finalize_sent_s) + 1}@{position_s:g}s"
        self._finalize_sent_s[id_] = trio.current_time()
        await self._send(connection, encode("finalize", id=id_))

    async def _wait(
        self, connection: trio_websocket.WebSocketConnection, event: trio.Event, limit_s: float, what: str
    ) -> None:
        """Wait for the event with a heartbeat for the server. Raises _GaveUp when it does not come in `limit_s`."""
        deadline_s = trio.current_time() + limit_s
        while not event.is_set():
            left_s = deadline_s - trio.current_time()
            if left_s <= 0:
                raise _GaveUp(f"the server did not send {what} within {limit_s:g} s")
            with trio.move_on_after(min(left_s, self._heartbeat_s)) as pause:
                await event.wait()
            if pause.cancelled_caught and trio.current_time() < deadline_s:
                await self._send(connection, encode("ping", t=round(trio.current_time() * 1000)))

    async def _send(self, connection: trio_websocket.WebSocketConnection, message: str | bytes) -> None:
        """Send, all or nothing as far as our own cancellation goes. Raises _GaveUp when the server does not read."""
        if not self._can_send:
            with trio.move_on_after(self._limits.close_s):
                await self._closed.wait()  # the listener has the last word, and ends the talker with it
            raise _GaveUp("the connection was lost")
        with trio.CancelScope(shield=True, deadline=trio.current_time() + self._limits.send_s) as sending:
            try:
                await connection.send_message(message)
            except trio_websocket.ConnectionClosed:
                self._can_send = False
        await trio.lowlevel.checkpoint_if_cancelled()
        if sending.cancelled_caught:
            self._can_send = False
            raise _GaveUp(f"the server did not read for {self._limits.send_s:g} s")

    async def _send_last(self, connection: trio_websocket.WebSocketConnection, message: str) -> None:
        with trio.move_on_after(self._limits.close_s):
            try:
                await connection.send_message(message)
            except trio_websocket.ConnectionClosed:
                self._can_send = False

    async def _listen(self, connection: trio_websocket.WebSocketConnection) -> None:
        """Take every message until the connection is closed; the last word ends the talker."""
        try:
            while True:
                self._take(decode(await connection.get_message()), trio.current_time())
        except ServerMessageError as error:
            self.report.end(Outcome.FAILED, str(error))
        except trio_websocket.ConnectionClosed as closed:
            if closed.reason is not None:
                self.report.close_code = closed.reason.code
            awaited = "`stopped`" if self._ready.is_set() else "`ready`" if self._welcome.is_set() else "`welcome`"
            how = f"with code {self.report.close_code}" if self.report.close_code else "without a code"
            self.report.end(Outcome.FAILED, f"the server closed the connection before {awaited}, {how}")
            self._closed.set()
        self._talking.cancel()

    def _take(self, message: ServerMessage | None, now_s: float) -> None:
        report = self.report
        match message:
            case Welcome():
                if message.protocol != PROTOCOL:
                    raise ServerMessageError(f"the server speaks protocol {message.protocol}, this client {PROTOCOL}")
                self._heartbeat_s = max(message.heartbeat_ms / 1000, 0.1)
                self._welcome.set()
            case Ready():
                report.stream_id = message.stream_id
                report.ready_s = now_s - self._start_sent_s
                self._ready.set()
            case Result():
                self._take_result(message, now_s)
            case Finalized():
                id_ = str(message.id)
                after_s = now_s - self._finalize_sent_s.get(id_, now_s)
                report.settled.append(Settled(id_, after_s, message.audio_ms, message.sentences))
            case Stopped():
                self._take_stopped(message, now_s)
            case ServerError(fatal=False):
                report.warnings.append(message)
            case ServerError():
                if report.outcome is None:
                    report.error = message
                report.end(Outcome.FAILED, describe(message))
                self._talking.cancel()
            case None:
                pass

    def _take_result(self, result: Result, now_s: float) -> None:
        self.report.results += 1
        since_s = 0.0 if self._first_audio_s is None else now_s - self._first_audio_s
        if result.text and self.report.first_partial_s is None:
            self.report.first_partial_s = since_s
            self.report.first_partial_before_end = self._stop_sent_s is None
        self._show(result, since_s)

    def _take_stopped(self, stopped: Stopped, now_s: float) -> None:
        report = self.report
        report.text, report.sentences, report.audio = stopped.text, stopped.sentences, stopped.audio
        if self._stop_sent_s is None:
            # The server ends a stream by itself when its time is up: what it settled is there, the rest was not heard.
            report.end(Outcome.FAILED, "the server ended the stream before the audio was over")
        else:
            report.finalization_s = now_s - self._stop_sent_s
            report.end(Outcome.OK)
        self._stopped.set()
        self._talking.cancel()


def describe(error: ServerError) -> str:
    """One line that has everything of an error."""
    retry = "retryable" if error.retryable else "not retryable"
    if error.retry_after_ms is not None:
        retry += f", retryAfterMs {error.retry_after_ms}"
    return f"{error.code}: {error.message} ({retry})"


def _root_of(error: BaseException) -> BaseException:
    """What the system said: Trio tries every address of a name and groups what became of it."""
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return error
