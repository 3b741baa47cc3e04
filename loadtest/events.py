"""Events: commands of the scenario that are started in mid-run, such as the restart of a service.

No shell is involved. A command runs in a process group of its own, so that a Ctrl-C at the terminal is not its, and so
that it is ended together with what it started.
"""

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Sequence
from typing import Final

import trio

from loadtest.scenario import Event
from loadtest.summary import EventResult

OUTPUT_TAIL_CHARACTERS: Final = 2000
END_LIMIT_S: Final = 2.0  # after SIGTERM, and after SIGKILL, at the end of the run

_KEPT_BYTES: Final = 4 * OUTPUT_TAIL_CHARACTERS  # a character of UTF-8 has at most four


def has_failed(event: EventResult) -> bool:
    """Whether the command could not be started, or ended with an exit code other than 0. Pure.

    One that still ran when the run was over has not failed: it may be a server.
    """
    return event.exit_code != 0 and (event.exit_code is not None or event.duration_s is None)


def failure_of(event: EventResult) -> str:
    """A line on what went wrong. Pure."""
    what = "could not be started" if event.exit_code is None else f"ended with exit code {event.exit_code}"
    return f"the event {event.command!r} {what}: what the scenario is about did not happen"


async def run_events(events: Sequence[Event], begins_at_s: float, results: list[EventResult]) -> None:
    """Start every command `at_s` after `begins_at_s` (Trio's clock), and again; return when all of them have ended.

    Each is appended to `results` when it is started, and replaced there by what became of it. Cancelled at the end of
    the run, it ends what still runs (within twice `END_LIMIT_S`), background processes that hold the output included; a
    command that had not ended has no exit code then. Events that were not started leave nothing.
    """
    async with trio.open_nursery() as nursery:
        for event in events:
            nursery.start_soon(_repeat, event, begins_at_s, results, name=f"event at {event.at_s:g} s")


async def _repeat(event: Event, begins_at_s: float, results: list[EventResult]) -> None:
    """One after the other: two restarts at once would be another test."""
    for number in range(event.times):
        await trio.sleep_until(begins_at_s + event.at_s + number * (event.every_s or 0.0))
        await _run_event(event, begins_at_s, results)


async def _run_event(event: Event, begins_at_s: float, results: list[EventResult]) -> None:
    started_s = trio.current_time()
    at_s = started_s - begins_at_s
    try:
        process = await trio.lowlevel.open_process(
            shlex.split(event.run),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except (OSError, ValueError, IndexError) as error:  # ValueError: an open quote; IndexError: nothing to start
        reason = error.strerror if isinstance(error, OSError) else None
        results.append(EventResult(at_s=at_s, command=event.run, output=f"cannot be started: {reason or error}"))
        return
    place = len(results)
    results.append(EventResult(at_s=at_s, command=event.run))
    tail = bytearray()
    exit_code = duration_s = None
    has_ended = False
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_tail, process, tail, name="output of an event")
            exit_code = await process.wait()
            duration_s = trio.current_time() - started_s
            # Then until the end of the output: what it left in the background may go on printing into it.
        has_ended = True
    finally:
        if not has_ended:
            with trio.CancelScope(shield=True):  # limited by END_LIMIT_S, twice
                await _end(process)
            duration_s = duration_s or trio.current_time() - started_s
        output = tail.decode("utf-8", "replace")[-OUTPUT_TAIL_CHARACTERS:]
        results[place] = EventResult(
            at_s=at_s, command=event.run, exit_code=exit_code, duration_s=duration_s, output=output
        )


async def _read_tail(process: trio.Process, tail: bytearray) -> None:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    async with process.stdout:
        async for data in process.stdout:
            tail.extend(data)
            del tail[:-_KEPT_BYTES]


async def _end(process: trio.Process) -> None:
    """End the process, and what it left running with its output open; one that is not ours to end is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal_group(process.pid, number)
        with trio.move_on_after(END_LIMIT_S):
            await process.wait()
            return


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
