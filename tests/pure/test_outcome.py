"""The outcomes of a stream: the expected ends and the failure catalogue, each under one label."""

from service.failures import Slug, problem
from service.stream.outcome import OUTCOME_LABELS, End, Outcome


def test_a_failure_is_labeled_by_its_slug() -> None:
    occurred = problem(Slug.IDLE_TIMEOUT, "Nothing came.")
    assert Outcome.failed(occurred) == Outcome(Slug.IDLE_TIMEOUT, occurred)


def test_an_expected_end_has_no_problem() -> None:
    assert Outcome(End.COMPLETED) == Outcome(End.COMPLETED, None)


def test_labels_are_all_ends_and_all_slugs_once() -> None:
    assert OUTCOME_LABELS[:4] == ("completed", "time_limit", "canceled", "client_left")
    assert sorted(OUTCOME_LABELS[4:]) == sorted(Slug)
    assert len(set(OUTCOME_LABELS)) == len(OUTCOME_LABELS)
