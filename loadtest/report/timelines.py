"""Timelines of streams, from the planned arrival to the end, by arrival. Pure.

Few streams have a row each. Of many, those that do not overlap share one: three hundred rows would be a thin diagonal
on a picture of nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

from loadtest.formats import format_bytes, format_count, format_seconds
from loadtest.record import Ending, StreamRecord
from loadtest.report import charts, scales
from loadtest.report.markup import Html, element, join, number, table
from loadtest.report.overtime import marks, span_s
from loadtest.summary import Summary

MAX_ROWS: Final = 300
MAX_FINALS: Final = 60  # ticks of one row
ROW_EACH: Final = 40  # so many streams have a row each
_GAP: Final = 0.012  # of the whole run, between two streams of a row: the marks of their ends need it

# Color and shape both say how a stream ended. The shapes are symbols of template.html.
SHAPES: Final = {
    Ending.COMPLETED: ("good", "circle", "completed"),
    Ending.AS_MEANT: ("neutral", "ring", "as meant (misbehaving)"),
    Ending.UNREACHABLE: ("bad", "bar", "unreachable"),
    Ending.REFUSED: ("warn", "triangle", "refused"),
    Ending.FAILED: ("bad", "cross", "failed"),
    Ending.LOST: ("bad", "diamond", "lost"),
    Ending.UNANSWERED: ("bad", "square", "unanswered"),
    Ending.CUT_SHORT: ("warn", "half", "cut short"),
    Ending.PROTOCOL: ("bad", "star", "not protocol"),
    Ending.CANCELED: ("neutral", "dash", "canceled by us"),
}


def sample_of(summary: Summary) -> list[StreamRecord]:
    """The streams that are drawn, by arrival."""
    return sorted(summary.streams[:MAX_ROWS], key=lambda stream: (stream.at_planned_s, stream.number))


def section(summary: Summary) -> Html:
    """The drawing, its legend, and the same as a table. Say "no samples" when there are no streams."""
    streams = sample_of(summary)
    if not streams:
        return element("p", "no samples: no stream was begun", class_="empty")
    begun = summary.counts.begun
    shown = (
        f"A sample of {format_count(len(streams))} of {format_count(begun)} streams, failures first."
        if begun > len(streams)
        else f"All {format_count(len(streams))} streams."
    )
    each = (
        "Each has a row, by planned arrival."
        if len(streams) <= ROW_EACH
        else "They are laid out by planned arrival; streams that do not overlap share a row."
    )
    return join(
        element(
            "p",
            f"{shown} {each} Point at a stream, or focus the chart and use the arrow keys, for its details; "
            "drag across to zoom in.",
            class_="note on-screen",
        ),
        _legend(streams),
        _drawing(summary, streams),
        element(
            "details",
            element("summary", "The same streams as a table"),
            _table(streams),
            class_="no-print",
        ),
    )


def data(summary: Summary) -> dict[str, Any]:
    """What the script says of each stream, in the order of the rows."""
    streams = sample_of(summary)
    places = rows_of(streams, span_s(summary))
    details = [{**_details(stream), "row": row} for stream, row in zip(streams, places, strict=True)]
    return {"span": span_s(summary), "streams": details}


def rows_of(streams: Sequence[StreamRecord], whole_s: float) -> list[int]:
    """The row of each stream, from 0: its own when there are few, else the first that is free again."""
    if len(streams) <= ROW_EACH:
        return list(range(len(streams)))
    free_at: list[float] = []
    places = []
    for stream in streams:
        row = next((i for i, at_s in enumerate(free_at) if at_s <= stream.at_planned_s), len(free_at))
        if row == len(free_at):
            free_at.append(0.0)
        free_at[row] = max(stream.at_ended_s, stream.at_planned_s) + _GAP * whole_s
        places.append(row)
    return places


def _row_px(rows: int) -> int:
    return 22 if rows <= 12 else 16 if rows <= 30 else 10 if rows <= 80 else 6


def _legend(streams: Sequence[StreamRecord]) -> Html:
    found = {stream.ending for stream in streams}
    spans = [
        element("li", _bar_sample("setup"), element("span", "planned arrival to ready")),
        element("li", _bar_sample("talk"), element("span", "audio")),
        element("li", _bar_sample("after"), element("span", "waiting for the end")),
        element(
            "li",
            element("svg", element("path", d="M4,1V11", class_="final"), width=8, height=12, aria_hidden="true"),
            element("span", "a final result"),
        ),
    ]
    ends = [
        element("li", shape(ending), element("span", text))
        for ending, (_, _, text) in SHAPES.items()
        if ending in found
    ]
    return element("ul", spans, ends, class_="legend")


def shape(ending: Ending) -> Html:
    """The mark of an ending, by itself."""
    tone, name, _ = SHAPES[ending]
    used = element("use", href=f"#shape-{name}", x=6, y=6, class_=f"end {tone}")
    return element("svg", used, width=12, height=12, class_="sample", aria_hidden="true")


def _bar_sample(kind: str) -> Html:
    drawn = element("rect", x=0, y=3, width=18, height=6, class_=f"span {kind}")
    return element("svg", drawn, width=18, height=12, class_="sample", aria_hidden="true")


def _drawing(summary: Summary, streams: Sequence[StreamRecord]) -> Html:
    scale = scales.time(span_s(summary))
    places = rows_of(streams, span_s(summary))
    row_px = _row_px(max(places) + 1)
    height = row_px * (max(places) + 1) + 8
    rows = [
        element("g", _row(stream, scale, row_px), class_="row", transform=f"translate(0,{4 + row * row_px})")
        for stream, row in zip(streams, places, strict=True)
    ]
    grid = [
        element("line", x1=_at(tick.share), x2=_at(tick.share), y1=0, y2=height, class_="grid") for tick in scale.ticks
    ]
    events = [
        element(
            "g",
            element("title", mark.title),
            element("line", x1=_at(mark.share), x2=_at(mark.share), y1=0, y2=height),
            class_="mark",
        )
        for mark in marks(summary, scale)
    ]
    # All of the inner drawing is in percentages of it, so the script zooms by making it wider than the outer one.
    inner = element("svg", grid, events, rows, class_="zoomed", x="0%", width="100%", height=height)
    drawing = element(
        "svg",
        element("title", f"Timelines of {len(streams)} streams"),
        inner,
        class_="canvas",
        width="100%",
        height=height,
        role="img",
    )
    labels = element(
        "svg", charts.x_axis(scale, 14), class_="canvas time-axis", width="100%", height=20, aria_hidden="true"
    )
    return element(
        "div",
        element("button", "Whole run", type="button", class_="reset", hidden=True),
        drawing,
        labels,
        class_="timelines",
        id="timelines",
        tabindex=0,
        role="group",
        data_row=row_px,
        aria_label="Timelines of streams. Arrow keys go from stream to stream.",
    )


def _at(share: float) -> str:
    return f"{number(share * 100)}%"


def _row(stream: StreamRecord, scale: scales.Scale, row_px: int) -> Html:
    thick = max(3.0, row_px * 0.58)
    middle = row_px / 2
    parts = []

    def span(kind: str, begin_s: float, end_s: float, height: float) -> None:
        begin, end = scale.share(begin_s), scale.share(end_s)
        if end > begin:
            wide = f"{(end - begin) * 100:.3f}%"
            place = f"{begin * 100:.3f}%"
            parts.append(
                element("rect", x=place, y=middle - height / 2, width=wide, height=height, class_=f"span {kind}")
            )

    end_s = max(stream.at_ended_s, stream.at_planned_s)
    if stream.at_audio_s is None:
        span("setup", stream.at_planned_s, end_s, max(1.0, thick / 3))
    else:
        said_s = min(end_s, stream.at_audio_s + stream.audio_sent_s)
        span("setup", stream.at_planned_s, stream.at_audio_s, max(1.0, thick / 3))
        span("talk", stream.at_audio_s, said_s, thick)
        span("after", said_s, end_s, max(1.0, thick / 3))
    for at_s in stream.at_finals_s[:MAX_FINALS]:
        place = f"{scale.share(at_s) * 100:.3f}%"
        parts.append(element("line", x1=place, x2=place, y1=middle - thick / 2, y2=middle + thick / 2, class_="final"))
    tone, name, _ = SHAPES[stream.ending]
    size = "" if row_px >= 16 else "-small"
    parts.append(
        element(
            "use", href=f"#shape-{name}{size}", x=f"{scale.share(end_s) * 100:.3f}%", y=middle, class_=f"end {tone}"
        )
    )
    return join(*parts)


def _why(stream: StreamRecord) -> str:
    """What went wrong, in one line; empty when nothing did."""
    parts = [stream.slug or "", stream.problem or ""]
    if stream.http_status is not None and not stream.is_success:
        parts.append(f"HTTP {stream.http_status}")
    if stream.close_code is not None and not stream.is_success:
        parts.append(f"close {stream.close_code}")
    return ", ".join(part for part in parts if part)


def _details(stream: StreamRecord) -> dict[str, Any]:
    """Never the transcript, even if the record holds it: what people said does not belong in a report."""
    begin_s, end_s = stream.at_planned_s, max(stream.at_ended_s, stream.at_planned_s)
    facts = [
        ("planned", scales.clock(begin_s)),
        ("setup", _maybe(stream.setup_s)),
        ("first partial", _maybe(stream.first_partial_s)),
        ("audio", format_seconds(stream.audio_sent_s) if stream.audio_sent_s else ""),
        ("finals", format_count(stream.sentences) if stream.sentences else ""),
        ("finalization", _maybe(stream.finalization_s)),
        ("lost finals", format_count(stream.lost_finals) if stream.lost_finals else ""),
        ("transcript", stream.transcript.value if stream.transcript else ""),
        ("why", _why(stream)),
        ("ended", scales.clock(end_s)),
        ("id", stream.stream_id),
    ]
    return {
        "title": f"Stream {stream.number}, {stream.behavior.value}: {SHAPES[stream.ending][2]}",
        "from": round(begin_s, 3),
        "to": round(end_s, 3),
        "facts": [[name, text] for name, text in facts if text],
    }


def _maybe(value_s: float | None) -> str:
    return "" if value_s is None else format_seconds(value_s)


def _table(streams: Sequence[StreamRecord]) -> Html:
    rows = [
        [
            str(stream.number),
            stream.behavior.value.replace("_", " "),
            join(shape(stream.ending), " ", SHAPES[stream.ending][2]),
            scales.clock(stream.at_planned_s),
            _maybe(stream.setup_s),
            _maybe(stream.first_partial_s),
            _maybe(stream.finalization_s),
            format_bytes(stream.audio.sent_bytes) if stream.audio else "",
            _why(stream),
            element("code", stream.stream_id) if stream.stream_id else "",
        ]
        for stream in streams
    ]
    return table(
        "Streams, by planned arrival",
        ["No.", "Behavior", "Ending", "Planned", "Setup", "First partial", "Finalization", "Audio", "Why", "Stream id"],
        rows,
        numbers=(0, 3, 4, 5, 6, 7),
    )
