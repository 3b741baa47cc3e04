"""One accepted stream: audio in, results out, one ending.

Two tasks, each the only one to do its work. ``_receive`` judges what the client sends and feeds the engine. ``_send``
is the only writer: whatever ends the stream by a message goes through its queue, so that no send is cut short. An
ending is decided once.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from functools import partial
from typing import cast

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from service.localasr.audio import AudioRejectedError
from service.localasr.codes import Code, Refusal, refusal
from service.localasr.decoders import stream_decoder
from service.localasr.engine import (
    Engine,
    EngineOverloadedError,
    EngineStream,
    EngineUnavailableError,
    Event,
    StreamFailed,
    StreamFinished,
)
from service.localasr.faults import SLICES_LEFT_OUT, Fault, FaultPlan, Script
from service.localasr.http_head import TappedStream
from service.localasr.limits import AudioPace
from service.localasr.messages import MessageWriter
from service.localasr.request import StreamRequest
from service.localasr.segments import Slicer

# Results are a few per second of audio; this is minutes of them. A client that leaves them unread is dropped.
MAX_QUEUED_MESSAGES = 1000
SEND_S = 10.0
# How long a connection may hang when a fault leaves it hanging.
FAULT_HOLD_S = 600.0
# After `end`: what the client may still send, and how long the engine may take, before the stream is given up.
FINISH_S = 120.0


class Outcome(enum.Enum):
    """How a stream ended; one per stream, in its last log line."""

    FINISHED = "finished"
    REFUSED = "refused"
    FAILED = "failed"
    CLIENT_LEFT = "client_left"
    CLIENT_NOT_READING = "client_not_reading"
    FAULT = "fault"


class Ending(msgspec.Struct, frozen=True):
    """What is left to do: send ``text``, then close with 1000; without one, close the transport without a word."""

    outcome: Outcome
    code: int
    text: str | None = None


class _Outgoing(msgspec.Struct, frozen=True):
    """A message to send at ``due_s`` (Trio's clock), or an ending, or (neither) only a pause until then."""

    due_s: float
    text: str | None = None
    ending: Ending | None = None


class Conversation:
    """The stream of ``request`` on ``ws``. Call ``run`` once.

    ``audio_ms`` and ``results`` are for the log: the audio received so far and the results sent.
    """

    def __init__(
        self,
        ws: WebSocketConnection,
        tap: TappedStream,
        request: StreamRequest,
        engine: Engine,
        script: Script,
        plan: FaultPlan,
    ) -> None:
        self._ws = ws
        self._tap = tap
        self._engine = engine
        self._settings = request.settings
        self._script = script
        self._plan = plan
        self._messages = MessageWriter(request.voice_id, with_words=request.with_words)
        self._slicer = Slicer(filter_empty=request.filter_empty, leave_out=SLICES_LEFT_OUT[script.slices])
        self._decoder = stream_decoder(request.voice_format, request.settings.sample_rate_hz, exact=engine.exact)
        self._bytes_per_s = request.settings.sample_rate_hz * 2
        self._audio_bytes = 0
        self._outbox, self._outgoing = trio.open_memory_channel[_Outgoing](MAX_QUEUED_MESSAGES)
        self._ending: Ending | None = None
        self._ended = trio.Event()
        self.results = 0

    @property
    def audio_ms(self) -> int:
        """The audio clock: decoded audio received."""
        return self._audio_bytes * 1000 // self._bytes_per_s

    async def run(self) -> Ending:
        """Hold the conversation; returns what remains to be said once the engine has been let go.

        Closes neither the WebSocket nor the stream. When cancelled, the engine is let go, too.
        """
        ending = await self._handshake_faults()
        if ending is not None:
            return ending
        try:
            async with self._engine.open(self._settings, self._emit) as stream, trio.open_nursery() as nursery:
                self._post(text=self._messages.success())
                nursery.start_soon(self._receive, stream, name="receive audio")
                nursery.start_soon(self._send, name="send results")
                await self._ended.wait()
                nursery.cancel_scope.cancel()
        except EngineUnavailableError:
            answer = refusal(Code.ENGINE_OVERLOADED)
            return Ending(Outcome.FAILED, answer.code, self._messages.refused(answer))
        finally:
            self._outbox.close()
            self._outgoing.close()
        return cast(Ending, self._ending)

    # --- what ends a stream

    def _end(self, ending: Ending) -> None:
        """End now; the first ending counts."""
        if self._ending is None:
            self._ending = ending
            self._ended.set()

    def _end_by_message(self, outcome: Outcome, answer: Refusal) -> None:
        """End with an error message, behind the results that go out before it."""
        self._post(ending=Ending(outcome, answer.code, self._messages.error(answer)))

    def _post(self, *, text: str | None = None, ending: Ending | None = None, after_s: float = 0.0) -> None:
        try:
            self._outbox.send_nowait(_Outgoing(trio.current_time() + after_s, text, ending))
        except trio.WouldBlock:
            self._end(Ending(Outcome.CLIENT_NOT_READING, 0))

    # --- engine to client

    def _emit(self, event: Event) -> None:
        if isinstance(event, StreamFailed):
            self._end_by_message(Outcome.FAILED, refusal(event.code))
        elif isinstance(event, StreamFinished):
            if self._plan.standing("swallow_final") is None:
                ending = Ending(Outcome.FINISHED, 0, self._messages.final())
                delay_ms = self._script.result_delay_ms + self._script.final_delay_ms
                self._post(ending=ending, after_s=delay_ms / 1000)
        else:
            piece = self._slicer.take(event)
            if piece is not None:
                self.results += 1
                self._post(text=self._messages.result(piece), after_s=self._script.result_delay_ms / 1000)

    async def _send(self) -> None:
        async for item in self._outgoing:
            await trio.sleep_until(item.due_s)
            if item.ending is not None:
                self._end(item.ending)
            if item.text is not None and not await self._send_text(item.text):
                return

    async def _send_text(self, text: str) -> bool:
        with trio.move_on_after(SEND_S):
            try:
                await self._ws.send_message(text)
            except ConnectionClosed:
                self._end(Ending(Outcome.CLIENT_LEFT, 0))
                return False
            return True
        self._end(Ending(Outcome.CLIENT_NOT_READING, 0))
        return False

    # --- client to engine

    async def _receive(self, stream: EngineStream) -> None:
        pace = AudioPace(self._bytes_per_s, trio.current_time())
        try:
            while True:
                message: str | bytes | None = None
                with trio.move_on_at(pace.silent_at_s):
                    message = await self._ws.get_message()
                if message is None:
                    return self._end_by_message(Outcome.FAILED, refusal(Code.NO_AUDIO))
                if isinstance(message, str):
                    if not is_end(message):
                        return self._end_by_message(Outcome.FAILED, refusal(Code.UNKNOWN_TEXT))
                    break
                if message:
                    answer = await self._take_pcm(stream, pace, partial(self._decoder.feed, message))
                    if answer is not None:
                        return self._end_by_message(Outcome.FAILED, answer)
            answer = await self._take_pcm(stream, pace, self._decoder.finish)
            if answer is not None:
                return self._end_by_message(Outcome.FAILED, answer)
            for fault in self._plan.at_end:
                await self._do(fault)
            stream.finish()
            await self._wait_for_close()
        except ConnectionClosed:
            self._end(Ending(Outcome.CLIENT_LEFT, 0))

    async def _take_pcm(self, stream: EngineStream, pace: AudioPace, decode: Callable[[], bytes]) -> Refusal | None:
        now_s = trio.current_time()
        pace.heard(now_s)
        try:
            pcm = decode()
        except AudioRejectedError as error:
            return refusal(Code.DECODE_FAILED, str(error))
        if not pcm:
            return None
        if not pace.admit(now_s, len(pcm)):
            return refusal(Code.TOO_MUCH_AUDIO)
        try:
            while (at_ms := self._plan.next_at_ms()) is not None and at_ms * self._bytes_per_s // 1000 <= (
                self._audio_bytes + len(pcm)
            ):
                before = max(0, at_ms * self._bytes_per_s // 1000 - self._audio_bytes) & ~1
                self._feed(stream, pcm[:before])
                pcm = pcm[before:]
                await self._do(self._plan.take())
                pace.heard(trio.current_time())
            self._feed(stream, pcm)
        except EngineOverloadedError:
            return refusal(Code.ENGINE_OVERLOADED)
        return None

    def _feed(self, stream: EngineStream, pcm: bytes) -> None:
        self._audio_bytes += len(pcm)
        if pcm:
            stream.feed(pcm)

    async def _wait_for_close(self) -> None:
        """Read on after `end`, so that pings are answered and the client's leaving is seen; nothing said now counts."""
        swallowed = self._plan.standing("swallow_final") is not None
        delay_s = (self._script.result_delay_ms + self._script.final_delay_ms) / 1000
        with trio.move_on_after(FAULT_HOLD_S if swallowed else FINISH_S + delay_s):
            while True:
                await self._ws.get_message()
        outcome = Outcome.FAULT if swallowed else Outcome.FAILED
        self._end_by_message(outcome, refusal(Code.ENGINE_FAILED))

    # --- faults

    async def _do(self, fault: Fault) -> None:
        if fault.do == "error":
            self._end_by_message(Outcome.FAULT, refusal(fault.number))
            await trio.sleep(FAULT_HOLD_S)
        elif fault.do == "close":
            self._post(ending=Ending(Outcome.FAULT, 0))
            await trio.sleep(FAULT_HOLD_S)
        elif fault.do == "garbage":
            self._post(text=fault.text)
        elif fault.do == "stall":
            self._post(after_s=fault.for_ms / 1000)
            self._tap.hold_reading()
            await trio.sleep(fault.for_ms / 1000)
            self._tap.resume_reading()
        else:
            self._tap.hold_reading()
            await trio.sleep(FAULT_HOLD_S)
            self._end(Ending(Outcome.FAULT, 0))

    async def _handshake_faults(self) -> Ending | None:
        """What the script does before the first message. The order is the script's."""
        for fault in self._plan.at_handshake:
            if fault.do == "error":
                answer = refusal(fault.number)
                return Ending(Outcome.FAULT, answer.code, self._messages.refused(answer))
            if fault.do == "close":
                return Ending(Outcome.FAULT, 0)
            if fault.do == "garbage":
                await self._send_text(fault.text)
            elif fault.do == "stall":
                self._tap.hold_reading()
                await trio.sleep(fault.for_ms / 1000)
                self._tap.resume_reading()
            else:
                self._tap.hold_reading()
        if self._plan.standing("silent_handshake") is None:
            return self._ending
        with trio.move_on_after(FAULT_HOLD_S):
            try:
                while True:
                    await self._ws.get_message()
            except ConnectionClosed:
                return Ending(Outcome.CLIENT_LEFT, 0)
        return Ending(Outcome.FAULT, 0)


class _Control(msgspec.Struct):
    type: str


def is_end(text: str) -> bool:
    """Whether a text message is ``{"type": "end"}``, the only one of the protocol."""
    try:
        return msgspec.json.decode(text, type=_Control).type == "end"
    except msgspec.DecodeError:
        return False
