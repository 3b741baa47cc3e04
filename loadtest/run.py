"""`loadtest run`: load a gateway, judge it, report.

`run_run` is the whole of it:

1. read the options, get a first token;
2. dial once, up to `welcome`: what cannot be reached is said within seconds;
3. speak every clip alone, for the words that are to be heard;
4. conduct the run, or one run for each step of a search for the knee; show the live view, serve metrics;
5. write the summary and the report, print the verdict.

The first Ctrl-C (or SIGTERM) ends a run with a report of what was run; the second ends everything at once.
"""

import argparse
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final

import msgspec
import trio
from rich.console import Console

from loadtest.audio import load_clips
from loadtest.coordinator import BeginMissed, conduct
from loadtest.formats import plural
from loadtest.knee import SAMPLES, enough_hold_s, find_knee, verdict
from loadtest.live import show_live
from loadtest.metrics_port import serve_metrics
from loadtest.overrides import checked, with_load
from loadtest.plan import make_plan, make_tracks, mean_call_s
from loadtest.preflight import NotReachable, check_service
from loadtest.printing import printable
from loadtest.references import NothingSpoken, References, speak_alone
from loadtest.report import render
from loadtest.result_text import quiet_lines, result_lines
from loadtest.run_options import OptionError, RunOptions, add_command, read_options
from loadtest.run_state import Phase, RunState
from loadtest.scenario import Scenario, ScenarioError
from loadtest.scenario_files import LoadedScenario
from loadtest.summary import EXIT_CODES, KneeStep, Summary, Verdict, encode
from loadtest.summary_files import REPORT_NAME, STREAMS_NAME, SUMMARY_NAME
from loadtest.tokens import TokenError
from loadtest.urls import UrlError
from service.groups import leaves

__all__ = ["add_command", "run_run"]

_USAGE: Final = EXIT_CODES[Verdict.UNREACHABLE]
_INTERRUPTED: Final = EXIT_CODES[Verdict.INTERRUPTED]
_CHECK_NUMBER: Final = -1_000_000  # of a call that is none, for the subject of its token

_UNUSABLE: Final = (BeginMissed, OptionError, ScenarioError, UrlError, TokenError, NotReachable, NothingSpoken)


@dataclass(slots=True)
class _Interruption:
    """What Ctrl-C does: at first it ends the run in order, then everything."""

    first: trio.Event = field(default_factory=trio.Event)
    preparing: trio.CancelScope = field(default_factory=trio.CancelScope)
    """Of what is done before the run, where there is nothing to report yet."""
    everything: trio.CancelScope = field(default_factory=trio.CancelScope)

    def come(self) -> None:
        """A signal has come."""
        if self.first.is_set():
            self.everything.cancel()
        self.first.set()
        self.preparing.cancel()


async def run_run(arguments: argparse.Namespace) -> int:
    """The command. Returns the exit code; prints the result to standard output and problems to standard error."""
    interruption = _Interruption()
    exit_code = _INTERRUPTED
    try:
        options = await trio.to_thread.run_sync(read_options, arguments, os.environ)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, interruption.everything:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_receive, signals, interruption, name="signals")
                summary = await _run(options, interruption)
                if summary is None:
                    print("loadtest: interrupted before the run began", file=sys.stderr)
                else:
                    await _report(options, summary)
                    exit_code = EXIT_CODES[summary.verdict]
                nursery.cancel_scope.cancel()
    except* BrokenPipeError:  # whoever read our output has left: the caller knows what that means
        raise
    except* (*_UNUSABLE, OSError) as problems:
        for problem in leaves(problems):
            _complain(problem)
        exit_code = _USAGE
    if exit_code == _INTERRUPTED and (
        interruption.everything.cancelled_caught or interruption.preparing.cancelled_caught
    ):
        print("loadtest: interrupted: there is no report", file=sys.stderr)
    return exit_code


async def _receive(signals: AsyncIterator[int], interruption: _Interruption) -> None:
    async for _ in signals:
        interruption.come()


def _complain(problem: BaseException) -> None:
    text = str(problem)
    if isinstance(problem, OSError):
        text = f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror or text
    print(f"loadtest: {printable(text)}", file=sys.stderr)


async def _run(options: RunOptions, interruption: _Interruption) -> Summary | None:
    """What was found, or None when it was interrupted before it began."""
    loaded = options.settings.loaded
    state = RunState(scenario=loaded.scenario.name, url=options.settings.url, notes=list(options.notes))
    async with trio.open_nursery() as beside:
        if options.metrics_port is not None:
            port = await beside.start(serve_metrics, state, options.metrics_port, name="metrics port")
            if not options.is_quiet:
                print(f"metrics of this run: http://127.0.0.1:{port}/metrics", file=sys.stderr)
        if options.is_live:
            beside.start_soon(show_live, state, Console(stderr=True), name="live view")
        summary = None
        references = None
        with interruption.preparing:
            references = await _prepare(options, state, interruption.first)
        if references is not None and not interruption.first.is_set():
            summary = await _conduct(options, references, state, interruption.first)
        beside.cancel_scope.cancel()
    return summary


async def _prepare(options: RunOptions, state: RunState, interrupted: trio.Event) -> References:
    """Steps 1 to 3: the service answers, the directory is there, and it is known what should be heard."""
    settings = options.settings
    scenario = settings.loaded.scenario
    if options.find_knee:
        held = await trio.to_thread.run_sync(held_calls, settings.loaded, settings.seed)
        if held < SAMPLES:
            state.note(f"`knee.hold_s`: only {plural(held, 'call')} of the lowest load will be measured")
    token = await settings.tokens.token(_CHECK_NUMBER)
    headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in settings.headers)
    with_token = (*headers, *([(b"Authorization", f"Bearer {token}".encode())] if token else []))
    await check_service(settings.url, with_token, scenario.phone)
    options.directory.mkdir(parents=True, exist_ok=True)
    for name in (SUMMARY_NAME, REPORT_NAME):  # of an earlier run: they must not stand beside new records
        (options.directory / name).unlink(missing_ok=True)
    if not scenario.compare_transcripts:
        return References(None)

    def begun(clip: str) -> None:
        state.phase = Phase.REFERENCES
        state.step = f"{clip} alone"

    references = await speak_alone(settings.loaded, settings.url, headers, settings.tokens, begun, interrupted)
    state.phase, state.step = Phase.PREPARING, ""
    if references.problem:
        state.note(f"transcripts are not compared: {references.problem}")
    return references


async def _conduct(options: RunOptions, references: References, state: RunState, interrupted: trio.Event) -> Summary:
    """Step 4."""
    if options.find_knee:
        summary = await _find_knee(options, references, state, interrupted)
    else:
        summary = await conduct(options.settings, references.words, state, options.directory, interrupted)
    return summary


async def _find_knee(options: RunOptions, references: References, state: RunState, interrupted: trio.Event) -> Summary:
    settings = options.settings
    loaded = settings.loaded
    mean_s = await trio.to_thread.run_sync(_mean_call_s, loaded, settings.seed)
    directories: dict[int, Path] = {}

    async def run_step(streams: int) -> Summary:
        directory = directories[streams] = options.directory / "steps" / f"{streams:05d}"
        directory.mkdir(parents=True, exist_ok=True)
        reset(state, f"{streams} streams")
        step = replace(settings, loaded=replace(loaded, scenario=step_scenario(loaded.scenario, streams, mean_s)))
        summary = await conduct(step, references.words, state, directory, interrupted)
        (directory / SUMMARY_NAME).write_bytes(encode(summary))
        return summary

    def tried(step: KneeStep) -> None:
        if not options.as_json and not options.is_quiet:
            broke = "".join(f"; {one.text} was {one.actual}" for one in step.objectives if not one.met)
            print(f"{step.streams} streams: {step.verdict}{printable(broke)}", file=sys.stderr)

    knee, summary = await find_knee(loaded.scenario.knee, run_step, tried)
    own_verdict, own_reasons = verdict(knee)
    shown = knee.max_streams if knee.max_streams is not None else knee.steps[-1].streams
    shutil.copyfile(directories[shown] / STREAMS_NAME, options.directory / STREAMS_NAME)
    return msgspec.structs.replace(summary, knee=knee, verdict=own_verdict, reasons=own_reasons)


def step_scenario(scenario: Scenario, streams: int, mean_call_length_s: float) -> Scenario:
    """One step of the search: that many streams held for `knee.hold_s`, after a ramp-in that does not count. Pure.

    Concurrent streams are as many as meant only once the first calls have ended: after the mean length of a call.
    """
    ramp_in_s = mean_call_length_s
    loaded = with_load(scenario, streams=streams, for_s=ramp_in_s + scenario.knee.hold_s)
    return checked(msgspec.structs.replace(loaded, warm_up_s=ramp_in_s))


def reset(state: RunState, step: str) -> None:
    """Make the state that of a run which has not begun: those who watch keep the object. Pure."""
    fresh = RunState(scenario=state.scenario, url=state.url, step=step, notes=state.notes)
    for name in (one.name for one in fields(RunState)):
        setattr(state, name, getattr(fresh, name))


def held_calls(loaded: LoadedScenario, seed: int) -> int:
    """How many calls of the lowest load of a search give latencies. Blocks while it reads the audio.

    Those that have begun when the time is up are spoken to their end, so it is enough that they begin while the load
    is held. Raises ScenarioError when none does.
    """
    scenario = loaded.scenario
    search = scenario.knee
    durations_s = [clip.speech.duration_s for clip in load_clips(scenario.audio.files, loaded.directory)]
    mean_s = mean_call_s(make_tracks(scenario, durations_s, seed), durations_s, scenario.audio.gap_s)
    lowest = min(search.from_streams, search.to_streams)
    step = step_scenario(scenario, lowest, mean_s)
    held = [
        call
        for call in make_plan(step, durations_s, seed).calls
        if call.at_s >= step.warm_up_s and call.behavior.expects_transcript
    ]
    if not held:
        raise ScenarioError(
            f"`knee.hold_s`: no call begins in the {search.hold_s:g} s for which {plural(lowest, 'stream')} would be "
            f"held; expected {enough_hold_s(search, mean_s):g} s or more, for {SAMPLES} calls"
        )
    return len(held)


def _mean_call_s(loaded: LoadedScenario, seed: int) -> float:
    scenario = loaded.scenario
    durations_s = [clip.speech.duration_s for clip in load_clips(scenario.audio.files, loaded.directory)]
    return mean_call_s(make_tracks(scenario, durations_s, seed), durations_s, scenario.audio.gap_s)


async def _report(options: RunOptions, summary: Summary) -> None:
    """Step 5."""
    (options.directory / SUMMARY_NAME).write_bytes(encode(summary))
    report = options.directory / REPORT_NAME
    html = await trio.to_thread.run_sync(render, summary)
    report.write_text(html, encoding="utf-8")
    if options.as_json:
        sys.stdout.write(encode(summary).decode())
    else:
        for line in quiet_lines(summary) if options.is_quiet else result_lines(summary, str(report)):
            print(printable(line))
    sys.stdout.flush()
