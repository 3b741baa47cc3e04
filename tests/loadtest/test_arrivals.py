"""Arrival times: sorted, inside of their stage, as many as the rate says, and the same for the same seed."""

import math
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.arrivals import MAX_ARRIVALS, Segment, arrival_times, segments
from loadtest.scenario import ScenarioError, Stage
from loadtest.scenario_rules import stage_problems

RATES = st.floats(0, 50)
DURATIONS_S = st.floats(0.5, 60)
SEEDS = st.integers(0, 2**64)


@st.composite
def stages(draw: st.DrawFn) -> Stage:
    """Any stage that the rules accept."""
    pattern = draw(st.sampled_from(["constant", "poisson", "ramp", "step", "spike"]))
    for_s = draw(DURATIONS_S)
    keys: dict[str, Any] = {}
    if pattern == "ramp":
        keys = {"from_per_s": draw(RATES), "to_per_s": draw(RATES)}
    else:
        keys = draw(st.one_of(RATES.map(lambda rate: {"per_s": rate}), st.just({"streams": 7.5})))
    if pattern == "step":
        keys |= {"step_per_s": draw(st.floats(0, 2)), "every_s": draw(st.floats(0.1, 100))}
    if pattern == "spike":
        peak_at_s = draw(st.floats(0, for_s / 2))
        peak_for_s = draw(st.floats(0.01, for_s / 2))
        keys |= {"peak_per_s": draw(RATES), "peak_at_s": peak_at_s, "peak_for_s": peak_for_s}
    if pattern in ("ramp", "step", "spike"):
        keys["random"] = draw(st.booleans())
    stage = msgspec.convert({"pattern": pattern, "for_s": for_s} | keys, Stage)
    assert list(stage_problems(stage)) == []
    return stage


def is_random(stage: Stage) -> bool:
    return stage.pattern == "poisson" or (stage.pattern != "constant" and stage.random)


def expected(stage: Stage) -> float:
    return sum(segment.expected for segment in segments(stage, 3.0))


@given(st.lists(stages(), min_size=1, max_size=4), SEEDS)
def test_arrivals_are_sorted_and_inside_of_their_stages(them: list[Stage], seed: int) -> None:
    times_s = arrival_times(them, 3.0, seed)
    assert list(times_s) == sorted(times_s)
    assert all(0 <= at_s <= sum(stage.for_s for stage in them) + 1e-6 for at_s in times_s)
    assert times_s == arrival_times(them, 3.0, seed)


@given(stages(), SEEDS)
def test_there_are_as_many_as_the_integral_of_the_rate(stage: Stage, seed: int) -> None:
    number, mean = len(arrival_times([stage], 3.0, seed)), expected(stage)
    if is_random(stage):
        # Ten standard deviations and some: no search finds a seed that is outside.
        assert abs(number - mean) <= 10 * math.sqrt(mean) + 20
    else:
        assert abs(number - mean) <= 0.5 + 1e-6


@given(stages())
def test_segments_cover_their_stage(stage: Stage) -> None:
    shape = segments(stage, 3.0)
    assert math.fsum(segment.for_s for segment in shape) == pytest.approx(stage.for_s)
    assert all(segment.for_s > 0 for segment in shape)


@given(st.floats(0.01, 1000), RATES, RATES, st.floats(0, 1))
def test_the_time_of_a_segment_is_the_inverse_of_its_integral(for_s: float, low: float, high: float, at: float) -> None:
    segment = Segment(for_s, low, high)
    if segment.expected * at < 1e-6:
        return  # nothing arrives: there is no inverse to speak of
    time_s = segment.time_of(segment.expected * at)
    assert 0 <= time_s <= for_s
    reached = low * time_s + (high - low) / for_s * time_s**2 / 2
    assert reached == pytest.approx(segment.expected * at, rel=1e-6, abs=1e-6)


def test_constant_arrivals_are_evenly_spaced_and_begin_after_half_a_gap() -> None:
    assert arrival_times([Stage(pattern="constant", for_s=2, per_s=2)], 1.0, 1) == (0.25, 0.75, 1.25, 1.75)


def test_each_stage_begins_where_the_last_one_ended() -> None:
    quiet = Stage(pattern="constant", for_s=10, per_s=0)
    busy = Stage(pattern="constant", for_s=2, per_s=1)
    assert arrival_times([busy, quiet, busy], 1.0, 1) == (0.5, 1.5, 12.5, 13.5)


def test_the_number_of_streams_is_a_rate_by_the_length_of_calls() -> None:
    """10 streams of 4 s each: 2.5 a second."""
    times_s = arrival_times([Stage(pattern="constant", for_s=4, streams=10)], 4.0, 1)
    assert len(times_s) == 10
    assert times_s[0] == 0.2


def test_an_even_ramp_comes_faster_and_faster() -> None:
    times_s = arrival_times([Stage(pattern="ramp", for_s=10, to_per_s=2, random=False)], 1.0, 1)
    # The integral is t * t / 10: half of a call is expected after the root of 5 seconds.
    assert times_s == tuple(round(math.sqrt(10 * (number + 0.5)), 6) for number in range(10))


def test_an_even_ramp_can_fall_to_nothing() -> None:
    times_s = arrival_times([Stage(pattern="ramp", for_s=10, from_per_s=2, to_per_s=0, random=False)], 1.0, 1)
    assert times_s == tuple(round(10 - math.sqrt(100 - 10 * (number + 0.5)), 6) for number in range(10))


def test_even_steps() -> None:
    stage = Stage(pattern="step", for_s=5, per_s=1, step_per_s=1, every_s=2, random=False)
    assert arrival_times([stage], 1.0, 1) == (0.5, 1.5, 2.25, 2.75, 3.25, 3.75, 4.166667, 4.5, 4.833333)


def test_an_even_spike() -> None:
    stage = Stage(pattern="spike", for_s=6, per_s=0.5, peak_per_s=4, peak_at_s=2, peak_for_s=1, random=False)
    assert arrival_times([stage], 1.0, 1) == (1.0, 2.125, 2.375, 2.625, 2.875, 4.0)


def test_a_spike_may_fill_its_stage() -> None:
    stage = Stage(pattern="spike", for_s=2, per_s=9, peak_per_s=1, peak_at_s=0, peak_for_s=2, random=False)
    assert arrival_times([stage], 1.0, 1) == (0.5, 1.5)


def test_random_arrivals_have_exponential_gaps() -> None:
    """Of 20,000 gaps of mean 10 ms, the share over t is exp(-t / 10 ms)."""
    times_s = arrival_times([Stage(for_s=200, per_s=100)], 1.0, 7)
    gaps_s = [after - before for before, after in pairwise(times_s)]
    for limit_s in (0.005, 0.01, 0.02, 0.04):
        share = sum(gap_s > limit_s for gap_s in gaps_s) / len(gaps_s)
        assert share == pytest.approx(math.exp(-limit_s / 0.01), abs=0.01)


def test_a_random_ramp_has_its_arrivals_where_its_rate_is() -> None:
    times_s = arrival_times([Stage(pattern="ramp", for_s=100, to_per_s=100)], 1.0, 3)
    in_the_first_half = sum(at_s < 50 for at_s in times_s) / len(times_s)
    assert in_the_first_half == pytest.approx(0.25, abs=0.03)


def test_a_longer_stage_begins_as_the_shorter_one() -> None:
    short = arrival_times([Stage(for_s=10, per_s=20)], 1.0, 5)
    long = arrival_times([Stage(for_s=50, per_s=20)], 1.0, 5)
    assert long[: len(short)] == short
    assert long != arrival_times([Stage(for_s=50, per_s=20)], 1.0, 6)


def test_stages_do_not_repeat_each_other() -> None:
    times_s = arrival_times([Stage(for_s=10, per_s=5), Stage(for_s=10, per_s=5)], 1.0, 5)
    first = [at_s for at_s in times_s if at_s < 10]
    assert [round(at_s - 10, 6) for at_s in times_s if at_s >= 10] != first


def test_these_numbers_stay() -> None:
    """A plan is the same on every machine and with every Python: a change here changes everybody's plans."""
    assert arrival_times([Stage(for_s=2, per_s=2)], 1.0, 1) == (0.018861, 0.696449, 0.892332)


def test_more_arrivals_than_a_plan_holds_are_refused_before_they_are_made() -> None:
    with pytest.raises(ScenarioError, match=rf"`arrivals`: 1500000 calls are too many, at most {MAX_ARRIVALS}"):
        arrival_times([Stage(for_s=100, per_s=10000), Stage(for_s=50, per_s=10000)], 1.0, 1)
