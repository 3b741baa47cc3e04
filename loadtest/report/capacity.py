"""The knee: how many streams a deployment holds, and how that was found out. Pure."""

import tomllib

from loadtest.formats import format_count
from loadtest.report import charts, scales
from loadtest.report.findings import icon
from loadtest.report.markup import Child, Html, element, join, number, table
from loadtest.report.scales import Scale
from loadtest.summary import Knee, KneeStep, Summary, Verdict

_ROW_PX = 26
_WORDS = {
    Verdict.MET: "held",
    Verdict.MISSED: "broke",
    Verdict.INVALID: "load tester too late",
    Verdict.UNREACHABLE: "unreachable",
    Verdict.INTERRUPTED: "interrupted",
}
_ICONS = {Verdict.MET: "check", Verdict.MISSED: "no", Verdict.INVALID: "warning"}


def section(summary: Summary, knee: Knee) -> Html:
    """The figure with everything it depends on, the steps drawn, and the steps as a table."""
    figure = "none" if knee.max_streams is None else format_count(knee.max_streams)
    if not knee.steps:
        drawn: Html = element("p", "no samples: no load was tried", class_="empty")
    else:
        drawn = join(_drawing(knee), _table(knee))
    return join(
        element(
            "div",
            element(
                "p",
                element("span", "Maximum effective streams", class_="tile-name"),
                element("span", figure, class_="knee-value"),
                class_="knee-figure",
            ),
            element(
                "dl", [join(element("dt", name), element("dd", text)) for name, text in _depends_on(summary, knee)]
            ),
            class_="knee",
        ),
        drawn,
        element("p", "All that follows is of the step that the result stands on.", class_="note"),
    )


def _depends_on(summary: Summary, knee: Knee) -> list[tuple[str, Child]]:
    environment = summary.environment
    machine = ", ".join(
        text
        for text in (environment.host, environment.cpu, f"{environment.cpus} CPUs" if environment.cpus else "")
        if text
    )
    facts: list[tuple[str, Child]] = [
        ("Objectives", ", ".join(objective.text for objective in summary.objectives) or "none"),
        ("First broken at", "–" if knee.first_broken is None else f"{format_count(knee.first_broken)} streams"),
    ]
    if knee.broke:
        facts.append(("What broke", ", ".join(f"{objective.text}: {objective.actual}" for objective in knee.broke)))
    facts += [
        ("Audio", join(_audio(summary.scenario_toml), element("a", "as in the scenario", href="#scenario"))),
        ("Load tester on", machine or "–"),
        (
            "Service",
            ", ".join(f"{k} {v}" for k, v in summary.environment.server.items()) or element("code", summary.url),
        ),
        ("Seed", str(summary.seed)),
    ]
    return facts


def _audio(scenario_toml: str) -> str:
    """The files and the frames of the scenario; empty when it cannot be read."""
    try:
        audio = tomllib.loads(scenario_toml).get("audio")
    except tomllib.TOMLDecodeError:
        return ""
    if not isinstance(audio, dict):
        return ""
    files = audio.get("files")
    names = ", ".join(str(name) for name in files) if isinstance(files, list) else ""
    frame = "".join(
        f"frames of {audio[f'frame_{unit}']} {unit}" for unit in ("ms", "bytes") if f"frame_{unit}" in audio
    )
    return "".join(f"{part}; " for part in (names, frame) if part)


def _drawing(knee: Knee) -> Html:
    scale = scales.linear(max(step.streams for step in knee.steps), format_count, wanted=5, whole=True)
    height = _ROW_PX * len(knee.steps) + 6
    grid = [
        element("line", x1=f"{number(t.share * 100)}%", x2=f"{number(t.share * 100)}%", y1=0, y2=height, class_="grid")
        for t in scale.ticks
    ]
    limit: Html | None = None
    if knee.max_streams is not None:
        place = f"{number(scale.share(knee.max_streams) * 100)}%"
        limit = element("line", x1=place, x2=place, y1=0, y2=height, class_="knee-line")
    rows = [_row(step, order, scale) for order, step in enumerate(knee.steps)]
    drawing = element(
        "svg",
        element("title", "Loads in the order in which they were tried"),
        grid,
        limit,
        rows,
        charts.x_axis(scale, height + 16),
        class_="canvas",
        width="100%",
        height=height + charts.BOTTOM_PX,
        role="img",
    )
    return element(
        "figure",
        element("figcaption", element("h4", "Loads in the order in which they were tried"), class_="chart-head"),
        element("div", drawing, class_="knee-steps"),
        class_="chart",
    )


def _row(step: KneeStep, order: int, scale: Scale) -> Html:
    share = scale.share(step.streams)
    middle = order * _ROW_PX + _ROW_PX / 2 + 3
    inside = share > 0.6
    return element(
        "g",
        element("title", f"{format_count(step.streams)} streams: {_outcome(step)}"),
        element("rect", x=0, y=middle - 9, width=f"{number(share * 100)}%", height=18, rx=3),
        element(
            "text",
            f"{format_count(step.streams)} {_WORDS[step.verdict]}",
            x=f"{number(share * 100)}%",
            dx=-8 if inside else 8,
            y=middle + 4,
            text_anchor="end" if inside else "start",
            class_="inside" if inside else "outside",
        ),
        class_=f"step {step.verdict.value}",
    )


def _outcome(step: KneeStep) -> str:
    broken = [f"{objective.text}: {objective.actual}" for objective in step.objectives if not objective.met]
    if step.verdict is Verdict.MISSED and broken:
        return "; ".join(broken)
    return _WORDS[step.verdict]


def _table(knee: Knee) -> Html:
    texts = list(dict.fromkeys(objective.text for step in knee.steps for objective in step.objectives))
    rows: list[list[Child]] = []
    for step in sorted(knee.steps, key=lambda step: step.streams):
        actual = {objective.text: objective for objective in step.objectives}
        result = join(icon(_ICONS.get(step.verdict, "warning"), "mini"), f" {_WORDS[step.verdict]}")
        cells: list[Child] = []
        for text in texts:
            objective = actual.get(text)
            if objective is None:
                cells.append("–")
            else:
                cells.append(element("span", objective.actual, class_="" if objective.met else "bad"))
        tone = "good" if step.verdict is Verdict.MET else "bad"
        chip = element("span", result, class_=f"chip {tone}")
        rows.append([format_count(step.streams), chip, format_count(step.peak_active), *cells])
    head = ["Streams meant", "Result", "Peak", *texts]
    return table("The loads that were tried, by size", head, rows, numbers=(0, 2, *range(3, len(head))))
