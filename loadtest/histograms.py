"""Latencies as HdrHistograms: 1 µs to 1 h at three significant digits, so that runs of any length add up exactly. Pure.

A histogram is held as a sparse table of HdrHistogram's buckets, because the series of a long run has thousands of them
and a dense one takes 190 KB. The library reads and writes the wire format (V2, compressed, base64), so that any other
HdrHistogram tool can read what is in a summary.
"""

import math
import zlib
from collections.abc import Mapping
from fractions import Fraction
from typing import Final, Self

from hdrh.codec import HdrCookieException, HdrHistogramEncoder, HdrLengthException
from hdrh.histogram import HdrHistogram

from loadtest.summary import LatencyFigures

LOWEST_US: Final = 1
HIGHEST_US: Final = 3_600_000_000  # 1 h: no deadline of a phone is longer
HIGHEST_S: Final = HIGHEST_US / 1e6
SIGNIFICANT_DIGITS: Final = 3
_RANGE: Final = (LOWEST_US, HIGHEST_US, SIGNIFICANT_DIGITS)

# Three digits take 2048 buckets (a power of two, at least 2 * 10**3) from zero on; beyond, each doubling of the value
# has 1024, so that a value keeps its 11 leading bits.
_KEPT_BITS: Final = 11
_MAX_ENCODED: Final = 1_000_000  # every bucket in use, each with a count of 9 bytes, is 300 KB


class HistogramError(ValueError):
    """Text that is not a histogram of ours."""


def bucket_us(microseconds: int) -> int:
    """The lowest value of the bucket that holds this one: two values of one bucket cannot be told apart."""
    shift = microseconds.bit_length() - _KEPT_BITS
    return microseconds >> shift << shift if shift > 0 else microseconds


def bucket_of(value_s: float) -> int:
    """The bucket of a latency or of a limit, in seconds; negative values are 0, those above an hour the last bucket."""
    return bucket_us(int(min(max(0.0, value_s), HIGHEST_S) * 1e6 + 0.5))


def rank_of(percentile: float | str, total: int) -> int:
    """The place, from 1, of a percentile among `total` sorted values: the first that has so many at or below it."""
    return max(1, math.ceil(Fraction(str(percentile)) * total / 100))


class Histogram:
    """Counts by bucket. Percentiles are the highest value of their bucket, as HdrHistogram gives them."""

    __slots__ = ("clamped", "count", "counts")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        """By the lowest value of the bucket, in microseconds. At most 24 thousand."""
        self.count = 0
        self.clamped = 0
        """Values above an hour, recorded as an hour."""

    def record(self, value_s: float) -> None:
        """Add one value. A negative one counts as 0. Raises `ValueError` for one that is not a number."""
        microseconds = int(value_s * 1e6 + 0.5) if 0 <= value_s < HIGHEST_S else self._clamp(value_s)
        shift = microseconds.bit_length() - _KEPT_BITS
        bucket = microseconds >> shift << shift if shift > 0 else microseconds  # `bucket_us`, without the call
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.count += 1

    def _clamp(self, value_s: float) -> int:
        if math.isnan(value_s):
            raise ValueError("not a number")
        if value_s <= 0:
            return 0
        self.clamped += value_s > HIGHEST_S
        return HIGHEST_US

    def add(self, other: "Histogram") -> None:
        """Add all values of another; the result is the same as if they had been recorded here."""
        self.add_buckets(other.counts)
        self.clamped += other.clamped

    def add_buckets(self, counts: Mapping[int, int]) -> None:
        """Add the `counts` of another, as they go from a worker to the conductor."""
        for bucket, count in counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
            self.count += count

    def percentile_s(self, percentile: float | str, missing: int = 0) -> float | None:
        """The value that this percentage of all values does not exceed, where `missing` more never came (infinity).

        None when there are neither values nor missing ones.
        """
        if self.count + missing == 0:
            return None
        rank = rank_of(percentile, self.count + missing)
        for bucket in sorted(self.counts):
            rank -= self.counts[bucket]
            if rank <= 0:
                return _highest_us(bucket) / 1e6
        return math.inf

    def encode(self) -> str:
        """As HdrHistogram V2, compressed, in base64."""
        histogram = HdrHistogram(*_RANGE)
        for bucket, count in self.counts.items():
            histogram.record_value(bucket, count)
        encoded: bytes = histogram.encode()
        return encoded.decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Self:
        """What `encode` gave. Raises `HistogramError`."""
        if len(text) > _MAX_ENCODED:
            raise HistogramError(f"not a histogram of a latency: {len(text)} characters")
        try:
            payload = HdrHistogramEncoder.decode(text)
            header = payload.payload
            found = (header.lowest_trackable_value, header.highest_trackable_value, header.significant_figures)
            if found != _RANGE:
                raise HistogramError(f"a histogram of another range: {found} in place of {_RANGE}")
            dense = HdrHistogram(*_RANGE, hdr_payload=payload)
        except HistogramError:
            raise
        except (ValueError, IndexError, OverflowError, AssertionError) as error:
            raise HistogramError("not an HdrHistogram V2 in base64") from error
        except (MemoryError, zlib.error, HdrCookieException, HdrLengthException) as error:
            raise HistogramError("not an HdrHistogram V2 in base64") from error
        histogram = cls()
        for index, count in enumerate(dense.counts[:]):  # sliced: a list is walked in half the time
            if count:
                histogram.counts[dense.get_value_from_index(index)] = count
                histogram.count += count
        return histogram


class Histograms:
    """Histograms by name; one that was not recorded is empty."""

    def __init__(self) -> None:
        self._histograms: dict[str, Histogram] = {}

    @property
    def clamped(self) -> int:
        """Values above an hour that were recorded here as an hour."""
        return sum(histogram.clamped for histogram in self._histograms.values())

    def __getitem__(self, name: str) -> Histogram:
        """The histogram itself, made when it is not there; a loop that records much keeps it."""
        histogram = self._histograms.get(name)
        if histogram is None:
            histogram = self._histograms[name] = Histogram()
        return histogram

    def record(self, name: str, value_s: float) -> None:
        """Add one value, in seconds; see `Histogram.record`."""
        self[name].record(value_s)

    def add_encoded(self, encoded: Mapping[str, str]) -> None:
        """Add what another's `encode` gave. Raises `HistogramError`, with nothing added."""
        decoded = {name: Histogram.decode(text) for name, text in encoded.items()}
        for name, histogram in decoded.items():
            self[name].add(histogram)

    def add_buckets(self, counts: Mapping[str, Mapping[int, int]]) -> None:
        """Add the `counts` of another's histograms, by name."""
        for name, buckets in counts.items():
            self[name].add_buckets(buckets)

    def encode(self) -> dict[str, str]:
        """Each by its name."""
        return {name: histogram.encode() for name, histogram in self._histograms.items()}

    def count(self, name: str) -> int:
        """How many values there are."""
        return self[name].count

    def percentile_s(self, name: str, percentile: float | str, missing: int = 0) -> float | None:
        """See `Histogram.percentile_s`."""
        return self[name].percentile_s(percentile, missing)

    def figures(self, name: str, missing: int = 0, missing_refused: int = 0) -> LatencyFigures:
        """As a summary holds them: percentiles of the values that came."""
        histogram = self[name]
        return LatencyFigures(
            count=histogram.count,
            missing=missing,
            missing_refused=missing_refused,
            p50_ms=_ms(histogram.percentile_s(50)),
            p90_ms=_ms(histogram.percentile_s(90)),
            p99_ms=_ms(histogram.percentile_s(99)),
            p99_9_ms=_ms(histogram.percentile_s("99.9")),
            max_ms=_ms(histogram.percentile_s(100)),
            histogram=histogram.encode(),
        )


def _highest_us(bucket: int) -> int:
    return bucket + (1 << max(0, bucket.bit_length() - _KEPT_BITS)) - 1


def _ms(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s * 1000, 3)
