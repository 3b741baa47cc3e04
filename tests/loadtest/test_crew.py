"""How many processes a run gets."""

import pytest

from loadtest.crew import STREAMS_PER_PROCESS, default_processes, usable_cpus


@pytest.mark.parametrize(
    ("peak", "cpus", "processes"),
    [
        (0, 8, 1),
        (1, 8, 1),
        (STREAMS_PER_PROCESS, 8, 1),
        (STREAMS_PER_PROCESS + 1, 8, 2),
        (10 * STREAMS_PER_PROCESS, 8, 8),
        (10 * STREAMS_PER_PROCESS, 1, 1),
    ],
)
def test_as_many_as_the_peak_needs_and_no_more_than_there_are_cpus(peak: int, cpus: int, processes: int) -> None:
    assert default_processes(peak, cpus) == processes


def test_this_machine_has_a_cpu() -> None:
    assert usable_cpus() >= 1
