"""From scrapes to curves. What Prometheus's own client writes is what is read here."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from loadtest.scrape import NotMetrics, parse
from loadtest.server_curves import (
    CURVES,
    MAX_POINTS,
    NAMES,
    Sample,
    Scrape,
    ServerPoints,
    has_restarted,
    quantile,
    server_info,
    server_point,
)
from loadtest.summary import ServerPoint
from service.telemetry.metrics import Metrics


def scraped(at_s: float, **values: float) -> Scrape:
    return Scrape(at_s, tuple(Sample(name, {}, value) for name, value in values.items()))


def of(metrics: Metrics, at_s: float) -> Scrape:
    return parse(metrics.exposition().decode(), at_s)


def test_gauges_of_our_service() -> None:
    metrics = Metrics()
    metrics.streams_active.set(12)
    metrics.connections_active.set(13)
    metrics.tasks.set(99)
    metrics.recognizer_slots.labels("used").set(7)
    metrics.recognizer_slots.labels("free").set(100)
    metrics.recognizer_slots.labels("waited_for").set(2)
    point = server_point(None, of(metrics, 4.0))
    values = dict(point.values)
    assert values.pop("memory_mib") > 1  # of this process
    assert (point.at_s, values) == (
        4.0,
        {"streams": 12, "connections": 13, "slots_used": 7, "slots_waiting": 2, "tasks": 99},
    )
    assert list(point.values) == [name for name in CURVES if name in point.values]


def test_what_is_counted_over_an_interval() -> None:
    metrics = Metrics()
    metrics.event_loop_lag.observe(4.0)  # before the first scrape: not of this interval
    metrics.messages_rejected.labels("overloaded").inc(10)
    before = of(metrics, 10.0)
    for _ in range(99):
        metrics.event_loop_lag.observe(0.0005)
    metrics.event_loop_lag.observe(0.009)
    metrics.finalization.observe(0.25)
    metrics.messages_rejected.labels("overloaded").inc(4)
    metrics.messages_rejected.labels("internal").inc(2)  # a series that was not there
    metrics.recognizer_errors.labels("lost").inc(1)
    values = server_point(before, of(metrics, 12.0)).values
    assert values["rejected_per_s"] == 3.0
    assert values["recognizer_errors_per_s"] == 0.5
    assert values["loop_lag_p99_ms"] == pytest.approx(1.0)
    assert values["finalization_p99_ms"] == pytest.approx(200 + 0.99 * 100)
    assert "first_partial_p99_ms" not in values  # nothing was observed
    assert values["cpu_share"] >= 0
    assert set(values) <= set(CURVES)


def test_any_process_with_the_usual_metrics() -> None:
    before = scraped(0.0, process_cpu_seconds_total=5.0, process_start_time_seconds=1e9)
    after = scraped(
        2.0,
        process_cpu_seconds_total=6.5,
        process_resident_memory_bytes=3 * 2**20,
        process_start_time_seconds=1e9,
        go_goroutines=7,
    )
    assert server_point(before, after).values == {"cpu_share": 0.75, "memory_mib": 3.0}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"process_start_time_seconds": 1.0}, {"process_start_time_seconds": 2.0}),
        ({"process_start_time_seconds": 1.0}, {}),
        ({"process_cpu_seconds_total": 5.0}, {"process_cpu_seconds_total": 0.1}),
        ({"voice_messages_rejected_total": 5.0}, {}),
    ],
)
def test_a_restart_leaves_a_gap_in_what_is_counted(before: dict[str, float], after: dict[str, float]) -> None:
    earlier, later = scraped(0.0, voice_tasks=1, **before), scraped(2.0, voice_tasks=2, **after)
    assert has_restarted(earlier, later)
    assert not has_restarted(earlier, earlier)
    assert server_point(earlier, later).values == {"tasks": 2}


def test_a_restart_is_seen_in_a_histogram() -> None:
    metrics = Metrics()
    metrics.event_loop_lag.observe(0.02)
    assert has_restarted(of(metrics, 0.0), of(Metrics(), 2.0))


def test_two_scrapes_at_one_time_have_no_rate() -> None:
    same = scraped(1.0, process_cpu_seconds_total=5.0, voice_tasks=3)
    assert server_point(same, same).values == {"tasks": 3}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_no_value(value: float) -> None:
    assert server_point(None, scraped(0.0, voice_tasks=value, voice_streams_active=1)).values == {"streams": 1}


def test_several_series_add_up() -> None:
    text = 'process_cpu_seconds_total{pid="1"} 1\nprocess_cpu_seconds_total{pid="2"} 2.5\n'
    assert parse(text, 0.0).total("process_cpu_seconds_total") == 3.5
    assert parse(text, 0.0).total("process_cpu_seconds_total", pid="2") == 2.5
    assert parse(text, 0.0).total("process_cpu_seconds_total", pid="3") is None


def test_what_runs() -> None:
    assert server_info(of(Metrics(), 0.0)).keys() == {"version", "python"}
    assert server_info(scraped(0.0, voice_tasks=1)) == {}


@pytest.mark.parametrize(
    ("share", "buckets", "expected"),
    [
        (0.5, [], None),
        (0.5, [(1.0, 0.0), (math.inf, 0.0)], None),
        (0.5, [(1.0, 10.0), (math.inf, 10.0)], 0.5),
        (0.99, [(1.0, 0.0), (2.0, 100.0), (math.inf, 100.0)], 1.99),
        (0.99, [(1.0, 50.0), (2.0, 50.0), (math.inf, 100.0)], 2.0),  # over all bounds: the highest that there is
        (0.0, [(1.0, 5.0), (math.inf, 5.0)], 0.0),
        (1.0, [(1.0, 5.0), (2.0, 5.0)], 1.0),
    ],
)
def test_quantile(share: float, buckets: list[tuple[float, float]], expected: float | None) -> None:
    assert quantile(share, buckets) == expected


BOUNDS = (0.001, 0.01, 0.1, 1.0, 10.0)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50), st.floats(0.01, 1))
def test_a_quantile_is_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    registry = CollectorRegistry()
    histogram = Histogram("voice_event_loop_lag_seconds", "", buckets=BOUNDS, registry=registry)
    for value in values:
        histogram.observe(value)
    buckets = parse(generate_latest(registry).decode(), 0.0).buckets("voice_event_loop_lag_seconds")
    found = quantile(share, list(buckets.items()))
    true = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    upper = next(bound for bound in BOUNDS if true <= bound)
    lower = max((bound for bound in BOUNDS if bound < upper), default=0.0)
    assert found is not None
    assert lower - 1e-9 <= found <= upper + 1e-9


NUMBERS = st.one_of(st.floats(), st.integers(-(10**400), 10**400)).map(str)
LABELS = st.dictionaries(st.sampled_from(["le", "state", "slug", "x"]), st.text(max_size=5))
LINES = st.builds(
    lambda name, labels, value: (
        f"{name}{{{','.join(f'{key}={chr(34)}{text}{chr(34)}' for key, text in labels.items())}}} {value}"
    ),
    st.sampled_from(sorted(NAMES)),
    LABELS,
    NUMBERS,
)


@given(st.one_of(st.text(), st.lists(st.one_of(LINES, st.text(max_size=20)), max_size=10).map("\n".join)))
def test_parsing_gives_a_scrape_or_says_that_it_is_none(text: str) -> None:
    try:
        scrape = parse(text, 1.0)
    except NotMetrics:
        return
    assert scrape.samples
    assert {sample.name for sample in scrape.samples} <= NAMES
    point = server_point(Scrape(0.0, scrape.samples), scrape)
    assert set(point.values) <= set(CURVES)
    assert all(map(math.isfinite, point.values.values()))


def test_only_useful_lines_are_parsed() -> None:
    """A line that would be an error is no matter when nothing is wanted of it."""
    assert parse(
        '}{ broken\nother{a="1" 2\n# TYPE voice_tasks nonsense\nvoice_tasks 4 1700000000000\r\n', 0.0
    ) == Scrape(0.0, (Sample("voice_tasks", {}, 4.0),))
    with pytest.raises(NotMetrics, match="text format"):
        parse("voice_tasks four\n", 0.0)
    with pytest.raises(NotMetrics, match="no metric that is known"):
        parse("<html>voice_tasks 4</html>", 0.0)


@given(st.integers(2, 20), st.lists(st.integers(0, 1000), max_size=300))
def test_points_are_bounded_and_keep_peaks(limit: int, values: list[int]) -> None:
    points = ServerPoints(limit)
    for at_s, value in enumerate(values):
        points.add(ServerPoint(at_s=at_s, values={"tasks": value, f"odd{at_s % 2}": value}))
    assert min(len(values), limit // 2) <= len(points.points) <= limit
    assert max((point.values["tasks"] for point in points.points), default=None) == max(values, default=None)
    times = [point.at_s for point in points.points]
    assert times == sorted(set(times))
    assert times[:1] == ([0] if values else [])
    # Points are evenly far from each other, whatever was put together.
    assert len({later - earlier for earlier, later in itertools.pairwise(times)}) <= 1


def test_a_run_of_forty_minutes_keeps_every_point() -> None:
    points = ServerPoints()
    every = [ServerPoint(at_s=2.0 * number, values={"tasks": number}) for number in range(MAX_POINTS)]
    for point in every:
        points.add(point)
    assert points.points == tuple(every)
