"""What a replica keeps, and what it may use when it is alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.shared.allotment import (
    ASSUMED_REPLICAS,
    LEASE_S,
    SILENCE_S,
    Division,
    Report,
    kept,
    leaving,
    limit_alone,
)

LONGEST_S = 600.0


@pytest.mark.parametrize(
    ("limit", "used", "reserve", "expected"),
    [
        (20, 5, 10, 15),  # it gives back what is over its reserve
        (20, 15, 10, 20),  # and never takes more than it has
        (20, 5, 0, 5),
        (20, 5, None, 20),  # nobody could give it back
        (3, 5, 0, 5),  # what is used cannot be given back
        (3, 5, None, 5),
    ],
)
def test_kept(limit: int, used: int, reserve: int | None, expected: int) -> None:
    assert kept(limit, used, reserve) == expected


@pytest.mark.parametrize(
    ("limit", "replicas", "away_s", "expected"),
    [
        (30, 3, 0, 30),
        (0, 3, LEASE_S - 0.001, 0),  # the others have it all
        (30, 3, LEASE_S, 16),
        (0, 3, LEASE_S, 1),  # never a full stop
        (5, 3, LEASE_S, 5),
        (5, 3, LEASE_S + LONGEST_S - 0.001, 5),
        (5, 3, LEASE_S + LONGEST_S, 16),
        (0, 100, LEASE_S + LONGEST_S, 1),
        (0, None, 0, 50 // ASSUMED_REPLICAS),
        (0, None, LEASE_S, 50 // ASSUMED_REPLICAS),
    ],
)
def test_limit_alone(limit: int, replicas: int | None, away_s: float, expected: int) -> None:
    assert limit_alone(limit, 50, replicas, away_s, LONGEST_S) == expected


@given(st.data())
def test_replicas_that_are_alone_keep_to_the_pool(data: st.DataObject) -> None:
    """Whatever they had, however far apart they noticed within a lease; but for the one that nobody is denied."""
    pool = data.draw(st.integers(1, 300))
    replicas = data.draw(st.integers(1, 12))
    cuts = sorted(data.draw(st.lists(st.integers(0, pool), min_size=replicas - 1, max_size=replicas - 1)))
    had = [end - begin for begin, end in zip([0, *cuts], [*cuts, pool], strict=True)]
    away_s = data.draw(st.floats(0, 2 * LONGEST_S))
    limits = [limit_alone(limit, pool, replicas, away_s, LONGEST_S) for limit in had]
    assert sum(max(0, limit - 1) for limit in limits) <= pool
    assert sum(limits) <= pool or any(limit == 1 for limit in limits)
    assert sum(limits) <= pool or away_s >= LEASE_S
    assert all(limits) or away_s < LEASE_S


@given(st.lists(st.integers(0, 60), min_size=2, max_size=6), st.floats(0, 2 * LONGEST_S), st.floats(0, 2 * LONGEST_S))
def test_one_that_is_allowed_its_share_meets_none_above_theirs(had: list[int], one_s: float, other_s: float) -> None:
    """A slot is used for LONGEST_S at most, so what one had above its share is free before another gets all of its."""
    pool, count = sum(had), len(had)
    first = limit_alone(had[0], pool, count, one_s, LONGEST_S)
    share = max(1, pool // count)
    if first > max(1, had[0]):
        assert one_s >= LEASE_S + LONGEST_S
        assert first == share
    if other_s >= LEASE_S:
        assert limit_alone(had[1], pool, count, other_s, LONGEST_S) <= share


def test_what_the_script_is_told_and_what_it_answers() -> None:
    common = ["r1", 50, 1000 * LEASE_S, 1000 * SILENCE_S]
    assert Report(used=3, kept=7, wanted=2).arguments("r1", 50) == [*common, 3, 7, 2]
    assert leaving("r1", 50) == [*common, -1, 0, 0]
    assert Division.of([10, 5, 40, 1, 3, 0]) == Division(
        allotted=10, reserve=5, used=40, wanted=1, replicas=3, grants_in_ms=0
    )
