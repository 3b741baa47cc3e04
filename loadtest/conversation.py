"""Protocol 1 over one connection: a talker that sends and keeps the clock, and a listener beside it.

The talker is one of `loadtest.behaviors`: a few calls to the verbs below. The listener always reads (the WebSocket
library answers pings only while somebody does) and ends the talker when the service has had the last word. Neither
raises to the outside: how it ended is in the notes.

A frame's way is the hot path: the pacer's heap, one system call, no lock and no task switch.
"""

import bisect
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import trio
from wsproto.frame_protocol import FrameProtocol

from loadtest.audio_clock import AudioClock, as_wire, ends_s_of, wire_of
from loadtest.connection import CLOSE_LIMIT_S, Connection, ConnectionLost
from loadtest.due_frames import DueFrames
from loadtest.messages import (
    PROTOCOL,
    Finalized,
    GoAway,
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
from loadtest.notes import Notes
from loadtest.pacer import Pacer
from loadtest.record import Ending
from loadtest.scenario import Phone
from loadtest.wav import Speech

ANSWER_LIMIT_S: Final = 15.0
"""For what no setting has a limit for: the answer to a close, and to nonsense."""
GOAWAY_MARGIN_S: Final = 2.0
"""A phone that obeys `goaway` says `stop` so long before its time is over."""
_HEARTBEAT_S: Final = 10.0  # until `welcome` has said it
_SHORTEST_HEARTBEAT_S: Final = 0.1
_REPLAY_BYTES: Final = 32_000  # of one message: a second, and half of what the service takes
_SAMPLE_BYTES: Final = 2

Observer = Callable[[ServerMessage, float], None]
"""Sees every message of the service, and when it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """What there is to say, and how long to wait."""

    speech: Speech
    frames: tuple[bytes, ...]
    start: dict[str, Any]
    """Fields of the `start` message."""
    phone: Phone
    obeys_goaway: bool = False


class GaveUp(Exception):
    """The talker met a deadline."""

    def __init__(self, problem: str, ending: Ending = Ending.UNANSWERED) -> None:
        super().__init__(problem)
        self.ending = ending


class Conversation:
    """One connection's worth of a call."""

    def __init__(
        self, connection: Connection, lines: Lines, notes: Notes, pacer: Pacer, observe: Observer | None
    ) -> None:
        self.connection = connection
        self.notes = notes
        self.phone = lines.phone
        self.welcome = Welcome(PROTOCOL)
        """What the service said of itself."""
        self.frame_count = len(lines.frames)
        self.sent_s = 0.0
        """How much of the audio has been sent, from its beginning."""
        self._lines = lines
        self._bytes_per_s = lines.speech.sample_rate_hz * _SAMPLE_BYTES
        self.wire = wire_of(lines.frames)
        """The frames as they are written."""
        self._ends_s = ends_s_of(lines.frames, self._bytes_per_s)
        self._pacer = pacer
        self._observe = observe
        self._clock: AudioClock | None = None
        self._talking = trio.CancelScope()
        self._staying = trio.CancelScope()  # until it is time to obey `goaway`
        self._leave_by_s = math.inf
        self._welcomed = trio.Event()
        self._ready = trio.Event()
        self._over = trio.Event()  # `stopped`, or the answer to nonsense
        self._closed = trio.Event()
        self._heartbeat_s = lines.phone.heartbeat_s or _HEARTBEAT_S
        self._start_sent_s: float | None = None
        self._could_send_s = 0.0
        self._is_leaving = False
        self._dawdle_s = 0.0
        self._hurry = trio.Event()

    async def run(self, talk: Callable[["Conversation"], Awaitable[None]]) -> None:
        """Talk and listen until either is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, name="listener")
            with self._talking:
                try:
                    with self._staying:
                        await talk(self)
                    if self._staying.cancelled_caught:
                        self._leave_by_s = math.inf
                        await self._stop()  # the person talks on
                except GaveUp as reason:
                    self.notes.end(reason.ending, str(reason))
                except ConnectionLost:
                    self.notes.lost(trio.current_time())
                    await self._hear_last_word()
                    self.notes.end(Ending.LOST, "the connection was lost")
            await self._part()
            nursery.cancel_scope.cancel()

    def hang_up(self) -> None:
        """End the call from outside, with a `cancel`."""
        self.notes.end(Ending.CANCELED)
        self.connection.hurry(CLOSE_LIMIT_S)
        self._talking.cancel()

    async def _part(self) -> None:
        """Say `cancel` where it is owed, and hear the code with which the service closes."""
        ending = self.notes.record.ending
        if self._is_leaving or not self.notes.is_ended:
            return
        self._hurry.set()
        self.connection.transport.release()
        if ending is Ending.CANCELED and self.connection.is_usable:
            try:
                await self.connection.send(encode("cancel"), CLOSE_LIMIT_S)
            except (ConnectionLost, trio.TooSlowError):
                return
        if ending is Ending.CANCELED or self.notes.is_close_owed:
            await self._hear_last_word()

    async def _hear_last_word(self) -> None:
        self._hurry.set()
        with trio.move_on_after(CLOSE_LIMIT_S):
            await self._closed.wait()

    # The verbs of a talker, in the order of the protocol.

    async def hear_welcome(self) -> None:
        """Wait for `welcome`."""
        began_s = trio.current_time()
        await self._wait(self._welcomed, self.phone.welcome_limit_s, "`welcome`")
        self.notes.welcomed(trio.current_time() - began_s)

    async def start(self, **fields: Any) -> None:
        """Send `start`, with these fields besides those of every start, and wait for `ready`."""
        self._start_sent_s = trio.current_time()
        await self.send(encode("start", **{**self._lines.start, **fields}))
        await self._wait(self._ready, self.phone.ready_limit_s, "`ready`")

    async def greet(self) -> None:
        """`welcome`, `start`, `ready`."""
        await self.hear_welcome()
        await self.start()

    async def say(self, first: int, end: int) -> None:
        """Send the frames from `first` to before `end`, each when it is due."""
        assert self._clock is not None  # noqa: S101 - `ready` came before
        frames = DueFrames(self.connection, self.wire, self._clock, (first, end), self.note_frame)
        while frames.number < end:
            await self._pacer.send(self._clock.due_s(frames.number), frames)
            if frames.is_lost:
                raise ConnectionLost
            if frames.is_stuck:
                await self._send_rest(frames)

    async def _send_rest(self, frames: DueFrames) -> None:
        """The service did not take a frame at once: wait until it does."""
        try:
            await self.connection.send_rest(self.wire[frames.number], frames.taken, self.phone.send_limit_s)
        except trio.TooSlowError:
            self.notes.held_up(trio.current_time() - frames.stuck_since_s)
            raise self._not_read() from None
        frames.unstick(trio.current_time())

    def note_frame(self, number: int, due_s: float, began_s: float, waited_s: float) -> None:
        """A frame was sent."""
        late_from_s = max(due_s, self._could_send_s)
        if self.notes.sent(len(self._lines.frames[number]), max(0.0, began_s - late_from_s), waited_s):
            self._could_send_s = began_s + waited_s
        self.sent_s = self._ends_s[number]

    def frames_until(self, position_s: float) -> int:
        """How many frames it takes to say everything before this position."""
        return min(bisect.bisect_left(self._ends_s, position_s) + 1, self.frame_count) if position_s > 0 else 0

    async def say_again(self, position_s: float, end: int) -> int:
        """Send what was said from this position up to now at once, and nothing from frame `end` on.

        Returns the number of the first frame that was not sent.
        """
        clock = self._clock
        assert clock is not None  # noqa: S101 - `ready` came before
        number = min(clock.said_by(trio.current_time()), end)
        until_bytes = round(self._ends_s[number - 1] * self._bytes_per_s) if number else 0
        audio = self._lines.speech.pcm[
            round(position_s * self._bytes_per_s) // _SAMPLE_BYTES * _SAMPLE_BYTES : until_bytes
        ]
        for begin in range(0, len(audio), _REPLAY_BYTES):
            piece = audio[begin : begin + _REPLAY_BYTES]
            try:
                await self.connection.send_raw(as_wire(piece), self.phone.send_limit_s)
            except trio.TooSlowError:
                raise self._not_read() from None
            self.notes.sent_again(len(piece), 1)
            self.sent_s = max(self.sent_s, position_s + (begin + len(piece)) / self._bytes_per_s)
        self._could_send_s = trio.current_time()
        return number

    async def pause(self, position: int, length_s: float) -> None:
        """Say nothing before this frame for so long, and keep the connection alive with heartbeats.

        A phone that was held up until now has a shorter pause: what comes next is due when it is due.
        """
        until_s = self._shift(position, length_s)
        await self._wait(trio.Event(), until_s - trio.current_time())

    async def freeze(self, position: int, length_s: float) -> None:
        """Neither send nor read for so long, as a suspended app; nothing is recorded meanwhile."""
        until_s = self._shift(position, length_s)
        if until_s <= trio.current_time():
            return
        self._staying.deadline = math.inf  # it does not obey either
        self.connection.transport.hold()
        await trio.sleep_until(until_s)
        self.connection.transport.release()
        self.notes.was_deaf(trio.current_time())
        self._staying.deadline = self._leave_by_s

    def _shift(self, position: int, length_s: float) -> float:
        """When the pause is over; one that began in an earlier stream is the same pause."""
        assert self._clock is not None  # noqa: S101 - `ready` came before
        return self._clock.pause(self._ends_s[position - 1] if position else 0.0, length_s)

    def read_slowly(self, interval_s: float) -> None:
        """Take one message in so long from now on, until the audio is over."""
        self._dawdle_s = interval_s

    async def stop(self) -> None:
        """At the end of the audio: `stop`, and wait for `stopped`."""
        self._leave_by_s = self._staying.deadline = math.inf
        self.notes.is_audio_over = True
        await self._stop()

    async def _stop(self) -> None:
        self._hurry.set()
        await self.send(encode("stop"))
        await self._wait(self._over, self.phone.stopped_limit_s, "`stopped`")

    async def send(self, message: str | bytes) -> None:
        """Send one message. Raises ConnectionLost, and GaveUp when the service does not read."""
        try:
            await self.connection.send(message, self.phone.send_limit_s)
        except trio.TooSlowError:
            raise self._not_read() from None

    # Other ways to part.

    async def cut_off(self) -> None:
        """Lose the connection, without a word."""
        self._is_leaving = True
        self.connection.is_usable = False
        self.notes.lost(trio.current_time())
        await self.connection.transport.abort()

    async def close_and_hear_the_answer(self) -> None:
        """Send a close frame in mid-stream. It is meant to be answered with one."""
        self._is_leaving = True
        try:
            await self.connection.send_raw(bytes(FrameProtocol(client=True, extensions=[]).close(1000)), ANSWER_LIMIT_S)
        except trio.TooSlowError:
            raise self._not_read() from None
        self.connection.is_usable = False
        with trio.move_on_after(ANSWER_LIMIT_S):
            await self._closed.wait()
        if not self._closed.is_set():
            self.notes.end(Ending.UNANSWERED, f"the server did not answer a close within {ANSWER_LIMIT_S:g} s")
        elif self.notes.record.close_code is None:
            self.notes.end(Ending.LOST, "the server did not answer a close, and dropped the connection")
        else:
            self.notes.end(Ending.AS_MEANT)

    async def vanish(self, limit_s: float) -> None:
        """Neither send nor read any more. The service is meant to end the connection."""
        self._is_leaving = True
        self.connection.transport.discard()
        with trio.move_on_after(limit_s):
            await self._closed.wait()
        if self._closed.is_set():
            self.notes.end(Ending.AS_MEANT)
        else:
            self.notes.end(Ending.UNANSWERED, f"the server kept a phone that vanished for {limit_s:g} s")

    async def hear_the_answer(self) -> None:
        """Wait for any answer to nonsense: an error, a close, or the end."""
        with trio.move_on_after(ANSWER_LIMIT_S):
            await self._over.wait()
        self.notes.end(Ending.UNANSWERED, f"the server did not answer nonsense within {ANSWER_LIMIT_S:g} s")

    # Waiting and sending.

    async def _wait(self, event: trio.Event, limit_s: float, what: str | None = None) -> None:
        """Wait for the event with heartbeats. When it does not come in `limit_s`: GaveUp, if it was owed (`what`)."""
        deadline_s = trio.current_time() + limit_s
        while not event.is_set():
            left_s = deadline_s - trio.current_time()
            if left_s <= 0:
                if what is None:
                    return
                raise GaveUp(f"the server did not send {what} within {limit_s:g} s")
            with trio.move_on_after(min(left_s, self._heartbeat_s)) as pause:
                await event.wait()
            if pause.cancelled_caught and trio.current_time() < deadline_s:
                await self.send(encode("ping", t=round(trio.current_time() * 1000)))

    def _not_read(self) -> GaveUp:
        return GaveUp(f"the server did not read for {self.phone.send_limit_s:g} s")

    # The listener.

    async def _listen(self) -> None:
        """Take every message until the connection is closed; the last word ends the talker."""
        try:
            while True:
                message = decode(await self.connection.receive())
                if message is not None:
                    self._take(message, trio.current_time())
                if self._dawdle_s and not self._hurry.is_set():
                    with trio.move_on_after(self._dawdle_s):
                        await self._hurry.wait()
        except ServerMessageError as error:
            self.notes.end(Ending.PROTOCOL, str(error))
        except ConnectionLost as lost:
            self._closed.set()
            if self._is_leaving:
                self.notes.record.close_code = lost.code
                return  # the talker knows what it means
            awaited = "`stopped`" if self._ready.is_set() else "`ready`" if self._welcomed.is_set() else "`welcome`"
            self.notes.closed(lost.code, awaited, trio.current_time())
        self._talking.cancel()

    def _take(self, message: ServerMessage, now_s: float) -> None:
        if self._observe is not None:
            self._observe(message, now_s)
        match message:
            case Result():
                self.notes.heard(message, now_s)
                if message.is_final and self._leave_by_s < math.inf:
                    self._staying.cancel()
            case Welcome():
                if message.protocol != PROTOCOL:
                    raise ServerMessageError(f"the server speaks protocol {message.protocol}, this client {PROTOCOL}")
                self.welcome = message
                if self.phone.heartbeat_s is None:
                    self._heartbeat_s = max(message.heartbeat_ms / 1000, _SHORTEST_HEARTBEAT_S)
                self._welcomed.set()
            case Ready():
                if self._start_sent_s is None or self._ready.is_set():
                    raise ServerMessageError("the server sent `ready` for no `start`")
                self._clock = self.notes.ready(now_s, now_s - self._start_sent_s, message.stream_id, self._ends_s)
                self._could_send_s = now_s
                self._ready.set()
                self._staying.deadline = self._leave_by_s
            case GoAway():
                self.notes.has_heard_goaway = True
                if self._lines.obeys_goaway and not self.notes.is_audio_over:
                    self._leave_by_s = now_s + max(0.0, message.time_left_ms / 1000 - GOAWAY_MARGIN_S)
                    self._staying.deadline = self._leave_by_s if self._ready.is_set() else math.inf
            case Stopped():
                self.notes.stopped(message, now_s)
                self._over.set()
                self._talking.cancel()
            case ServerError():
                self.notes.failed(message, now_s)
                if self.notes.is_ended:
                    self._over.set()
                    self._talking.cancel()
            case Finalized():
                pass
