"""The outcomes of a stream: the expected ends and the failure catalogue, each under one label, and its close."""

import pytest

from service.failures import Slug, problem
from service.stream.outcome import OUTCOME_LABELS, End, Outcome


def test_a_failure_is_labeled_by_its_slug() -> None:
    occurred = problem(Slug.IDLE_TIMEOUT, "Nothing came.")
    assert Outcome.failed(occurred) == Outcome(Slug.IDLE_TIMEOUT, occurred)


def test_an_expected_end_has_no_problem() -> None:
    assert Outcome(End.COMPLETED) == Outcome(End.COMPLETED, None)


def test_labels_are_all_ends_and_all_slugs_once() -> None:
    assert OUTCOME_LABELS[:5] == ("completed", "time_limit", "drained", "canceled", "client_left")
    assert sorted(OUTCOME_LABELS[5:]) == sorted(Slug)
    assert len(set(OUTCOME_LABELS)) == len(OUTCOME_LABELS)


@pytest.mark.parametrize(
    ("outcome", "close"),
    [
        (Outcome(End.COMPLETED), (1000, "completed")),
        (Outcome(End.TIME_LIMIT), (1000, "time_limit")),
        (Outcome(End.CANCELED), (1000, "canceled")),
        (Outcome(End.CLIENT_LEFT), (1000, "client_left")),
        (Outcome(End.DRAINED), (1012, "restarting")),  # settled to its end, and to be resumed elsewhere
        (Outcome.failed(problem(Slug.RESTARTING, "Stopped.")), (1012, "restarting")),
        (Outcome.failed(problem(Slug.IDLE_TIMEOUT, "Nothing came.")), (4408, "idle_timeout")),
    ],
)
def test_each_outcome_has_its_close(outcome: Outcome, close: tuple[int, str]) -> None:
    assert (outcome.close_code, outcome.close_reason) == close


@pytest.mark.parametrize("end", list(End))
def test_stopped_is_owed_where_everything_was_settled(end: End) -> None:
    assert Outcome(end).is_owed_stopped == (end in (End.COMPLETED, End.TIME_LIMIT, End.DRAINED))
    assert not Outcome.failed(problem(Slug.TOKEN_EXPIRED, "Over.")).is_owed_stopped
