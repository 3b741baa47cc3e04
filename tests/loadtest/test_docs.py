"""docs/load-testing.md and the program say the same."""

import argparse
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from loadtest.compare_command import DEFAULT_METRICS
from loadtest.figures import LATENCIES, MAX_OWN_LATENESS_S
from loadtest.metrics_port import RunCollector
from loadtest.objectives import METRICS, ObjectiveError, parse_objective
from loadtest.record import Ending, StreamRecord
from loadtest.run_options import add_command as add_run
from loadtest.run_state import RunState
from loadtest.scenario import Audio, Behavior, Call, Event, Knee, Phone, Scenario, Stage
from loadtest.scenario_files import bundled_names
from loadtest.scenario_rules import NEEDED_KEYS, parse_scenario
from loadtest.sink.command import add_command as add_sink
from loadtest.summary import EXIT_CODES, Summary

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "docs" / "load-testing.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "docs" / "load-testing.zh-CN.md").read_text(encoding="utf-8")
BOTH = pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh-CN"])

TABLES: dict[str, type[msgspec.Struct]] = {
    "Top level": Scenario,
    "`[audio]`": Audio,
    "`[call]`": Call,
    "`[[arrivals]]`": Stage,
    "`[phone]`": Phone,
    "`[[events]]`": Event,
    "`[knee]`": Knee,
}
DEFAULTS_IN_WORDS = {"behaviors": "`talker = 1`"}


def section(page: str, heading: str) -> str:
    """Everything below a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |^\1 |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """The rows of all tables, without their heads; a pipe of a cell is escaped."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {number for number, row in enumerate(cells) if all(re.fullmatch(r"-+", cell) for cell in row)}
    return [row for number, row in enumerate(cells) if number not in rules and number + 1 not in rules]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def first_names(text: str) -> list[str]:
    return [name for row in rows(text) for name in names(row[0])]


def shown_default(field: msgspec.structs.FieldInfo) -> str:
    """How the page shows a default: as TOML, a dash for none, nothing for a table that has a part of its own."""
    if field.name in DEFAULTS_IN_WORDS:
        return DEFAULTS_IN_WORDS[field.name]
    default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if default is msgspec.NODEFAULT or default is None:
        return "–"
    if isinstance(default, msgspec.Struct):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, tuple):
        return "`[" + ", ".join(f'"{item}"' for item in default) + "]`"
    return "`{}`" if default == {} else f"`{default:g}`"


@pytest.mark.parametrize("heading", TABLES)
def test_every_key_of_a_scenario_is_documented_with_its_default(heading: str) -> None:
    text = section(ENGLISH, heading)
    documented = {names(row[0])[0]: row[1] for row in rows(text) if names(row[0])[0] not in NEEDED_KEYS}
    fields = msgspec.structs.fields(TABLES[heading])
    assert documented == {field.name: shown_default(field) for field in fields}


@pytest.mark.parametrize("heading", TABLES)
def test_what_has_no_default_is_said_to_be_needed(heading: str) -> None:
    meanings = {names(row[0])[0]: row[2] for row in rows(section(ENGLISH, heading))}
    for field in msgspec.structs.fields(TABLES[heading]):
        assert meanings[field.name].startswith("needed.") is field.required, field.name


def test_every_pattern_is_documented_with_the_keys_it_needs() -> None:
    table = [row for row in rows(section(ENGLISH, "`[[arrivals]]`")) if names(row[0])[0] in NEEDED_KEYS]
    documented = {names(row[0])[0]: names(row[1]) for row in table}
    rate = ["per_s", "streams"]
    assert documented == {
        pattern: [key for needed in keys for key in (rate if needed == "rate" else [needed])]
        for pattern, keys in NEEDED_KEYS.items()
    }


@BOTH
def test_every_bundled_scenario_is_documented(page: str) -> None:
    table = section(page, "Scenarios" if page is ENGLISH else "场景").split("\n### ")[0]
    documented = first_names(table)
    assert sorted(documented) == sorted(bundled_names())


def test_every_behavior_is_documented() -> None:
    assert sorted(first_names(section(ENGLISH, "`[behaviors]`"))) == sorted(Behavior)


def test_attempts_are_the_first_behaviors_of_the_table() -> None:
    documented = first_names(section(ENGLISH, "`[behaviors]`"))
    assert [Behavior(name).expects_transcript for name in documented] == [True] * 4 + [False] * 4


def test_every_latency_is_documented_in_order() -> None:
    assert first_names(section(ENGLISH, "What each latency counts from")) == list(LATENCIES)


def test_every_metric_of_objectives_is_documented() -> None:
    documented = first_names(section(ENGLISH, "Objectives"))
    assert set(METRICS) - set(LATENCIES) <= set(documented)
    for name in documented:
        without_place = re.sub("<.*>", "99", name)
        is_metric = without_place in METRICS or "." in without_place or name == "admitted.<latency>"
        assert is_metric, name


def test_examples_of_objectives_can_be_read() -> None:
    text = section(ENGLISH, "Objectives")
    examples = [line.split("  ")[0] for line in text.split("```")[1].strip().splitlines()]
    examples += re.findall(r"`(\w+ (?:p\d+ )?(?:<=|>=|==) [^`<]+)`", ENGLISH)
    assert len(examples) >= 4
    for example in examples:
        parse_objective(example)
    with pytest.raises(ObjectiveError):
        parse_objective("finalization <= 800ms")


@BOTH
def test_every_exit_code_is_documented(page: str) -> None:
    text = section(page, "Quick start" if page is ENGLISH else "快速开始")
    assert {names(row[1])[0]: int(row[0]) for row in rows(text)} == EXIT_CODES


def test_every_ending_is_documented() -> None:
    assert first_names(section(ENGLISH, "Endings")) == list(Ending)


def options(add: Callable[..., None], name: str) -> dict[str, argparse.Action]:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add(commands)
    return {
        option: action
        for action in commands.choices[name]._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }


def documented_options(text: str) -> list[str]:
    return [option for name in first_names(text) for option in re.findall(r"--[a-z-]+", name)]


def test_every_option_of_run_is_documented_and_no_other() -> None:
    run = section(ENGLISH, "Running").split("\n### ")[0]
    assert sorted(documented_options(run)) == sorted(options(add_run, "run"))


def test_defaults_of_run_are_documented() -> None:
    run = section(ENGLISH, "Running").split("\n### ")[0]
    documented = {names(row[0])[0].split()[0]: row[1].strip("`") for row in rows(run)}
    for option, action in options(add_run, "run").items():
        if isinstance(action.default, str | int) and not isinstance(action.default, bool) and action.default != "":
            assert documented[option] == str(action.default), option


def test_every_option_of_the_sink_is_documented_and_no_other() -> None:
    documented = documented_options(section(ENGLISH, "Sinks: measuring one side alone"))
    assert set(documented) == set(options(add_sink, "sink"))


def test_every_field_of_the_summary_is_documented_in_order() -> None:
    assert first_names(section(ENGLISH, "`summary.json`")) == list(Summary.__struct_fields__)


def test_every_field_of_a_stream_is_documented() -> None:
    assert sorted(first_names(section(ENGLISH, "`streams.jsonl`"))) == sorted(StreamRecord.__struct_fields__)


def test_every_metric_of_the_metrics_port_is_documented() -> None:
    suffixes = {"counter": "_total", "info": "_info"}
    told = {metric.name + suffixes.get(metric.type, "") for metric in RunCollector(RunState()).describe()}
    documented = first_names(section(ENGLISH, "Watching a long run: `--metrics-port`"))
    assert sorted(documented) == sorted(told)


def test_what_compare_looks_at_is_documented() -> None:
    text = " ".join(section(ENGLISH, "Comparing two runs").split())
    assert "in success and p99 of setup, first partial, word final and finalization" in text
    assert DEFAULT_METRICS == ("success", "setup p99", "first_partial p99", "word_final p99", "finalization p99")


@BOTH
def test_the_bound_of_the_own_lateness_is_documented(page: str) -> None:
    assert f"{MAX_OWN_LATENESS_S * 1000:g} ms" in page


def toml_examples() -> Iterator[str]:
    for page in (ENGLISH, CHINESE):
        yield from re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("text", list(toml_examples()))
def test_examples_of_scenarios_can_be_run(text: str) -> None:
    assert parse_scenario(tomllib.loads(text)).arrivals


def test_the_example_of_coordinated_omission_is_right() -> None:
    """One call a second for 200 s; from 90 s on nobody is answered for 20 s."""

    def waits_s(at_s: float) -> float:
        return max(0.0, 110 - at_s) if at_s >= 90 else 0.0

    planned = sorted(waits_s(at_s) for at_s in range(200))
    closed, now_s = [], 0.0
    while now_s < 200:
        closed.append(waits_s(now_s))
        now_s += max(1.0, closed[-1])
    closed.sort()

    def percentile(values: list[float], share: int) -> float:
        return values[-(-share * len(values) // 100) - 1]

    found = [len(closed), sum(wait > 0 for wait in closed), *(percentile(closed, share) for share in (95, 99, 100))]
    right = [len(planned), sum(wait > 0 for wait in planned), *(percentile(planned, share) for share in (95, 99, 100))]
    documented = rows(section(ENGLISH, "Coordinated omission"))
    assert [[int(re.search(r"\d+", cell)[0]) for cell in row[1:]] for row in documented] == [  # type: ignore[index]
        [int(one), int(other)] for one, other in zip(found, right, strict=True)
    ]


@BOTH
def test_links_inside_the_page_lead_somewhere(page: str) -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    }
    links = re.findall(r"\]\(#([^)]+)\)", page)
    assert links
    assert set(links) <= anchors


@BOTH
def test_links_to_files_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\((?![#h])([^)#]+)", page):
        assert (ROOT / "docs" / link).exists(), link
