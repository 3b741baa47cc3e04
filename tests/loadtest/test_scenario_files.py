"""Scenarios from files; the bundled ones can be run, and so can what their comments say."""

import argparse
import re
import shlex
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from loadtest.audio import load_clips, make_track
from loadtest.overrides import with_load
from loadtest.plan import make_plan, mean_call_s, planned_peak, shard
from loadtest.scenario import Behavior, ScenarioError
from loadtest.scenario_files import BUNDLED, MAX_FILE_BYTES, bundled_names, load_scenario
from loadtest.scenario_rules import parse_scenario
from loadtest.scenarios_command import add_command, run_scenarios

NAMES = ("churn", "cloudbase", "misbehaving", "overload", "ramp", "release", "smoke", "soak", "spike", "steady")
OWN = """
name = "own"
objectives = ["success >= 99%"]
audio.files = ["a.wav"]
[[arrivals]]
for_s = 5
per_s = 2
"""


def durations_s(name: str) -> list[float]:
    loaded = load_scenario(name)
    return [clip.speech.duration_s for clip in load_clips(loaded.scenario.audio.files, loaded.directory)]


def test_the_bundled_scenarios() -> None:
    assert bundled_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_bundled_scenario_can_be_run(name: str) -> None:
    loaded = load_scenario(name)
    scenario = loaded.scenario
    assert (scenario.name, loaded.directory) == (name, None)
    assert scenario.description != ""
    assert len(scenario.objectives) >= 5
    plan = make_plan(scenario, durations_s(name), 1)
    assert len(plan.calls) >= 2
    clips = load_clips(scenario.audio.files, None)
    for track in plan.tracks:
        made = make_track(clips, track, scenario.audio.gap_s)
        assert 0 < made.onset_s < 0.6
    assert sum(len(shard(plan, index, 3).calls) for index in range(3)) == len(plan.calls)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_of_a_run_is_the_same_run(name: str) -> None:
    loaded = load_scenario(name)
    assert parse_scenario(tomllib.loads(loaded.toml)) == loaded.scenario
    other = replace(loaded, scenario=with_load(loaded.scenario, streams=3, for_s=200))
    again = parse_scenario(tomllib.loads(other.toml))
    assert make_plan(again, durations_s(name), 5) == make_plan(other.scenario, durations_s(name), 5)


@pytest.mark.parametrize("name", NAMES)
def test_what_the_comments_of_a_scenario_say_can_be_typed(name: str) -> None:
    """Every `--set` of an example is a key that there is."""
    text = (BUNDLED / f"{name}.toml").read_text()
    comments = re.sub(r"\\\n#\s*", "", text)
    examples = [shlex.split(line) for line in re.findall(r"^#\s+(voice-loadtest .*)$", comments, re.MULTILINE)]
    settings = [after for words in examples for word, after in pairwise(words) if word == "--set"]
    assert load_scenario(name, settings).scenario.name == name
    assert all(words[1:4] == ["run", "--scenario", name] for words in examples)
    assert max(len(line) for line in text.splitlines()) <= 120


def test_smoke_is_two_people_for_some_seconds() -> None:
    plan = make_plan(load_scenario("smoke").scenario, durations_s("smoke"))
    assert planned_peak(plan, durations_s("smoke")) == 2
    assert plan.scenario.audio.files == ("goforward.wav", "something.wav")
    assert max(call.at_s for call in plan.calls) + max(durations_s("smoke")) < 10


def test_overload_is_capacity_and_twice_capacity() -> None:
    stages = load_scenario("overload").scenario.arrivals
    assert [stage.streams for stage in stages] == [50, 100, 50]


def test_misbehaving_has_every_behavior_in_its_plan() -> None:
    plan = make_plan(load_scenario("misbehaving").scenario, durations_s("misbehaving"))
    assert {call.behavior for call in plan.calls} == set(Behavior)


def test_a_restart_is_in_the_middle_and_calls_can_end_in_time() -> None:
    scenario = load_scenario("release").scenario
    plan = make_plan(scenario, durations_s("release"))
    assert 0 < scenario.events[0].at_s < plan.duration_s
    clips = load_clips(scenario.audio.files, None)
    # DRAIN_S is 20 by default.
    assert max(make_track(clips, track, scenario.audio.gap_s).speech.duration_s for track in plan.tracks) < 20


def test_the_figures_about_calls_in_comments() -> None:
    """Ramp and spike say how many streams a rate is."""
    for name in ("ramp", "spike"):
        plan = make_plan(load_scenario(name).scenario, durations_s(name))
        assert mean_call_s(plan.tracks, durations_s(name), 1.2) == pytest.approx(4, abs=0.1)


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    loaded = load_scenario(str(path), ["audio.frame_ms=20", "arrivals.0.per_s=7"])
    assert loaded.directory == tmp_path
    assert loaded.scenario.audio.frame_ms == 20
    assert loaded.scenario.arrivals[0].per_s == 7
    assert "per_s = 7.0" in loaded.toml


def test_a_name_in_this_directory_needs_its_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert load_scenario("own.toml").directory == Path()
    with pytest.raises(
        ScenarioError,
        match=r"no scenario `own`: expected one of churn, .*, steady \(A file of your own needs",
    ):
        load_scenario("own")


def test_a_bundled_name_that_is_nearly_one() -> None:
    with pytest.raises(
        ScenarioError,
        match=r"^no scenario `smok`: did you mean `smoke`\? \(A file of your own needs its path, ",
    ):
        load_scenario("smok")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"name = ", "is not TOML: Invalid value .at end of document"),
        (b"\xff", "is not UTF-8 text"),
        (b"#" * (MAX_FILE_BYTES + 1), "has over 1048576 bytes"),
        (b'name = "x"', "`arrivals`: missing"),
    ],
)
def test_a_file_that_is_no_scenario(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=rf"own\.toml.*{complaint}"):
        load_scenario(str(path))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"missing\.toml: No such file"):
        load_scenario(str(tmp_path / "missing.toml"))
    with pytest.raises(ScenarioError, match="Is a directory"):
        load_scenario(f"{tmp_path}/")


def command(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_command(parser.add_subparsers(dest="command"))
    return parser.parse_args(["scenarios", *words])


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_scenarios(command()) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "streams", "at", "once", "arrivals", "description"]
    assert [line.split()[0] for line in lines] == list(NAMES)
    smoke = next(line for line in lines if line.startswith("smoke"))
    assert smoke.split()[:5] == ["smoke", "2", "2", "4", "s"]
    assert smoke.endswith(load_scenario("smoke").scenario.description)


def test_one_is_shown_as_it_is_in_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_scenarios(command("show", "smoke")) == 0
    assert capsys.readouterr().out == (BUNDLED / "smoke.toml").read_text()
    (tmp_path / "own.toml").write_text(OWN)
    assert run_scenarios(command("show", str(tmp_path / "own.toml"))) == 0
    assert capsys.readouterr().out == OWN


def test_one_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_scenarios(command("show", "smok")) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("loadtest: no scenario `smok`: did you mean `smoke`? (")
