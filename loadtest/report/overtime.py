"""What happened in the course of the run: charts that share one time axis. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.figures import MAX_OWN_LATENESS_S
from loadtest.formats import format_count, format_ms, format_ratio
from loadtest.report import charts, scales
from loadtest.report.markup import Html
from loadtest.server_curves import CURVES
from loadtest.summary import SeriesPoint, ServerPoint, Summary

MAX_POINTS: Final = 160  # more cannot be told apart on paper, and keep an hour's report small
MAX_SLUGS: Final = 6  # tones of the palette; the rest is "other"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Some intervals of the series as one: counts added, the worst p99, the median of p50s weighted by count."""

    at_s: float
    arrivals_per_s: float
    active: int
    slugs: Mapping[str, int]
    p50_ms: Mapping[str, float]
    p99_ms: Mapping[str, float]
    counts: Mapping[str, int]
    send_lateness_p99_ms: float | None


def condensed(series: Sequence[SeriesPoint], duration_s: float) -> list[Bucket]:
    """At most `MAX_POINTS` buckets."""
    buckets = []
    cuts = scales.thinned([point.at_s for point in series], MAX_POINTS)
    for cut in cuts:
        points = series[cut]
        after = series[cut.stop].at_s if cut.stop < len(series) else max(duration_s, points[-1].at_s)
        span_s = after - points[0].at_s
        slugs: Counter[str] = Counter()
        for point in points:
            slugs.update(point.slugs)
        names = {name for point in points for name in point.latencies_ms}
        samples = {name: [p.latencies_ms[name] for p in points if name in p.latencies_ms] for name in names}
        lateness = [p.send_lateness_p99_ms for p in points if p.send_lateness_p99_ms is not None]
        buckets.append(
            Bucket(
                at_s=points[0].at_s,
                arrivals_per_s=sum(point.arrivals for point in points) / span_s if span_s > 0 else 0.0,
                active=max(point.active for point in points),
                slugs=slugs,
                p50_ms={name: _weighted_median(values) for name, values in samples.items()},
                p99_ms={name: max(p99 for _, p99, _ in values) for name, values in samples.items()},
                counts={name: sum(n for _, _, n in values) for name, values in samples.items()},
                send_lateness_p99_ms=max(lateness, default=None),
            )
        )
    return buckets


def span_s(summary: Summary) -> float:
    """The length of the time axis that all charts and the timelines share."""
    ends = [summary.duration_s, *(p.at_s for p in summary.series), *(p.at_s for p in summary.server)]
    ends += [stream.at_ended_s for stream in summary.streams]
    return max(1.0, *(end for end in ends if math.isfinite(end)))


def marks(summary: Summary, x_scale: scales.Scale) -> list[charts.Mark]:
    """The events, numbered; the numbers are those of the table of events."""
    found: list[charts.Mark] = []
    last = -1.0
    for number_of, event in enumerate(summary.events, 1):
        share = x_scale.share(event.at_s)
        label = str(number_of) if share - last > 0.025 else ""
        last = share if label else last
        title = f"Event {number_of} at {scales.clock(event.at_s)}: {event.command}"
        found.append(charts.Mark(share, label, title))
    return found


def charts_of(summary: Summary) -> list[charts.Chart | Html]:
    """Load, latencies, errors and our own lateness, from the series."""
    if not summary.series:
        return []
    buckets = condensed(summary.series, summary.duration_s)
    frame = _Frame.of(summary, [bucket.at_s for bucket in buckets])
    return [
        _active(frame, buckets),
        _arrivals(frame, buckets),
        *(
            _latency(frame, buckets, name, title)
            for name, title in (
                ("setup", "Setup"),
                ("first_partial", "First partial"),
                ("finalization", "Finalization"),
            )
        ),
        _errors(frame, buckets),
        _lateness(frame, buckets),
    ]


def server_charts(summary: Summary) -> list[charts.Chart | Html]:
    """One small chart for each curve that was scraped."""
    if not summary.server:
        return []
    cuts = scales.thinned([point.at_s for point in summary.server], MAX_POINTS)
    frame = _Frame.of(summary, [summary.server[cut.start].at_s for cut in cuts])
    names = {name for point in summary.server for name in point.values}
    ordered = [name for name in CURVES if name in names] + sorted(names - CURVES.keys())
    return [
        # Not its name: an identifier has to be one whatever the service calls its curves.
        _server(frame, f"server-{order}", name, [_highest(summary.server[cut], name) for cut in cuts])
        for order, name in enumerate(ordered, 1)
    ]


@dataclass(frozen=True, slots=True)
class _Frame:
    """What all charts over time have in common."""

    x_scale: scales.Scale
    at: Sequence[float]
    texts: Sequence[str]
    marks: Sequence[charts.Mark]

    @classmethod
    def of(cls, summary: Summary, at: Sequence[float]) -> "_Frame":
        x_scale = scales.time(span_s(summary))
        return cls(x_scale, at, [scales.clock(at_s) for at_s in at], marks(summary, x_scale))

    def chart(
        self,
        identifier: str,
        title: str,
        summary: str,
        y_scale: scales.Scale,
        *,
        lines: Sequence[charts.Line] = (),
        stacks: Sequence[charts.Stack] = (),
        limits: Sequence[charts.Limit] = (),
        height_px: int = 180,
        note: str = "",
    ) -> charts.Chart:
        return charts.Chart(
            identifier=identifier,
            title=title,
            summary=summary,
            x_scale=self.x_scale,
            y_scale=y_scale,
            at=self.at,
            at_texts=self.texts,
            lines=lines,
            stacks=stacks,
            limits=limits,
            marks=self.marks,
            height_px=height_px,
            note=note,
        )


def _active(frame: _Frame, buckets: Sequence[Bucket]) -> charts.Chart:
    values = [float(bucket.active) for bucket in buckets]
    peak = max(range(len(values)), key=values.__getitem__)
    line = charts.Line("", "tone-1", values, [format_count(v) for v in values], filled=True, steps=True)
    words = f"Peak {format_count(values[peak])} at {frame.texts[peak]}"
    return frame.chart("active", "Active streams", words, scales.linear(max(values), whole=True), lines=[line])


def _arrivals(frame: _Frame, buckets: Sequence[Bucket]) -> charts.Chart:
    values = [bucket.arrivals_per_s for bucket in buckets]
    bars = charts.Stack("", "tone-1", values, [_per_second(v) for v in values])
    words = f"At most {_per_second(max(values))}"
    scale = scales.linear(max(values), lambda v: f"{v:g}/s" if v else "0")
    return frame.chart("arrivals", "Arrivals", words, scale, stacks=[bars])


def _latency(frame: _Frame, buckets: Sequence[Bucket], name: str, title: str) -> charts.Chart | Html:
    p50 = [bucket.p50_ms.get(name) for bucket in buckets]
    p99 = [bucket.p99_ms.get(name) for bucket in buckets]
    came = [value for value in p99 if value is not None]
    if not came:
        return charts.no_samples(title)
    lines = [
        charts.Line("p99", "tone-2", p99, _texts(p99, format_ms)),
        charts.Line("p50", "tone-1", p50, _texts(p50, format_ms)),
    ]
    words = f"p99 between {format_ms(min(came))} and {format_ms(max(came))}"
    return frame.chart(f"over-time-{name}", title, words, scales.in_milliseconds(max(came)), lines=lines)


def _errors(frame: _Frame, buckets: Sequence[Bucket]) -> charts.Chart | Html:
    totals: Counter[str] = Counter()
    for bucket in buckets:
        totals.update(bucket.slugs)
    totals = +totals
    if not totals:
        return charts.no_samples("Errors", "none: every stream ended as it should")
    ranked = [slug for slug, _ in totals.most_common()]
    shown = ranked if len(ranked) <= MAX_SLUGS else ranked[: MAX_SLUGS - 1]
    rest = ranked[len(shown) :]
    stacks = []
    for tone, slug in enumerate(shown, 1):
        values = [float(bucket.slugs.get(slug, 0)) for bucket in buckets]
        stacks.append(charts.Stack(slug, f"error-{tone}", values, [format_count(v) if v else "" for v in values]))
    if rest:
        values = [float(sum(bucket.slugs.get(slug, 0) for slug in rest)) for bucket in buckets]
        stacks.append(
            charts.Stack("other", f"error-{MAX_SLUGS}", values, [format_count(v) if v else "" for v in values])
        )
    highest = max(sum(stack.values[i] for stack in stacks) for i in range(len(buckets)))
    words = ", ".join(f"{slug} {format_count(n)}" for slug, n in totals.most_common(MAX_SLUGS))
    return frame.chart("errors", "Errors", words, scales.linear(highest, whole=True), stacks=stacks)


def _lateness(frame: _Frame, buckets: Sequence[Bucket]) -> charts.Chart | Html:
    values = [bucket.send_lateness_p99_ms for bucket in buckets]
    came = [value for value in values if value is not None]
    if not came:
        return charts.no_samples("The load tester's own lateness, p99")
    limit_ms = MAX_OWN_LATENESS_S * 1000
    line = charts.Line("", "tone-1", values, _texts(values, format_ms), filled=True)
    return frame.chart(
        "own-lateness",
        "The load tester's own lateness, p99",
        f"At most {format_ms(max(came))}",
        scales.in_milliseconds(max(limit_ms * 1.2, *came)),
        lines=[line],
        limits=[charts.Limit(limit_ms, f"valid: ≤ {limit_ms:g} ms over the run")],
    )


def _server(frame: _Frame, identifier: str, name: str, values: Sequence[float | None]) -> charts.Chart | Html:
    known = CURVES.get(name)
    title = known.title if known else _readable(name)
    came = [value for value in values if value is not None]
    if not came:
        return charts.no_samples(title)
    highest = max(came)
    text: Callable[[float], str]
    if name.endswith("_share"):
        text, scale = format_ratio, scales.linear(highest, lambda v: f"{v * 100:g}%" if v else "0", wanted=3)
    elif name.endswith("_ms"):
        text, scale = format_ms, scales.in_milliseconds(highest, wanted=3)
    elif name.endswith("_mib"):
        text, scale = _mebibytes, scales.linear(highest, lambda v: f"{v:g} MiB" if v else "0", wanted=3)
    elif name.endswith("_per_s"):
        text, scale = _per_second, scales.linear(highest, lambda v: f"{v:g}/s" if v else "0", wanted=3)
    else:
        text, scale = format_count, scales.linear(highest, lambda v: f"{v:g}", wanted=3)
    line = charts.Line("", "tone-3", values, _texts(values, text), filled=True)
    words = f"From {text(min(came))} to {text(highest)}"
    return frame.chart(identifier, title, words, scale, lines=[line], height_px=120, note=words)


def _mebibytes(value: float) -> str:
    return f"{value:.0f} MiB"


def _per_second(value: float) -> str:
    return f"{value:.3g} per second"


def _readable(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _texts(values: Sequence[float | None], text: Callable[[float], str]) -> list[str]:
    return ["" if value is None else text(value) for value in values]


def _highest(points: Sequence[ServerPoint], name: str) -> float | None:
    return max((p.values[name] for p in points if math.isfinite(p.values.get(name, math.nan))), default=None)


def _weighted_median(values: Sequence[tuple[float, float, int]]) -> float:
    ordered = sorted((p50, count) for p50, _, count in values)
    half, so_far = sum(count for _, count in ordered) / 2, 0
    for p50, count in ordered:
        so_far += count
        if so_far >= half:
            return p50
    return ordered[-1][0]
