"""Watches the event loop: a task measures how late it is, a thread ends the process when it is stuck."""

import faulthandler
import logging
import os
import sys
import threading
from types import TracebackType
from typing import Final

import trio

from service.telemetry.logs import get_logger, log_event
from service.telemetry.metrics import Metrics
from service.telemetry.overload import Overload

INTERVAL_S: Final = 0.25
"""Between two measurements. Four a second see every stall that a listener would notice, and cost next to nothing."""
STUCK_AFTER_S: Final = 20.0
"""After this the loop will not come back: pings have missed their 10 s, clients give up at 25 s, and an orchestrator's
liveness probe has failed once or twice. Long enough for a storm of page faults or a paused container to pass."""
_LOOKS: Final = 10
EXIT_CODE: Final = 70
"""EX_SOFTWARE of sysexits.h: told from a crash (1) and from a signal (over 128)."""
_logger: Final = get_logger("process")


class Heartbeat:
    """Whether the event loop runs: it counts."""

    def __init__(self) -> None:
        self.beats = 0

    def beat(self) -> None:
        """The loop runs."""
        self.beats += 1


async def watch_loop(metrics: Metrics, heartbeat: Heartbeat, overload: Overload | None = None) -> None:
    """Measures the loop's lag and counts its tasks, four times a second, until cancelled.

    Tells `overload` each lag, and logs when that makes it change its mind.
    """
    due = trio.current_time()
    while True:
        due += INTERVAL_S
        await trio.sleep_until(due)
        now = trio.current_time()
        metrics.event_loop_lag.observe(now - due)
        if overload is not None and overload.note(now - due, now):
            _log_change(overload, now - due)
        metrics.tasks.set(trio.lowlevel.current_statistics().tasks_living)
        heartbeat.beat()
        # The schedule is fixed, so a lag is not hidden by the sleep that follows it; what a stall has made impossible
        # is given up, so that one stall is not counted again for every measurement that it has swallowed.
        due = max(due, now - INTERVAL_S)


def _log_change(overload: Overload, lag_s: float) -> None:
    level = logging.WARNING if overload.is_shedding else logging.INFO
    log_event(_logger, level, "overload", is_shedding=overload.is_shedding, lag_ms=round(1000 * lag_s))


class Watchdog:
    """A thread that ends the process, with every stack on standard error, when the heartbeat stops.

    It looks ten times within the limit, and counts looks without a new beat instead of comparing clocks: a machine that
    was suspended or a process that was stopped has missed one look, not ten. Use as a context manager around the loop.
    """

    def __init__(self, heartbeat: Heartbeat, *, stuck_after_s: float = STUCK_AFTER_S) -> None:
        self._heartbeat = heartbeat
        self._stuck_after_s = stuck_after_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="loop watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        """Starts the thread. The limit counts from now."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the thread and waits for it."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        beats, missed = self._heartbeat.beats, 0
        while not self._stop.wait(self._stuck_after_s / _LOOKS):
            missed = missed + 1 if beats == self._heartbeat.beats else 0
            beats = self._heartbeat.beats
            if missed >= _LOOKS:
                _end_process(self._stuck_after_s)


def _end_process(stuck_after_s: float) -> None:
    # Nothing that needs a lock of the stuck thread: no logging, no sys.stderr buffer.
    line = f'{{"level": "CRITICAL", "event": "loop_stuck", "stuck_after_s": {stuck_after_s}}}\n'
    descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
    os.write(descriptor, line.encode("ascii"))
    faulthandler.dump_traceback(descriptor, all_threads=True)
    os._exit(EXIT_CODE)
