"""docs/metrics.md and the registry say the same."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from service.background import begin_at_zero
from service.deps import Deps
from service.failures import CATALOGUE
from service.recognizer.tencent import ERROR_LABELS
from service.settings import Settings
from service.store.away import LOST
from service.stream.outcome import OUTCOME_LABELS
from service.web.login import OUTCOMES as LOGIN_OUTCOMES

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| [^|]+ \| [^|]+ \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, tuple[str, ...]]]:
    return {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in _ROW.findall(PAGE)}


def values_of(label: str) -> list[str]:
    section = PAGE.split(f"### `{label}`\n")[1].split("\n### ")[0]
    return re.findall(r"^\* `(\w+)`$", section, re.MULTILINE)


def test_every_metric_is_documented_and_no_other() -> None:
    metrics = Deps.from_settings(Settings()).metrics
    registered = {}
    instruments = [
        one for one in vars(metrics).values() if hasattr(one, "collect") and not isinstance(one, CollectorRegistry)
    ]
    for instrument in instruments:
        (family,) = instrument.collect()
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = ("version", "python") if family.type == "info" else tuple(getattr(instrument, "_labelnames", ()))
        registered[name] = (family.type, labels)
    assert documented() == registered
    # None is kept elsewhere than in an attribute: what the registry has beside these is the process.
    exposed = {family.name for family in metrics.registry.collect()}
    kept = {family.name for instrument in instruments for family in instrument.collect()}
    assert {name for name in exposed - kept if not name.startswith("process_")} == set()


@pytest.mark.parametrize(
    ("label", "values"),
    [
        ("outcome", list(OUTCOME_LABELS)),
        ("code", list(ERROR_LABELS)),
        ("state", ["used", "free", "waited_for"]),
        ("slug", list(CATALOGUE)),
        ("reason", list(LOST)),
    ],
)
def test_every_value_of_a_label_is_documented(label: str, values: list[str]) -> None:
    assert values_of(label) == values


def test_slots_have_the_documented_states() -> None:
    metrics = Deps.from_settings(Settings()).metrics
    for slots in (metrics.recognizer_slots, metrics.recognizer_pool_slots):
        (family,) = slots.collect()
        assert [sample.labels["state"] for sample in family.samples] == values_of("state")


def test_logins_have_documented_outcomes() -> None:
    assert set(LOGIN_OUTCOMES) <= set(values_of("outcome"))


def test_every_labeled_series_begins_at_zero() -> None:
    """What `run_background` does first, under our own server and under plain Hypercorn."""
    metrics = Deps.from_settings(Settings()).metrics
    begin_at_zero(metrics)
    for instrument in vars(metrics).values():
        labels = getattr(instrument, "_labelnames", ())
        if labels and instrument is not metrics.build_info:
            (family,) = instrument.collect()
            begun = {sample.labels[labels[0]] for sample in family.samples}
            assert begun <= set(values_of(labels[0]))
            assert begun == set(LOGIN_OUTCOMES if instrument is metrics.logins else values_of(labels[0])), family.name


def test_no_gauge_is_named_as_a_counter() -> None:
    assert [name for name, (kind, _) in documented().items() if name.endswith("_total") and kind != "counter"] == []


def test_no_other_name_contains_the_streams_gauge() -> None:
    assert [name for name in documented() if "streams_active" in name] == ["voice_streams_active"]


def test_the_process_is_described_as_documented() -> None:
    registry = Deps.from_settings(Settings()).metrics.registry
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
        if family.name.startswith("process_")
    }
    assert names
    assert names == set(re.findall(r"`(process_\w+)`", PAGE))
