"""The bench against the real programs: small, and without a judgment of any speed."""

import json
import math
import tomllib
from pathlib import Path

import pytest

from loadtest.bench.__main__ import BASELINE, main, places_of
from loadtest.bench.figures import Row, decode
from loadtest.bench.measure import Places, measure, world
from loadtest.bench.overload import OBJECTIVES, Overload, percentile
from loadtest.bench.phone import ask, open_phone
from loadtest.bench.speakers import Talk, scenario, write_talk
from loadtest.bench.yardstick import yardstick_us
from loadtest.messages import Ready
from loadtest.plan import make_plan
from loadtest.scenario_rules import parse_scenario
from loadtest.wav import read_wav
from tests.conftest import NOT_HERE

FREE = Places()  # tests share the machine: nothing is pinned
_ATTEMPTS = 5
"""Runs in which the speakers were late have measured the machine."""


def in_time(streams: int, *, tls: bool) -> Row:
    for _ in range(_ATTEMPTS):
        row = measure(streams, 2.0, tls=tls, places=FREE)
        if not row.problems:
            return row
    pytest.skip(f"{NOT_HERE}it is too busy: {row.problems}")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_five_streams_are_measured(tls: bool) -> None:
    row = in_time(5, tls=tls)
    assert row.success == 1
    assert row.results_share == 1
    assert row.frames >= 5 * 2 * 25 * 0.9  # two seconds of frames of 40 ms, for five
    assert row.cpu_us_per_frame > 0
    assert row.opening_cpu_ms > 0
    assert row.p50_ms is not None
    assert row.p99_ms is not None
    assert 0 < row.p50_ms <= row.p99_ms


def test_a_stream_over_the_capacity_is_refused_with_a_hint() -> None:
    with world(FREE, max_streams=1, tls=False) as (gateway, _), open_phone(gateway.url) as first:
        first.start()
        assert isinstance(first.hear(), Ready)
        refusal = ask(gateway.url)
    assert refusal is not None
    assert refusal.slug == "overloaded"
    assert refusal.retry_after_ms is not None
    assert 0 < refusal.asked_ms <= refusal.dialed_ms


def test_the_scenario_has_as_many_calls_as_streams() -> None:
    for streams in (1, 5, 50, 200, 800):
        talk = Talk(streams, 10)
        plan = make_plan(parse_scenario(tomllib.loads(talk.scenario)), [talk.call_s])
        assert len(plan.calls) == streams
        assert plan.calls[-1].at_s + 10 < plan.calls[0].at_s + talk.call_s, "the first still talks behind the window"


def test_the_objectives_of_an_overload_are_ones_of_the_load_tester() -> None:
    text = scenario("overload", per_s=1, for_s=9, objectives=OBJECTIVES)
    assert parse_scenario(tomllib.loads(text)).objectives == OBJECTIVES


def test_the_talk_is_as_long_as_it_says(tmp_path: Path) -> None:
    write_talk(tmp_path, 14.0)
    assert read_wav(tmp_path / "talk.wav").duration_s == 14.0


def test_percentiles() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1, 50, 99, 100]
    assert percentile([], 99) is None


@pytest.mark.parametrize(
    ("changes", "is_met"),
    [
        ({}, True),
        ({"refusal_p99_ms": 50.1}, False),
        ({"hinted": 7}, False),
        ({"admitted": 10, "hinted": 0, "refusal_p99_ms": None}, False),  # nobody was refused: it was never full
        ({"objectives": (("lost == 0", False, "1"),)}, False),
    ],
)
def test_what_an_overload_owes(changes: dict[str, object], is_met: bool) -> None:
    given: dict[str, object] = {
        "capacity": 1, "tls": False, "calls": 20, "refused": {"overloaded": 8}, "peak_active": 1,
        "objectives": (("lost == 0", True, "0"),), "asked": 10, "admitted": 2, "hinted": 8, "refusal_p50_ms": 1.0,
        "refusal_p99_ms": 50.0, "refusal_max_ms": 60.0, "told_p99_ms": 70.0, "resident_kib": (1, 2), "cpu_share": 0.1,
        "problems": (),
    }  # fmt: skip
    assert Overload(**(given | changes)).is_met is is_met  # type: ignore[arg-type]


def test_places() -> None:
    assert places_of([3, 5]) == Places(3, 5)
    assert places_of([0]) == Places()


def test_the_yardstick_is_a_time() -> None:
    assert 0 < yardstick_us(frames=50, rounds=2) < math.inf


def test_the_baseline_of_the_repository_can_be_read() -> None:
    assert {row.problems for row in decode(BASELINE.read_bytes()).rows} == {()}


def test_a_baseline_that_is_none_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "baseline.json"
    broken.write_text(json.dumps({"schema": 1}))
    assert main(["--baseline", str(broken)]) == 2
    assert "not a bench" in capsys.readouterr().err
