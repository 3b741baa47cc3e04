"""Percentile curves, on the axis on which every further nine takes the same room. Pure."""

import math
import re
from dataclasses import dataclass
from typing import Final

from loadtest.figures import LATENCIES, MAX_OWN_LATENESS_S
from loadtest.formats import format_count, format_ms, format_ratio
from loadtest.histograms import Histogram
from loadtest.report import charts, scales
from loadtest.report.markup import Html, element, join, number, table
from loadtest.summary import LatencyFigures, ObjectiveResult, Summary

POINTS: Final = 60

# What a user feels stands first and alone; the steps of setting up, and our own lateness, are drawn together.
FELT: Final = ("first_partial", "word_final", "finalization", "result_lateness")
SETTING_UP: Final = ("setup", "connect", "upgrade", "welcome", "ready")
OWN: Final = ("send_lateness", "loop_lag")

_LIMIT: Final = re.compile(r"^\s*(\w+)\s+(?:p([\d.]+)|max)\s*<=?\s*([\d.]+)\s*(us|ms|s)\b")
_MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, slots=True)
class Curve:
    """A distribution, as points on the axis of nines."""

    quantiles: tuple[float, ...]
    values_ms: tuple[float, ...]
    came: float
    """The share of all that were owed; above this quantile there is nothing but "never"."""
    total: int


def curve(figures: LatencyFigures) -> Curve | None:
    """About `POINTS` points over count + missing, the last one the largest value; None without samples.

    Raises `HistogramError` when the histogram is not one.
    """
    if not figures.histogram or figures.count == 0:
        return None
    histogram = Histogram.decode(figures.histogram)
    total = histogram.count + figures.missing
    if not histogram.count:
        return None
    highest = scales.nines(total).high
    grid = [1 - 10 ** (-highest * n / (POINTS - 1)) for n in range(POINTS)]
    last = histogram.count / total if figures.missing else 1 - 1 / max(2, total)
    points = [(q, histogram.percentile_s(q * 100, figures.missing)) for q in grid if q < last]
    points.append((last, histogram.percentile_s(100)))
    came = [(q, value_s * 1000) for q, value_s in points if value_s is not None and value_s < math.inf]
    return Curve(tuple(q for q, _ in came), tuple(value for _, value in came), histogram.count / total, total)


def limit_of(objective: ObjectiveResult, name: str) -> tuple[float, float] | None:
    """(quantile, milliseconds) of an objective about that latency; None when it is about something else."""
    found = _LIMIT.match(objective.text)
    if found is None or found[1] != name:
        return None
    quantile = 1.0 if found[2] is None else float(found[2]) / 100
    return quantile, float(found[3]) * _MILLISECONDS[found[4]]


def charts_of(summary: Summary) -> list[charts.Chart | Html]:
    """One chart for each latency a user feels, one for the steps of setting up, one for the load tester itself."""
    found: list[charts.Chart | Html] = [_single(summary, name) for name in FELT]
    found.append(_several(summary, "setting-up", "Setting up", SETTING_UP))
    found.append(_several(summary, "own", "The load tester itself", OWN))
    return found


def figures_table(summary: Summary) -> Html:
    """Count, missing and percentiles of every latency."""
    rows = []
    for name, latency in LATENCIES.items():
        figures = summary.latencies.get(name, LatencyFigures(count=0))
        values = (figures.p50_ms, figures.p90_ms, figures.p99_ms, figures.p99_9_ms, figures.max_ms)
        title = join(
            element("span", latency.title, class_="name"), element("span", plain(latency.meaning), class_="meaning")
        )
        missing = join(
            element("span", format_count(figures.missing), class_="bad" if figures.missing else "nothing"),
            element("span", f"{format_count(figures.missing_refused)} of them refused", class_="meaning")
            if figures.missing_refused
            else None,
        )
        rows.append(
            [
                title,
                format_count(figures.count),
                missing,
                *(element("span", "–", class_="nothing") if v is None else format_ms(v) for v in values),
            ]
        )
    return table(
        "Percentiles of the samples that came. Missing: owed by a stream and never came; infinite to objectives.",
        ["Latency", "Samples", "Missing", "p50", "p90", "p99", "p99.9", "max"],
        rows,
        numbers=range(1, 8),
        class_="figures",
    )


def limit_text(value_ms: float) -> str:
    """A limit as a person would write it: `800 ms`, `1.5 s`."""
    return f"{value_ms:g} ms" if value_ms < 1000 else f"{value_ms / 1000:g} s"


def plain(text: str) -> Html:
    """A text of the catalogue, its `code` set as code."""
    parts = text.split("`")
    return join(*(element("code", part) if i % 2 else part for i, part in enumerate(parts)))


def _single(summary: Summary, name: str) -> charts.Chart | Html:
    latency = LATENCIES[name]
    figures = summary.latencies.get(name, LatencyFigures(count=0))
    found = curve(figures)
    if found is None:
        missing = f": all {format_count(figures.missing)} that were owed never came" if figures.missing else ""
        return charts.no_samples(latency.title, f"no samples{missing}")
    wanted = [at for objective in summary.objectives if (at := limit_of(objective, name)) is not None]
    x_scale = scales.nines(found.total)
    y_scale = scales.in_milliseconds(max([*found.values_ms, *(value for _, value in wanted)]) * 1.04)
    never = _never(found, x_scale) if figures.missing else None
    return charts.Chart(
        identifier=f"percentiles-{name}",
        title=latency.title,
        summary=_in_words(figures),
        x_scale=x_scale,
        y_scale=y_scale,
        at=found.quantiles,
        at_texts=[_quantile(q) for q in found.quantiles],
        lines=[charts.Line("", "tone-1", found.values_ms, [format_ms(v) for v in found.values_ms], filled=True)],
        limits=[charts.Limit(ms, f"objective: {_quantile(q)} ≤ {limit_text(ms)}") for q, ms in wanted],
        under=[never] if never else (),
        note=f"{latency.meaning.replace('`', '')[:1].upper()}{latency.meaning.replace('`', '')[1:]}."
        + (f" {format_ratio(1 - found.came)} never came." if figures.missing else ""),
    )


def _several(summary: Summary, identifier: str, title: str, names: tuple[str, ...]) -> charts.Chart | Html:
    curves = {name: found for name in names if (found := curve(summary.latencies.get(name, LatencyFigures(count=0))))}
    if not curves:
        return charts.no_samples(title)
    longest = max(curves.values(), key=lambda found: found.total)
    x_scale = scales.nines(longest.total)
    grid = [1 - 10 ** (-x_scale.high * n / (POINTS - 1)) for n in range(POINTS)]
    own = names == OWN
    values = [value for found in curves.values() for value in found.values_ms]
    limit_ms = MAX_OWN_LATENESS_S * 1000
    y_scale = scales.logarithmic_ms(min(values), max([*values, limit_ms] if own else values))
    lines = []
    for number_of, (name, found) in enumerate(curves.items(), 1):
        on_grid = [_at(found, quantile) for quantile in grid]
        texts = ["never" if v is None else format_ms(v) for v in on_grid]
        lines.append(charts.Line(LATENCIES[name].title, f"tone-{number_of}", on_grid, texts))
    return charts.Chart(
        identifier=f"percentiles-{identifier}",
        title=title,
        summary="; ".join(f"{LATENCIES[n].title}: {_in_words(summary.latencies[n])}" for n in curves),
        x_scale=x_scale,
        y_scale=y_scale,
        at=grid,
        at_texts=[_quantile(q) for q in grid],
        lines=lines,
        limits=[charts.Limit(limit_ms, f"valid: p99 ≤ {limit_text(limit_ms)}")] if own else (),
        note="On a logarithmic scale. " + ("How late frames were sent and tasks ran: our own doing." if own else ""),
    )


def _at(found: Curve, quantile: float) -> float | None:
    """The value at a quantile, None where the samples do not reach."""
    if quantile > max(found.came - 1e-12, found.quantiles[-1]) or (found.came < 1 and quantile > found.came):
        return None
    return next((v for q, v in zip(found.quantiles, found.values_ms, strict=True) if q >= quantile - 1e-12), None)


def _never(found: Curve, x_scale: scales.Scale) -> Html:
    """The ceiling: from the last quantile that came to the end, there is only "never"."""
    begin = x_scale.share(found.came) * 100
    middle = begin + (100 - begin) / 2
    label = element("text", "never", x=f"{number(middle)}%", y=32, text_anchor="middle", class_="never-label")
    return element(
        "g",
        element("title", f"{format_ratio(1 - found.came)} never came"),
        element(
            "rect",
            x=f"{number(begin)}%",
            y=charts.TOP_PX,
            width=f"{number(100 - begin)}%",
            height=200 - charts.TOP_PX,
            class_="never",
        ),
        element("line", x1=f"{number(begin)}%", x2="100%", y1=charts.TOP_PX, y2=charts.TOP_PX, class_="ceiling"),
        element("line", x1=f"{number(begin)}%", x2=f"{number(begin)}%", y1=charts.TOP_PX, y2=200, class_="ceiling"),
        label if 100 - begin > 12 else None,
    )


def _quantile(quantile: float) -> str:
    return "max" if quantile >= 1 else f"p{quantile * 100:.6g}" if quantile > 0.99 else f"p{quantile * 100:.3g}"


def _in_words(figures: LatencyFigures) -> str:
    if figures.p50_ms is None or figures.p99_ms is None:
        return "no samples"
    text = f"p50 {format_ms(figures.p50_ms)}, p99 {format_ms(figures.p99_ms)}"
    return f"{text}, of {format_count(figures.count)} samples" + (
        f", {format_count(figures.missing)} missing" if figures.missing else ""
    )
