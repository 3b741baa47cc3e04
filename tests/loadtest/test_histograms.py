"""Histograms agree with the values themselves, and with the library whose format they have."""

import math
from fractions import Fraction

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.histograms import (
    HIGHEST_S,
    HIGHEST_US,
    Histogram,
    HistogramError,
    Histograms,
    bucket_of,
    bucket_us,
    rank_of,
)

VALUES_S = st.lists(st.floats(min_value=0, max_value=HIGHEST_S), min_size=1, max_size=60)
PERCENTILES = st.sampled_from(["0", "1", "25", "50", "90", "99", "99.9", "100"])


def histogram_of(values_s: list[float]) -> Histogram:
    histogram = Histogram()
    for value_s in values_s:
        histogram.record(value_s)
    return histogram


@given(VALUES_S, PERCENTILES, st.integers(min_value=0, max_value=20))
def test_percentiles_are_the_exact_ones_within_the_resolution(
    values_s: list[float], percentile: str, missing: int
) -> None:
    everything = sorted([*values_s, *[math.inf] * missing])
    rank = max(1, math.ceil(Fraction(percentile) * len(everything) / 100))
    exact_s = everything[rank - 1]
    found_s = histogram_of(values_s).percentile_s(percentile, missing)
    assert found_s is not None
    if math.isinf(exact_s):
        assert math.isinf(found_s)
    else:
        assert exact_s - 1e-6 <= found_s <= exact_s * 1.001 + 1e-6


@given(VALUES_S, VALUES_S)
@settings(deadline=None)
def test_what_is_added_up_is_the_histogram_of_all_values(one_s: list[float], other_s: list[float]) -> None:
    merged = Histograms()
    for part in (one_s, other_s):
        worker = Histograms()
        for value_s in part:
            worker.record("ready", value_s)
        merged.add_encoded(worker.encode())
    whole = histogram_of(one_s + other_s)
    assert merged["ready"].counts == whole.counts
    assert merged.count("ready") == whole.count == len(one_s) + len(other_s)
    assert merged.percentile_s("ready", 50, missing=1) == whole.percentile_s(50, missing=1)


@given(st.integers(min_value=0, max_value=HIGHEST_US))
def test_buckets_are_those_of_the_library(microseconds: int) -> None:
    library = HdrHistogram(1, HIGHEST_US, 3)
    assert bucket_us(microseconds) == library.get_lowest_equivalent_value(microseconds)
    assert bucket_of(microseconds / 1e6) == bucket_us(microseconds)
    highest_s = histogram_of([microseconds / 1e6]).percentile_s(100)
    assert highest_s == library.get_highest_equivalent_value(microseconds) / 1e6


def test_the_library_reads_what_we_write() -> None:
    ours = histogram_of([0.001, 0.5, 0.5, 3599.0])
    read = HdrHistogram.decode(ours.encode())
    assert read.get_total_count() == 4
    assert read.get_value_at_percentile(50) / 1e6 == ours.percentile_s(50)
    assert read.get_max_value() / 1e6 == ours.percentile_s(100)


def test_a_negative_value_is_zero_and_one_above_an_hour_is_an_hour_and_counted() -> None:
    histograms = Histograms()
    for value_s in (-5.0, -0.001, -math.inf, HIGHEST_S, HIGHEST_S + 1, math.inf):
        histograms.record("ready", value_s)
    assert histograms["ready"].counts == {0: 3, bucket_us(HIGHEST_US): 3}
    assert histograms.clamped == 2
    with pytest.raises(ValueError, match="not a number"):
        histograms.record("ready", math.nan)
    assert histograms.count("ready") == 6


def test_without_samples_there_is_no_percentile_and_with_only_missing_ones_it_never_comes() -> None:
    assert Histogram().percentile_s(50) is None
    assert Histogram().percentile_s(50, missing=1) == math.inf
    assert Histogram.decode(Histogram().encode()).counts == {}


def test_ranks_are_not_rounded_by_floating_point() -> None:
    assert rank_of("99.9", 1000) == 999
    assert rank_of(99.9, 1000) == 999
    assert rank_of("99.9", 1001) == 1000
    assert rank_of(0, 10) == 1
    assert rank_of(100, 10) == 10


def test_figures() -> None:
    histograms = Histograms()
    for value_ms in range(1, 101):
        histograms.record("ready", value_ms / 1000)
    figures = histograms.figures("ready", missing=3, missing_refused=2)
    assert (figures.count, figures.missing, figures.missing_refused) == (100, 3, 2)
    assert figures.p50_ms == pytest.approx(50, rel=0.001)
    assert figures.p99_9_ms == figures.max_ms == pytest.approx(100, rel=0.001)
    empty = histograms.figures("setup")
    assert (empty.count, empty.p50_ms, empty.max_ms) == (0, None, None)


@given(st.text(max_size=60))
def test_text_that_is_no_histogram_is_refused(text: str) -> None:
    with pytest.raises(HistogramError):
        Histogram.decode(text)


@given(st.data())
@settings(deadline=None)
def test_a_damaged_histogram_is_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    text = histogram_of([0.001 * number for number in range(200)]).encode()
    position = data.draw(st.integers(min_value=0, max_value=len(text) - 1))
    damaged = text[:position] + data.draw(st.sampled_from("Aa0+/=é")) + text[position + 1 :]
    try:
        found = Histogram.decode(damaged)
    except HistogramError:
        return
    assert found.count >= 0


def test_a_histogram_of_another_range_and_one_that_is_too_long_are_refused_with_nothing_added() -> None:
    other = HdrHistogram(1, 1000, 2)
    other.record_value(5)
    histograms = Histograms()
    good = histogram_of([0.5]).encode()
    with pytest.raises(HistogramError, match="another range"):
        histograms.add_encoded({"ready": good, "setup": other.encode().decode()})
    with pytest.raises(HistogramError, match="2000000 characters"):
        histograms.add_encoded({"ready": "A" * 2_000_000})
    assert histograms.count("ready") == 0
