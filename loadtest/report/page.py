"""The page: its parts in order, with style and script inside and nothing from outside. Pure but for its own assets.

The policy in the page's head forbids whatever is not in the file, by hash: text of a run that would get past the
escaping could still neither run nor fetch anything.
"""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from string import Template
from typing import Any, Final
from urllib.parse import quote

from loadtest.report import accounts, background, capacity, charts, findings, overtime, percentiles, timelines
from loadtest.report.markup import Child, Html, element, escape, join, json_script
from loadtest.summary import Summary, Verdict

_ICON_COLORS: Final = {
    Verdict.MET: "#2e7d4f",
    Verdict.MISSED: "#b83a3a",
    Verdict.INVALID: "#b3700b",
    Verdict.UNREACHABLE: "#68727c",
    Verdict.INTERRUPTED: "#68727c",
}

_SHORT: Final = {"knee": "Knee", "scenario": "Scenario", "terms": "Terms"}


def render(summary: Summary) -> str:
    """The report as one HTML document, without external assets. Raises `HistogramError` for a broken histogram.

    Text from the run is escaped wherever it stands; transcripts are not shown, even when the records hold them.
    """
    style, script = _asset("report.css"), _asset("report.js")
    page = _Page(summary)
    body = page.body()
    return Template(_asset("template.html")).substitute(
        policy=_policy(style, script),
        icon=_icon(summary.verdict),
        title=escape(f"{summary.scenario}: {findings.title(summary)}"),
        style=style,
        body=body,
        data=json_script("report-data", page.data),
        script=script,
    )


class _Page:
    """The parts, and the data of those that the script brings to life."""

    def __init__(self, summary: Summary) -> None:
        self._summary = summary
        self.data: dict[str, Any] = {"charts": {}, "timelines": timelines.data(summary)}

    def body(self) -> Html:
        """Everything between the page's head and its script."""
        summary = self._summary
        parts = self._parts()
        links = [
            element("li", element("a", _SHORT.get(identifier, title), href=f"#{identifier}"))
            for identifier, title, _ in parts
        ]
        return join(
            element(
                "header",
                element("p", "Load test", class_="eyebrow"),
                element("h1", summary.scenario),
                element("p", summary.description, class_="description") if summary.description else None,
                background.facts(summary),
            ),
            findings.verdict(summary),
            element("nav", element("ul", links), aria_label="Parts of the report"),
            element(
                "main",
                [
                    element("section", element("h2", title), content, id=identifier)
                    for identifier, title, content in parts
                ],
            ),
        )

    def _parts(self) -> list[tuple[str, str, Child]]:
        summary = self._summary
        knee = summary.knee
        parts: list[tuple[str, str, Child]] = []
        if knee is not None:
            parts.append(("knee", "How much it holds", capacity.section(summary, knee)))
        parts += [
            ("objectives", "Objectives", findings.objectives(summary)),
            ("key-figures", "Key figures", findings.key_figures(summary)),
            ("latency", "Latency", join(self._invalid(), percentiles.figures_table(summary), self._percentiles())),
            ("over-time", "Over time", join(self._over_time(), accounts.events(summary))),
            ("streams", "Streams", timelines.section(summary)),
            ("endings", "Endings", accounts.endings(summary)),
            ("words", "Words and audio", join(accounts.words(summary), accounts.audio(summary))),
            ("environment", "Environment", background.environment(summary)),
            ("scenario", "Scenario and rerun", join(background.scenario(summary), background.rerun(summary))),
            ("terms", "What the terms mean", background.terms()),
        ]
        return parts

    def _invalid(self) -> Html | None:
        if self._summary.verdict is not Verdict.INVALID:
            return None
        text = " The run is invalid: these latencies include the load tester's own delay."
        return element("p", findings.icon("warning", "mini"), text, class_="warning")

    def _percentiles(self) -> Html:
        explained = "By percentile: each further nine takes the same room, and streams that failed count as never."
        drawn = percentiles.charts_of(self._summary)
        if not any(isinstance(chart, charts.Chart) for chart in drawn):
            return element("p", "no samples: there is no curve to draw", class_="empty")
        return join(
            element("h3", "Percentiles"),
            element("p", explained, class_="note"),
            element("div", self._charts(drawn), class_="grid-2"),
        )

    def _over_time(self) -> Html:
        drawn = overtime.charts_of(self._summary)
        if not drawn:
            return element("p", "no samples: the run has no intervals", class_="empty")
        server = overtime.server_charts(self._summary)
        served: Html = (
            element("div", self._charts(server), class_="grid-3")
            if server
            else element("p", "no samples: the service's /metrics was not scraped, or not reachable", class_="empty")
        )
        return join(
            element("p", self._interval(), class_="note"),
            element("div", self._charts(drawn), class_="grid-2 aligned"),
            element("h3", "The service, from its metrics"),
            served,
        )

    def _interval(self) -> str:
        series = self._summary.series
        length = len(overtime.condensed(series, self._summary.duration_s))
        merged = -(-len(series) // length)
        if merged == 1:
            return "Latencies of an interval are those of the streams that ended in it."
        return (
            f"Each point stands for {merged} intervals: the most active streams, the worst p99, the median of their "
            "p50. Latencies are those of the streams that ended then."
        )

    def _charts(self, drawn: Sequence[charts.Chart | Html]) -> list[Html]:
        found = []
        for chart in drawn:
            if isinstance(chart, charts.Chart):
                self.data["charts"][chart.identifier] = chart.data()
                found.append(chart.html())
            else:
                found.append(chart)
        return found


def _asset(name: str) -> str:
    return resources.files("loadtest.report").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> Html:
    return escape(
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _icon(verdict: Verdict) -> Html:
    drawn = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
        f'<circle cx="8" cy="8" r="7" fill="{_ICON_COLORS[verdict]}"/></svg>'
    )
    return escape(f"data:image/svg+xml,{quote(drawn)}")
