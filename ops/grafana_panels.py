"""Builders for a Grafana dashboard: queries and panels as values, and the JSON that Grafana 11 and 12 read. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

SCHEMA_VERSION: Final = 41  # Grafana 12.0; older ones show a dashboard of a newer schema, newer ones migrate it
COLUMNS: Final = 24
SLO_S: Final = 0.8
"""For first words and for finalization: the objective, and a bucket's edge."""
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Query:
    """One line, or one for each series."""

    expr: str
    legend: str
    needs: str = ""
    """What must have happened for the query to have an answer; empty: one service that has served one stream."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `unit` is Grafana's name of it; `steps` are thresholds, from green to red."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    steps: tuple[float, ...] = ()
    maximum: float | None = None
    is_stacked: bool = False
    is_bad_when_low: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and what stands below it."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str = "", matching: str = "") -> str:
    """The rate of a counter, summed; `matching` begins with a comma."""
    grouped = f"sum by ({by}) " if by else "sum "
    return f"{grouped}(rate({metric}{{$selector{matching}}}[$__rate_interval]))"


def total(metric: str, by: str = "", matching: str = "") -> str:
    """A gauge, summed; `matching` begins with a comma."""
    return f"sum by ({by}) ({metric}{{$selector{matching}}})" if by else f"sum ({metric}{{$selector{matching}}})"


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """p50, p95 and p99 of a histogram."""
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by (le{by}) (rate({metric}_bucket{{$selector}}[$__rate_interval])))",
            name,
        )
        for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
    )


def dashboard(*, uid: str, title: str, description: str, variables: Sequence[Json], rows: Sequence[Row]) -> Json:
    """The whole dashboard. Panels stand in rows from left to right; a panel keeps its id while its place stays."""
    panels: list[Json] = []
    top = 0
    for row in rows:
        panels.append(_row(row.title, len(panels) + 1, top))
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, height = 0, top + height, 0
            panels.append(_panel(panel, len(panels) + 1, left, top))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["voice-gateway"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one crosshair for all panels
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "timepicker": {},
        "templating": {"list": list(variables)},
        "annotations": {"list": []},
        "links": [],
        "panels": panels,
    }


def datasource_variable() -> Json:
    """Which Prometheus; `$datasource`."""
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "prometheus"},
        "hide": 0,
        "options": [],
        "refresh": 1,
    }


def label_variable(name: str, label: str, query: str) -> Json:
    """Values of a label, several of them or all."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "current": {"text": ["All"], "value": ["$__all"]},
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "hide": 0,
        "options": [],
        "refresh": 2,  # when the time range changes
        "regex": "",
        "sort": 1,
    }


def _row(title: str, number: int, top: int) -> Json:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}


def _panel(panel: Panel, number: int, left: int, top: int) -> Json:
    defaults: Json = {
        "unit": panel.unit,
        "color": {"mode": "thresholds" if panel.kind in ("stat", "gauge") else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": _steps(panel)},
        "mappings": [],
    }
    if panel.kind == "timeseries":
        defaults |= {"custom": _lines(panel), "min": 0}
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": {"h": panel.height, "w": panel.width, "x": left, "y": top},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": [_target(query, place, panel.kind) for place, query in enumerate(panel.queries)],
    }


def _steps(panel: Panel) -> list[Json]:
    colors: tuple[str, ...] = ("green", "orange", "red") if len(panel.steps) > 1 else ("green", "red")
    if panel.is_bad_when_low:
        colors = tuple(reversed(colors))
    return [
        {"color": color, "value": value} for color, value in zip(colors, (None, *panel.steps), strict=False)
    ]  # without steps: the first color


def _lines(panel: Panel) -> Json:
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if panel.is_stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if panel.is_stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.steps else "off"},
    }


def _target(query: Query, place: int, kind: str) -> Json:
    return {
        "refId": chr(ord("A") + place),
        "datasource": _DATASOURCE,
        "editorMode": "code",
        "expr": query.expr.replace("$selector", SELECTOR),
        "legendFormat": query.legend,
        "instant": kind != "timeseries",
        "range": kind == "timeseries",
    }


SELECTOR: Final = 'job="voice-gateway", instance=~"$instance"'
"""What `$selector` in a query stands for."""
_OPTIONS: Final[dict[str, Json]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "none",
        "textMode": "auto",
        "orientation": "auto",
        "justifyMode": "auto",
    },
}
