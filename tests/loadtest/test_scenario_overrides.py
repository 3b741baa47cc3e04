"""Overrides of the command line: `key=value` on the keys of the file, and another load."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.overrides import with_frame_ms, with_load, with_overrides
from loadtest.scenario import Audio, Event, Scenario, ScenarioError, Stage

RAW: dict[str, Any] = {
    "name": "test",
    "audio": {"frame_ms": 40},
    "arrivals": [{"for_s": 10, "per_s": 1}, {"for_s": 20, "streams": 5}],
}


@pytest.mark.parametrize(
    ("setting", "place", "value"),
    [
        ("audio.frame_ms=20", "audio", {"frame_ms": 20}),
        ("audio.gap_s = 0.5", "audio", {"frame_ms": 40, "gap_s": 0.5}),
        ("call.length=uniform", "call", {"length": "uniform"}),
        ('call.length="uniform"', "call", {"length": "uniform"}),
        ("description='two words'", "description", "two words"),
        ("arrivals.0.per_s=5", "arrivals", [{"for_s": 10, "per_s": 5}, {"for_s": 20, "streams": 5}]),
        ("arrivals[1].streams=7", "arrivals", [{"for_s": 10, "per_s": 1}, {"for_s": 20, "streams": 7}]),
        ("arrivals.1.streams=", "arrivals", [{"for_s": 10, "per_s": 1}, {"for_s": 20}]),
        ("arrivals.1=", "arrivals", [{"for_s": 10, "per_s": 1}]),
        ("arrivals.1={for_s=1, per_s=2}", "arrivals", [{"for_s": 10, "per_s": 1}, {"for_s": 1, "per_s": 2}]),
        ("audio.files=['a.wav', \"b.wav\"]", "audio", {"frame_ms": 40, "files": ["a.wav", "b.wav"]}),
        ("audio.files=a.wav", "audio", {"frame_ms": 40, "files": "a.wav"}),
        ("start.engineType=16k_en", "start", {"engineType": "16k_en"}),
        ("start.engineType='16k_en'", "start", {"engineType": "16k_en"}),
        ("start.hotwords=[{word='a=b', weight=1}]", "start", {"hotwords": [{"word": "a=b", "weight": 1}]}),
        ("compare_transcripts=false", "compare_transcripts", False),
        ("never.was=", "never", {}),
    ],
)
def test_one_setting(setting: str, place: str, value: object) -> None:
    before = copy.deepcopy(RAW)
    assert with_overrides(RAW, [setting]) == RAW | {place: value}
    assert before == RAW


def test_settings_are_applied_in_order() -> None:
    assert with_overrides(RAW, ["warm_up_s=1", "warm_up_s=2", "audio={}", "audio.gap_s=3"]) == RAW | {
        "warm_up_s": 2,
        "audio": {"gap_s": 3},
    }


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("audio.frame_ms", "expected key=value, such as audio.frame_ms=20"),
        ("=1", "expected key=value"),
        ("a..b=1", "expected key=value"),
        ("a b=1", "expected key=value"),
        ("arrivals.2.per_s=1", r"`arrivals\.2\.per_s`: there is no '2' in a list of 2"),
        ("arrivals.first=1", "there is no 'first' in a list of 2"),
        ("name.first=1", "`name.first`: 'first' would be inside of a value"),
        ("name=two words", "`name`: 'two words' is no value of TOML"),
        ("name=1\nother = 2", "is no value of TOML"),
    ],
)
def test_settings_that_cannot_be_applied(setting: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        with_overrides(RAW, [setting])


@given(st.text(max_size=30))
def test_any_setting_is_applied_or_refused(setting: str) -> None:
    said = ""
    changed = {}
    try:
        changed = with_overrides(RAW, [setting])
    except ScenarioError as error:
        said = str(error)
    assert bool(said) != bool(changed)


@given(st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats(-1e9, 1e9))
def test_any_number_arrives_as_it_is(number: float) -> None:
    text = str(number).lower()
    assert with_overrides(RAW, [f"knee.x={text}"])["knee"] == {"x": number}


def scenario(*stages: Stage, **changes: Any) -> Scenario:
    return Scenario(name="test", arrivals=stages, **changes)


CONSTANT = Stage(pattern="constant", for_s=10, per_s=1)
SPIKE = Stage(pattern="spike", for_s=20, streams=4, peak_per_s=9, peak_at_s=5, peak_for_s=2)
STEP = Stage(pattern="step", for_s=10, per_s=1, step_per_s=2, every_s=5)


def test_a_single_stage_keeps_its_pattern() -> None:
    assert with_load(scenario(CONSTANT), per_s=7).arrivals == (Stage(pattern="constant", for_s=10, per_s=7),)
    poisson = scenario(Stage(for_s=10, per_s=1))
    assert with_load(poisson, streams=7, for_s=5).arrivals == (Stage(for_s=5, streams=7),)


@pytest.mark.parametrize("stages", [(SPIKE,), (STEP, STEP), (CONSTANT, STEP)])
def test_other_arrivals_become_one_poisson_stage_of_the_same_duration(stages: tuple[Stage, ...]) -> None:
    assert with_load(scenario(*stages), streams=7).arrivals == (Stage(for_s=20, streams=7),)


def test_another_duration_stretches_the_whole_timetable() -> None:
    given = scenario(SPIKE, STEP, warm_up_s=3, events=(Event(at_s=15, run="true", times=2, every_s=5),))
    assert with_load(given, for_s=60) == scenario(
        Stage(pattern="spike", for_s=40, streams=4, peak_per_s=9, peak_at_s=10, peak_for_s=4),
        Stage(pattern="step", for_s=20, per_s=1, step_per_s=2, every_s=10),
        warm_up_s=6,
        events=(Event(at_s=30, run="true", times=2, every_s=10),),
    )


def test_a_load_and_a_duration() -> None:
    given = scenario(SPIKE, STEP, warm_up_s=3, events=(Event(at_s=30, run="true"),))
    assert with_load(given, per_s=2, for_s=10) == scenario(
        Stage(for_s=10, per_s=2), warm_up_s=1, events=(Event(at_s=10, run="true"),)
    )


def test_without_any_change_it_is_the_same() -> None:
    assert with_load(scenario(SPIKE, STEP)) == scenario(SPIKE, STEP)


@given(st.lists(st.sampled_from([CONSTANT, SPIKE, STEP]), min_size=1, max_size=4), st.floats(0.01, 600_000))
def test_any_stretch_fits_together(stages: list[Stage], for_s: float) -> None:
    changed = with_load(scenario(*stages, events=(Event(at_s=1, run="true", times=4, every_s=3),)), for_s=for_s)
    assert sum(stage.for_s for stage in changed.arrivals) == pytest.approx(for_s)


@pytest.mark.parametrize(
    ("load", "complaint"),
    [
        ({"per_s": 1, "streams": 1}, "`streams`: stands beside `per_s`"),
        ({"streams": 0}, r"`arrivals\[0\]\.streams`: expected float > 0\.0, got 0"),
        ({"per_s": -1}, r"`arrivals\[0\]\.per_s`: expected float >= 0\.0, got -1"),
        ({"for_s": 0}, r"`arrivals\[0\]\.for_s`: expected float > 0\.0, got 0"),
        ({"for_s": float("nan")}, "expected a finite number, got nan"),
    ],
)
def test_a_load_that_cannot_be(load: dict[str, float], complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        with_load(scenario(CONSTANT), **load)


def test_a_frame_size_replaces_the_other_one() -> None:
    given = scenario(CONSTANT, audio=Audio(frame_bytes=1310))
    assert with_frame_ms(given, 20).audio == Audio(frame_ms=20)
    with pytest.raises(ScenarioError, match=r"`audio\.frame_ms`: expected float >= 5\.0, got 1"):
        with_frame_ms(given, 1)
