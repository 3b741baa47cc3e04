"""The bench: what it computes from given numbers. That it measures at all is in test_bench_run."""

import math

import msgspec
import pytest

from loadtest.bench.figures import (
    Bench,
    BenchError,
    Idle,
    Row,
    circumstances_that_differ,
    counter,
    decode,
    encode,
    merged,
    problems_of,
    process_cpu_s,
    ratios,
    resident_kib,
    results_share,
    table,
    worse,
)

ROW = Row(
    streams=100,
    tls=True,
    frames=25_000,
    cpu_us_per_frame=60.0,
    cpu_share=0.15,
    p50_ms=2.0,
    p99_ms=8.0,
    live_kib=50.0,
    opening_cpu_ms=4.0,
    loop_lag_p99_ms=2.5,
    success=1.0,
    results_share=1.0,
    late_ms=3.0,
)
IDLE = Idle(streams=100, tls=True, ready_kib=40.0, idle_kib=30.0, idle_cpu_us_per_s=100.0)
BENCH = Bench(
    measured_at="2026-11-23T03:40Z",
    command="python -m loadtest.bench",
    circumstances={"cpu": "fast", "cpus": "2"},
    yardstick_us=6.0,
    rows=(ROW,),
    idle=(IDLE,),
)
LIVE, SILENT = ("live", 100, True), ("idle", 100, True)


def bench(*rows: Row, yardstick_us: float = 6.0) -> Bench:
    return msgspec.structs.replace(BENCH, rows=rows, idle=(), yardstick_us=yardstick_us)


def row(**changes: object) -> Row:
    return msgspec.structs.replace(ROW, **changes)


def test_a_bench_beside_itself_has_ratios_of_one() -> None:
    found = ratios(BENCH, BENCH)
    assert set(found) == {LIVE, SILENT}
    assert set(found[LIVE]) == {"cpu_us_per_frame", "p50_ms", "p99_ms", "live_kib", "opening_cpu_ms"}
    assert set(found[SILENT]) == {"ready_kib", "idle_kib", "idle_cpu_us_per_s"}
    assert {value for values in found.values() for value in values.values()} == {1.0}


def test_cpu_time_is_compared_in_yardsticks_and_nothing_else_is() -> None:
    slow_machine = bench(row(cpu_us_per_frame=120.0, opening_cpu_ms=8.0), yardstick_us=12.0)
    assert ratios(slow_machine, bench(ROW))[LIVE] == {
        "cpu_us_per_frame": 1.0,
        "opening_cpu_ms": 1.0,
        "p50_ms": 1.0,
        "p99_ms": 1.0,
        "live_kib": 1.0,
    }


@pytest.mark.parametrize("unusable", [row(problems=("late",)), row(cpu_share=0.95)], ids=["invalid", "full"])
def test_rows_that_say_nothing_have_no_ratio(unusable: Row) -> None:
    assert ratios(bench(unusable), bench(ROW)) == {}
    assert ratios(bench(ROW), bench(unusable)) == {}


@pytest.mark.parametrize("other", [row(streams=200), row(tls=False)], ids=["streams", "TLS"])
def test_other_loads_are_not_compared(other: Row) -> None:
    assert ratios(bench(other), bench(ROW)) == {}


def test_what_was_not_measured_has_no_ratio() -> None:
    found = ratios(bench(row(p99_ms=None)), bench(row(live_kib=0.0)))[LIVE]
    assert set(found) == {"cpu_us_per_frame", "p50_ms", "opening_cpu_ms"}


def test_worse_names_each_figure_over_the_limit() -> None:
    found = ratios(bench(row(cpu_us_per_frame=69.0, p99_ms=16.0)), bench(ROW))
    assert worse(found, 10) == [
        "cpu_us_per_frame of 100 streams with TLS, live: 1.15 times the baseline",
        "p99_ms of 100 streams with TLS, live: 2.00 times the baseline",
    ]
    assert worse(found, 20) == ["p99_ms of 100 streams with TLS, live: 2.00 times the baseline"]
    assert worse(found, 100) == []


def test_the_table_shows_figures_ratios_and_problems() -> None:
    late = row(streams=800, tls=False, p99_ms=None, problems=("the speakers were late",))
    now = msgspec.structs.replace(BENCH, rows=(ROW, late, row(streams=400, cpu_share=1.0)))
    lines = [" ".join(line.split()) for line in table(now, ratios(now, BENCH))]
    assert lines[0] == "streams TLS µs/frame CPU p50 ms p99 ms KiB opening ms openings/s lag ms results success late ms"
    shown = "60.0 (1.00) 15% 2.0 (1.00) 8.0 (1.00) 50.0 (1.00) 4.0 (1.00) 250 2.5 1.0000 100.00% 3.0"
    assert lines[1] == f"100 yes {shown}"
    assert lines[2] == "800 no 60.0 15% 2.0 - 50.0 4.0 250 2.5 1.0000 100.00% 3.0 the speakers were late"
    assert lines[3].endswith("no CPU time left")
    assert lines[4] == ""
    assert lines[6] == "100 yes 40.0 (1.00) 30.0 (1.00) 100 (1.00)"


def test_openings_are_as_many_as_one_cpu_has_time_for() -> None:
    assert row(opening_cpu_ms=4.0).openings_per_s == 250
    assert row(opening_cpu_ms=0.0).openings_per_s == math.inf


def test_cpu_time_of_a_process_whose_name_is_hostile() -> None:
    stat = "7 (a) b) R 1 1 1 0 -1 0 0 0 0 0 120 30 9 9 20 0 1 0 5 6 7"
    assert process_cpu_s(stat, 100) == 1.5
    with pytest.raises(BenchError, match="14th and 15th"):
        process_cpu_s("7 (a) R 1", 100)


def test_resident_memory() -> None:
    assert resident_kib("Name:\tpython\nVmHWM:\t  99 kB\nVmRSS:\t   1234 kB\n") == 1234
    with pytest.raises(BenchError, match="VmRSS"):
        resident_kib("Name:\tkthreadd\n")


def test_a_counter_that_is_not_there_is_an_error_and_not_zero() -> None:
    text = "# TYPE a_total counter\na_total_more 7\na_total 2.5\nb_total oops\n"
    assert counter(text, "a_total") == 2.5
    for name in ("b_total", "c_total"):
        with pytest.raises(BenchError, match=name):
            counter(text, name)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, None),
        ({"exit_code": 1}, None),  # streams failed: a figure of the gateway, shown as such
        ({"exit_code": 3, "is_invalid": True}, "the speakers were late (25.0 ms, at most 10)"),
        ({"exit_code": 2}, "the speakers ended with 2"),
        ({"all_open": False}, "not all streams were open in time"),
        ({"frames": 0}, "not a frame was relayed"),
    ],
)
def test_what_makes_a_run_invalid(changes: dict[str, object], problem: str | None) -> None:
    given: dict[str, object] = {
        "late_ms": 25.0, "late_limit_ms": 10.0, "exit_code": 0, "is_invalid": False, "all_open": True, "frames": 9
    }  # fmt: skip
    assert problems_of(**(given | changes)) == (() if problem is None else (problem,))  # type: ignore[arg-type]


def test_results_that_are_owed() -> None:
    assert results_share([(10, 2.0), (5, 1.0)], 0.2) == 1
    assert results_share([(11, 2.0), (4, 1.0)], 0.2) == 14 / 15, "one too many makes good for no other"
    assert results_share([(3, 0.6)], 0.2) == 1, "0.6 / 0.2 is a little under 3"
    assert results_share([], 0.2) == 0


def test_a_bench_survives_its_file() -> None:
    assert decode(encode(BENCH)) == BENCH


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"\xff",
        encode(msgspec.structs.replace(BENCH, schema=2)),
        encode(msgspec.structs.replace(BENCH, yardstick_us=0.0)),
    ],
)
def test_what_is_no_bench_is_refused(content: bytes) -> None:
    with pytest.raises(BenchError, match="a bench"):
        decode(content)


def test_a_new_baseline_has_no_invalid_rows_and_keeps_what_was_not_measured() -> None:
    then = bench(ROW, row(streams=50))
    now = bench(row(cpu_us_per_frame=50.0), row(streams=800, problems=("late",)))
    assert [(one.streams, one.cpu_us_per_frame) for one in merged(then, now).rows] == [(50, 60.0), (100, 50.0)]
    assert [one.streams for one in merged(None, now).rows] == [100]
    elsewhere = msgspec.structs.replace(now, circumstances={"cpu": "slow"})
    assert [one.streams for one in merged(then, elsewhere).rows] == [100]
    slower = msgspec.structs.replace(now, yardstick_us=9.0)
    assert [one.streams for one in merged(then, slower).rows] == [100]


def test_circumstances_that_differ() -> None:
    assert circumstances_that_differ({"cpu": "a", "cpus": "2"}, {"cpu": "b", "cpus": "2", "python": "3"}) == [
        "cpu: a, the baseline: b",
        "python: unknown, the baseline: 3",
    ]
