"""No second has more beginnings than allowed, and no queue is longer than allowed."""

from hypothesis import given
from hypothesis import strategies as st

from service.recognizer.rate import Rate


def test_the_first_begin_at_once_and_the_next_a_second_later() -> None:
    rate = Rate(3, waiting=2)
    assert [rate.reserve(10) for _ in range(6)] == [10, 10, 10, 11, 11, None]
    assert rate.free_after_s(10) == 1
    assert rate.reserve(10.5) is None
    assert rate.reserve(11) == 11
    assert rate.reserve(11) == 12
    assert rate.free_after_s(20) == 0
    assert Rate(1, 1).free_after_s(0) == 0


@given(st.lists(st.floats(0, 0.5), max_size=80), st.integers(1, 5), st.integers(1, 5))
def test_in_any_second(pauses_s: list[float], per_s: int, waiting: int) -> None:
    rate, now_s = Rate(per_s, waiting), 0.0
    begun: list[float] = []
    for pause_s in pauses_s:
        now_s += pause_s
        begins_s = rate.reserve(now_s)
        ahead = [begin_s for begin_s in begun if begin_s > now_s]
        assert (begins_s is None) == (len(ahead) >= waiting)
        if begins_s is not None:
            assert begins_s >= now_s
            begun.append(begins_s)
    assert begun == sorted(begun)
    assert all(later >= earlier + 1 for earlier, later in zip(begun, begun[per_s:], strict=False))
