"""When a stream has to end, and when its client is told."""

import math

import pytest

from service.stream.clocks import FAILOVER_S, FINISH_S, GOAWAY_S, IDLE_S, Clocks
from service.stream.outcome import DRAINED, End, Outcome
from service.tokens import EXPIRED

BEGAN = 1000.0


def clocks(max_stream_s: float = 600.0) -> Clocks:
    return Clocks(BEGAN, max_stream_s)


def test_a_new_stream_only_has_its_limit_and_its_silence() -> None:
    new = clocks()
    assert (new.began_at, new.stopped_at, new.read_at) == (BEGAN, BEGAN, BEGAN)
    assert (new.answer_by, new.finish_by) == (math.inf, math.inf)
    assert (new.limit_at, new.limit_outcome.end) == (BEGAN + 600, End.TIME_LIMIT)
    assert new.next_deadline(BEGAN, stopped=False) == BEGAN + IDLE_S
    assert new.next_deadline(BEGAN, stopped=True) == math.inf


def test_the_client_is_told_before_the_limit_and_once() -> None:
    new = clocks()
    heard = BEGAN + 595
    due = BEGAN + 600 - GOAWAY_S
    assert new.next_deadline(heard, stopped=False) == due
    assert new.take_goaway(due - 0.001) is None
    assert new.take_goaway(due) == GOAWAY_S
    assert new.take_goaway(due + 1) is None
    assert new.next_deadline(heard, stopped=False) == BEGAN + 600


def test_a_short_stream_is_told_at_once() -> None:
    short = clocks(max_stream_s=2)
    assert short.next_deadline(BEGAN, stopped=False) == BEGAN
    assert short.take_goaway(BEGAN) == 2
    assert short.next_deadline(BEGAN, stopped=False) == BEGAN + 2


def test_what_is_left_is_never_negative() -> None:
    assert clocks(max_stream_s=2).take_goaway(BEGAN + 3) == 0


def test_a_process_that_is_stopped_ends_streams_early() -> None:
    new = clocks()
    new.end_early(BEGAN + 100, BEGAN + 70, DRAINED)
    assert (new.limit_at, new.limit_outcome) == (BEGAN + 100, DRAINED)
    assert new.next_deadline(BEGAN + 70, stopped=False) == BEGAN + 70
    assert new.take_goaway(BEGAN + 71) == 29
    assert new.next_deadline(BEGAN + 90, stopped=False) == BEGAN + 100


def test_a_stream_that_ends_before_keeps_its_reason() -> None:
    new = clocks()
    assert new.take_goaway(BEGAN + 595) == 5
    new.end_early(BEGAN + 600, BEGAN + 596, DRAINED)
    assert (new.limit_at, new.limit_outcome.end) == (BEGAN + 600, End.TIME_LIMIT)
    assert new.take_goaway(BEGAN + 597) is None


def test_who_was_told_of_the_limit_is_told_of_an_earlier_end() -> None:
    new = clocks()
    new.take_goaway(BEGAN + 591)
    new.end_early(BEGAN + 595, BEGAN + 592, DRAINED)
    assert new.take_goaway(BEGAN + 592) == 3


def test_a_token_that_ends_before_is_told_of_in_time() -> None:
    new, expired = clocks(), Outcome.failed(EXPIRED)
    new.end_early(BEGAN + 300, BEGAN + 300 - GOAWAY_S, expired)
    assert new.take_goaway(BEGAN + 289) is None
    assert new.next_deadline(BEGAN + 289, stopped=False) == BEGAN + 290
    assert new.take_goaway(BEGAN + 290) == GOAWAY_S
    assert (new.limit_at, new.limit_outcome) == (BEGAN + 300, expired)
    new.end_early(BEGAN + 299, BEGAN + 295, DRAINED)
    assert new.take_goaway(BEGAN + 295) == 4
    assert new.limit_outcome == DRAINED


def test_a_token_without_an_end_changes_nothing() -> None:
    new = clocks()
    new.end_early(math.inf, math.inf, Outcome.failed(EXPIRED))
    assert new.limit_outcome.end is End.TIME_LIMIT
    assert new.next_deadline(BEGAN + 580, stopped=False) == BEGAN + 590


@pytest.mark.parametrize(("settlings", "backlog_s", "expected_s"), [(1, 0.0, FINISH_S), (3, 2.5, 3 * FINISH_S + 2.5)])
def test_stop(settlings: int, backlog_s: float, expected_s: float) -> None:
    new = clocks()
    new.stop(BEGAN + 5, settlings, backlog_s)
    assert (new.stopped_at, new.finish_by) == (BEGAN + 5, BEGAN + 5 + expected_s)
    assert new.next_deadline(BEGAN, stopped=True) == BEGAN + 5 + expected_s


def test_time_in_which_the_client_was_not_listened_to_is_not_its_silence() -> None:
    new = clocks()
    assert new.idle_at(BEGAN + 3) == BEGAN + 3 + IDLE_S
    new.read_at = BEGAN + 9
    assert new.idle_at(BEGAN + 3) == BEGAN + 9 + IDLE_S
    assert new.idle_at(BEGAN + 12) == BEGAN + 12 + IDLE_S


@pytest.mark.parametrize("stopped", [True, False])
def test_the_recognizers_answer_is_waited_for_so_long(stopped: bool) -> None:
    new = clocks()
    new.answer_by = BEGAN + 2
    assert new.next_deadline(BEGAN, stopped=stopped) == BEGAN + 2
    new.finish_by = BEGAN + 1
    assert new.next_deadline(BEGAN, stopped=stopped) == BEGAN + 1


def test_a_connection_that_does_not_answer_is_overdue_once() -> None:
    new = clocks()
    assert not new.take_overdue(BEGAN + 1e6)
    new.answer_by = BEGAN + 10
    assert not new.take_overdue(BEGAN + 9.9)
    assert new.take_overdue(BEGAN + 10)
    assert not new.take_overdue(BEGAN + 10)


def test_behind_stop_a_lost_connection_may_be_replaced_for_a_while() -> None:
    new = clocks()
    new.stop(BEGAN + 5, settlings=2, backlog_s=1.5)
    assert (new.finish_by, new.give_up_at) == (BEGAN + 26.5, BEGAN + 26.5 + FAILOVER_S)
    assert new.take_overdue(BEGAN + 26.5)
    assert new.next_deadline(BEGAN, stopped=True) == new.give_up_at
    new.finish(BEGAN + 30, 1, 0.0)
    assert (new.finish_by, new.give_up_at) == (BEGAN + 40, BEGAN + 26.5 + FAILOVER_S)
