"""The plan: the same for the same seed, of the scenario's shape, and its shards together exactly the plan."""

import hashlib
import math
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.call_lengths import target_lengths_s
from loadtest.plan import (
    MAX_TRACK_CLIPS,
    Plan,
    PlannedCall,
    call_s,
    make_plan,
    make_tracks,
    mean_call_s,
    planned_peak,
    shard,
)
from loadtest.scenario import Audio, Behavior, Call, Scenario, ScenarioError, Stage

DURATIONS_S = (2.78625, 2.9986875, 7.1, 2.99)


def scenario(**changes: Any) -> Scenario:
    return Scenario(**{"name": "test", "arrivals": (Stage(for_s=20, per_s=10),)} | changes)


def test_the_same_seed_is_the_same_plan() -> None:
    assert make_plan(scenario(), DURATIONS_S, 1) == make_plan(scenario(), DURATIONS_S, 1)
    assert make_plan(scenario(), DURATIONS_S, 1).calls != make_plan(scenario(), DURATIONS_S, 2).calls


def test_this_plan_stays() -> None:
    """A plan is the same on every machine and with every Python: a change here changes everybody's plans."""
    planned = make_plan(
        scenario(call=Call(length="exponential"), behaviors=dict.fromkeys(Behavior, 1.0)), DURATIONS_S, 1
    )
    content = msgspec.json.encode([planned.calls, planned.tracks])
    assert hashlib.sha256(content).hexdigest()[:16] == "70f2b146b2bf737a"


def test_a_longer_run_begins_as_the_shorter_one() -> None:
    mixed = scenario(call=Call(length="uniform"), behaviors={Behavior.TALKER: 2.0, Behavior.HANG_UP: 1.0})
    longer = msgspec.structs.replace(mixed, arrivals=(Stage(for_s=60, per_s=10),))
    short, long = make_plan(mixed, DURATIONS_S, 3), make_plan(longer, DURATIONS_S, 3)
    assert long.tracks == short.tracks
    assert long.calls[: len(short.calls)] == short.calls
    assert (short.duration_s, long.duration_s) == (20, 60)


def test_calls_are_numbered_in_order_of_arrival() -> None:
    calls = make_plan(scenario(), DURATIONS_S, 1).calls
    assert [call.number for call in calls] == list(range(len(calls)))
    assert [call.at_s for call in calls] == sorted(call.at_s for call in calls)
    assert len({call.seed for call in calls}) == len(calls)


def test_what_callers_say_and_do_is_as_likely_as_the_scenario_says() -> None:
    weights = {Behavior.VANISH: 1.0, Behavior.TALKER: 6.0, Behavior.PAUSER: 3.0, Behavior.NONSENSE: 0.0}
    calls = make_plan(scenario(arrivals=(Stage(for_s=1000, per_s=10),), behaviors=weights), DURATIONS_S, 1).calls
    shares = {behavior: number / len(calls) for behavior, number in Counter(call.behavior for call in calls).items()}
    assert shares == {
        Behavior.TALKER: pytest.approx(0.6, abs=0.02),
        Behavior.PAUSER: pytest.approx(0.3, abs=0.02),
        Behavior.VANISH: pytest.approx(0.1, abs=0.02),
    }
    tracks = Counter(call.track for call in calls)
    assert all(number / len(calls) == pytest.approx(0.25, abs=0.02) for number in tracks.values())
    assert all(0.2 <= call.turn_at <= 0.8 for call in calls)
    assert math.fsum(call.turn_at for call in calls) / len(calls) == pytest.approx(0.5, abs=0.01)


def test_the_order_of_the_behaviors_in_the_file_does_not_matter() -> None:
    one = {Behavior.TALKER: 1.0, Behavior.VANISH: 1.0}
    other = dict(reversed(one.items()))
    assert (
        make_plan(scenario(behaviors=one), DURATIONS_S, 1).calls
        == make_plan(scenario(behaviors=other), DURATIONS_S, 1).calls
    )


@given(st.integers(1, 9), st.integers(0, 2**32))
def test_the_shards_together_are_exactly_the_plan(count: int, seed: int) -> None:
    plan = make_plan(scenario(arrivals=(Stage(for_s=5, per_s=10),)), DURATIONS_S, seed)
    shards = [shard(plan, index, count) for index in range(count)]
    assert sorted((call for part in shards for call in part.calls), key=lambda call: call.number) == list(plan.calls)
    for index, part in enumerate(shards):
        assert part.shard == (index, count)
        assert all(call.number % count == index for call in part.calls)
        assert (part.tracks, part.duration_s, part.seed) == (plan.tracks, plan.duration_s, plan.seed)


@given(st.integers(1, 5), st.integers(1, 5))
def test_a_shard_of_a_shard_is_a_shard_of_the_plan(pods: int, processes: int) -> None:
    plan = make_plan(scenario(arrivals=(Stage(for_s=5, per_s=10),)), DURATIONS_S, 1)
    parts = [shard(shard(plan, pod, pods), process, processes) for pod in range(pods) for process in range(processes)]
    assert sorted((call for part in parts for call in part.calls), key=lambda call: call.number) == list(plan.calls)
    assert {part.shard for part in parts} == {(index, pods * processes) for index in range(pods * processes)}
    assert all(shard(plan, *part.shard) == part for part in parts)


@pytest.mark.parametrize(("index", "count"), [(0, 0), (2, 2), (-1, 2)])
def test_a_shard_that_cannot_be(index: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"shard {index} of {count}"):
        shard(make_plan(scenario(), DURATIONS_S, 1), index, count)


def test_a_clip_is_a_call() -> None:
    plan = make_plan(scenario(), DURATIONS_S, 1)
    assert plan.tracks == ((0,), (1,), (2,), (3,))
    assert mean_call_s(plan.tracks, DURATIONS_S, 1.2) == pytest.approx(math.fsum(DURATIONS_S) / 4)


@given(
    st.sampled_from(["constant", "uniform", "exponential"]),
    st.lists(st.floats(0.5, 10), min_size=1, max_size=12),
    st.integers(1, 20),
    st.floats(0, 3),
    st.integers(0, 2**32),
)
def test_tracks_are_whole_clips_up_to_their_length(
    length: str, durations_s: list[float], variants: int, gap_s: float, seed: int
) -> None:
    call = msgspec.convert({"length": length, "mean_s": 12.0, "min_s": 3.0, "max_s": 40.0, "variants": variants}, Call)
    tracks = make_tracks(scenario(call=call, audio=Audio(gap_s=gap_s)), durations_s, seed)
    assert len(tracks) == max(variants, len(durations_s))
    assert {clip for track in tracks for clip in track} == set(range(len(durations_s)))
    for track, length_s in zip(tracks, target_lengths_s(call, len(tracks)), strict=True):
        assert call_s(track, durations_s, gap_s) >= length_s - 1e-6
        assert len(track) == 1 or call_s(track[:-1], durations_s, gap_s) < length_s + 1e-6


@given(st.integers(1, 64), st.floats(0.5, 20), st.floats(0, 10), st.floats(10, 1000))
def test_the_mean_of_exponential_lengths_does_not_depend_on_how_many_there_are(
    number: int, mean_s: float, min_s: float, max_s: float
) -> None:
    call = Call(length="exponential", mean_s=mean_s, min_s=min_s, max_s=max_s)
    lengths_s = target_lengths_s(call, number)
    # The mean of an exponential length, not under min_s and not over max_s.
    mean = min_s + mean_s * (math.exp(-min_s / mean_s) - math.exp(-max_s / mean_s))
    assert math.fsum(lengths_s) / number == pytest.approx(mean)
    assert all(min_s - 1e-6 <= length_s <= max_s + 1e-6 for length_s in lengths_s)
    assert all(before <= after + 1e-6 for before, after in pairwise(lengths_s))


def test_uniform_and_constant_lengths() -> None:
    assert target_lengths_s(Call(length="uniform", min_s=2, max_s=10), 4) == (3, 5, 7, 9)
    assert target_lengths_s(Call(length="constant", mean_s=7), 3) == (7, 7, 7)


def test_a_call_has_gaps_between_its_clips() -> None:
    assert call_s((0, 1, 0), (2.0, 3.0), 0.5) == 8.0
    assert mean_call_s(((0,), (0, 1)), (2.0, 3.0), 0.5) == 3.75


def test_the_peak_is_the_most_calls_at_once() -> None:
    calls = tuple(
        PlannedCall(number=number, at_s=at_s, track=0, behavior=Behavior.TALKER, seed=0, turn_at=0.5)
        for number, at_s in enumerate((0.0, 1.0, 2.0, 10.0))
    )
    plan = Plan(scenario=scenario(), seed=1, duration_s=20, tracks=((0,),), calls=calls)
    assert planned_peak(plan, (2.0,)) == 2  # the third begins as the first ends
    assert planned_peak(plan, (2.1,)) == 3
    assert planned_peak(shard(plan, 0, 2), (2.1,)) == 2


def test_a_plan_without_calls_is_refused() -> None:
    with pytest.raises(ScenarioError, match="`arrivals`: no call arrives in 60 s"):
        make_plan(scenario(arrivals=(Stage(pattern="constant", for_s=60, per_s=0),)), DURATIONS_S, 1)


def test_tracks_that_do_not_fit_into_memory_are_refused() -> None:
    long = Call(length="constant", mean_s=3600, max_s=3600, variants=3)
    with pytest.raises(ScenarioError, match=r"`call`: the 4 different calls have .* over the 7200 s"):
        make_plan(scenario(call=long), DURATIONS_S, 1)
    with pytest.raises(ScenarioError, match=f"`call`: 3600 s need over {MAX_TRACK_CLIPS}"):
        make_plan(scenario(call=long, audio=Audio(gap_s=0)), (0.01,), 1)
    with pytest.raises(ScenarioError, match="`call`: the 1 different calls"):
        make_plan(scenario(), (8000.0,), 1)
