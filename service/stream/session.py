"""The conductor of one stream: two tasks, one nursery, one outcome.

The *client task* reads what the client sends, keeps the clocks, and writes to the recognizer. The *recognizer task*
opens a connection when one is wanted, and relays results until it has settled. They share the state below, which only
changes between two awaits, and whichever ends first ends the stream. To follow a frame: `_serve_client` → `_feed` →
`_relay_audio` → recognizer → `_relay_results` → client. Both tasks sleep through most of a stream: while nothing is to
be decided, audio goes through `_relay_now` and results through `_tell_now`, in the task of the pump that has read them.
These take only what they can deal with without a wait; the rest comes to the two tasks.

Memory of a live stream: at most audio.BACKLOG_S and REPLAY_S of audio (800 kB), the settled text, and what one read
(16 KiB) brought from either side: behind messages that wait, nothing more is read.
"""

import math
import secrets
from typing import Final

import trio

from service.deps import Deps
from service.failures import Problem, Slug, StreamFailed, problem
from service.recognizer.breaker import NotDialedError
from service.recognizer.connection import ConnectionGoneError, RecognizerConnection, failed
from service.recognizer.tencent import SentenceResult, Settled, Trouble
from service.settings import MAX_MESSAGE_BYTES
from service.stream import protocol, state
from service.stream.admission import SLOT_WAIT_S
from service.stream.audio import AnyUplink
from service.stream.audio_path import AudioPath, check
from service.stream.client import ClientGone, ClientTooSlow
from service.stream.clocks import DEAF_S, FINISH_S, IDLE_S, PAUSE_S, Clocks
from service.stream.ending import outcome_of
from service.stream.failover import BREAKER_WAIT_S, Failover, Progress, audio_lost
from service.stream.inbox import Inbox
from service.stream.observed import Observed
from service.stream.outcome import DRAINED, End, Outcome
from service.stream.recognizer_access import recognizer
from service.stream.result_path import ResultPath
from service.stream.state import Action, Event, Phase, Situation
from service.stream.stream_settings import StreamSettings
from service.stream.transcript import Transcript

MAX_MARKS: Final = 16  # `finalize` requests that wait; a person cannot ask faster


class Session:
    """One admitted stream, from `start` to its outcome."""

    def __init__(self, inbox: Inbox, settings: StreamSettings, deps: Deps, stream_id: str, log_id: str | None) -> None:
        now = trio.current_time()
        self._inbox = inbox
        self._client = inbox.client
        self._deps = deps
        self._metrics = deps.metrics
        self._stream_id = stream_id
        self._phase = Phase.DIALING  # the first connection is opened at once: `ready` needs the recognizer's word
        self._dial_wanted = trio.Event()
        self._dial_wanted.set()
        self._connection: RecognizerConnection | None = None  # what audio is sent on, where there is something
        self._used = False
        self._dialed_mp3 = settings.is_mp3
        """Whether the last connection was opened for mp3."""
        self._path = AudioPath(settings, deps.settings.upstream_packet_ms, deps.settings.replay_s, now)
        self.observed = Observed(deps.metrics, now)
        self._results = ResultPath(self._client, self._path, self.observed, log_id)
        self._clocks = Clocks(now, deps.settings.max_stream_s)
        self._accepted_at = now
        self._failover = Failover(now)
        self._serving = trio.CancelScope()
        """Of the present connection: cancelled when it does not answer."""
        self._time_is_up = False
        self.outcome: Outcome | None = None
        self._parked = trio.CancelScope()
        self._poked = False
        self._failure: StreamFailed | None = None
        """Found by the pump's task; the client task raises it."""

    @property
    def uplink(self) -> AnyUplink:
        """The audio, and the account of it."""
        return self._path.uplink

    @property
    def transcript(self) -> Transcript:
        """What was recognized."""
        return self._results.transcript

    async def run(self, early: list[bytes | str]) -> Outcome:
        """Conduct the stream; `early` are the messages that came together with `start`.

        Returns the outcome, whatever happens to the client or the recognizer. Cancelled, it leaves no connection and
        no slot behind, and `outcome` tells how the stream ended if it had. The caller closes the client.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve_recognizer, name=f"recognizer of {self._stream_id}")
                outcome = await self._serve_client(early)
                nursery.cancel_scope.cancel()
            # Said when the recognizer task is gone: nothing can fail any more that would contradict it.
            if outcome.is_owed_stopped:
                await self._results.say_stopped(self._clocks)
            self.outcome = outcome
        except BaseExceptionGroup as group:
            canceled, failures = group.split(trio.Cancelled)
            if failures is not None:
                self.outcome = outcome_of(failures)
            if canceled is not None or self.outcome is None:
                raise canceled or group from None
        except (StreamFailed, ClientGone, ClientTooSlow) as error:
            self.outcome = outcome_of(error)
        finally:
            self.observed.audio_at_last(self.uplink)
        return self.outcome

    def go_away(self, settle_by: float, outcome: Outcome = DRAINED, *, tell_at: float = -math.inf) -> None:
        """End the stream by itself then, and tell the client why it will, now or at `tell_at`; without blocking."""
        self._clocks.end_early(settle_by, tell_at, outcome)
        self._poke()

    # -- the client task ----------------------------------------------------------------------------------------------

    async def _serve_client(self, early: list[bytes | str]) -> Outcome:
        messages = early
        while True:
            for message in messages:
                if await self._on_message(message):
                    return Outcome(End.CANCELED)
            await self._catch_up()
            await self._check_clocks()
            await self._relay_audio()
            if await self._act():
                return self._clocks.limit_outcome if self._time_is_up else Outcome(End.COMPLETED)
            messages = await self._next_messages()

    async def _next_messages(self) -> list[bytes | str]:
        """Wait for the client, the next clock, or a poke. Nothing is sent in here, so being cut short loses nothing."""
        messages: list[bytes | str] = []
        relayed = self._may_relay() and self._client.relay_to(self._relay_now)
        with trio.CancelScope(deadline=self._next_deadline(ticking=relayed)) as self._parked:
            if self.uplink.full:
                await trio.sleep_forever()
            messages = await self._client.receive()
        self._client.relay_to(None)
        self._poked = False
        check(self._inbox.meter.charge(len(messages), self._client.last_heard))
        return messages

    def _may_relay(self) -> bool:
        """Whether audio is only to be passed on. It is so until the next poke, or until this task wakes by itself."""
        is_relaying = self._phase is Phase.RELAYING and self._connection is not None and not self._misdialed
        return is_relaying and not (self.uplink.marks or self.uplink.stopped or self._poked)

    def _relay_now(self, messages: list[bytes | str], now: float) -> int:
        """Relay audio that has just come, in the pump's task, up to the first message that is none."""
        taken, path, refused = 0, self._path, None
        was_plain = path.is_plain  # else these messages may bring something to tell, also when they are the last
        for message in messages:
            if not isinstance(message, bytes) or len(message) > MAX_MESSAGE_BYTES:
                break
            taken += 1
            refused = path.uplink.feed(message, now) if path.is_plain else path.feed(message, now)
            if refused is not None:
                break
        if refused is not None or (refused := self._inbox.meter.charge(taken, now)) is not None:
            self._failure = StreamFailed(refused)
            self._poke()
        elif not was_plain and (path.stereo_is_suspected or self._misdialed):
            self._poke()
        elif path.uplink.has_packet or (not messages and path.uplink.is_ripe(now)):
            self._send_now(now)
        if not messages:
            self.observed.audio(path.uplink, now)
        return taken

    def _send_now(self, now: float) -> None:
        """Send the packets that are due, or leave them to the client task: it can wait."""
        connection, uplink = self._connection, self.uplink
        if connection is None or not connection.can_send_now:
            self._poke()
            return
        packets = uplink.take_due(now)
        if packets:
            self._used = True
            is_sent = connection.send_audio_now([packet.audio for packet in packets])
            self.observed.relayed(packets, trio.current_time())
            if not is_sent:
                self._poke()
                return
        if uplink.has_packet:  # the pace has to be kept
            self._parked.deadline = min(self._parked.deadline, uplink.next_due(now))
            if uplink.full:
                self._poke()

    async def _catch_up(self) -> None:
        """Do what the pump's task has left: it cannot wait, and raises nothing."""
        if self._failure is not None:
            raise self._failure
        self.observed.audio(self.uplink, trio.current_time())
        if self._path.stereo_is_suspected:
            self._path.stereo_is_suspected = False
            await self._inbox.refuse(
                problem(Slug.STEREO_SUSPECTED, "This looks like two channels: record with numberOfChannels 1.")
            )
        await self._client.flush()
        if (connection := self._connection) is not None:
            try:
                await connection.flush()
            except ConnectionGoneError:
                if self._connection is connection:
                    self._connection = None  # the recognizer task finds out why

    def _poke(self) -> None:
        """Let the client task look at the state again."""
        self._poked = True
        self._client.relay_to(None)
        self._parked.cancel()

    async def _on_message(self, raw: bytes | str) -> bool:
        """Act on a message; returns whether it was `cancel`."""
        message = await self._inbox.understand(raw)
        match message:
            case bytes():
                self._feed(message)
            case protocol.Audio():
                self._feed(message.data or b"")
                if message.is_end:
                    self._stop()
            case protocol.Finalize():
                await self._finalize(message)
            case protocol.Stop():
                self._stop()
            case protocol.Cancel():
                return True
            case protocol.Start():
                await self._inbox.refuse(problem(Slug.ALREADY_STARTED, "The stream has started; this is ignored."))
        return False

    def _feed(self, data: bytes) -> None:
        check(self._path.feed(data, trio.current_time()))

    async def _finalize(self, request: protocol.Finalize) -> None:
        if self.uplink.stopped or self.uplink.marks >= MAX_MARKS:
            reason = "after stop" if self.uplink.stopped else f"while {MAX_MARKS} are waiting"
            await self._inbox.refuse(problem(Slug.BAD_MESSAGE, f"finalize {reason}"))
            return
        check(self._path.finalize(request.id, trio.current_time()))

    def _stop(self) -> None:
        if not self.uplink.stopped:
            now = trio.current_time()
            check(self._path.stop(now))
            self._clocks.stop(now, self._settlings, self.uplink.backlog_s())

    @property
    def _settlings(self) -> int:
        """How many connections have to be settled before the end; each may take its time."""
        return self.uplink.marks + (self._phase is Phase.SETTLING)

    async def _relay_audio(self) -> None:
        """Send the packets that are due."""
        connection = self._connection
        if connection is None or self._phase is not Phase.RELAYING or self._misdialed:
            return
        began = trio.current_time()
        packets = self.uplink.take_due(began)
        if not packets:
            return
        self._used = True
        sent_before = connection.sent_bytes
        try:
            await connection.send_audio(packet.audio for packet in packets)
        except ConnectionGoneError:
            if self._connection is connection:
                self._connection = None  # the recognizer task finds out why
        finally:
            now = trio.current_time()
            sent = connection.sent_bytes - sent_before
            self.uplink.not_sent(sum(len(packet.audio) for packet in packets) - sent)
            self.uplink.sent(now)
            self.observed.relayed(packets, now)
        if now - began > DEAF_S:
            self._clocks.read_at = now

    async def _act(self) -> bool:
        """Do what the state asks for. Returns whether the stream is settled to its end."""
        while (event := state.look(self._situation())) is not None:
            self._phase, action = state.step(self._phase, event)
            match action:
                case Action.NOTHING:
                    return False
                case Action.DIAL:
                    self._dial_wanted.set()
                case Action.END:
                    await self._end_connection()
                case Action.PASS:
                    mark = self.uplink.pass_mark()
                    if mark.stop:
                        return True
                    await self._results.say_finalized(mark)
        return False

    def _situation(self) -> Situation:
        if self._misdialed:
            return Situation(has_audio=False, at_mark=False, used=False, paused=True)  # end it, then dial again
        paused = trio.current_time() >= self._pause_at()
        return Situation(self.uplink.has_audio, self.uplink.reached is not None, self._used, paused)

    @property
    def _misdialed(self) -> bool:
        """Whether the connection was opened for PCM before the bytes showed mp3, so that it cannot take them."""
        return self._phase is Phase.RELAYING and self._dialed_mp3 != self._path.settings.is_mp3

    def _pause_at(self) -> float:
        return max(self.uplink.last_audio_at, self._accepted_at) + PAUSE_S

    async def _end_connection(self) -> None:
        self._clocks.answer_by = trio.current_time() + FINISH_S
        try:
            if self._connection is not None:
                await self._connection.send_end()
        except ConnectionGoneError:
            self._connection = None  # the recognizer task finds out why

    # -- the clocks ---------------------------------------------------------------------------------------------------

    def _next_deadline(self, *, ticking: bool) -> float:
        """When the client task must look again, if nothing happens before. `ticking`: a taker is called, see Client."""
        if self._poked:
            return -math.inf
        now = trio.current_time()
        clocks = self._clocks.next_deadline(self._client.last_heard, stopped=self.uplink.stopped)
        if self._phase is Phase.RELAYING and self._connection is not None:
            is_waiting = self.uplink.is_ripe(now) if ticking else self.uplink.has_audio
            clocks = min(clocks, self.uplink.next_due(now) if is_waiting else self._pause_at())
        return clocks

    async def _check_clocks(self) -> None:
        now, clocks = trio.current_time(), self._clocks
        if self.uplink.full:
            clocks.read_at = now
        if not self.uplink.stopped:
            if now >= clocks.idle_at(self._client.last_heard):
                message = f"Nothing came for {IDLE_S:g} s: send ping in pauses, every heartbeatMs."
                raise StreamFailed(problem(Slug.IDLE_TIMEOUT, message))
            if (left_s := clocks.take_goaway(now)) is not None:
                goaway = protocol.GoAway(round(left_s * 1000), clocks.limit_outcome.close_reason)
                await self._client.send(goaway.encode())
            if now >= clocks.limit_at:
                self._time_is_up = True
                self._stop()
        if now >= clocks.give_up_at:
            raise self._unsettled()
        if clocks.take_overdue(now):
            self._serving.cancel()  # the recognizer task takes it as lost

    def _unsettled(self) -> StreamFailed:
        return failed(Trouble.FINAL_TIMEOUT, f"The recognizer did not settle within {FINISH_S:g} s.", self._metrics)

    # -- the recognizer task ------------------------------------------------------------------------------------------

    async def _serve_recognizer(self) -> None:
        slot_wait_s = 0.0  # a new stream is refused at once; one that goes on after a pause may wait
        while True:
            await self._dial_wanted.wait()
            self._dial_wanted = trio.Event()
            before = self._progress()
            try:
                await self._use_connection(slot_wait_s)
                self._failover.settled()
            except StreamFailed as failure:
                now, chance = trio.current_time(), secrets.randbelow(1000) / 1000
                breaker, of_use = self._deps.breaker, self._progress().is_beyond(before)
                # While it is known to be down for everybody, a dial that failed says nothing about this stream.
                dialed = of_use or (breaker.is_closed and not isinstance(failure, NotDialedError))
                is_first = not self.observed.connections
                pause_s = self._failover.pause_s(
                    failure.problem, now, was_dialed=dialed, was_of_use=of_use, is_first=is_first, chance=chance
                )
                if pause_s is None:
                    raise
                await self._lose(failure.problem, now)
                await breaker.wait_dialable(BREAKER_WAIT_S)  # its end is the same moment for all: a pause follows
                await trio.sleep(pause_s)
            slot_wait_s = SLOT_WAIT_S

    def _progress(self) -> Progress:
        return Progress(self.uplink.settled_to, self.uplink.relayed, self.observed.results)

    async def _use_connection(self, slot_wait_s: float) -> None:
        """Dial, and relay results until all is settled. Raises StreamFailed when it is lost before."""
        self._dialed_mp3 = self._path.settings.is_mp3
        async with recognizer(self._path.settings, self._deps, slot_wait_s=slot_wait_s) as connection:
            await self._begin(connection)
            await self._relay_results(connection)

    async def _lose(self, reason: Problem, now: float) -> None:
        """The connection is gone: what it has not settled waits to be sent again."""
        self._connection = None
        self._clocks.release()
        missing = self.uplink.rewind(now)
        if self._phase is not Phase.DIALING:
            self.observed.lost(self._stream_id, reason, missing)
        self._step(Event.LOST)
        if self._phase is Phase.DIALING:
            self._dial_wanted.set()
        if missing is not None:
            await self._client.send(protocol.ErrorMessage.of(audio_lost(*missing)).encode())

    async def _begin(self, connection: RecognizerConnection) -> None:
        now = trio.current_time()
        base_ms = self.uplink.in_ms(self.uplink.begin_connection(now))
        self._results.transcript.begin_connection(connection.voice_id, base_ms)
        self.observed.connections += 1
        if self.observed.connections == 1:
            await self._client.send(self._path.settings.ready(self._stream_id, connection.voice_id).encode())
        self._connection, self._used, self._accepted_at, self._serving = connection, False, now, trio.CancelScope()
        if self.uplink.stopped:
            self._clocks.finish(now, max(1, self._settlings), self.uplink.backlog_s())
        connection.relay_to(self._tell_now)
        self._step(Event.ACCEPTED)

    async def _relay_results(self, connection: RecognizerConnection) -> None:
        """Until the recognizer has settled everything it was sent."""
        while not await self._results.tell(await self._next_heard(connection)):
            pass
        if self._phase is not Phase.SETTLING:
            raise failed(Trouble.LOST, "The recognizer ended without being told to.", self._metrics)
        self._connection, self._clocks.answer_by = None, math.inf
        self.uplink.settle(self.uplink.sent_to)
        self._step(Event.SETTLED)

    async def _next_heard(self, connection: RecognizerConnection) -> list[SentenceResult | Settled]:
        """Only this wait is cut short when an answer is overdue: of what was heard the client is told all."""
        if not self._serving.cancel_called:
            with trio.CancelScope() as self._serving:
                return await connection.receive()
        raise self._unsettled()

    def _tell_now(self, heard: SentenceResult, now: float) -> bool:
        """Relay a result that has just come, in the pump's task. Returns False where the client is to be waited for."""
        can_send = self._client.can_send_now
        if can_send and not self._results.tell_now(heard, now):
            self._poke()  # the client task waits for the rest
        return can_send

    def _step(self, event: Event) -> None:
        """What the recognizer did, for the client task to act on."""
        self._phase, _ = state.step(self._phase, event)
        self._poke()
