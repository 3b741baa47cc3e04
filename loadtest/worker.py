"""`loadtest worker`: one process of a run, which speaks one shard of the plan. The conductor starts it; people do not.

`speak_shard` is the whole of it:

1. read the `Job` from standard input, make the plan and the audio, say how many streams that are;
2. wait for the `Order` to begin;
3. dial each call when it is planned, whatever the others do, and measure how late this process itself is;
4. write a `StreamRecord` for every stream that ended and a `Tick` every second; when all have ended, the last tick.

The end of standard input means that the conductor is gone: everything is dropped at once, without a word.

Writing never holds up the speakers: words wait in a queue that another task empties into the pipe. When the conductor
does not read, ticks wait first (a later one has what is in them), and with `_MAX_WAITING` words in the queue the
process ends with exit code 1 and says so on standard error: a run that lost records would report wrong ratios.
"""

import contextlib
import gc
import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import trio

from loadtest.audio import Track, frames, load_clips, make_track
from loadtest.figures import OWN_LATENCIES, SAMPLE_LATENCIES
from loadtest.histograms import Histograms
from loadtest.lines import Lines
from loadtest.plan import Plan, PlannedCall, make_plan, shard
from loadtest.record import Ending, StreamRecord
from loadtest.speaker import Call, Pacer, Target, place_call
from loadtest.tokens import mint, secret_of
from loadtest.worker_wire import MAX_LINE_BYTES, Job, Order, Tick, Word
from service.dialing import tls_context

TICK_S: Final = 1.0
LAG_PROBE_S: Final = 0.010
INTERRUPT_LIMIT_S: Final = 6.5  # a phone that is canceled says so and waits for the close: 6 s at most

_MAX_WAITING: Final = 10_000  # words of about 1 KB: 10 MB, a minute or more of records
_TICKS_UP_TO: Final = 9_000
_BATCH: Final = 200  # words in one write
_LAST_WORDS_LIMIT_S: Final = 30.0  # for the queue, which the conductor has little else to do than to read


class NotHeard(Exception):
    """The conductor does not read what is written to it."""


def main() -> int:
    """Speak the shard that standard input describes; the exit code."""
    _allow_descriptors()
    return trio.run(_run)


def _allow_descriptors() -> None:
    """A stream is a descriptor, and shells begin with 1024: take what this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses what it says is allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run() -> int:
    exit_code = 0
    # Duplicates, since closing must not take the interpreter's own numbers away.
    async with trio.lowlevel.FdStream(os.dup(0)) as stdin, trio.lowlevel.FdStream(os.dup(1)) as stdout:
        try:
            await speak_shard(stdin, stdout, os.environ)
        except* NotHeard:
            print("the conductor does not read", file=sys.stderr)
            exit_code = 1
    return exit_code


async def speak_shard(
    orders: trio.abc.ReceiveStream, words: trio.abc.SendStream, environment: Mapping[str, str]
) -> None:
    """Do the job that comes over `orders`, and report over `words`; both belong to the caller.

    Returns when all streams have ended and everything is written, or at once when the other side is gone. Raises
    NotHeard, what `msgspec` raises for a job that is none, and ScenarioError or TokenError for one that cannot be done.
    """
    lines = Lines(orders, MAX_LINE_BYTES)
    line = await lines.next()
    if line is None:
        return
    job = msgspec.json.decode(line, type=Job)
    work = _Work(job, secret_of(environment))
    if job.url.startswith("wss:"):
        tls_context()  # reading the authorities would hold up the first calls
    gc.collect()
    gc.freeze()  # plan, audio and modules stay: no collection has to look at them again
    async with trio.open_nursery() as nursery:
        written = trio.Event()
        nursery.start_soon(_write, work.outbox, words, nursery.cancel_scope, written, name="words")
        nursery.start_soon(_listen, lines, work, nursery.cancel_scope, name="orders")
        work.say(Word(prepared=len(work.plan.calls)))
        await work.speak()
        with trio.move_on_after(_LAST_WORDS_LIMIT_S):
            await work.finish()
            await written.wait()
        nursery.cancel_scope.cancel()


async def _listen(lines: Lines, work: "_Work", everything: trio.CancelScope) -> None:
    try:
        while (line := await lines.next()) is not None:
            work.obey(msgspec.json.decode(line, type=Order))
    except trio.BrokenResourceError:
        pass
    everything.cancel()


async def _write(
    inbox: trio.MemoryReceiveChannel[Word],
    words: trio.abc.SendStream,
    everything: trio.CancelScope,
    written: trio.Event,
) -> None:
    """Write until the queue ends, then set `written`."""
    encoder = msgspec.json.Encoder()
    waiting: list[Word] = []
    try:
        async for word in inbox:
            waiting.append(word)
            with_more = True
            while with_more and len(waiting) < _BATCH:
                try:
                    waiting.append(inbox.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    with_more = False
            await words.send_all(encoder.encode_lines(waiting))
            waiting.clear()
        written.set()
    except trio.BrokenResourceError:
        everything.cancel()


class _Work:
    """The streams of this process, and what is counted of them."""

    def __init__(self, job: Job, secret: str | None) -> None:
        scenario = job.scenario
        clips = load_clips(scenario.audio.files, Path(job.directory) if job.directory is not None else None)
        whole = make_plan(scenario, [clip.speech.duration_s for clip in clips], job.seed)
        self.plan: Plan = shard(whole, *job.shard)
        self.outbox: trio.MemoryReceiveChannel[Word]
        self._outgoing, self.outbox = trio.open_memory_channel[Word](_MAX_WAITING)
        self._job = job
        self._secret = secret
        self._token = job.token
        self._headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in job.headers)
        self._tracks: dict[int, tuple[Track, tuple[bytes, ...], tuple[str, ...] | None]] = {}
        for index in sorted({call.track for call in self.plan.calls}):
            track = make_track(clips, whole.tracks[index], scenario.audio.gap_s)
            self._tracks[index] = (track, frames(track, scenario.audio), self._words_of(track))
        self._begin = trio.Event()
        self._began_s = 0.0
        self._cpu_before_s = 0.0
        self._interrupted = trio.Event()
        self._waiting = trio.CancelScope()  # for the begin
        self._opening = trio.CancelScope()
        self._calling = trio.CancelScope()
        self._pacer = Pacer()
        self._samples = Histograms()
        self._active = self._begun = self._ended = 0

    def _words_of(self, track: Track) -> tuple[str, ...] | None:
        heard_alone = self._job.words
        return None if heard_alone is None else tuple(word for clip in track.clips for word in heard_alone[clip])

    def obey(self, order: Order) -> None:
        """Do what the conductor says."""
        if order.begin_at_s is not None:
            self._began_s = trio.current_time() + order.begin_at_s - time.monotonic()
            self._begin.set()
        if order.token is not None:
            self._token = order.token
        if order.interrupt:
            self._interrupted.set()
            self._waiting.cancel()
            self._opening.cancel()

    async def speak(self) -> None:
        """Wait for the begin, open every call when it is planned, return when the last has ended."""
        with self._waiting:
            await self._begin.wait()
        if not self._begin.is_set():
            return
        await trio.sleep_until(self._began_s)
        self._cpu_before_s = time.process_time()
        async with trio.open_nursery() as beside:
            beside.start_soon(self._pacer.run, name="pacer")
            beside.start_soon(self._probe_lag, name="lag probe")
            beside.start_soon(self._report, name="ticks")
            beside.start_soon(self._limit_interruption, name="limit of the interruption")
            with self._calling:
                async with trio.open_nursery() as calls:
                    with self._opening:
                        for call in self.plan.calls:
                            await trio.sleep_until(self._began_s + call.at_s)
                            calls.start_soon(self._place, call, name=f"call {call.number}")
            beside.cancel_scope.cancel()

    async def finish(self) -> None:
        """The last tick, after which nothing more is said: `outbox` ends."""
        await self._outgoing.send(Word(last=self._tick()))
        self._outgoing.close()

    async def _place(self, call: PlannedCall) -> None:
        opened_s = trio.current_time()
        self._samples.record("loop_lag", opened_s - self._began_s - call.at_s)
        self._begun += 1
        self._active += 1
        track, audio_frames, words = self._tracks[call.track]
        record = StreamRecord(  # of a call for which even to be canceled took too long
            number=call.number,
            behavior=call.behavior,
            track=call.track,
            at_planned_s=call.at_s,
            at_dialed_s=opened_s - self._began_s,
            ending=Ending.CANCELED,
        )
        try:
            record = await place_call(
                Call(
                    planned=call,
                    track=track,
                    frames=audio_frames,
                    scenario=self._job.scenario,
                    begins_at_s=self._began_s,
                    expected_words=words,
                    keep_text=self._job.keep_text,
                ),
                Target(url=self._job.url, headers=self._headers, get_token=lambda: self._token_of(call)),
                self._record if self._counts_latencies(call) else self._record_own,
                pacer=self._pacer,
                interrupted=self._interrupted,
            )
        finally:
            self._active -= 1
            self._ended += 1
            record.at_ended_s = record.at_ended_s or trio.current_time() - self._began_s
            self.say(Word(stream=record))

    def _token_of(self, call: PlannedCall) -> str | None:
        if self._job.mint_subject is None or self._secret is None:
            return self._token
        return mint(self._secret, self._job.mint_subject, call.number, int(time.time()))

    def _counts_latencies(self, call: PlannedCall) -> bool:
        """The rule of `tally` for latencies of a stream, as far as it can be told before its end."""
        return call.behavior.expects_transcript and call.at_s >= self._job.scenario.warm_up_s

    def _record(self, name: str, value_s: float) -> None:
        self._samples.record(name, value_s)

    def _record_own(self, name: str, value_s: float) -> None:
        """Of a call whose latencies do not count: how late we were with it does."""
        if name in OWN_LATENCIES:
            self._samples.record(name, value_s)

    def say(self, word: Word) -> None:
        """Put the word into the queue. Raises NotHeard when that is full."""
        try:
            self._outgoing.send_nowait(word)
        except trio.WouldBlock:
            raise NotHeard from None
        except trio.BrokenResourceError:  # everything is being dropped
            pass

    def _tick(self) -> Tick:
        tick = Tick(
            at_s=trio.current_time() - self._began_s,
            active=self._active,
            begun=self._begun,
            ended=self._ended,
            cpu_s=time.process_time() - self._cpu_before_s,
            samples={name: self._samples[name].counts for name in SAMPLE_LATENCIES},
        )
        self._samples = Histograms()
        return tick

    async def _report(self) -> None:
        due_s = self._began_s
        while True:
            due_s += TICK_S
            await trio.sleep_until(due_s)
            if self._outgoing.statistics().current_buffer_used < _TICKS_UP_TO:
                self.say(Word(tick=self._tick()))

    async def _probe_lag(self) -> None:
        """Count how late the loop comes to what is due. The probes are due whatever became of those before.

        So a stall of one second is a hundred late probes, not one: a probe that began anew after each would leave out
        just the lag that matters.
        """
        due_s = self._began_s + LAG_PROBE_S
        while True:
            await trio.sleep_until(due_s)
            now_s = trio.current_time()
            while due_s <= now_s:
                self._samples.record("loop_lag", now_s - due_s)
                due_s += LAG_PROBE_S

    async def _limit_interruption(self) -> None:
        await self._interrupted.wait()
        await trio.sleep(INTERRUPT_LIMIT_S)
        self._calling.cancel()
