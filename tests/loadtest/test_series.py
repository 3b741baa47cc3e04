"""Curves over time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.histograms import Histogram
from loadtest.record import Ending, StreamRecord
from loadtest.series import MAX_POINTS, Series
from tests.loadtest.stream_records import RECORDS, completed, failed


def series_of(interval_s: float, *records: StreamRecord) -> Series:
    series = Series(interval_s)
    for record in records:
        series.add(record)
    return series


def test_streams_over_time() -> None:
    points = series_of(
        1.0,
        completed(0, at_ended_s=2.5),
        completed(0, at_ended_s=2.6, finalization_s=0.4),
        failed(1, Ending.REFUSED, slug="overloaded"),
        failed(1, Ending.UNREACHABLE),
        failed(1, Ending.CANCELED, at_ended_s=4.0),
    ).points()
    assert [point.at_s for point in points] == [0, 1, 2, 3, 4]
    assert [point.arrivals for point in points] == [2, 3, 0, 0, 0]
    assert [point.active for point in points] == [2, 3, 1, 1, 0]
    assert [point.succeeded for point in points] == [0, 0, 2, 0, 0]
    assert [point.not_succeeded for point in points] == [0, 2, 0, 0, 0]
    assert points[1].slugs == {"overloaded": 1, "unreachable": 1}
    assert points[2].latencies_ms["finalization"] == pytest.approx((200, 400, 2), rel=0.001)
    assert points[1].latencies_ms == {}


def test_a_run_that_outgrows_its_intervals_gets_longer_ones_and_loses_nothing() -> None:
    series = Series(1.0)
    for number in range(5000):
        series.add(completed(number))
    points = series.points()
    assert series.interval_s == 16.0
    assert len(points) <= MAX_POINTS
    assert sum(point.arrivals for point in points) == sum(point.succeeded for point in points) == 5000
    assert sum(point.latencies_ms.get("setup", (0, 0, 0))[2] for point in points) == 5000
    assert points[-1].active == 0


def test_how_late_frames_were_sent() -> None:
    worker = Histogram()
    worker.record(0.002)
    series = Series(2.0)
    series.add_send_lateness(3.0, worker.counts)
    series.add_send_lateness(3.9, worker.counts)
    points = series.points()
    assert [point.send_lateness_p99_ms for point in points] == [None, pytest.approx(2, rel=0.001)]


def test_an_interval_has_a_length_and_nothing_has_no_points() -> None:
    assert Series(1.0).points() == ()
    with pytest.raises(ValueError, match="longer than nothing"):
        Series(0)


@given(st.lists(RECORDS, max_size=15), st.sampled_from([0.05, 0.3, 1.0, 50.0]))
@settings(deadline=None)
def test_coarse_intervals_hold_what_fine_ones_do(records: list[StreamRecord], interval_s: float) -> None:
    points = series_of(interval_s, *records).points()
    ended = [record for record in records if record.ending is not Ending.CANCELED]
    assert len(points) <= MAX_POINTS
    assert sum(point.arrivals for point in points) == len(records)
    assert sum(point.succeeded for point in points) == sum(record.is_success for record in ended)
    assert sum(sum(point.slugs.values()) for point in points) == sum(point.not_succeeded for point in points)
    assert sum(point.succeeded + point.not_succeeded for point in points) == len(ended)
    assert all(point.active >= 0 for point in points)
    assert not points or points[-1].active == 0
