"""`loadtest run` as a process with its workers, against a scripted gateway over real sockets."""

import os
import signal
from pathlib import Path

import pytest
import trio

from loadtest.summary import Verdict
from tests.loadtest.protocol_server import Phone, gateway
from tests.loadtest.run_support import (
    LATE,
    Ended,
    answer,
    calls,
    code_of,
    in_time,
    judged,
    refuse,
    run,
    settle,
    write_scenario,
)
from tests.support.processes import children_running, wait_gone


async def test_a_run_that_meets_its_objectives(tmp_path: Path) -> None:
    scenario = write_scenario(tmp_path, "success == 100%", "finalization p99 <= 500ms")
    ended = await in_time(tmp_path, answer, "--scenario", scenario)
    assert (ended.code, ended.err) == (code_of(ended, 0), "")
    assert "report.html" in ended.out
    assert (ended.directory / "report.html").read_text().startswith("<!DOCTYPE html>")
    summary = ended.summary
    if ended.code == 0:
        assert ended.out.startswith("PASSED  short against ws://127.0.0.1:")
        assert "✓ success == 100%   100% (20 of 20)" in ended.out
        assert (summary.verdict, summary.reasons) == (Verdict.MET, ())
    assert summary.counts.endings == {"completed": 20}
    assert [(one.text, one.actual) for one in summary.objectives][:1] == [("success == 100%", "100% (20 of 20)")]
    assert summary.audio.unaccounted_bytes == 0
    assert summary.latencies["send_lateness"].count == 20 * 10
    assert sorted(stream["number"] for stream in ended.streams) == list(range(20))
    assert all("text" not in stream for stream in ended.streams)


async def test_every_planned_fault_is_counted(tmp_path: Path) -> None:
    async def act(phone: Phone, number: int) -> None:
        if number in (1, 5, 9, 13):
            await refuse(phone, "overloaded", 4503)
            return
        await phone.say("ready", streamId=f"s-{number}")
        if number in (2, 6, 10):
            await refuse(phone, "recognizer_timeout", 4504)
        elif number in (3, 7):
            await phone.close(1011)
        else:
            await settle(phone)

    scenario = write_scenario(tmp_path, "success >= 99%")
    ended = await judged(tmp_path, act, "--scenario", scenario, "--processes", "2")
    assert ended.code == code_of(ended, 1)
    counts = ended.summary.counts
    assert counts.endings == {"completed": 11, "refused": 4, "failed": 3, "lost": 2}
    assert counts.refused == {"overloaded": 4}
    assert counts.failed == {"recognizer_timeout": 3}
    assert counts.lost == {"1011": 2}
    assert (counts.attempts, counts.succeeded) == (20, 11)
    assert ended.summary.latencies["finalization"].missing == 9
    (objective,) = ended.summary.objectives
    assert (objective.met, objective.actual) == (False, "55% (11 of 20)")


async def test_finals_that_are_late_by_700_ms(tmp_path: Path) -> None:
    async def act(phone: Phone, number: int) -> None:
        await phone.say("ready", streamId=f"s-{number}")
        await settle(phone, after_s=0.7)

    scenario = write_scenario(tmp_path, "finalization p99 <= 500ms", per_s=8)
    ended = await in_time(tmp_path, act, "--scenario", scenario, "--quiet")
    assert ended.code == code_of(ended, 1)
    (objective,) = ended.summary.objectives
    assert not objective.met
    finalization = ended.summary.latencies["finalization"]
    assert finalization.count == 8
    assert finalization.p50_ms is not None
    assert finalization.p50_ms >= 699  # late ones may be later still, by what the machine lacks
    if ended.code == 1:
        assert finalization.p50_ms == pytest.approx(700, abs=30)
        assert ended.out.splitlines() == [
            f"FAILED  short against {ended.summary.url}, seed 1",
            f"  missed: finalization p99 <= 500ms (was {objective.actual})",
        ]


async def test_a_dead_port_is_said_in_one_line(tmp_path: Path) -> None:
    async with gateway(calls(answer)) as server:
        pass
    with trio.fail_after(20):
        ended = await run(tmp_path, "--url", server.url, "--scenario", write_scenario(tmp_path))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.count("\n") == 1
    assert "connection refused: nothing listens there" in ended.err
    assert not ended.directory.exists()


async def test_a_missing_token_is_said_with_where_it_could_come_from(tmp_path: Path) -> None:
    async def act(phone: Phone, number: int) -> None:
        await refuse(phone, "unauthenticated", 4401)

    scenario = write_scenario(tmp_path)
    ended = await judged(tmp_path, act, "--scenario", scenario, "--set", "compare_transcripts=true")
    assert (ended.code, ended.out) == (2, "")
    assert "no clip could be spoken, even alone. clip.wav alone: refused, " in ended.err
    assert "--token, --token-command, or JWT_SECRET" in ended.err


async def test_a_search_in_which_no_call_would_be_measured_does_not_begin(tmp_path: Path) -> None:
    more = "knee = {from_streams = 1, hold_s = 0.1}\ncall = {length = 'constant', mean_s = 5}"
    scenario = write_scenario(tmp_path, "success == 100%", more=more)
    ended = await judged(tmp_path, answer, "--scenario", scenario, "--find-knee")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "loadtest: `knee.hold_s`: no call begins in the 0.1 s for which 1 stream would be held; expected 104 s or "
        "more, for 20 calls\n"
    )
    assert not ended.directory.exists()


# A thread that never lets go of the interpreter for less than 50 ms, from the moment when the worker is prepared.
_STARVE = """
import gc, sys, threading, time
def starve():
    while not gc.get_freeze_count():
        time.sleep(0.005)
    sys.setswitchinterval(0.05)
    while True:
        pass
if "worker" in sys.orig_argv:
    threading.Thread(target=starve, daemon=True).start()
"""


async def test_a_starved_load_tester_gives_no_figure(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_STARVE)
    scenario = write_scenario(tmp_path, "finalization p99 <= 500ms", per_s=2)
    async with gateway(calls(answer)) as server:
        ended = await run(tmp_path, "--url", server.url, "--scenario", scenario, PYTHONPATH=str(tmp_path))
    assert ended.code == 3
    assert ended.out.startswith("INVALID")
    assert LATE in ended.out
    assert "finalization" not in ended.out.lower()
    assert ended.summary.verdict is Verdict.INVALID


async def test_ctrl_c_ends_with_a_report(tmp_path: Path) -> None:
    speaking = trio.Event()

    async def act(phone: Phone, number: int) -> None:
        await phone.say("ready", streamId=f"s-{number}")
        if number == 2:
            speaking.set()
        if number < 2:
            await settle(phone)
        else:
            await phone.hear("cancel")
            await phone.close(1000)

    async def interrupt(process: trio.Process) -> None:
        await speaking.wait()
        process.send_signal(signal.SIGINT)

    scenario = write_scenario(tmp_path, "success == 100%", per_s=2, for_s=60)
    async with gateway(calls(act)) as server:
        ended = await run(tmp_path, "--url", server.url, "--scenario", scenario, meanwhile=interrupt)
    assert ended.code == 130
    assert ended.out.startswith("INTERRUPTED")
    assert (ended.directory / "report.html").exists()
    counts = ended.summary.counts
    assert counts.endings["completed"] == 2
    assert counts.endings["canceled"] >= 1
    assert counts.begun + counts.dropped == counts.planned == 120


async def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    speaking = trio.Event()
    canceled = trio.Event()
    below: list[int] = []

    async def act(phone: Phone, number: int) -> None:
        await phone.say("ready", streamId=f"s-{number}")
        speaking.set()
        await phone.hear("cancel")
        canceled.set()
        await phone.stay_silent()

    async def interrupt_twice(process: trio.Process) -> None:
        await speaking.wait()
        below.extend(children_running(process.pid, "loadtest"))
        process.send_signal(signal.SIGINT)
        await canceled.wait()
        process.send_signal(signal.SIGINT)

    scenario = write_scenario(tmp_path, per_s=2, for_s=60)
    async with gateway(calls(act)) as server:
        ended = await run(tmp_path, "--url", server.url, "--scenario", scenario, meanwhile=interrupt_twice)
        await wait_gone(*below)
    assert (ended.code, ended.out) == (130, "")
    assert len(below) == 1


async def test_a_worker_that_is_killed_makes_the_run_invalid(tmp_path: Path) -> None:
    speaking = trio.Event()

    async def act(phone: Phone, number: int) -> None:
        await phone.say("ready", streamId=f"s-{number}")
        speaking.set()
        await settle(phone)

    async def kill(process: trio.Process) -> None:
        await speaking.wait()
        os.kill(children_running(process.pid, "loadtest")[0], signal.SIGKILL)

    scenario = write_scenario(tmp_path, per_s=4, for_s=60)
    async with gateway(calls(act)) as server:
        ended = await run(tmp_path, "--url", server.url, "--scenario", scenario, "--processes", "2", meanwhile=kill)
    assert ended.code == 3
    assert "was killed by signal 9 before its streams had ended" in ended.out


async def test_workers_end_with_a_conductor_that_is_killed(tmp_path: Path) -> None:
    speaking = trio.Event()
    below: list[int] = []

    async def act(phone: Phone, number: int) -> None:
        await phone.say("ready", streamId=f"s-{number}")
        speaking.set()
        await phone.stay_silent()

    async def kill(process: trio.Process) -> None:
        await speaking.wait()
        below.extend(children_running(process.pid, "loadtest"))
        process.kill()

    scenario = write_scenario(tmp_path, per_s=2, for_s=60)
    async with gateway(calls(act)) as server:
        await run(tmp_path, "--url", server.url, "--scenario", scenario, "--processes", "2", meanwhile=kill)
        await wait_gone(*below)
    assert len(below) == 2


async def test_several_processes_and_shards_add_up_to_one(tmp_path: Path) -> None:
    common = ("--scenario", write_scenario(tmp_path), "--seed", "5")
    asked = {
        "one": ("--processes", "1"),
        "three": ("--processes", "3"),
        "shard0": ("--shard", "0/2"),
        "shard1": ("--shard", "1/2"),
    }
    done: dict[str, Ended] = {}

    async def judge(out: str, *arguments: str) -> None:
        done[out] = await judged(tmp_path, answer, *common, *arguments, out=out)

    async with trio.open_nursery() as nursery:  # at once: none of the figures of time are looked at
        for out, arguments in asked.items():
            nursery.start_soon(judge, out, *arguments)
    one, three, shards = done["one"], done["three"], [done["shard0"], done["shard1"]]
    assert all(ended.code == code_of(ended, 0) for ended in (one, three, *shards))
    assert one.summary.counts == three.summary.counts
    assert one.summary.words == three.summary.words
    assert [worker.streams for worker in three.summary.workers] == [7, 7, 6]
    for name, figures in one.summary.latencies.items():
        if name != "loop_lag":  # as many as a process has time for
            assert three.summary.latencies[name].count == figures.count

    def planned(*runs: list[dict[str, object]]) -> list[tuple[object, object]]:
        return sorted((stream["number"], stream["at_planned_s"]) for streams in runs for stream in streams)

    assert planned(three.streams) == planned(one.streams)
    assert planned(*(shard.streams for shard in shards)) == planned(one.streams)
    assert [shard.summary.shard for shard in shards] == [(0, 2), (1, 2)]


async def test_the_knee_is_found(tmp_path: Path) -> None:
    steps = tmp_path / "out" / "steps"

    async def act(phone: Phone, number: int) -> None:
        trying = max(steps.iterdir(), key=lambda step: step.stat().st_ctime_ns)
        if int(trying.name) >= 3:
            await refuse(phone, "overloaded", 4503)
        else:
            await answer(phone, number)

    more = "knee = {from_streams = 2, to_streams = 100, hold_s = 0.5, precision = 0.01}"
    scenario = write_scenario(tmp_path, "success >= 90%", more=more)
    ended = await in_time(tmp_path, act, "--scenario", scenario, "--find-knee")
    knee = ended.summary.knee
    assert knee is not None
    if any(step.verdict is Verdict.INVALID for step in knee.steps):  # nowhere in time: that is no knee
        assert ended.code == 3 or knee.max_streams is not None
        return
    assert ended.code == 0
    assert (knee.max_streams, knee.first_broken) == (2, 3)
    assert [step.streams for step in knee.steps] == [2, 4, 3]
    assert [broken.text for broken in knee.broke] == ["success >= 90%"]
    assert "maximum effective streams: 2 (broken at 3)" in ended.out
    assert (ended.directory / "streams.jsonl").read_bytes() == (steps / "00002" / "streams.jsonl").read_bytes()
