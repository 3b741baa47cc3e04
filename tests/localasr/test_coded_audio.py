import array
import itertools
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.coded_audio import coded_pcm, runs, silence


def test_coded_pcm() -> None:
    pcm = coded_pcm([(7, 20), silence(10), (-8, 5)], 8000)
    assert array.array("h", pcm).tolist() == [7] * 160 + [0] * 80 + [-8] * 40
    assert len(coded_pcm([(1, 1000)])) == 32000


def test_neighbors_must_differ() -> None:
    with pytest.raises(ValueError, match="two neighbors have the value 7"):
        coded_pcm([(7, 20), (7, 20)])


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 70)), max_size=20))
def test_runs_are_those_of_the_samples(parts: list[tuple[int, int]]) -> None:
    samples = [value for value, length in parts for _ in range(length)]
    expected = [(value, len(list(group))) for value, group in itertools.groupby(samples)]
    assert list(runs(struct.pack(f"<{len(samples)}h", *samples))) == expected
