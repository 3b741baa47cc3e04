"""One simulated phone: a call to the service in real time, and the record of what became of it.

`place_call` is the whole of it, for `loadtest speak` as for each of the streams of a load run:

1. dial: TCP, TLS, upgrade (`loadtest.connection`, over `loadtest.transport`);
2. what the phone does there (`loadtest.behaviors`), in the verbs of protocol 1 (`loadtest.conversation`);
3. what was heard and when, against when it was due (`loadtest.notes`, `loadtest.audio_clock`).

Whichever way a call ends, it ends with a record, never with an exception.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from loadtest.audio import Track
from loadtest.behaviors import Talk, talks_of
from loadtest.coming_back import BackOff, breaks_off
from loadtest.connection import LOAD_TESTER_FAILED, Connection, Target, with_connection
from loadtest.conversation import Conversation, Lines, Observer
from loadtest.nonsense import HANDSHAKES, kind_of, shake_hands_wrongly
from loadtest.notes import Notes, Samples
from loadtest.pacer import Pacer
from loadtest.plan import PlannedCall
from loadtest.record import Ending, StreamRecord
from loadtest.scenario import Behavior, Scenario

__all__ = ["Call", "Pacer", "Samples", "Target", "place_call"]

_LOG = logging.getLogger(__name__)

# What a slow reader's kernel may keep for it. Linux doubles it, and takes no less than 2304.
_SLOW_READER_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call."""

    planned: PlannedCall
    track: Track
    frames: tuple[bytes, ...]
    """The track in frames. The same object for all calls of a track: they are encoded once."""
    scenario: Scenario
    begins_at_s: float
    """When the run began, on Trio's clock: times `at_` of the record count from it."""
    expected_words: tuple[str, ...] | None
    """What should be heard; None: do not compare."""
    keep_text: bool = False


async def place_call(
    call: Call,
    target: Target,
    samples: Samples,
    *,
    pacer: Pacer | None = None,
    interrupted: trio.Event | None = None,
    observe: Observer | None = None,
    talk: Talk | None = None,
) -> StreamRecord:
    """Place the call at once and return its record.

    `samples` is called with each sample of `word_final`, `result_lateness` and `send_lateness`, in seconds; `observe`
    with each message of the service. `pacer` is the one of the process, which somebody runs: without one, the call runs
    its own, which is dear where there are hundreds of calls. `talk` replaces what the planned behavior does.

    When `interrupted` is set, the call is dropped with a `cancel` and a close, and the ending is CANCELED: within 6 s.

    Raises nothing but what `observe` raises, in a group; cancelled, it closes the connection without a word.
    """
    notes = Notes(call.planned, call.track.onset_s, call.begins_at_s, samples)
    phone = _Phone(call, target, notes, pacer or Pacer(), observe)
    talks = talks_of(call.planned, len(call.frames)) if talk is None else (talk,)
    try:
        async with trio.open_nursery() as nursery:
            if pacer is None:
                nursery.start_soon(phone.pacer.run, name="pacer")
            if interrupted is not None:
                nursery.start_soon(phone.hang_up_when, interrupted, name="interrupt")
            await phone.run(talks)
            nursery.cancel_scope.cancel()
    except* Exception as errors:  # a fault of ours in one call is no reason to lose the whole run
        if observe is not None:
            raise
        _LOG.exception("call %d failed in the load tester itself", call.planned.number)
        notes.end(Ending.FAILED, f"{LOAD_TESTER_FAILED}: {_name_of(errors)}")
    return notes.finished(trio.current_time(), phone.sent_s, call.expected_words, keep_text=call.keep_text)


def _name_of(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__


class _Phone:
    def __init__(self, call: Call, target: Target, notes: Notes, pacer: Pacer, observe: Observer | None) -> None:
        self._call = call
        self._target = target
        self._notes = notes
        self.pacer = pacer
        self._observe = observe
        self._dialing = trio.CancelScope()
        self._is_interrupted = False
        phone = call.scenario.phone
        self._resumes = phone.resumes and call.planned.behavior.expects_transcript
        self._back_off = BackOff(call.planned.seed, phone.resume_limit_s)
        self._conversation: Conversation | None = None
        self.sent_s = 0.0

    async def hang_up_when(self, interrupted: trio.Event) -> None:
        await interrupted.wait()
        self._is_interrupted = True
        self._notes.end(Ending.CANCELED)
        if self._conversation is None:
            self._dialing.cancel()
        else:
            self._conversation.hang_up()

    async def run(self, talks: tuple[Talk, ...]) -> None:
        """Have each conversation on a connection of its own; the next one only while nothing has ended the call."""
        planned = self._call.planned
        kind = kind_of(planned.seed)
        for number, talk in enumerate(talks):
            if self._notes.is_ended:
                break
            if number > 0:
                self._notes.comes_back()
            self._notes.dialed(trio.current_time())
            if planned.behavior is Behavior.NONSENSE and kind in HANDSHAKES:
                with self._dialing:
                    limit_s = self._call.scenario.phone.connect_limit_s
                    await shake_hands_wrongly(self._target, kind, self._notes, limit_s)
            else:
                await self._connect(talk)
                while self._resumes and await self._comes_back():
                    await self._connect(talk)

    async def _comes_back(self) -> bool:
        """Whether the stream broke and the phone goes on with another one; waits until it is time to dial."""
        notes = self._notes
        if not notes.is_ended:
            return False
        reason = breaks_off(notes.record, is_retryable=notes.is_retryable)
        if reason is None:
            return False
        if self._is_interrupted:  # between two streams, where the end of the one was not the end of the call
            notes.comes_back(reason)
            notes.end(Ending.CANCELED)
            return False
        delay_s = self._back_off.delay_s(
            sentences=notes.next_index,
            away_s=notes.away_s(trio.current_time()),
            asked_s=notes.retry_after_s,
            at_once=notes.record.ending is Ending.CUT_SHORT,
        )
        if delay_s is None:
            notes.gave_up()
            return False
        notes.comes_back(reason)
        with trio.CancelScope() as self._dialing:
            await trio.sleep(delay_s)
        return not notes.is_ended

    async def _connect(self, talk: Talk) -> None:
        token = self._target.get_token()
        no_connection = None
        with trio.CancelScope() as self._dialing:
            limit_s = self._call.scenario.phone.connect_limit_s
            use: Callable[[Connection], Awaitable[None]] = partial(self._converse, talk=talk, token=token)
            no_connection = await with_connection(self._target, limit_s, use, token)
        if no_connection is not None:
            self._notes.lost(trio.current_time())
            self._notes.end(no_connection.ending, no_connection.problem, http_status=no_connection.http_status)

    async def _converse(self, connection: Connection, talk: Talk, token: str | None) -> None:
        call = self._call
        self._notes.connected(connection.connect_s, connection.upgrade_s)
        if call.planned.behavior is Behavior.SLOW_READER:
            connection.transport.limit_receive_buffer(_SLOW_READER_BYTES)
        start: dict[str, Any] = {"voiceFormat": "pcm", "sampleRate": call.track.speech.sample_rate_hz}
        start |= call.scenario.start
        lines = Lines(
            speech=call.track.speech,
            frames=call.frames,
            start=start | {"token": token},
            phone=call.scenario.phone,
            obeys_goaway=self._resumes,
        )
        conversation = self._conversation = Conversation(connection, lines, self._notes, self.pacer, self._observe)
        try:
            await conversation.run(talk)
        finally:
            self._conversation = None
            self.sent_s = max(self.sent_s, conversation.sent_s)
