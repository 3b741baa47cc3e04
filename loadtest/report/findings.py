"""What a run says: its verdict and why, its objectives, and the figures to remember. Pure."""

import re
from typing import Final

from loadtest.figures import MAX_OWN_LATENESS_S
from loadtest.formats import NO_VALUE, format_count, format_ms, format_ratio, format_seconds, plural
from loadtest.report.markup import Html, element, join, table
from loadtest.summary import EXIT_CODES, LatencyFigures, Summary, Verdict

TITLES: Final = {
    Verdict.MET: "Objectives met",
    Verdict.MISSED: "Objectives missed",
    Verdict.INVALID: "Invalid run",
    Verdict.UNREACHABLE: "Nothing was measured",
    Verdict.INTERRUPTED: "Interrupted",
}
SYMBOLS: Final = {
    Verdict.MET: "check",
    Verdict.MISSED: "no",
    Verdict.INVALID: "warning",
    Verdict.UNREACHABLE: "unplugged",
    Verdict.INTERRUPTED: "pause",
}
# What helps, by verdict; a person who meets one of these wants to know what to do, not only what went wrong.
ADVICE: Final = {
    Verdict.INVALID: (
        "Do not quote latencies from this run: they include the load tester's own delay.",
        "Give the load tester more processes, or CPUs of its own; keep it off the machine of the service.",
        "When one machine is not enough, run shards of the same plan on several and merge them.",
        "Or lower the load until the load tester's own lateness stays under 10 ms at p99.",
    ),
    Verdict.UNREACHABLE: (
        "Look at the reasons above: they say whether it was the address, the network, TLS, or the scenario.",
        "Check that the service runs, and that the address has the right scheme, host, port and path.",
        "Behind a load balancer, check that it upgrades WebSockets.",
    ),
    Verdict.INTERRUPTED: ("Figures cover only what was run before. Run it again to its end before you compare it.",),
}

_COMPARISON: Final = re.compile(r"^(.+?)\s*(<=|>=|==|<|>)\s*(.+)$")
_SIGNS: Final = {"<=": "≤", ">=": "≥", "==": "=", "<": "<", ">": ">"}


def icon(name: str, class_: str = "icon") -> Html:
    """A symbol of template.html."""
    return element("svg", element("use", href=f"#icon-{name}"), class_=class_, aria_hidden="true")


def verdict(summary: Summary) -> Html:
    """The first thing to read: what the run says, in one sentence, and why."""
    advice = ADVICE.get(summary.verdict, ())
    return element(
        "section",
        element(
            "div",
            icon(SYMBOLS[summary.verdict]),
            element(
                "div",
                element("h2", title(summary)),
                element("p", sentence(summary), class_="lead"),
            ),
            class_="verdict-head",
        ),
        element("ul", [element("li", reason) for reason in summary.reasons], class_="reasons")
        if summary.reasons
        else None,
        element("ul", [element("li", note) for note in summary.notes], class_="notes", aria_label="Notes")
        if summary.notes
        else None,
        element(
            "div",
            element("h3", "What to do"),
            element("ul", [element("li", line) for line in advice]),
            class_="advice",
        )
        if advice
        else None,
        element("p", f"Exit code {EXIT_CODES[summary.verdict]}", class_="exit-code"),
        class_=f"verdict {summary.verdict.value}",
        id="verdict",
        aria_label="Verdict",
    )


def title(summary: Summary) -> str:
    """The verdict in two words."""
    if summary.knee is not None and summary.verdict is Verdict.MET:
        return "Knee found" if summary.knee.first_broken is not None else "No knee up to the limit"
    if not summary.objectives and summary.verdict is Verdict.MET:
        return "Every stream ended well"
    if not summary.objectives and summary.verdict is Verdict.MISSED:
        return "Not every stream ended well"
    return TITLES[summary.verdict]


def sentence(summary: Summary) -> str:
    """The verdict in one sentence."""
    counts = summary.counts
    missed = [objective for objective in summary.objectives if not objective.met]
    load = f"{plural(counts.begun, 'stream')} in {format_seconds(summary.duration_s)}"
    if summary.verdict is Verdict.INVALID:
        return "The load tester could not keep its own plan, so these figures say nothing about the service."
    if summary.verdict is Verdict.UNREACHABLE:
        return "The service was not reached, or the run could not begin: there is nothing to judge."
    if summary.verdict is Verdict.INTERRUPTED:
        return f"The run was ended before its plan was over; this report covers {load}."
    if summary.knee is not None and summary.knee.max_streams is not None:
        held = plural(summary.knee.max_streams, "concurrent stream")
        broken = summary.knee.first_broken
        end = f"; at {format_count(broken)} one broke" if broken is not None else ", the highest load that was tried"
        return f"Every objective held up to {held}{end}."
    if summary.knee is not None:
        return "Not even the lowest load held every objective."
    if summary.verdict is Verdict.MISSED and missed:
        first = missed[0]
        more = f", and {plural(len(missed) - 1, 'other')} missed" if len(missed) > 1 else ""
        return f"“{first.text}” was {first.actual}{more}, over {load}."
    if summary.verdict is Verdict.MISSED:
        return f"{format_count(counts.attempts - counts.succeeded)} of {plural(counts.attempts, 'attempt')} failed."
    if not summary.objectives:
        return f"No objective was set; every stream ended as it should, over {load}."
    held = "The objective" if len(summary.objectives) == 1 else f"All {len(summary.objectives)} objectives"
    return f"{held} held over {load}."


def objectives(summary: Summary) -> Html:
    """Every objective with its limit and what it was."""
    if not summary.objectives:
        return element(
            "p",
            "No objective was set. A figure without an objective means little: give the scenario some.",
            class_="empty",
        )
    rows = []
    for objective in summary.objectives:
        found = _COMPARISON.match(objective.text)
        what, limit = (found[1], f"{_SIGNS[found[2]]} {_spaced(found[3])}") if found else (objective.text, "")
        tone = "good" if objective.met else "bad"
        result = join(icon("check" if objective.met else "no", "mini"), " met" if objective.met else " missed")
        if summary.verdict is Verdict.INVALID:
            tone, result = "warn", join(icon("warning", "mini"), " not valid")
        rows.append(
            [
                what,
                limit,
                element("strong", objective.actual),
                element("span", result, class_=f"chip {tone}"),
            ]
        )
    return table("Objectives", ["Objective", "Limit", "Actual", "Result"], rows, numbers=(1, 2), class_="objectives")


def never_came(figures: LatencyFigures) -> str:
    """How many samples were owed in vain, and how many of those by streams that were refused."""
    refused = f", {format_count(figures.missing_refused)} of them refused" if figures.missing_refused else ""
    return f"{format_count(figures.missing)} never came{refused}"


def _spaced(limit: str) -> str:
    """`800ms` as `800 ms`."""
    return re.sub(r"(?<=\d)(?=[a-z])", " ", limit)


def key_figures(summary: Summary) -> Html:
    """The figures that are quoted."""
    counts = summary.counts
    ratio = counts.succeeded / counts.attempts if counts.attempts else None
    peak = max((point.active for point in summary.series), default=None)
    tiles = [
        _tile(
            "Success", format_ratio(ratio), f"{format_count(counts.succeeded)} of {plural(counts.attempts, 'attempt')}"
        ),
        _tile("Streams begun", format_count(counts.begun), _planned(summary)),
        _tile("Peak concurrency", NO_VALUE if peak is None else format_count(peak), "active streams"),
        _latency_tile(summary, "first_partial", "First partial, p99"),
        _latency_tile(summary, "finalization", "Finalization, p99"),
        _latency_tile(summary, "send_lateness", "Own lateness, p99"),
    ]
    return element("ul", tiles, class_="tiles")


def _planned(summary: Summary) -> str:
    counts = summary.counts
    dropped = f", {format_count(counts.dropped)} not begun" if counts.dropped else ""
    return f"of {format_count(counts.planned)} planned{dropped}"


def _tile(name: str, value: str, detail: str, class_: str = "") -> Html:
    return element(
        "li",
        element("span", name, class_="tile-name"),
        element("span", value, class_=f"tile-value {class_}"),
        element("span", detail, class_="tile-detail"),
    )


def _latency_tile(summary: Summary, name: str, heading: str) -> Html:
    figures = summary.latencies.get(name, LatencyFigures(count=0))
    if figures.p99_ms is None:
        detail = f"no samples, {never_came(figures)}" if figures.missing else "no samples"
        return _tile(heading, NO_VALUE, detail)
    detail = f"p50 {format_ms(figures.p50_ms)}"
    if figures.missing:
        detail += f", {never_came(figures)}"
    limit_ms = MAX_OWN_LATENESS_S * 1000
    late = name == "send_lateness" and figures.p99_ms > limit_ms
    if name == "send_lateness":
        detail = f"valid up to {limit_ms:g} ms"
    return _tile(heading, format_ms(figures.p99_ms), detail, "bad" if late else "")
