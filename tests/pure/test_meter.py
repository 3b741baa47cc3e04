"""How fast messages may come."""

from hypothesis import given
from hypothesis import strategies as st

from service.failures import Slug
from service.stream.meter import BURST_S, MessageMeter

# (seconds since the last read, messages in it)
READS = st.lists(st.tuples(st.floats(0, 8), st.integers(0, 400)), max_size=60)


def test_a_burst_and_then_the_rate() -> None:
    meter = MessageMeter(200)
    assert meter.charge(2000, 7.0) is None
    refused = meter.charge(1, 7.0)
    assert refused is not None
    assert (refused.slug, refused.fatal, refused.failure.close_code) == (Slug.QUOTA_EXCEEDED, True, 4429)
    assert "200 messages a second" in refused.message
    assert refused.retry_after_ms is not None
    assert refused.retry_after_ms > 0
    assert meter.charge(0, 7.0) is not None, "still too many"
    assert meter.charge(99, 7.5) is None  # 100 more are paid for, one was taken beyond


def test_a_recorder_is_never_refused() -> None:
    """50 frames a second, and whatever a phone kept while it was without a network for 20 s."""
    meter, now = MessageMeter(200), 0.0
    for _ in range(5000):
        now += 0.02
        assert meter.charge(1, now) is None
    assert meter.charge(1000, now + 20) is None


@given(READS, st.integers(10, 500))
def test_no_stretch_of_time_has_more_than_a_burst_and_the_rate(reads: list[tuple[float, int]], rate: int) -> None:
    meter, now = MessageMeter(rate), 0.0
    passed: list[tuple[float, int]] = []
    for pause_s, count in reads:
        now += pause_s
        if meter.charge(count, now) is not None:
            break
        passed.append((now, count))
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            stretch_s = passed[last][0] - passed[first][0]
            assert sum(count for _, count in passed[first : last + 1]) <= rate * (BURST_S + stretch_s) + 1e-6


@given(READS, st.integers(10, 500))
def test_it_is_a_bucket(reads: list[tuple[float, int]], rate: int) -> None:
    """The same answers as a bucket that fills at the rate and holds the burst."""
    meter, level, now = MessageMeter(rate), rate * BURST_S, 0.0
    for pause_s, count in reads:
        now += pause_s
        level = min(rate * BURST_S, level + pause_s * rate) - count
        if abs(level) > 1e-6:
            assert (meter.charge(count, now) is None) == (level > 0)
        else:
            meter.charge(count, now)
