"""What became of the streams, their words and their audio: tables of counts. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from loadtest.formats import NO_VALUE, format_bytes, format_count, format_ratio, format_seconds
from loadtest.record import Ending
from loadtest.report.markup import Html, element, join, number, table
from loadtest.report.scales import clock
from loadtest.report.timelines import SHAPES, shape
from loadtest.summary import Counts, Summary

PROBLEMS_SHOWN: Final = 10


def endings(summary: Summary) -> Html:
    """Endings, then refusals, failures, losses, close codes and warnings where there are any."""
    counts = summary.counts
    parts = [
        _counted("Endings", "Ending", [(_ending(name), n) for name, n in _ranked(counts.endings)]),
        _counted("Refused before ready", "Reason", _codes(counts.refused)),
        _counted("Failed after ready", "Reason", _codes(counts.failed)),
        _counted("Connections lost", "Close code", _codes(counts.lost)),
        _counted("Close codes of all streams", "Close code", _codes(counts.close_codes)),
        _counted("What phones came back from", "Reason", _codes(counts.breaks), counted="Times"),
        _counted("Warnings, not fatal", "Reason", _codes(counts.warnings), counted="Warnings"),
    ]
    shown = [part for part in parts if part is not None]
    if not shown:
        return element("p", "no samples: no stream ended", class_="empty")
    reconnects = element("p", _again(counts), class_="note") if counts.reconnects or counts.resumes else None
    return join(element("div", shown, class_="columns"), reconnects, _behaviors(summary), _problems(summary))


def _again(counts: Counts) -> str:
    again = f"Phones connected again {format_count(counts.reconnects)} times"
    if not counts.resumes:
        return f"{again}."
    return (
        f"{again}; {format_count(counts.resumed)} went on with their call, {format_count(counts.resumes)} times in all."
    )


def words(summary: Summary) -> Html:
    """Transcripts against the same audio alone, and finals."""
    found = summary.words
    if not found.compared and not found.finals:
        return element("p", "no samples: no transcript was compared and no final result came", class_="empty")

    def share(part: int) -> str:
        return format_ratio(part / found.compared) if found.compared else NO_VALUE

    rows = [
        ["Complete", format_count(found.complete), share(found.complete)],
        ["Truncated: words are missing at the end", _bad(found.truncated), share(found.truncated)],
        ["Different", _bad(found.different), share(found.different)],
        ["Compared", format_count(found.compared), ""],
    ]
    finals = [
        ["Final results", format_count(found.finals)],
        ["Lost: counted by the service, never came", _bad(found.lost_finals)],
        ["Doubled", _bad(found.doubled_finals)],
        ["Words missing", _bad(found.missing_words)],
        ["Words too many", _bad(found.extra_words)],
    ]
    return element(
        "div",
        table(
            "Transcripts, compared with the same audio spoken alone",
            ["Transcript", "Streams", "Share"],
            rows,
            numbers=(1, 2),
        ),
        table("Final results and words", ["What", "Count"], finals, numbers=(1,)),
        class_="columns",
    )


def audio(summary: Summary) -> Html:
    """What was sent, and what the service says of it."""
    totals = summary.audio
    if not totals.streams and not totals.sent_s:
        return element("p", "no samples: no audio was sent", class_="empty")

    def row(name: str, size_bytes: int, *, bad: bool = False) -> list[Html | str]:
        ratio = format_ratio(size_bytes / totals.sent_bytes) if totals.sent_bytes else NO_VALUE
        text = (
            element("span", format_bytes(size_bytes), class_="bad") if bad and size_bytes else format_bytes(size_bytes)
        )
        return [name, text, ratio]

    rows = [
        row("Sent", totals.sent_bytes),
        row("Received by the service", totals.received_bytes),
        row("Relayed to the recognizer", totals.relayed_bytes),
        row("Dropped by the service", totals.dropped_bytes),
        row("Unaccounted: sent, not received", totals.unaccounted_bytes, bad=True),
    ]
    caption = f"Audio of {format_count(totals.streams)} streams that got “stopped”"
    sent = f"All streams together sent {format_seconds(totals.sent_s)} of audio"
    waited = f"; sends waited {format_seconds(totals.backpressure_s)} for a service that did not read"
    return join(
        table(caption, ["Audio", "Size", "Of sent"], rows, numbers=(1, 2)),
        element("p", sent + (waited if totals.backpressure_s >= 0.001 else "") + ".", class_="note"),
    )


def events(summary: Summary) -> Html | None:
    """The commands of the scenario; None when there are none."""
    if not summary.events:
        return None
    rows = []
    for order, event in enumerate(summary.events, 1):
        outcome = "not finished" if event.exit_code is None else f"exit {event.exit_code}"
        output = (
            element("details", element("summary", "output"), element("pre", event.output, tabindex=0))
            if event.output.strip()
            else ""
        )
        good = event.exit_code == 0
        rows.append(
            [
                str(order),
                clock(event.at_s),
                join(element("code", event.command), output),
                element("span", outcome, class_="" if good else "bad"),
                NO_VALUE if event.duration_s is None else format_seconds(event.duration_s),
            ]
        )
    return table(
        "Events: marked in the charts", ["No.", "At", "Command", "Result", "Took"], rows, numbers=(4,), class_="events"
    )


def _bad(count: int) -> Html:
    return element("span", format_count(count), class_="bad" if count else "nothing")


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _codes(counts: Mapping[str, int]) -> list[tuple[Html, int]]:
    return [(element("code", name), n) for name, n in _ranked(counts)]


def _ending(name: str) -> Html:
    try:
        ending = Ending(name)
    except ValueError:
        return element("code", name)
    return join(shape(ending), " ", SHAPES[ending][2])


def _counted(caption: str, what: str, counts: Sequence[tuple[Html, int]], *, counted: str = "Streams") -> Html | None:
    """A table of counts with bars; None when nothing was counted."""
    if not counts:
        return None
    total = sum(n for _, n in counts)
    rows = [[name, format_count(n), format_ratio(n / total if total else None), _bar(n, total)] for name, n in counts]
    return table(caption, [what, counted, "Share", ""], rows, numbers=(1, 2), class_="counted")


def _bar(part: int, total: int) -> Html:
    share = part / total if total else 0.0
    filled = element("rect", x=0, y=0, width=f"{number(max(1.0, share * 100))}%", height=8, rx=2)
    return element("svg", filled, class_="share-bar", height=8, aria_hidden="true")


def _behaviors(summary: Summary) -> Html | None:
    behaviors = summary.counts.behaviors
    if not behaviors:
        return None
    known = [ending.value for ending in Ending]
    found = {name for by_ending in behaviors.values() for name in by_ending}
    columns = [name for name in known if name in found] + sorted(found - set(known))
    rows = [
        [
            behavior.replace("_", " "),
            format_count(sum(by_ending.values())),
            *(
                format_count(by_ending[name]) if by_ending.get(name) else element("span", NO_VALUE, class_="nothing")
                for name in columns
            ),
        ]
        for behavior, by_ending in sorted(behaviors.items(), key=lambda item: -sum(item[1].values()))
    ]
    head = ["Behavior", "Streams", *(name.replace("_", " ") for name in columns)]
    return table("By behavior of the phone", head, rows, numbers=range(1, len(head)))


def _problems(summary: Summary) -> Html | None:
    problems = summary.counts.problems
    if not problems:
        return None
    rows = [[element("span", text, class_="problem"), format_count(n)] for text, n in _ranked(problems)]
    head = ["Problem", "Streams"]
    first = table("Problems, in words", head, rows[:PROBLEMS_SHOWN], numbers=(1,), class_="problems")
    if len(rows) <= PROBLEMS_SHOWN:
        return first
    others = table("Rarer problems", head, rows[PROBLEMS_SHOWN:], numbers=(1,), class_="problems")
    return join(first, element("details", element("summary", f"{len(rows) - PROBLEMS_SHOWN} rarer ones"), others))
