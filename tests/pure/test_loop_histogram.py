"""Our histogram and the client library's count the same. Without Trio."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from service.telemetry.histogram import LoopHistogram

EDGES = (0.001, 0.0025, 0.1, 1.0, 5.0)
_edges = st.lists(st.floats(0, 1e6), min_size=1, max_size=8, unique=True).map(sorted)  # none below 0: they are times
_values = st.lists(st.floats(allow_nan=False) | st.sampled_from(EDGES), max_size=30)


def exposed(values: list[float], edges: list[float], kind: type[LoopHistogram] | type[Histogram]) -> list[str]:
    """What a scrape sees of a histogram that was given these values, but for the time at which it was made."""
    registry = CollectorRegistry(auto_describe=True)
    histogram = kind("delay_seconds", "How late", buckets=edges, registry=registry)
    for value in values:
        histogram.observe(value)
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@given(_values, _edges | st.just(list(EDGES)))
def test_a_scrape_sees_the_same(values: list[float], edges: list[float]) -> None:
    assert exposed(values, edges, LoopHistogram) == exposed(values, edges, Histogram)


@pytest.mark.parametrize("edge", EDGES)
def test_an_edge_belongs_to_the_bucket_below(edge: float) -> None:
    registry = CollectorRegistry()
    histogram = LoopHistogram("delay", "How late", buckets=EDGES, registry=registry)
    histogram.observe(edge)
    histogram.observe(math.nextafter(edge, math.inf))
    counts = [registry.get_sample_value("delay_bucket", {"le": str(other)}) for other in EDGES]
    place = EDGES.index(edge)
    assert counts[: place + 1] == [0.0] * place + [1.0]
    assert counts[place + 1 :] == [2.0] * (len(EDGES) - place - 1)
    assert registry.get_sample_value("delay_bucket", {"le": "+Inf"}) == 2


def test_before_the_first_value_every_bucket_is_there() -> None:
    registry = CollectorRegistry()
    LoopHistogram("delay", "How late", buckets=EDGES, registry=registry)
    (family,) = registry.collect()
    assert [(sample.name, sample.value) for sample in family.samples] == [
        *[("delay_bucket", 0)] * (len(EDGES) + 1),
        ("delay_count", 0),
        ("delay_sum", 0),
    ]


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry(auto_describe=True)
    LoopHistogram("delay", "How late", buckets=EDGES, registry=registry)
    with pytest.raises(ValueError, match="delay"):
        Histogram("delay", "How late", registry=registry)
