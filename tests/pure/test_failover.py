"""When a stream dials again: for what may pass, after a pause, and not for ever."""

import dataclasses

import pytest

from service.failures import Problem, Slug, problem
from service.stream.failover import (
    FIRST_PATIENCE_S,
    JITTER,
    MAX_IN_VAIN,
    PATIENCE_S,
    PAUSES_S,
    Failover,
    Progress,
    audio_lost,
    may_pass,
)

LOST = problem(Slug.RECOGNIZER_UNAVAILABLE, "gone")
BUSY_THERE = dataclasses.replace(problem(Slug.RECOGNIZER_BUSY, "code 4006"), recognizer_code=4006)
BUSY_HERE = problem(Slug.RECOGNIZER_BUSY, "no slot")


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("slug", Slug)
def test_what_may_pass(slug: Slug, is_first: bool) -> None:
    passing = {Slug.RECOGNIZER_UNAVAILABLE, Slug.RECOGNIZER_TIMEOUT}
    assert may_pass(problem(slug, ""), is_first=is_first) is (slug in passing)


def test_busy_passes_for_a_stream_that_had_its_place() -> None:
    assert not may_pass(BUSY_THERE, is_first=True)
    assert may_pass(BUSY_THERE, is_first=False)
    assert not may_pass(BUSY_HERE, is_first=False)  # our own slots: it has waited already


def pause(
    history: Failover, occurred: Problem = LOST, *, was_of_use: bool = False, chance: float = 0.5
) -> float | None:
    return history.pause_s(occurred, 0, was_dialed=True, was_of_use=was_of_use, is_first=False, chance=chance)


def test_three_in_vain_in_a_row_are_enough() -> None:
    history = Failover(0)
    assert [pause(history) for _ in range(MAX_IN_VAIN)] == [PAUSES_S[1], PAUSES_S[2], None]
    assert MAX_IN_VAIN == 3


def test_what_was_of_use_counts_afresh() -> None:
    history = Failover(0)
    assert [pause(history, was_of_use=True) for _ in range(50)] == [PAUSES_S[0]] * 50
    assert [pause(history), pause(history)] == [PAUSES_S[1], PAUSES_S[2]]
    assert pause(history, was_of_use=True) == PAUSES_S[0]
    assert [pause(history), pause(history), pause(history)] == [PAUSES_S[1], PAUSES_S[2], None]


def test_a_proper_end_counts_afresh() -> None:
    history = Failover(0)
    assert [pause(history), pause(history)] == [PAUSES_S[1], PAUSES_S[2]]
    history.settled()
    assert [pause(history), pause(history), pause(history)] == [PAUSES_S[1], PAUSES_S[2], None]


def test_what_does_not_pass_ends_the_stream_at_once() -> None:
    assert pause(Failover(0), problem(Slug.RECOGNIZER_REJECTED, ""), was_of_use=True) is None
    history = Failover(0)
    assert history.pause_s(BUSY_THERE, 0, was_dialed=True, was_of_use=False, is_first=True, chance=0.5) is None


def test_pauses_are_spread() -> None:
    assert pause(Failover(0), chance=0.0) == pytest.approx(PAUSES_S[1] * (1 - JITTER))
    assert pause(Failover(0), chance=1.0) == pytest.approx(PAUSES_S[1] * (1 + JITTER))


@pytest.mark.parametrize(
    ("after", "is_beyond"),
    [
        (Progress(10, 20, 3), False),
        (Progress(11, 20, 3), True),
        (Progress(10, 30, 3), False),  # sent more, and heard nothing
        (Progress(10, 20, 4), False),  # heard the same again
        (Progress(10, 21, 4), True),
        (Progress(9, 21, 3), False),
    ],
)
def test_progress(after: Progress, is_beyond: bool) -> None:
    assert after.is_beyond(Progress(10, 20, 3)) is is_beyond


def test_what_the_client_is_told_of_audio_that_is_not_kept() -> None:
    told = audio_lost(300, 4800)
    assert (told.slug, told.fatal, told.from_ms, told.to_ms) == (Slug.AUDIO_LOST, False, 300, 4800)


def refused(history: Failover, now: float, *, is_first: bool = False) -> float | None:
    return history.pause_s(LOST, now, was_dialed=False, was_of_use=False, is_first=is_first, chance=0.5)


def test_what_the_breaker_refuses_is_no_attempt_and_is_waited_for_within_reason() -> None:
    history = Failover(0)
    assert pause(history) == PAUSES_S[1]
    assert [refused(history, now) for now in (1, 5, PATIENCE_S - 0.1)] == [PAUSES_S[1]] * 3
    assert refused(history, PATIENCE_S) is None
    assert pause(history, was_of_use=True) == PAUSES_S[0]
    history.settled()
    assert refused(history, 100) == PAUSES_S[0]
    assert refused(history, 100 + PATIENCE_S) is None


def test_a_new_stream_does_not_wait_for_the_breaker() -> None:
    assert refused(Failover(0), 0, is_first=True) is None


def test_a_new_stream_is_not_kept_waiting_for_a_third_slow_attempt() -> None:
    history = Failover(100)

    def slow(now: float, *, is_first: bool) -> float | None:
        return history.pause_s(LOST, now, was_dialed=True, was_of_use=False, is_first=is_first, chance=0.5)

    assert slow(100 + FIRST_PATIENCE_S + 2, is_first=True) == PAUSES_S[1]  # one that was silent for 10 s is replaced
    assert slow(100 + FIRST_PATIENCE_S + 3, is_first=True) is None
    assert slow(100 + FIRST_PATIENCE_S + 3, is_first=False) is None  # three in a row
    history = Failover(100)
    assert slow(100 + 1, is_first=True) == PAUSES_S[1]
    assert slow(100 + FIRST_PATIENCE_S - 0.1, is_first=True) == PAUSES_S[2]
