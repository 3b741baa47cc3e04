"""Two runs side by side."""

import argparse
import json
import os
import sys
from pathlib import Path

import msgspec
import pytest
import trio

from loadtest.compare import Comparison, Row, compare, shown, shown_difference
from loadtest.compare_command import add_command, run_compare
from loadtest.record import Ending
from loadtest.summary import Environment, Knee, Summary, Verdict, encode
from tests.loadtest.runs import run_of
from tests.loadtest.stream_records import completed, failed
from tests.support.processes import ROOT

FAST = run_of([completed(number, finalization_s=0.2) for number in range(100)])
SLOW = run_of([completed(number, finalization_s=0.6) for number in range(100)])
FAILING = run_of(
    [completed(number) for number in range(90)]
    + [failed(90 + number, Ending.REFUSED, slug="overloaded") for number in range(10)],
    objectives=["success >= 99%"],
)


def compare_command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(dest="command"))
    return run_compare(parser.parse_args(["compare", *map(str, arguments)]))


def write(path: Path, summary: Summary) -> Path:
    path.write_bytes(encode(summary))
    return path


def row_of(comparison: Comparison, metric: str) -> Row:
    (row,) = (row for row in comparison.rows if row.metric == metric)
    return row


def test_latencies_side_by_side() -> None:
    row = row_of(compare(FAST, SLOW), "finalization p99")
    assert (shown(row, row.a), shown(row, row.b), shown_difference(row)) == ("200 ms", "600 ms", "+400 ms")
    assert row.ratio == pytest.approx(3, rel=0.001)
    assert row.worse_percent() == pytest.approx(200, rel=0.005)
    assert row_of(compare(SLOW, FAST), "finalization p99").worse_percent() == 0


def test_a_percentile_that_never_came_is_infinitely_worse_and_has_no_difference() -> None:
    row = row_of(compare(FAST, FAILING), "finalization p99")
    assert (shown(row, row.b), shown_difference(row), row.ratio) == ("never", "–", None)
    assert row.worse_percent() == float("inf")
    assert row_of(compare(FAILING, FAILING), "finalization p99").worse_percent() == 0
    assert row_of(compare(FAILING, FAST), "finalization p99").worse_percent() == 0


def test_counts_and_shares() -> None:
    comparison = compare(FAST, FAILING)
    success = row_of(comparison, "success")
    assert (shown(success, success.b), shown_difference(success)) == ("90%", "-10 points")
    assert success.worse_percent() == pytest.approx(10)
    refused = row_of(comparison, "refused")
    assert (refused.a, refused.b, shown_difference(refused), refused.ratio) == (0, 10, "+10", None)
    assert refused.worse_percent() == float("inf")
    assert shown_difference(row_of(comparison, "truncated")) == "0"
    assert not [row for row in comparison.rows if row.metric == "lost"]


def test_what_was_measured_and_is_not_any_more_is_worse() -> None:
    nothing = run_of([])
    assert row_of(compare(FAST, nothing), "success").worse_percent() == float("inf")
    assert row_of(compare(nothing, FAST), "success").worse_percent() == 0
    row = row_of(compare(FAST, nothing), "setup p50")
    assert (shown(row, row.b), row.difference) == ("–", None)


def test_objectives_that_changed() -> None:
    assert compare(FAST, FAST).objectives == ()
    other = run_of([completed(0, finalization_s=0.6)], objectives=["finalization p90 <= 500ms", "errors == 0"])
    changes = {change.text: change for change in compare(FAST, other).objectives}
    assert list(changes) == ["success >= 90%", "finalization p90 <= 500ms", "errors == 0"]
    assert changes["success >= 90%"].b is None
    assert changes["errors == 0"].a is None
    missed = changes["finalization p90 <= 500ms"].b
    assert missed is not None
    assert not missed.met


def test_runs_that_cannot_be_compared_say_why() -> None:
    assert compare(FAST, SLOW).warnings == ()
    other = msgspec.structs.replace(
        SLOW,
        seed=8,
        url="ws://elsewhere",
        verdict=Verdict.INVALID,
        scenario_toml="other",
        environment=Environment(host="pod-0", cpu="another\x1bone", cpus=2),
        knee=Knee(max_streams=1, first_broken=None),
    )
    assert compare(FAST, other).warnings == (
        "B is invalid: its figures say nothing about the service",
        "B is a search for the knee: compare what it found, not its figures",
        "the seed differs: 7 and 8",
        "the URL differs: ws://10.0.0.1:8000/api and ws://elsewhere",
        "the processor differs: a processor and another one",
        "the scenario has the same name, and other contents",
    )
    interrupted = msgspec.structs.replace(FAST, verdict=Verdict.INTERRUPTED, scenario="spike", shard=(0, 2))
    assert compare(interrupted, FAST).warnings == (
        "A was interrupted: it covers a part of its plan",
        "the scenario differs: spike and steady",
        "the shard differs: 0/2 and 0/1",
    )


def test_the_command_shows_warnings_and_objectives_that_only_one_run_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = write(tmp_path / "a.json", FAST)
    b = write(tmp_path / "b.json", msgspec.structs.replace(FAST, seed=8, objectives=FAST.objectives[:1]))
    assert compare_command(a, b) == 0
    out = capsys.readouterr().out
    assert "Not comparable? the seed differs: 7 and 8\n" in out
    assert "finalization p90 <= 500ms: met (200 ms) in A, absent in B\n" in out


def test_percentiles_of_few_samples_are_marked() -> None:
    comparison = compare(FAST, SLOW)
    assert [row.metric for row in comparison.rows if row.few_samples and row.metric.startswith("setup")] == [
        "setup p99",
        "setup max",
    ]
    assert "a few streams decide it (connect p99, connect max, upgrade p99 and" in comparison.notes[2]
    assert "Two runs are two samples" in comparison.notes[0]
    assert len(compare(run_of([]), run_of([])).notes) == 1


def test_percentiles_that_the_samples_cannot_bear_have_no_row() -> None:
    def shown_of(summary: Summary, other: Summary) -> list[str]:
        return [row.metric.split()[1] for row in compare(summary, other).rows if row.metric.startswith("finalization")]

    few, many = (run_of([completed(number) for number in range(count)]) for count in (99, 1000))
    assert shown_of(few, FAST) == shown_of(FAST, few) == ["p50", "p90", "max"]
    assert shown_of(FAST, many) == ["p50", "p90", "p99", "max"]
    assert shown_of(many, many) == ["p50", "p90", "p99", "p99.9", "max"]
    assert shown_of(FAILING, FAILING) == ["p50", "p90", "p99", "max"]  # 10 of its 100 never came, and are samples too
    assert compare(few, FAST).notes[1] == (
        "Left out for want of samples in one of the runs: p99 under 100 and p99.9 under 1000."
    )


def test_of_few_samples_a_higher_p90_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a.json", run_of([completed(0, finalization_s=0.2)]))
    b = write(tmp_path / "b.json", run_of([completed(0, finalization_s=0.6)]))
    assert compare_command(a, b, "--fail-if-worse", 10) == 1
    out = capsys.readouterr().out
    assert "worse: finalization p90 from 200 ms to 600 ms\n" in out
    assert "p99 " not in out.replace("p99 under 100", "")
    assert compare_command(a, b, "--fail-if-worse", 10, "--metric", "finalization p99") == 2


def test_the_command_shows_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a.json", FAST), write(tmp_path / "b.json", SLOW)
    assert compare_command(a, b) == 0
    out = capsys.readouterr().out
    assert "A: steady, ws://10.0.0.1:8000/api, 2026-01-01T00:00:00Z, seed 7\n   met\n" in out
    (line,) = (line for line in out.splitlines() if "finalization p90" in line and "│" in line)
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [
        "finalization p90",
        "200 ms",
        "600 ms",
        "+400 ms",
        "3.00",
    ]
    assert "finalization p90 <= 500ms: met (200 ms) in A, missed (600 ms) in B\n" in out


def test_the_command_fails_when_a_metric_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a.json", FAST), write(tmp_path / "b.json", SLOW)
    assert compare_command(a, b, "--fail-if-worse", 10) == 1
    assert "worse: finalization p99 from 200 ms to 600 ms\n" in capsys.readouterr().out
    assert compare_command(a, b, "--fail-if-worse", 300) == 0
    assert compare_command(b, a, "--fail-if-worse", 0) == 0
    assert compare_command(a, b, "--fail-if-worse", 10, "--metric", "success", "--metric", "setup p50") == 0
    assert compare_command(a, b, "--fail-if-worse", 10, "--metric", "finalization max") == 1


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a.json", FAST), write(tmp_path / "b.json", FAILING)
    assert compare_command(a, b, "--json", "--fail-if-worse", 5) == 1
    found = json.loads(capsys.readouterr().out)
    rows = {row["metric"]: row for row in found["rows"]}
    assert rows["finalization p99"]["b"] == "never"
    assert rows["finalization p99"]["difference"] is None
    assert rows["errors"]["difference"] == 10
    assert found["worse"] == ["success", "setup p99", "first_partial p99", "finalization p99"]
    assert found["a"]["verdict"] == "met"
    assert found["objectives"][-1] == {
        "text": "success >= 99%",
        "a": None,
        "b": {"met": False, "actual": "90% (90 of 100)"},
    }


async def test_a_reader_that_leaves_is_not_told_that_b_is_worse(tmp_path: Path) -> None:
    a = write(tmp_path / "a.json", FAST)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "loadtest", "compare", str(a), str(a)]
    with trio.fail_after(20):
        done = await trio.run_process(command, stdout=writing, capture_stderr=True, check=False, cwd=ROOT)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a.json", FAST)
    assert compare_command(a, tmp_path / "none") == 2
    assert "No such file" in capsys.readouterr().err
    assert compare_command(a, a, "--fail-if-worse", 5, "--metric", "speed") == 2
    assert "--metric speed: not in these runs, which have success, begun" in capsys.readouterr().err
    damaged = msgspec.structs.replace(FAST, latencies=dict(FAST.latencies))
    damaged.latencies["setup"] = msgspec.structs.replace(FAST.latencies["setup"], histogram="AAAA")
    assert compare_command(a, write(tmp_path / "damaged.json", damaged)) == 2
    for percent in ("-1", "inf", "many"):
        with pytest.raises(SystemExit) as caught:
            compare_command(a, a, f"--fail-if-worse={percent}")
        assert caught.value.code == 2
