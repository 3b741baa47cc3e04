"""The decision whether one more stream may run."""

import pytest

from service.failures import Problem, Slug, problem
from service.lifecycle import Phase
from service.stream.admission import Load, refusal


def restarting(phase: str) -> Problem:
    return problem(Slug.RESTARTING, f"This instance is {phase}; connect again.", retry_after_ms=1500)


FULL = problem(
    Slug.OVERLOADED, "All 2 places for streams are taken; try again after the hint.", retry_after_ms=1500
)  # fmt: skip


@pytest.mark.parametrize(
    ("phase", "streams", "expected"),
    [
        (Phase.SERVING, 0, None),
        (Phase.SERVING, 1, None),
        (Phase.SERVING, 2, FULL),
        (Phase.SERVING, 3, FULL),
        (Phase.STARTING, 0, restarting("starting")),
        (Phase.DRAINING, 0, restarting("draining")),
        (Phase.DRAINING, 2, restarting("draining")),  # told to go elsewhere, not to come back here
    ],
)
def test_refusal(phase: Phase, streams: int, expected: Problem | None) -> None:
    assert refusal(Load(phase, streams, max_streams=2), retry_after_ms=1500) == expected


SHED = problem(
    Slug.OVERLOADED, "This instance has more to do than it can; try again after the hint.", retry_after_ms=6500
)


@pytest.mark.parametrize(
    ("phase", "streams", "expected"),
    [
        (Phase.SERVING, 0, SHED),
        (Phase.SERVING, 2, SHED),  # the longer hint
        (Phase.DRAINING, 0, restarting("draining")),
    ],
)
def test_refusal_while_the_event_loop_is_late(phase: Phase, streams: int, expected: Problem) -> None:
    assert refusal(Load(phase, streams, max_streams=2, shed_for_ms=5000), retry_after_ms=1500) == expected
