"""When a late event loop means that new streams are refused, and when no longer."""

from collections.abc import Iterable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.telemetry.loop_watch import INTERVAL_S
from service.telemetry.overload import CALM_S, CALM_SHARE, LATE, SOON_S, WINDOW, Overload

BOUND_S: Final = 0.1
IDLE_S: Final = 0.001
BUSY_S: Final = 0.15


class Watched:
    """Samples as they come, four times a second."""

    def __init__(self) -> None:
        self.overload = Overload(BOUND_S)
        self.now = 0.0
        self.changes: list[float] = []

    def see(self, lags_s: Iterable[float]) -> bool:
        for lag_s in lags_s:
            self.now += INTERVAL_S
            if self.overload.note(lag_s, self.now):
                self.changes.append(self.now)
        return self.overload.is_shedding

    def calm_down(self) -> float:
        """How long it takes from here."""
        began = self.now
        while self.overload.is_shedding:
            self.see([IDLE_S])
        return self.now - began


def test_a_loop_that_keeps_up_sheds_nothing() -> None:
    assert not Watched().see([IDLE_S, BOUND_S] * 1000)


@pytest.mark.parametrize("lag_s", [0.11, 3.0, 60.0])
def test_a_lonely_stall_sheds_nothing_however_long(lag_s: float) -> None:
    assert not Watched().see([lag_s, *[IDLE_S] * (WINDOW // 2 - 1)] * 1000)


def test_three_late_samples_in_two_seconds_shed() -> None:
    watched = Watched()
    assert not watched.see([BUSY_S, BUSY_S])
    assert watched.see([BUSY_S])
    assert watched.now == 0.75
    assert Watched().see([BUSY_S, *[IDLE_S] * 3, BUSY_S, *[IDLE_S] * 2, BUSY_S])
    assert not Watched().see([BUSY_S, *[IDLE_S] * 3, BUSY_S, *[IDLE_S] * 3, BUSY_S])


def test_it_ends_after_a_calm_while_and_says_how_long_that_is() -> None:
    watched = Watched()
    assert watched.overload.wait_s(0) == 0
    watched.see([BUSY_S] * 3)
    assert watched.overload.wait_s(watched.now) == CALM_S[0]
    watched.see([IDLE_S] * (WINDOW - 1))  # one late sample is left in the window: forgiven, the calm has begun
    left_s = watched.overload.wait_s(watched.now)
    assert 0 < left_s <= CALM_S[0]
    assert watched.calm_down() == pytest.approx(left_s)
    assert watched.overload.wait_s(watched.now) == 0
    assert len(watched.changes) == 2


def test_the_calm_begins_again_after_trouble() -> None:
    watched = Watched()
    watched.see([BUSY_S] * 3 + [IDLE_S] * (WINDOW + 10))
    assert watched.overload.wait_s(watched.now) < CALM_S[0] - 2
    watched.see([BUSY_S] * 2)
    assert watched.overload.wait_s(watched.now) == CALM_S[0]
    assert watched.calm_down() > CALM_S[0]


def test_half_the_bound_is_not_calm() -> None:
    watched = Watched()
    watched.see([BUSY_S] * 3)
    assert watched.see([BOUND_S * CALM_SHARE + 0.01] * 1000)
    assert not watched.see([BOUND_S * CALM_SHARE] * 40)


def test_a_lonely_stall_does_not_prolong_it() -> None:
    watched = Watched()
    watched.see([BUSY_S] * 3 + [IDLE_S] * WINDOW)
    assert watched.overload.is_shedding
    assert not watched.see(([BUSY_S] + [IDLE_S] * WINDOW) * 3)


def test_what_begins_again_soon_takes_twice_as_long() -> None:
    watched = Watched()
    told_s, taken_s = [], []
    for _ in range(6):
        assert watched.see([BUSY_S] * 3)
        told_s.append(watched.overload.wait_s(watched.now))
        taken_s.append(round(watched.calm_down()))
    assert told_s == [5, 10, 20, 40, 40, 40]
    forgetting_s = (WINDOW - 1) * INTERVAL_S  # until one of the late samples is left
    assert taken_s == [round(calm_s + forgetting_s) for calm_s in (5, 10, 20, 40, 40, 40)]
    watched.see([IDLE_S] * round(SOON_S / INTERVAL_S))
    assert watched.see([BUSY_S] * 3)
    assert round(watched.calm_down()) == taken_s[0]


@given(st.lists(st.floats(0, 1), min_size=40, max_size=400))
def test_it_never_flaps(lags_s: list[float]) -> None:
    watched = Watched()
    watched.see(lags_s)
    begun, ended = watched.changes[::2], watched.changes[1::2]
    assert all(end - begin >= CALM_S[0] for begin, end in zip(begun, ended, strict=False))
    for number, begin in enumerate(begun):
        place = round(begin / INTERVAL_S)
        assert sum(lag_s > BOUND_S for lag_s in lags_s[max(0, place - WINDOW) : place]) >= LATE, number
    for end in ended:
        place = round(end / INTERVAL_S)
        calm = lags_s[place - round(CALM_S[0] / INTERVAL_S) : place]
        assert sum(lag_s > BOUND_S for lag_s in calm) <= len(calm) / WINDOW + 1
