"""The dashboard: as its code says, laid out without overlaps, and made of metrics and labels that exist."""

import json
import re
from itertools import combinations
from typing import Any

import yaml  # type: ignore[import-untyped]

from ops.dashboard import PATH, text
from tests.ops.prometheus_world import RULES
from tests.test_metrics_catalogue import PAGE, documented, values_of

DASHBOARD: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
_EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
_RECORDED = {
    rule["record"]
    for group in yaml.safe_load((RULES / "recording.yml").read_text())["groups"]
    for rule in group["rules"]
}
_PROCESS = set(re.findall(r"`(process_\w+)`", PAGE))
_FROM_OUTSIDE = {"instance", "job"}


def series() -> dict[str, tuple[str, ...]]:
    """Every name that can be asked for, with its own labels."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(_PROCESS, ())
    for name, (kind, labels) in documented().items():
        if kind == "histogram":
            found |= {f"{name}_bucket": ("le",), f"{name}_count": (), f"{name}_sum": ()}
        else:
            found[name] = labels
    return found | dict.fromkeys(_RECORDED, ())


def test_the_file_is_what_the_code_writes() -> None:
    assert PATH.read_text(encoding="utf-8") == text(), "run: python -m ops.dashboard"


def test_every_metric_and_label_of_a_query_exists() -> None:
    known = series()
    for expr in [*_EXPRESSIONS, *(rule["expr"] for rule in _rules())]:
        used = re.findall(r"\b((?:job:)?(?:voice|process)_[a-z_]\w*(?::\w+)*)(?:\{([^}]*)\})?", expr)
        used = [(name, matchers) for name, matchers in used if name not in ("voice_gateway", "voice_certificate")]
        for name, matchers in used:
            assert name in known, (name, expr)
            for label, _, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', matchers):
                assert label in {*known[name], *_FROM_OUTSIDE}, (label, expr)
                if label in ("outcome", "code", "state", "slug", "reason"):
                    assert any(re.fullmatch(value, one) for one in values_of(label)), (value, expr)
                    for part in value.split("|"):
                        assert any(re.fullmatch(part, one) for one in values_of(label)), (part, expr)
        for labels in re.findall(r"by \(([^)]*)\)", expr):
            own = {label for name, _ in used for label in known[name]}
            assert {one.strip() for one in labels.split(",")} <= own | _FROM_OUTSIDE, expr


def _rules() -> list[dict[str, Any]]:
    return [
        rule
        for name in ("recording.yml", "alerts.yml")
        for group in yaml.safe_load((RULES / name).read_text())["groups"]
        for rule in group["rules"]
    ]


def test_every_metric_is_shown() -> None:
    shown = " ".join(_EXPRESSIONS)
    missing = [name for name in (*documented(), *_PROCESS) if not re.search(rf"\b{name}(_bucket|_count)?\b", shown)]
    assert missing == []


def test_bucket_edges_of_objectives_exist() -> None:
    from service.telemetry.metrics import Metrics

    for histogram in (Metrics().first_partial, Metrics().finalization):
        (family,) = histogram.collect()
        assert "0.8" in {sample.labels.get("le") for sample in family.samples}


def test_panels_have_ids_places_and_queries_of_their_own() -> None:
    assert DASHBOARD["uid"] == "voice-gateway"
    assert DASHBOARD["schemaVersion"] >= 39
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        if panel["type"] != "row":
            assert panel["description"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references) > 0
            assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
            assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
    for one, other in combinations(PANELS, 2):
        assert not _overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def _overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_the_stages_of_a_stream_have_a_row_each() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]
    assert [title for title in rows if title.startswith("Stage ")] == [
        "Stage 1: connect, start, ready",
        "Stage 2: recognizer connect",
        "Stage 3: first partial",
        "Stage 4: relay",
        "Stage 5: results",
        "Stage 6: finalization",
        "Stage 7: end",
    ]


def test_the_variables_of_queries_are_those_of_the_dashboard() -> None:
    variables = {one["name"] for one in DASHBOARD["templating"]["list"]}
    used = {name for expr in _EXPRESSIONS for name in re.findall(r"\$\{?(\w+)", expr)}
    assert used - {"__rate_interval"} <= variables
    assert variables == {"datasource", "instance"}
