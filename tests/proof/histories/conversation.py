"""Holds one history: a phone that resumes, a recognizer with faults, the gateway's own code, all in virtual time."""

import dataclasses
import logging
import random
import socket
from collections import Counter
from types import SimpleNamespace
from typing import Final
from unittest import mock

import trio
import trio.testing

from service.failures import Slug, StreamFailed
from service.identity import Caller
from service.lifecycle import Phase
from service.localasr.faults import Script
from service.stream.endpoint import serve_stream
from service.websocket.pump import Pump
from tests.proof.histories.history import History, Step
from tests.proof.histories.oracle import TRACK, TRACK_MS, FoundError, Listener, check, check_stream
from tests.support.pumped_phone import PumpedPhone
from tests.support.stream_world import BYTES_PER_MS, Message, Phone, World

MAX_STREAMS: Final = 12
"""Of one conversation: a phone that is refused so often has given up."""
REFUSALS: Final = (Slug.RESTARTING, Slug.OVERLOADED)
"""Of a start that is not admitted."""
SEND_BUFFER_BYTES: Final = 4096
"""Linux doubles it: a quarter of a second of audio, so that a recognizer that stops reading is felt at once."""
GUARD_S: Final = 300
"""Of virtual time, for one stream to end."""


class Line(trio.abc.Stream):
    """The gateway's end of a recognizer connection, which knows whether it was closed."""

    def __init__(self, stream: trio.abc.Stream, open_lines: set["Line"]) -> None:
        self._stream = stream
        self._open_lines = open_lines
        open_lines.add(self)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        self._open_lines.discard(self)
        await self._stream.aclose()


class Gateway:
    """One process, its recognizer, and what is counted of it."""

    def __init__(self, nursery: trio.Nursery, history: History, *, is_first: bool) -> None:
        script = Script(
            result_delay_ms=history.result_delay_ms,
            final_delay_ms=history.final_delay_ms,
            faults=history.faults if is_first else (),
        )
        self.world = World(nursery, script, replay_s=history.replay_s, upstream_concurrency=history.slots)
        self._nursery = nursery
        self.open_lines: set[Line] = set()
        self.sockets: list[trio.SocketStream] = []
        self.slots_held = 0
        """By somebody else."""
        dial = self.world.deps.dial

        async def line(url: str) -> trio.abc.Stream:
            if not history.is_pumped:
                return Line(await dial(url), self.open_lines)
            await trio.lowlevel.checkpoint()
            self.world.dials += 1
            ours, theirs = trio.socket.socketpair()
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
            nursery.start_soon(self.world.recognizer.serve_stream, trio.SocketStream(theirs))
            self.sockets.append(trio.SocketStream(ours))
            return self.sockets[-1]

        self.world.dial_with(line)
        if history.is_pumped:
            self.world.deps = dataclasses.replace(self.world.deps, pump=Pump())
            nursery.start_soon(self.world.deps.pump.run)

    @property
    def is_draining(self) -> bool:
        return self.world.deps.lifecycle.phase is Phase.DRAINING

    def outcomes(self) -> Counter[str]:
        """How many streams ended how, those that were not admitted included."""
        ended: Counter[str] = Counter()
        for metric in self.world.deps.metrics.registry.collect():
            for sample in metric.samples:
                if sample.name == "voice_streams_ended_total":
                    ended[sample.labels["outcome"]] += int(sample.value)
                elif sample.name == "voice_messages_rejected_total" and sample.labels["slug"] in REFUSALS:
                    ended[sample.labels["slug"]] += int(sample.value)
        return ended

    def hold_slot(self, hold_s: float) -> None:
        """Somebody else wants a slot, and has it for some time."""
        self._nursery.start_soon(self._hold_slot, hold_s)

    async def _hold_slot(self, hold_s: float) -> None:
        try:
            async with self.world.deps.admission.recognizer_slot(wait_s=20):
                self.slots_held += 1
                try:
                    await trio.sleep(hold_s)
                finally:
                    self.slots_held -= 1
        except StreamFailed:
            pass

    def check_idle(self) -> None:
        """No stream is open: nothing of one may be left."""
        admission = self.world.deps.admission
        check(admission.streams == 0, "streams left:", admission.streams)
        check(admission.slots_used == self.slots_held, "slots left:", admission.slots_used - self.slots_held)
        open_lines = len(self.open_lines) + sum(stream.socket.fileno() != -1 for stream in self.sockets)
        check(not open_lines, "recognizer connections left:", open_lines)
        check(self.world.metric("voice_streams_active") == 0, "a gauge is left")
        relayed, received = (self.world.metric(f"voice_audio_{way}_seconds_total") for way in ("relayed", "received"))
        check(relayed <= received + 1e-6, "more audio relayed than received:", relayed, received)


class Stream:
    """One stream of the conversation, with the gateway that serves it."""

    def __init__(self, nursery: trio.Nursery, gateway: Gateway, listener: Listener, *, is_pumped: bool) -> None:
        self._nursery = nursery
        self.gateway = gateway
        self.phone = Phone()
        if is_pumped:
            self.phone = pumped = PumpedPhone()
            nursery.start_soon(pumped.tick)
        self._before = gateway.outcomes()
        self._done = trio.Event()
        self._sent_bytes = 0
        self._heard: int | None = None
        self._base_ms = listener.settled_ms
        self._first_final = listener.sentences
        nursery.start_soon(self._serve)
        self.phone.say(type="start", wordInfo=1, resume=listener.resume)

    async def _serve(self) -> None:
        try:
            await serve_stream(self.phone, Caller(), self.gateway.world.deps)
        finally:
            self._done.set()

    @property
    def has_ended(self) -> bool:
        return self.phone.was_closed.is_set()

    def audio(self, pcm: bytes) -> None:
        """The phone sends a frame."""
        self._sent_bytes += len(pcm)
        self.phone.audio(pcm)

    def stop_reading(self) -> None:
        """The phone takes nothing any more, until the transport gives up."""
        if self._heard is None:
            self._heard = len(self.phone.seen)
            self.phone.reads = False

    @property
    def is_heard(self) -> bool:
        """Whether the phone has heard all that it was told."""
        return self._heard is None

    def heard(self, unheard: int) -> list[Message]:
        """What the phone has heard until now, but for so many of the last messages."""
        seen = self.phone.seen[: self._heard]
        return seen[: len(seen) - unheard]

    def be_deaf(self, for_s: float) -> None:
        """Take nothing for some time."""
        self.phone.may_read = trio.Event()
        self._nursery.start_soon(self._be_deaf, self.phone.may_read, for_s)

    async def _be_deaf(self, may_read: trio.Event, for_s: float) -> None:
        await trio.sleep(for_s)
        may_read.set()

    async def ended(self, *, told: bool) -> str:
        """Wait for the end, and check all that can be known of this stream by itself. Returns the outcome."""
        with trio.move_on_after(GUARD_S) as guard:
            await self._done.wait()
        check(not guard.cancelled_caught, "the stream does not end")
        outcomes = list((self.gateway.outcomes() - self._before).elements())
        if not outcomes and not self.phone.all("welcome"):
            outcomes = ["client_left"]  # it took nothing from the beginning, and was not admitted
        check(len(outcomes) == 1, "not exactly one outcome:", outcomes)
        await trio.sleep(0.001)  # whoever waits for a slot may have been given it, and not have run yet
        self.gateway.check_idle()
        check_stream(self.phone.seen, self.phone.closed, outcomes[0], told=told)
        finals = [message["index"] for message in self.phone.finals]
        check(finals == list(range(self._first_final, self._first_final + len(finals))), "indexes:", finals)
        for stopped in self.phone.all("stopped"):
            account = stopped["audio"]
            check(account["receivedBytes"] <= self._sent_bytes, "more audio than was sent", account)
            if outcomes[0] == "completed":
                check(account["receivedBytes"] == self._sent_bytes, "audio not counted", account, self._sent_bytes)
                check(account["droppedBytes"] < 2, "audio dropped", account)
        return outcomes[0]

    def relayed_to_ms(self) -> int | None:
        """Up to where the audio was relayed, as `stopped` says it."""
        stopped = self.phone.all("stopped")
        return self._base_ms + stopped[0]["audio"]["relayedMs"] if stopped else None


class Conversation:
    """The phone's side: does the steps, and resumes when a stream ends before its time."""

    def __init__(self, nursery: trio.Nursery, history: History) -> None:
        self._nursery = nursery
        self._history = history
        self._gateway = Gateway(nursery, history, is_first=True)
        self._listener = Listener()
        self._said_bytes = 0
        self._streams = 0
        self._outcome = ""
        self._stream: Stream | None = None

    async def hold(self) -> None:
        """The whole history. Raises FoundError."""
        for step in self._history.steps:
            stream = await self._live()
            if stream is None:
                return
            await self._do(stream, step)
        await self._end()
        self._gateway.check_idle()

    async def _end(self) -> None:
        while (stream := await self._live()) is not None:
            match self._history.end:
                case "stop":
                    stream.phone.say(type="stop")
                case "cancel":
                    stream.phone.say(type="cancel")
                case "hang_up":
                    stream.phone.hang_up()
            await self._over(told=self._history.end == "stop")
            if self._history.end != "stop" or self._outcome == "completed":
                break
            check(not self._history.must_complete, "not completed:", self._outcome)
        if self._history.must_complete:
            check(self._outcome == "completed", "given up:", self._outcome)
            check(not self._listener.missing, "audio lost:", self._listener.missing)
            self._listener.check_complete(self._said_bytes // BYTES_PER_MS)

    async def _live(self) -> Stream | None:
        """The present stream, or the next one; None when the phone has given up."""
        if self._stream is not None and self._stream.has_ended:
            await self._over(told=True)
            check(not self._history.must_complete, "ended before its time:", self._outcome)
        if self._stream is None:
            if self._streams == MAX_STREAMS:
                return None
            if self._gateway.is_draining:
                self._gateway = Gateway(self._nursery, self._history, is_first=False)
            self._streams += 1
            self._stream = Stream(self._nursery, self._gateway, self._listener, is_pumped=self._history.is_pumped)
            begin, end = self._listener.settled_ms * BYTES_PER_MS, self._said_bytes
            for place in range(begin, end, 32_000):
                self._stream.audio(TRACK[place : min(end, place + 32_000)])
            await trio.lowlevel.checkpoint()
        return self._stream

    async def _over(self, *, told: bool, unheard: int = 0) -> None:
        """The stream ends: what it has told is known from now on, but for the last messages."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        told = told and stream.is_heard
        heard = stream.heard(unheard)
        self._outcome = await stream.ended(told=told)
        if told:
            heard = stream.heard(0)
        self._listener.hear(heard, self._said_bytes // BYTES_PER_MS)
        relayed_to_ms = stream.relayed_to_ms() if told else None
        self._listener.check_complete(self._listener.settled_ms if relayed_to_ms is None else relayed_to_ms)

    async def _do(self, stream: Stream, step: Step) -> None:
        phone, lifecycle = stream.phone, stream.gateway.world.deps.lifecycle
        match step.do:
            case "talk" | "burst":
                await self._talk(stream, step, in_real_time=step.do == "talk")
            case "wait":
                phone.say(type="ping")
                await trio.sleep(step.ms / 1000)
            case "finalize":
                phone.say(type="finalize", id=step.ms)
            case "deaf":
                stream.be_deaf(step.ms / 1000)
            case "block":
                stream.stop_reading()
            case "drop":
                phone.may_read.set()
                phone.hang_up()
                await self._over(told=False, unheard=step.count)
                await trio.sleep(step.ms / 1000)
            case "nonsense":
                phone.say_raw("{")
            case "start_again":
                phone.say(type="start")
            case "no_slot":
                stream.gateway.hold_slot(step.ms / 1000)
            case "drain":
                lifecycle.drain(trio.current_time() + step.ms / 1000)
            case "give_up":
                lifecycle.drain()
                lifecycle.give_up()
        await trio.lowlevel.checkpoint()

    async def _talk(self, stream: Stream, step: Step, *, in_real_time: bool) -> None:
        end = min(TRACK_MS, self._said_bytes // BYTES_PER_MS + step.ms) * BYTES_PER_MS
        due = trio.current_time()
        while self._said_bytes < end and not stream.has_ended:
            frame = TRACK[self._said_bytes : min(end, self._said_bytes + max(1, step.count))]
            stream.audio(frame)
            self._said_bytes += len(frame)
            if in_real_time:
                due += len(frame) / BYTES_PER_MS / 1000
                await trio.sleep_until(due)
        self._said_bytes -= self._said_bytes % 2  # a phone keeps whole samples to say again


def failing(history: History) -> str | None:
    """Hold a history; returns what does not hold, None when all does. The same history goes the same way each time."""
    found: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            try:
                await Conversation(nursery, history).hold()
            except FoundError as error:
                found.append(str(error))
            nursery.cancel_scope.cancel()

    chance = random.Random(history.chance)
    errors = _Errors()
    root = logging.getLogger()
    root.addHandler(errors)
    logging.disable(logging.WARNING)  # thousands of histories would fill the memory of whoever captures the log
    try:
        with (
            mock.patch("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", new=True),
            mock.patch("trio._core._run._r", chance),
            mock.patch("service.recognizer.breaker.random", chance),
            mock.patch("service.stream.session.secrets", SimpleNamespace(randbelow=chance.randrange)),
            mock.patch("service.stream.endpoint.secrets", SimpleNamespace(randbelow=chance.randrange)),
        ):
            trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    except Exception as error:  # whatever it is, the history has found it
        found.append(f"raised {error!r} {getattr(error, 'exceptions', '')}")
    finally:
        logging.disable(logging.NOTSET)
        root.removeHandler(errors)
    return "; ".join(found + errors.lines) or None


class _Errors(logging.Handler):
    """What is logged as an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"logged {record.msg} {getattr(record, 'voice_fields', record.__dict__.get('errors', ''))}")
