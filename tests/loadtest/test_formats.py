"""Figures as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.formats import format_bytes, format_count, format_ms, format_ratio, format_seconds, plural


@pytest.mark.parametrize(
    ("value_s", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "never"),
        (0, "0 ms"),
        (0.00085, "850 µs"),
        (0.0123, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.2, "1.20 s"),
        (99.96, "1 min 40 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (-0.003, "-3.00 ms"),
    ],
)
def test_durations(value_s: float | None, text: str) -> None:
    assert format_seconds(value_s) == text


def test_milliseconds_are_the_same() -> None:
    assert format_ms(12.34) == "12.3 ms"
    assert format_ms(1000.4, digits=4) == "1.000 s"
    assert format_ms(None) == "–"


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(None, "–"), (0, "0%"), (1, "100%"), (0.5, "50%"), (0.9995, "99.95%"), (0.99999, "99.999%"), (1e-5, "0.001%")],
)
def test_shares(ratio: float | None, text: str) -> None:
    assert format_ratio(ratio) == text


@given(st.floats(min_value=0, max_value=1))
def test_only_all_is_100_percent_and_only_nothing_is_0(ratio: float) -> None:
    text = format_ratio(ratio)
    assert (text == "100%") == (ratio == 1)
    assert (text == "0%") == (ratio == 0)


def test_counts_and_sizes() -> None:
    assert format_count(1234567) == "1,234,567"
    assert format_count(0.25) == "0.2"
    assert plural(1, "stream") == "1 stream"
    assert plural(2000, "stream") == "2,000 streams"
    assert plural(2, "reply", "replies") == "2 replies"
    assert [format_bytes(size) for size in (512, 1536, 20 * 2**20, 3 * 2**40)] == [
        "512 B",
        "1.50 KiB",
        "20.0 MiB",
        "3.00 TiB",
    ]
