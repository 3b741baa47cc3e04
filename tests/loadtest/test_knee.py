"""The search for the knee, decided without a run."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.knee import enough_hold_s, next_step, outcome, unmeasured, verdict
from loadtest.scenario import Knee as Search
from loadtest.summary import KneeStep, ObjectiveResult, Verdict

BROKEN = ObjectiveResult(text="finalization p99 <= 800ms", met=False, actual="1.20 s")
KEPT = ObjectiveResult(text="success >= 99.9%", met=True, actual="100%")


def step(streams: int, found: Verdict) -> KneeStep:
    objectives = (BROKEN, KEPT) if found is Verdict.MISSED else (KEPT,)
    return KneeStep(streams=streams, verdict=found, objectives=objectives)


def search(by: Search, judge: Callable[[int], Verdict]) -> list[KneeStep]:
    steps: list[KneeStep] = []
    while (streams := next_step(by, steps)) is not None:
        assert streams not in [tried.streams for tried in steps]
        steps.append(step(streams, judge(streams)))
        assert len(steps) < 40
    return steps


def up_to(knee: int, above: Verdict = Verdict.MISSED) -> Callable[[int], Verdict]:
    return lambda streams: Verdict.MET if streams <= knee else above


def test_doubles_until_one_breaks_then_halves_the_gap() -> None:
    steps = search(Search(from_streams=10, to_streams=2000, precision=0.1), up_to(137))
    assert [one.streams for one in steps] == [10, 20, 40, 80, 160, 120, 140, 130]
    knee = outcome(steps)
    assert (knee.max_streams, knee.first_broken) == (130, 140)
    assert knee.broke == (BROKEN,)
    assert verdict(knee) == (Verdict.MET, ())


def test_ends_at_the_highest_load_when_nothing_breaks() -> None:
    steps = search(Search(from_streams=10, to_streams=50), up_to(10**6))
    assert [one.streams for one in steps] == [10, 20, 40, 50]
    assert (outcome(steps).max_streams, outcome(steps).first_broken, outcome(steps).broke) == (50, None, ())
    assert verdict(outcome(steps)) == (Verdict.MET, ())


def test_not_even_the_lowest() -> None:
    steps = search(Search(from_streams=10, to_streams=50), up_to(5))
    assert [one.streams for one in steps] == [10]
    assert (outcome(steps).max_streams, outcome(steps).first_broken) == (None, 10)
    assert verdict(outcome(steps)) == (Verdict.MISSED, ("Not even the lowest load held: 10 streams.",))


def test_the_load_testers_own_limit_bounds_the_search_and_is_no_knee() -> None:
    steps = search(Search(from_streams=10, to_streams=2000), up_to(100, Verdict.INVALID))
    knee = outcome(steps)
    assert (knee.max_streams, knee.first_broken, knee.broke) == (100, None, ())
    found, (reason,) = verdict(knee)
    assert found is Verdict.INVALID
    assert "too late at 110 streams, before any objective broke: 100 streams held" in reason


def test_an_objective_that_breaks_below_the_own_limit_is_a_knee() -> None:
    def judge(streams: int) -> Verdict:
        return Verdict.INVALID if streams > 150 else up_to(100)(streams)

    steps = search(Search(from_streams=10, to_streams=2000), judge)
    knee = outcome(steps)
    assert (knee.max_streams, knee.first_broken) == (100, 110)
    found, (reason,) = verdict(knee)
    assert found is Verdict.MET
    assert "too late at 160 streams" in reason


def test_a_lowest_load_that_is_too_much_for_us_says_nothing() -> None:
    steps = search(Search(from_streams=10), lambda _: Verdict.INVALID)
    assert [one.streams for one in steps] == [10]
    assert verdict(outcome(steps))[0] is Verdict.INVALID


EMPTY = ObjectiveResult(text="finalization p95 <= 800ms", met=False, actual="no samples")


def missed(streams: int, *objectives: ObjectiveResult) -> KneeStep:
    return KneeStep(streams=streams, verdict=Verdict.MISSED, objectives=objectives)


def test_a_load_at_which_nothing_was_measured_is_not_one_that_broke() -> None:
    steps = [step(10, Verdict.MET), missed(20, EMPTY, KEPT)]
    assert next_step(Search(), steps) is None
    knee = outcome(steps)
    assert (knee.max_streams, knee.first_broken, knee.broke) == (10, None, ())
    found, (reason,) = verdict(knee)
    assert found is Verdict.INVALID
    assert reason.startswith("Nothing was measured at 20 streams (no samples for: finalization p95 <= 800ms), ")
    assert "knee.hold_s" in reason
    assert verdict(outcome([missed(10, EMPTY)]))[0] is Verdict.INVALID


def test_what_broke_beside_what_was_not_measured_is_broken() -> None:
    assert unmeasured(missed(10, EMPTY, BROKEN)) == ()
    assert unmeasured(step(10, Verdict.MET)) == unmeasured(step(10, Verdict.INVALID)) == ()
    assert outcome([missed(10, EMPTY, BROKEN)]).first_broken == 10


def test_a_load_at_which_everything_was_refused_did_not_hold() -> None:
    admitted = ObjectiveResult(text="admitted.finalization p95 <= 800ms", met=False, actual="no samples")
    assert verdict(outcome([missed(10, admitted)]))[0] is Verdict.MISSED


def test_enough_time_for_the_lowest_load() -> None:
    assert enough_hold_s(Search(from_streams=10, to_streams=2000), 9.99) == 20
    assert enough_hold_s(Search(from_streams=10, to_streams=4), 8.0) == 40


def test_an_interruption_ends_the_search() -> None:
    steps = [step(10, Verdict.MET), step(20, Verdict.INTERRUPTED)]
    assert next_step(Search(), steps) is None
    assert outcome(steps).max_streams == 10
    assert verdict(outcome(steps))[0] is Verdict.INTERRUPTED


def test_the_limits_may_be_given_the_wrong_way_round() -> None:
    assert next_step(Search(from_streams=100, to_streams=20), []) == 20


@given(
    knee=st.integers(0, 5000),
    from_streams=st.integers(1, 500),
    to_streams=st.integers(1, 3000),
    precision=st.floats(0.01, 0.5),
    above=st.sampled_from([Verdict.MISSED, Verdict.INVALID, Verdict.UNREACHABLE]),
)
def test_any_knee_is_found_to_the_precision(
    knee: int, from_streams: int, to_streams: int, precision: float, above: Verdict
) -> None:
    by = Search(from_streams=from_streams, to_streams=to_streams, precision=precision)
    steps = search(by, up_to(knee, above))
    held = outcome(steps).max_streams
    ceiling = min((one.streams for one in steps if one.verdict is not Verdict.MET), default=None)
    assert all(one.streams <= to_streams for one in steps)
    if held is None:
        assert knee < min(from_streams, to_streams)
    elif ceiling is None:
        assert held == to_streams <= knee
    else:
        assert held <= knee < ceiling
        assert ceiling - held <= 1 or (ceiling - held) / ceiling < precision


@pytest.mark.parametrize("above", [Verdict.MISSED, Verdict.UNREACHABLE])
def test_both_ways_of_not_holding_are_broken(above: Verdict) -> None:
    assert outcome([step(10, Verdict.MET), step(20, above)]).first_broken == 20
