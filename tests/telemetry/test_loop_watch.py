"""The event loop's watch: the task on virtual time, the thread in a process of its own."""

import logging
import signal
import subprocess
import sys
import time

import pytest
import trio
import trio.testing

from service.telemetry.loop_watch import EXIT_CODE, INTERVAL_S, Heartbeat, Watchdog, watch_loop
from service.telemetry.metrics import Metrics
from service.telemetry.overload import CALM_S, Overload

PROGRAM = """
import sys, time, trio
from service.telemetry.loop_watch import Heartbeat, Watchdog, watch_loop
from service.telemetry.metrics import Metrics

def the_culprit(seconds):
    time.sleep(seconds)

async def main():
    heartbeat = Heartbeat()
    with Watchdog(heartbeat, stuck_after_s=1.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_loop, Metrics(), heartbeat)
            print("running", flush=True)
            await trio.sleep(0.3)
            the_culprit(float(sys.argv[1]))
            await trio.sleep(float(sys.argv[2]))
            nursery.cancel_scope.cancel()

trio.run(main)
print("ended in order", flush=True)
"""


def start(blocked_s: float, then_s: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(blocked_s), str(then_s)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


async def test_lag_and_tasks_are_measured(autojump_clock: trio.testing.MockClock) -> None:
    metrics = Metrics()
    heartbeat = Heartbeat()
    with trio.move_on_after(1.1):
        await watch_loop(metrics, heartbeat)
    sample = metrics.registry.get_sample_value
    assert sample("voice_event_loop_lag_seconds_count") == 4
    assert sample("voice_event_loop_lag_seconds_sum") == pytest.approx(0)
    assert (sample("voice_tasks") or 0) >= 1


async def test_stall_is_measured_once(mock_clock: trio.testing.MockClock) -> None:
    metrics = Metrics()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop, metrics, Heartbeat())
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(INTERVAL_S + 3)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    sample = metrics.registry.get_sample_value
    # 3 s late, then the one that was due when the stall ended.
    assert sample("voice_event_loop_lag_seconds_count") == 2
    assert sample("voice_event_loop_lag_seconds_sum") == pytest.approx(3)


async def test_overload_is_told_the_lag_and_its_changes_are_logged(
    mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "voice.process")
    overload = Overload(0.1)
    seen = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop, Metrics(), Heartbeat(), overload)
        await trio.testing.wait_all_tasks_blocked()
        for late_s in (0.1, 0.15, 0.2, 0.125):
            mock_clock.jump(INTERVAL_S + late_s)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(INTERVAL_S - late_s)
            await trio.testing.wait_all_tasks_blocked()
            seen.append(overload.is_shedding)
        for _ in range(round(CALM_S[0] / INTERVAL_S) + 8):
            mock_clock.jump(INTERVAL_S)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert seen == [False, False, False, True]
    assert not overload.is_shedding
    assert [(record.levelname, record.msg, record.__dict__["voice_fields"]) for record in caplog.records] == [
        ("WARNING", "overload", {"is_shedding": True, "lag_ms": 125}),
        ("INFO", "overload", {"is_shedding": False, "lag_ms": 0}),
    ]


def test_stuck_loop_ends_the_process_and_says_where() -> None:
    process = start(30, 0)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == EXIT_CODE
    assert b"loop_stuck" in errors
    assert b"the_culprit" in errors


def test_short_stall_is_survived() -> None:
    process = start(0.3, 0.3)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output.split(b"\n")[-2], errors) == (0, b"ended in order", b"")


def test_stopped_process_goes_on() -> None:
    process = start(0, 2)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # over the limit
    process.send_signal(signal.SIGCONT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output, errors) == (0, b"ended in order\n", b"")


def test_thread_ends_with_the_context() -> None:
    watchdog = Watchdog(Heartbeat())
    with watchdog:
        assert watchdog._thread.is_alive()
    assert not watchdog._thread.is_alive()
