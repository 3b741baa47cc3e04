"""The parts of the report that compute: axes, percentile curves, condensing, rows of timelines, markup."""

import json
import math
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histograms import Histograms
from loadtest.report import markup, overtime, percentiles, scales, timelines
from loadtest.summary import LatencyFigures, ObjectiveResult, SeriesPoint, Verdict
from tests.loadtest.imaginary_run import Run
from tests.loadtest.report_examples import met_run, missed_run


def figures_of(values_s: list[float], missing: int = 0) -> LatencyFigures:
    histograms = Histograms()
    for value_s in values_s:
        histograms.record("x", value_s)
    return histograms.figures("x", missing=missing)


# --- markup ----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_any_text_comes_back_from_html_as_it_was_or_replaced(text: str) -> None:
    seen: list[str] = []
    tags: list[str] = []
    titles: list[str | None] = []

    class Reader(HTMLParser):
        def handle_data(self, data: str) -> None:
            seen.append(data)

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append(tag)
            titles.append(dict(attrs)["title"])

    reader = Reader(convert_charrefs=True)
    reader.feed(markup.element("p", text, title=text))
    reader.close()
    assert tags == ["p"]
    assert "".join(seen) == markup.printable(text)
    assert titles == [markup.printable(text)]


@given(st.text())
def test_any_text_comes_back_from_the_data(text: str) -> None:
    block = markup.json_script("d", {"text": text})
    inside = block.removeprefix('<script type="application/json" id="d">').removesuffix("</script>")
    assert "<" not in inside
    inside.encode("utf-8")
    found = json.loads(inside)["text"]
    assert found == "".join(c if c < " " else markup.printable(c) for c in text)


def test_attributes() -> None:
    made = markup.element("rect", x=1.5, y=2.0, class_="a", aria_hidden=True, hidden=False, id=None, width=0.123456)
    assert made == '<rect x="1.5" y="2" class="a" aria-hidden width="0.12"></rect>'
    assert markup.element("meta", name_="x") == '<meta name="x">'
    assert markup.join("<", markup.Html("<b>"), None, 3, ["&", [markup.Html("</b>")]]) == "&lt;<b>3&amp;</b>"


# --- axes ------------------------------------------------------------------------------------------------------------


@given(st.floats(min_value=1e-3, max_value=1e9), st.booleans())
def test_a_linear_axis_holds_its_highest_value_without_much_room_above(high: float, whole: bool) -> None:
    scale = scales.linear(high, whole=whole)
    assert scale.high >= high * (1 - 1e-9)
    assert 2 <= len(scale.ticks) <= 6
    assert scale.ticks[0].share == 0
    assert scale.ticks[-1].share == 1
    if not whole:
        assert scale.high <= high * 2
    assert 0 <= scale.share(high) <= 1


@given(st.floats(min_value=0, max_value=1e6), st.floats(min_value=0, max_value=1e6))
def test_axes_keep_order(one: float, other: float) -> None:
    low, high = sorted((one, other))
    for scale in (scales.linear(high), scales.logarithmic_ms(low, high), scales.time(high)):
        assert 0 <= scale.share(low) <= scale.share(high) <= 1


@given(st.floats(min_value=0, max_value=7 * 86400))
def test_a_time_axis_has_few_labels_and_no_two_alike(duration_s: float) -> None:
    labels = [tick.label for tick in scales.time(duration_s).ticks]
    assert 1 <= len(labels) <= 10
    assert len(set(labels)) == len(labels)


def test_every_further_nine_takes_the_same_room() -> None:
    scale = scales.nines(100_000)
    assert [tick.label for tick in scale.ticks] == [
        f"{p}\u2009%" for p in ("50", "90", "99", "99.9", "99.99", "99.999")
    ]
    assert [scale.share(q) for q in (0.0, 0.9, 0.99, 0.999, 0.9999)] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert scales.nines(0).high == 2
    assert scales.nines(10**12).high == 6


@pytest.mark.parametrize(
    ("at_s", "text"), [(0, "0 s"), (4.25, "4.2 s"), (59, "59 s"), (60, "1:00"), (185.2, "3:05"), (3727, "1:02:07")]
)
def test_times_of_the_run(at_s: float, text: str) -> None:
    assert scales.clock(at_s) == text


@given(st.lists(st.floats(0, 1), max_size=500), st.integers(1, 100))
def test_thinning_keeps_everything_once(values: list[float], at_most: int) -> None:
    cuts = scales.thinned(values, at_most)
    assert [value for cut in cuts for value in values[cut]] == values
    assert len(cuts) <= at_most


# --- percentile curves -----------------------------------------------------------------------------------------------


def test_no_curve_without_samples() -> None:
    assert percentiles.curve(LatencyFigures(count=0)) is None
    assert percentiles.curve(figures_of([], missing=3)) is None


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(0, 30))
def test_a_curve_rises_to_the_largest_value_at_the_share_that_came(values_s: list[float], missing: int) -> None:
    figures = figures_of(values_s, missing)
    curve = percentiles.curve(figures)
    assert curve is not None
    assert len(curve.quantiles) == len(curve.values_ms) <= percentiles.POINTS + 1
    assert list(curve.values_ms) == sorted(curve.values_ms)
    assert list(curve.quantiles) == sorted(set(curve.quantiles))
    assert curve.values_ms[-1] == pytest.approx(figures.max_ms, abs=0.001)
    assert curve.came == len(values_s) / (len(values_s) + missing)
    assert curve.total == len(values_s) + missing
    if missing:
        assert curve.quantiles[-1] == curve.came


def test_missing_samples_push_a_percentile_up() -> None:
    values_s = [n / 1000 for n in range(1, 101)]
    whole, part = percentiles.curve(figures_of(values_s)), percentiles.curve(figures_of(values_s, missing=100))
    assert whole is not None
    assert part is not None

    def at(curve: percentiles.Curve, quantile: float) -> float:
        return next(v for q, v in zip(curve.quantiles, curve.values_ms, strict=True) if q >= quantile)

    assert at(whole, 0.4) == pytest.approx(40, rel=0.15)
    assert at(part, 0.4) == pytest.approx(80, rel=0.15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("finalization p99 <= 800ms", (0.99, 800)),
        ("finalization p99.9 < 1.5 s", (0.999, 1500)),
        ("finalization max <= 2s", (1, 2000)),
        ("finalization p50 <= 500us", (0.5, 0.5)),
        ("setup p99 <= 800ms", None),
        ("success >= 99.9%", None),
        ("finalization p99 >= 1ms", None),
    ],
)
def test_limits_are_read_from_objectives(text: str, expected: tuple[float, float] | None) -> None:
    found = percentiles.limit_of(ObjectiveResult(text=text, met=True, actual=""), "finalization")
    assert found == (None if expected is None else pytest.approx(expected))


# --- over time -------------------------------------------------------------------------------------------------------


def test_condensing_adds_counts_and_keeps_the_worst() -> None:
    series = tuple(
        SeriesPoint(
            at_s=float(n),
            arrivals=2,
            active=n % 7,
            slugs={"overloaded": 1},
            latencies_ms={"setup": (float(n % 10), float(n), 3)},
            send_lateness_p99_ms=n / 100 if n % 2 else None,
        )
        for n in range(3600)
    )
    buckets = overtime.condensed(series, 3600)
    assert len(buckets) <= overtime.MAX_POINTS
    assert sum(bucket.slugs["overloaded"] for bucket in buckets) == 3600
    assert sum(bucket.counts["setup"] for bucket in buckets) == 3 * 3600
    assert {bucket.arrivals_per_s for bucket in buckets} == {2.0}
    assert max(bucket.p99_ms["setup"] for bucket in buckets) == 3599
    assert max(bucket.send_lateness_p99_ms or 0 for bucket in buckets) == 35.99
    assert all(4 <= bucket.p50_ms["setup"] <= 5 for bucket in buckets[:-1])


def test_events_that_are_close_share_a_label() -> None:
    summary = missed_run()
    found = overtime.marks(summary, scales.time(overtime.span_s(summary)))
    assert [mark.label for mark in found] == ["1", "2", ""]


def test_the_axis_ignores_what_is_not_a_time() -> None:
    summary = met_run()
    summary.duration_s = math.inf
    assert 100 < overtime.span_s(summary) < 200


# --- timelines -------------------------------------------------------------------------------------------------------


def test_few_streams_have_a_row_each() -> None:
    streams = Run(seed=1, duration_s=10, per_s=3).streams[: timelines.ROW_EACH]
    assert timelines.rows_of(streams, 10) == list(range(len(streams)))


@given(st.integers(0, 50), st.floats(0.5, 20))
def test_streams_of_one_row_do_not_overlap(seed: int, per_s: float) -> None:
    streams = Run(seed=seed, duration_s=200 / per_s + 10, per_s=per_s).streams[: timelines.MAX_ROWS]
    rows = timelines.rows_of(streams, 200 / per_s + 10)
    assert len(rows) == len(streams)
    assert set(rows) == set(range(max(rows) + 1))
    last: dict[int, float] = {}
    for stream, row in zip(streams, rows, strict=True):
        assert stream.at_planned_s >= last.get(row, 0) or len(streams) <= timelines.ROW_EACH
        last[row] = stream.at_ended_s


def test_a_long_sample_is_cut_and_sorted() -> None:
    summary = Run(seed=1, duration_s=100, per_s=5).summary(Verdict.MET)
    summary.streams = tuple(reversed((*summary.streams, *summary.streams)))
    shown = timelines.sample_of(summary)
    assert len(shown) == timelines.MAX_ROWS
    assert [stream.at_planned_s for stream in shown] == sorted(stream.at_planned_s for stream in shown)


def test_every_ending_has_a_shape_of_its_own() -> None:
    shapes = [name for _, name, _ in timelines.SHAPES.values()]
    assert len(set(shapes)) == len(shapes) == 10
