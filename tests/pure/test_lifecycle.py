"""The phases of a process: once, in order, who is told when it drains, and the plan of the drain."""

import contextlib
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle import SETTLE_SPREAD_S, DrainPlan, Lifecycle, Phase, drain_plan, settle_at


class Heard:
    """What a stream was told."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self.told: list[float | str] = []

    def __call__(self) -> contextlib.AbstractContextManager[None]:
        return self._lifecycle.told(self.told.append, lambda: self.told.append("given up"))


def test_phases_go_one_way() -> None:
    lifecycle = Lifecycle()
    seen = [lifecycle.phase]
    lifecycle.serve()
    seen.append(lifecycle.phase)
    lifecycle.serve()
    seen.append(lifecycle.phase)
    lifecycle.drain(5)
    seen.append(lifecycle.phase)
    lifecycle.serve()
    seen.append(lifecycle.phase)
    lifecycle.give_up()
    seen.append(lifecycle.phase)
    assert seen == [Phase.STARTING, Phase.SERVING, Phase.SERVING, Phase.DRAINING, Phase.DRAINING, Phase.DRAINING]


def test_a_process_told_to_stop_while_it_starts_never_serves() -> None:
    lifecycle = Lifecycle()
    lifecycle.drain()
    lifecycle.serve()
    assert lifecycle.phase is Phase.DRAINING


def test_whoever_is_inside_is_told_and_nobody_else() -> None:
    lifecycle = Lifecycle()
    left, first, second = Heard(lifecycle), Heard(lifecycle), Heard(lifecycle)
    with left():
        pass
    with first(), second():
        lifecycle.drain(112.5)
        assert (left.told, first.told, second.told) == ([], [112.5], [112.5])
    lifecycle.give_up()
    assert (left.told, first.told, second.told) == ([], [112.5], [112.5])


def test_who_does_not_settle_is_given_up() -> None:
    lifecycle = Lifecycle()
    quick, slow = Heard(lifecycle), Heard(lifecycle)
    with slow():
        with quick():
            lifecycle.drain(7)
        lifecycle.give_up()
    assert (quick.told, slow.told) == ([7], [7, "given up"])


def test_without_a_time_it_is_at_once() -> None:
    lifecycle = Lifecycle()
    heard = Heard(lifecycle)
    with heard():
        lifecycle.drain()
    assert heard.told == [-math.inf]


def test_who_is_told_sees_the_new_phase() -> None:
    lifecycle = Lifecycle()
    seen: list[Phase] = []
    with lifecycle.told(lambda _: seen.append(lifecycle.phase), lambda: None):
        lifecycle.drain()
    assert seen == [Phase.DRAINING]


@pytest.mark.parametrize("again", [Lifecycle.drain, Lifecycle.give_up])
def test_being_told_may_end_the_registration(again: Callable[[Lifecycle], None]) -> None:
    """A stream that is told ends at once, which changes the set that is being gone through."""
    lifecycle = Lifecycle()
    told: list[str] = []
    inner = lifecycle.told(lambda _: told.append("inner"), lambda: told.append("inner"))

    def outer(*_: float) -> None:
        told.append("outer")
        inner.__exit__(None, None, None)

    with lifecycle.told(outer, outer):
        inner.__enter__()
        again(lifecycle)
        again(lifecycle)
    assert sorted(told) == ["inner", "outer", "outer"]


def test_an_error_inside_ends_the_registration_too() -> None:
    lifecycle = Lifecycle()
    heard = Heard(lifecycle)
    with pytest.raises(ValueError, match="ours"), heard():
        raise ValueError("ours")
    lifecycle.drain()
    lifecycle.give_up()
    assert heard.told == []


@pytest.mark.parametrize(
    ("drain_s", "settle_s", "give_up_s"),
    [(600, 592, 598), (20, 12, 18), (10, 2, 8), (9, 1, 7), (8, 0, 6), (4, 0, 2), (2, 0, 1), (1, 0, 0.5), (0, 0, 0)],
)
def test_the_plan_of_a_drain(drain_s: int, settle_s: float, give_up_s: float) -> None:
    assert drain_plan(drain_s) == DrainPlan(settle_s, give_up_s, drain_s)


@given(st.integers(0, 600))
def test_every_plan_is_in_order(drain_s: int) -> None:
    plan = drain_plan(drain_s)
    assert 0 <= plan.settle_s <= plan.give_up_s <= plan.end_s == drain_s
    if drain_s:
        assert plan.settle_s < plan.give_up_s < plan.end_s


@pytest.mark.parametrize(
    ("left_s", "chance", "settled_after_s"),
    [
        (52, 0.0, 52),
        (52, 1.0, 52 - SETTLE_SPREAD_S),
        (12, 0.5, 12 - SETTLE_SPREAD_S / 2),
        (2, 1.0, 1),
        (0, 1.0, 0),
        (-5, 0.5, 0),
        (-math.inf, 0.0, 0),
    ],
)
def test_streams_that_go_on_are_not_all_settled_at_once(left_s: float, chance: float, settled_after_s: float) -> None:
    assert settle_at(1000 + left_s, 1000, chance) == 1000 + settled_after_s
