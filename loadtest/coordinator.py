"""The conductor of a run: worker processes speak the plan, and what they report becomes a summary.

`conduct` is the whole of it:

1. make the plan, decide how many processes, start them; each makes its own part of the plan;
2. when all are ready, give them one begin, on the clock that the processes of a machine share;
3. read what they say: write every record down, add it up, keep the `RunState`; beside that run the scenario's events,
   scrape the service, renew the token;
4. when all have ended, or were told to: judge, and return the summary.

This process does not speak, so its own pauses move no figure: what workers say waits in pipes and in their queues.
"""

import datetime
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import trio

from loadtest.audio import load_clips
from loadtest.connection import LOAD_TESTER_FAILED
from loadtest.crew import PREPARE_LIMIT_S, Hand, WorkerLost, default_processes, tell_all, usable_cpus
from loadtest.environment import describe_environment
from loadtest.events import failure_of, has_failed, run_events
from loadtest.fold import Fold
from loadtest.objectives import parse_objective
from loadtest.plan import Plan, call_s, make_plan, planned_peak, shard
from loadtest.record import StreamRecord
from loadtest.run_state import Phase, RunState
from loadtest.scenario import Phone
from loadtest.scenario_files import LoadedScenario
from loadtest.scrape import scrape, server_info
from loadtest.server_curves import ServerPoints
from loadtest.summary import EventResult, ServerPoint, Summary
from loadtest.summary_files import STREAMS_NAME
from loadtest.tokens import REFUSED_SLUGS, RENEW_S, TokenError, TokenSource
from loadtest.verdict import judge
from loadtest.worker import INTERRUPT_LIMIT_S
from loadtest.worker_wire import Job, Order, Word
from service.cancellation import cancel_when

BEGIN_IN_S: Final = 0.25  # until every worker has heard of the begin
_SHOW_EVERY_S: Final = 1.0
_JUDGE_EVERY: Final = 5  # shows: objectives take some tens of milliseconds
_STOP_LIMIT_S: Final = INTERRUPT_LIMIT_S + 3.0
_OVERDUE_MARGIN_S: Final = 60.0
_RENEW_AGAIN_S: Final = 10.0  # a service that refuses every token must not have the command run for each


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What is run, and where."""

    loaded: LoadedScenario
    url: str
    """The full address of the stream."""
    seed: int = 1
    shard: tuple[int, int] = (0, 1)
    headers: tuple[tuple[str, str], ...] = ()
    tokens: TokenSource = field(default_factory=TokenSource)
    processes: int | None = None
    """None: as many as the plan needs."""
    keep_text: bool = False
    begin_at_s: float | None = None
    """When the run begins, in seconds since 1970: shards must begin together. None: when everything is ready."""
    metrics_url: str | None = None
    """Of the service; None: it is not scraped."""
    metrics_token: str | None = field(default=None, repr=False)
    label: str = ""
    """What the operator calls this machine."""


class BeginMissed(Exception):
    """The run was not ready when it was to begin; the text says by how much."""


async def conduct(
    settings: RunSettings,
    words: tuple[tuple[str, ...], ...] | None,
    state: RunState,
    directory: Path,
    interrupted: trio.Event,
) -> Summary:
    """Run it and return what was found; `streams.jsonl` is written into `directory` meanwhile.

    `words` are those that were heard of every clip alone, or None. When `interrupted` is set the streams are dropped,
    and the summary of what was run comes within seconds. A process that dies ends the run too, which is INVALID then.
    Raises ScenarioError, TokenError for the first token, OSError for the directory, and BeginMissed, these in groups.
    Cancelled, it kills the processes.
    """
    plan, processes, longest_s = await trio.to_thread.run_sync(_planned, settings)
    token = await settings.tokens.token(0) if settings.tokens.mint_subject is None else None
    with (directory / STREAMS_NAME).open("wb") as file:
        run = _Run(settings, plan, processes, state, file)
        await run.speak(words, token, interrupted, plan.duration_s + longest_s)
    return run.summary(was_interrupted=interrupted.is_set())


def _planned(settings: RunSettings) -> tuple[Plan, int, float]:
    """The plan (of this shard), how many processes speak it, and how long its longest call can take. Blocks."""
    scenario, directory = settings.loaded.scenario, settings.loaded.directory
    durations_s = [clip.speech.duration_s for clip in load_clips(scenario.audio.files, directory)]
    plan = shard(make_plan(scenario, durations_s, settings.seed), *settings.shard)
    needed = default_processes(planned_peak(plan, durations_s), usable_cpus())
    longest_s = max(call_s(track, durations_s, scenario.audio.gap_s) for track in plan.tracks)
    return plan, settings.processes or needed, 2 * longest_s + limits_s(scenario.phone)


def limits_s(phone: Phone) -> float:
    """How long a phone can be busy beside speaking; a reconnector is it twice, and one that resumes can be away."""
    once = phone.connect_limit_s + phone.welcome_limit_s + phone.ready_limit_s + phone.send_limit_s
    away_s = phone.resume_limit_s if phone.resumes else 0.0
    return 2 * (once + phone.stopped_limit_s) + phone.pause_s + phone.freeze_s + phone.vanish_s + away_s


class _Run:
    """One run: its processes, and what came of them."""

    def __init__(self, settings: RunSettings, plan: Plan, processes: int, state: RunState, streams: BinaryIO) -> None:
        self._settings = settings
        self._scenario = settings.loaded.scenario
        self._plan = plan
        self._state = state
        self._streams = streams
        self._encoder = msgspec.json.Encoder()
        self._objectives = [parse_objective(text) for text in self._scenario.objectives]
        self._fold = Fold(len(plan.calls), self._scenario.warm_up_s, processes, state)
        self._hands = [Hand(number) for number in range(processes)]
        self._server = ServerPoints()
        self._events: list[EventResult] = state.events
        self._problems: list[str] = []
        self._stop = trio.Event()
        self._working = trio.CancelScope()
        self._token_refused = trio.Event()
        self._environment = describe_environment(settings.label)
        self._started_at = _now()
        self._began_s = 0.0
        self._duration_s = 0.0

    async def speak(
        self,
        words: tuple[tuple[str, ...], ...] | None,
        token: str | None,
        interrupted: trio.Event,
        expected_s: float,
    ) -> None:
        """Have the plan spoken; returns when every process has ended, within seconds after `interrupted` is set."""
        async with trio.open_nursery() as beside:
            with self._working:
                async with trio.open_nursery() as crew:
                    for hand in self._hands:
                        crew.start_soon(self._employ, hand, self._job(hand, words, token), name=f"worker {hand.number}")
                    beside.start_soon(self._stop_when, interrupted, name="interruption")
                    beside.start_soon(self._end_when_stopped, name="end of the workers")
                    if await self._all_prepared():
                        await self._begin(beside, expected_s)
            beside.cancel_scope.cancel()
        if self._began_s:
            self._duration_s = max(0.0, trio.current_time() - self._began_s)
        self._fold.show(self._duration_s)
        self._state.phase = Phase.DONE

    async def _all_prepared(self) -> bool:
        """Wait for all workers; whether they came that far before anything stopped the run."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_when, self._stop, nursery.cancel_scope)
            with trio.move_on_after(PREPARE_LIMIT_S):
                for hand in self._hands:
                    await hand.prepared.wait()
            nursery.cancel_scope.cancel()
        are_prepared = all(hand.prepared.is_set() for hand in self._hands)
        if not are_prepared and not self._stop.is_set():
            self._problems.append(f"the worker processes were not ready within {PREPARE_LIMIT_S:g} s")
            self._stop.set()
        return are_prepared

    async def _begin(self, beside: trio.Nursery, expected_s: float) -> None:
        settings, state = self._settings, self._state
        begin_in_s = BEGIN_IN_S
        if settings.begin_at_s is not None:
            begin_in_s = settings.begin_at_s - time.time()
            if begin_in_s < BEGIN_IN_S:
                raise BeginMissed(
                    f"--begin-at: the run was ready {BEGIN_IN_S - begin_in_s:.1f} s too late; choose a time that "
                    "leaves every shard time to start and to speak every clip alone"
                )
            state.note(f"the run was ready {begin_in_s:.1f} s before its begin")
        begin_at_s = time.monotonic() + begin_in_s
        self._began_s = trio.current_time() + begin_in_s
        self._started_at = _now()
        state.duration_s = self._plan.duration_s
        state.phase = Phase.RUNNING
        await tell_all(self._hands, Order(begin_at_s=begin_at_s))
        beside.start_soon(self._show, name="state")
        beside.start_soon(self._stop_overdue, expected_s + _OVERDUE_MARGIN_S, name="overdue")
        beside.start_soon(run_events, self._scenario.events, self._began_s, self._events, name="events")
        if settings.metrics_url is not None:
            beside.start_soon(self._scrape, settings.metrics_url, settings.metrics_token, name="scraper")
        if settings.tokens.command is not None:
            beside.start_soon(self._renew_token, name="token")

    def _job(self, hand: Hand, words: tuple[tuple[str, ...], ...] | None, token: str | None) -> Job:
        settings, (index, count) = self._settings, self._plan.shard
        directory = settings.loaded.directory
        return Job(
            scenario=self._scenario,
            directory=None if directory is None else str(directory),
            seed=settings.seed,
            shard=(index + count * hand.number, count * len(self._hands)),
            url=settings.url,
            headers=settings.headers,
            token=token,
            mint_subject=settings.tokens.mint_subject,
            keep_text=settings.keep_text,
            words=words,
        )

    # What is said by workers.

    async def _employ(self, hand: Hand, job: Job) -> None:
        try:
            await hand.work(job, self._hear)
        except* WorkerLost as lost:
            self._problems += [str(one) for one in lost.exceptions]
            self._stop.set()
        finally:
            self._state.workers[hand.number].has_ended = True

    def _hear(self, hand: Hand, word: Word) -> None:
        self._state.workers[hand.number].pid = hand.pid
        if word.stream is not None:
            self._write_down(word.stream)
        tick = word.tick or word.last
        if tick is not None:
            self._fold.add_tick(hand.number, tick)

    def _write_down(self, record: StreamRecord) -> None:
        self._streams.write(self._encoder.encode(record) + b"\n")
        self._fold.add_stream(record)
        if record.slug in REFUSED_SLUGS:
            self._token_refused.set()
        if record.problem is not None and record.problem.startswith(LOAD_TESTER_FAILED):
            problem = f"stream {record.number}: {record.problem}"
            if len(self._problems) < 10:
                self._problems.append(problem)

    # What happens beside.

    async def _show(self) -> None:
        number = 0
        while True:
            await trio.sleep(_SHOW_EVERY_S)
            number += 1
            elapsed_s = max(0.0, trio.current_time() - self._began_s)
            self._fold.show(elapsed_s)
            if self._state.phase is Phase.RUNNING and elapsed_s > self._plan.duration_s:
                self._state.phase = Phase.DRAINING
            if number % _JUDGE_EVERY == 0:
                self._state.objectives = list(self._fold.evaluate(self._objectives))

    async def _scrape(self, url: str, token: str | None) -> None:
        self._environment.server = await server_info(url, token)
        await scrape(url, token, self._began_s, self._add_server_point, note=self._state.note)

    def _add_server_point(self, point: ServerPoint) -> None:
        self._server.add(point)
        self._state.server = point

    async def _renew_token(self) -> None:
        while True:
            with trio.move_on_after(RENEW_S):
                await self._token_refused.wait()
            try:
                token = await self._settings.tokens.token(0)
            except TokenError as error:
                self._state.note(f"no new token: {error}")
            else:
                await tell_all(self._hands, Order(token=token))
            await trio.sleep(_RENEW_AGAIN_S)
            self._token_refused = trio.Event()

    async def _stop_when(self, interrupted: trio.Event) -> None:
        await interrupted.wait()
        self._stop.set()

    async def _stop_overdue(self, limit_s: float) -> None:
        await trio.sleep_until(self._began_s + limit_s)
        self._problems.append(f"the worker processes had not ended {limit_s:g} s after the begin")
        self._stop.set()

    async def _end_when_stopped(self) -> None:
        """Have the streams dropped; a process that does not end by that is killed."""
        await self._stop.wait()
        self._state.phase = Phase.ENDING
        await tell_all(self._hands, Order(interrupt=True))
        await trio.sleep(_STOP_LIMIT_S)
        if not self._problems:
            self._problems.append(f"worker processes did not end within {_STOP_LIMIT_S:g} s, and were killed")
        self._working.cancel()

    # What came of it.

    def summary(self, *, was_interrupted: bool) -> Summary:
        """What was found, judged."""
        fold, scenario = self._fold, self._scenario
        measured = fold.tally.measured()
        objectives = fold.evaluate(self._objectives)
        self._state.objectives = list(objectives)
        workers = fold.workers()
        events = sum(event.times for event in scenario.events)
        left_out = 0 if was_interrupted or self._problems else events - len(self._events)
        never_started = [f"{left_out} of the events never began: all calls had ended before"] if left_out else []
        verdict, reasons = judge(
            counts=measured.counts,
            audio=measured.audio,
            latencies=measured.latencies,
            workers=workers,
            objectives=objectives,
            interrupted=was_interrupted,
            problems=[*self._problems, *map(failure_of, filter(has_failed, self._events)), *never_started],
        )
        return Summary(
            verdict=verdict,
            reasons=reasons,
            notes=tuple(self._state.notes),
            scenario=scenario.name,
            description=scenario.description,
            scenario_toml=self._settings.loaded.toml,
            url=self._settings.url,
            seed=self._settings.seed,
            shard=self._plan.shard,
            started_at=self._started_at,
            duration_s=round(self._duration_s, 3),
            counts=measured.counts,
            words=measured.words,
            audio=measured.audio,
            latencies=dict(measured.latencies),
            objectives=objectives,
            series=fold.series.points(),
            server=tuple(self._server.points),
            events=tuple(self._events),
            streams=fold.sample.streams(),
            workers=workers,
            environment=self._environment,
        )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
