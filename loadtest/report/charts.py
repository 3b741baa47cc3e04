"""Charts as SVG that stretches with the page while its text keeps its size. Pure.

Horizontal places are percentages; curves lie in a nested drawing of 1000 units that is stretched. So no script is
needed to draw, and the same picture fits a phone, a desk and paper. What the script adds (a cursor with the values) it
reads from the data that `Chart.data` returns.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadtest.report.markup import Child, Html, element, join, number
from loadtest.report.scales import Scale

STRETCHED_WIDTH: Final = 1000
TOP_PX: Final = 16  # room for the marks of events above the highest line
BOTTOM_PX: Final = 24  # room for the labels of the time axis


@dataclass(frozen=True, slots=True)
class Line:
    """One curve. `tone` is its place in the palette of report.css, which gives it a color and a dash of its own."""

    name: str
    tone: str
    values: Sequence[float | None]
    texts: Sequence[str]
    """What the cursor says of each value."""
    filled: bool = False
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Stack:
    """Bars on top of each other, one series for each name."""

    name: str
    tone: str
    values: Sequence[float]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Limit:
    """A horizontal line that should not be passed."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line: something happened then."""

    share: float
    label: str
    title: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart: its axes, what is drawn, and what it says in words."""

    identifier: str
    title: str
    summary: str
    """The chart in one sentence, for those who do not see it."""
    x_scale: Scale
    y_scale: Scale
    at: Sequence[float]
    """The values on the x axis, the same for all curves."""
    at_texts: Sequence[str]
    lines: Sequence[Line] = ()
    stacks: Sequence[Stack] = ()
    limits: Sequence[Limit] = ()
    marks: Sequence[Mark] = ()
    height_px: int = 200
    note: str = ""
    under: Sequence[Html] = field(default=())
    """Drawn first: bands and the like, in percentages of the width and pixels of the height."""

    def y(self, value: float) -> float:
        """The distance of a value from the top of the drawing, in pixels."""
        return TOP_PX + (1 - self.y_scale.share(value)) * (self.height_px - TOP_PX)

    def data(self) -> dict[str, Any]:
        """What the script needs for the cursor; coordinates as they are drawn."""
        tops = [0.0] * len(self.at)
        stacked = []
        for stack in self.stacks:
            tops = [top + value for top, value in zip(tops, stack.values, strict=True)]
            stacked.append(_cursor(stack.name, stack.tone, [None] * len(tops), stack.texts))
        return {
            "x": [round(self.x_scale.share(at) * 100, 2) for at in self.at],
            "at": list(self.at_texts),
            "height": self.height_px,
            "series": [
                _cursor(
                    line.name, line.tone, [None if v is None else round(self.y(v), 1) for v in line.values], line.texts
                )
                for line in self.lines
            ]
            + stacked[::-1],
        }

    def html(self) -> Html:
        """The chart with its heading and its legend."""
        return element(
            "figure",
            element("figcaption", element("h4", self.title), self._legend(), class_="chart-head"),
            element(
                "div",
                self._axis(),
                element("div", self._canvas(), class_="canvas-box"),
                class_="plot",
                tabindex=0,
                role="group",
                aria_label=f"{self.title}. {self.summary}",
                data_chart=self.identifier,
            ),
            element("p", self.note, class_="note") if self.note else None,
            class_="chart",
            id=f"chart-{self.identifier}",
        )

    def _legend(self) -> Html | None:
        names = [*((s.name, s.tone, "bar") for s in self.stacks), *((c.name, c.tone, "line") for c in self.lines)]
        entries = [element("li", sample(tone, kind), element("span", name)) for name, tone, kind in names if name]
        return element("ul", entries, class_="legend") if entries else None

    def _axis(self) -> Html:
        labels = [
            element("text", tick.label, x="100%", dx=-8, y=self._tick_y(tick.share) + 4, text_anchor="end")
            for tick in self.y_scale.ticks
        ]
        return element("svg", labels, class_="axis", height=self.height_px + BOTTOM_PX, aria_hidden="true")

    def _tick_y(self, share: float) -> float:
        return TOP_PX + (1 - share) * (self.height_px - TOP_PX)

    def _canvas(self) -> Html:
        grid = [
            element(
                "line",
                x1=0,
                x2="100%",
                y1=self._tick_y(tick.share),
                y2=self._tick_y(tick.share),
                class_="grid" if tick.share else "base",
            )
            for tick in self.y_scale.ticks
        ]
        stretched = element(
            "svg",
            [self._bars(index) for index in range(len(self.stacks))],
            [self._curve(line) for line in self.lines],
            x=0,
            y=0,
            width="100%",
            height=self.height_px,
            viewBox=f"0 0 {STRETCHED_WIDTH} {self.height_px}",
            preserveAspectRatio="none",
            class_="stretched",
        )
        return element(
            "svg",
            element("title", f"{self.title}. {self.summary}"),
            grid,
            self.under,
            stretched,
            self._limits(),
            [self._mark(mark) for mark in self.marks],
            x_axis(self.x_scale, self.height_px + 17),
            class_="canvas",
            width="100%",
            height=self.height_px + BOTTOM_PX,
            role="img",
        )

    def _limits(self) -> list[Html]:
        drawn: list[Html] = []
        above = -math.inf
        for limit in sorted(self.limits, key=lambda limit: -limit.value):
            y = self.y(limit.value)
            # The words stand on their line, or under it where those of the limit before have taken the place.
            drawn.append(element("line", x1=0, x2="100%", y1=y, y2=y, class_="limit"))
            text_y = y - 5 if y - above > 18 else y + 13
            words = element("text", limit.label, x="100%", dx=-4, y=text_y, text_anchor="end", class_="limit-label")
            drawn.append(words)
            above = y
        return drawn

    def _mark(self, mark: Mark) -> Html:
        place = f"{number(mark.share * 100)}%"
        return element(
            "g",
            element("title", mark.title),
            element("line", x1=place, x2=place, y1=10, y2=self.height_px),
            element("text", mark.label, x=place, y=8, text_anchor=anchor(mark.share)),
            class_="mark",
        )

    def _curve(self, line: Line) -> Html:
        places = [self.x_scale.share(at) * STRETCHED_WIDTH for at in self.at]
        runs: list[list[tuple[float, float]]] = [[]]
        for x, value in zip(places, line.values, strict=True):
            if value is None:
                runs.append([])
            else:
                runs[-1].append((x, self.y(value)))
        drawn = [_path(run, line.steps) for run in runs if run]
        if not drawn:
            return Html("")
        parts = []
        if line.filled:
            closed = [
                f"{text}L{number(run[-1][0])},{self.height_px}H{number(run[0][0])}Z"
                for run, text in zip([r for r in runs if r], drawn, strict=True)
            ]
            parts.append(element("path", d="".join(closed), class_=f"area {line.tone}"))
        parts.append(element("path", d="".join(drawn), class_=f"curve {line.tone}"))
        return join(*parts)

    def _bars(self, index: int) -> Html:
        stack, below = self.stacks[index], self.stacks[:index]
        places = [self.x_scale.share(at) * STRETCHED_WIDTH for at in self.at]
        # The last bar is as wide as the others; a run of one interval fills the width.
        width = places[1] - places[0] if len(places) > 1 else float(STRETCHED_WIDTH)
        drawn = []
        for i, x in enumerate(places):
            if stack.values[i]:
                base = sum(s.values[i] for s in below)
                top, bottom = self.y(base + stack.values[i]), self.y(base)
                broad = min(width * 0.84, STRETCHED_WIDTH - x)
                drawn.append(f"M{number(x)},{number(bottom)}V{number(top)}h{number(broad)}V{number(bottom)}Z")
        return element("path", d="".join(drawn), class_=f"bar {stack.tone}") if drawn else Html("")


def x_axis(scale: Scale, y_px: float) -> Html:
    """The labels below a drawing."""
    return join(
        *(
            element(
                "text",
                tick.label,
                x=f"{number(tick.share * 100)}%",
                y=y_px,
                text_anchor=anchor(tick.share),
                class_="tick" if tick.major else "tick minor",
            )
            for tick in scale.ticks
        )
    )


def anchor(share: float) -> str:
    """How a text at that place is aligned, so that it does not leave the drawing."""
    return "start" if share < 0.02 else "end" if share > 0.96 else "middle"


def sample(tone: str, kind: str) -> Html:
    """The little picture in a legend: the dash of a line, or a bar."""
    if kind == "bar":
        drawn: Child = element("rect", x=2, y=1, width=12, height=10, rx=2, class_=f"bar {tone}")
    else:
        drawn = element("path", d="M1,6H23", class_=f"curve {tone}")
    return element("svg", drawn, width=16 if kind == "bar" else 24, height=12, class_="sample", aria_hidden="true")


def no_samples(title: str, why: str = "no samples") -> Html:
    """What stands where a chart would be empty."""
    return element(
        "figure",
        element("figcaption", element("h4", title), class_="chart-head"),
        element("p", why, class_="empty"),
        class_="chart",
    )


def _path(run: Sequence[tuple[float, float]], steps: bool) -> str:
    text = f"M{number(run[0][0])},{number(run[0][1])}"
    if len(run) == 1:
        return text + "h0"  # round ends make a dot of it
    for x, y in run[1:]:
        text += f"H{number(x)}V{number(y)}" if steps else f"L{number(x)},{number(y)}"
    return text


def _cursor(name: str, tone: str, y: Sequence[float | None], texts: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "tone": tone, "y": list(y), "text": list(texts)}
