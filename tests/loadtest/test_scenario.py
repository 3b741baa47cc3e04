"""Scenarios that cannot be run are refused, with the key, what was wrong, and what was expected."""

import tomllib
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.scenario import Behavior, Scenario, ScenarioError, Stage
from loadtest.scenario_rules import MAX_STEPS, NEEDED_KEYS, parse_scenario, stage_problems, used_keys
from loadtest.scenario_toml import to_toml

STAGE = {"for_s": 10, "per_s": 1}


def raw(**changes: Any) -> dict[str, Any]:
    return {"name": "test", "arrivals": [STAGE]} | changes


def stage(**keys: Any) -> dict[str, Any]:
    return raw(arrivals=[STAGE, {"for_s": 10} | keys])


def refused(given: dict[str, Any]) -> str:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(given)
    return str(caught.value)


def test_a_scenario_needs_a_name_and_arrivals_only() -> None:
    scenario = parse_scenario(raw())
    assert scenario == Scenario(name="test", arrivals=(Stage(for_s=10, per_s=1),))
    assert scenario.behaviors == {Behavior.TALKER: 1.0}
    assert (scenario.arrivals[0].pattern, scenario.call.length) == ("poisson", "clip")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"arrivals": [STAGE]}, "`name`: missing"),
        ({"name": "test"}, "`arrivals`: missing"),
        (raw(name="a b"), "`name`: expected str matching regex '^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$', got 'a b'"),
        (raw(arrivals=[]), "`arrivals`: expected an array of length >= 1, got []"),
        (raw(arrivals=STAGE), "`arrivals`: expected an array, got {'for_s': 10, 'per_s': 1}"),
        (raw(arrivals=[STAGE, {"per_s": 1}]), "`arrivals[1].for_s`: missing"),
        (raw(arrivals=[{"for_s": 0, "per_s": 1}]), "`arrivals[0].for_s`: expected float > 0.0, got 0"),
        (raw(arrivals=[{"for_s": "long"}]), "`arrivals[0].for_s`: expected float, got 'long'"),
        (raw(audio={"frame_bytes": 1.5}), "`audio.frame_bytes`: expected int | null, got 1.5"),
        (raw(audio={"files": ["a.wav", 1]}), "`audio.files[1]`: expected str, got 1"),
        (raw(audio=5), "`audio`: expected a table, got 5"),
        (raw(warm_up_s=float("nan")), "`warm_up_s`: expected a finite number, got nan"),
        (raw(arrivals=[{"for_s": float("inf")}]), "`arrivals[0].for_s`: expected a finite number, got inf"),
        (raw(compare_transcripts=1), "`compare_transcripts`: expected bool, got 1"),
        (raw(objectives="x" * 99), f"`objectives`: expected an array, got '{'x' * 56}..."),
        (raw(behaviors={"talker": 1, "vanish": -1}), "`behaviors.vanish`: expected float >= 0.0, got -1"),
        (raw(behaviors={"talker": "much"}), "`behaviors.talker`: expected float, got 'much'"),
        (raw(behaviors={"talker": True}), "`behaviors.talker`: expected float, got True"),
        (raw(audio={"frams_ms": 20}), "`audio.frams_ms`: not known; did you mean `frame_ms`?"),
        (raw(objectivs=[]), "`objectivs`: not known; did you mean `objectives`?"),
        (stage(per_second=1), "`arrivals[1].per_second`: not known; did you mean `per_s`?"),
        (raw(events=[{"at": 1, "run": "x"}]), "`events[0].at`: not known; did you mean `at_s`?"),
        (raw(behaviors={"hangup": 1}), "`behaviors.hangup`: not known; did you mean `hang_up`?"),
        (stage(pattern="possion"), "`arrivals[1].pattern`: not known: 'possion'; did you mean `poisson`?"),
        (
            raw(call={"length": "gauss"}),
            "`call.length`: not known: 'gauss'; expected one of clip, constant, uniform, exponential",
        ),
    ],
)
def test_one_key_that_is_wrong(given: dict[str, Any], complaint: str) -> None:
    assert refused(given) == complaint


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (stage(), "`arrivals[1].per_s`: missing; the pattern `poisson` needs `per_s` or `streams`"),
        (stage(per_s=1, streams=1), "`arrivals[1].streams`: stands beside `per_s`; expected one of the two"),
        (stage(pattern="ramp"), "`arrivals[1].to_per_s`: missing; the pattern `ramp` needs it"),
        (
            stage(per_s=1, peak_per_s=2),
            "`arrivals[1].peak_per_s`: is not used by the pattern `poisson`, which has pattern, for_s, per_s, streams",
        ),
        (
            stage(pattern="ramp", to_per_s=1, per_s=1),
            "`arrivals[1].per_s`: is not used by the pattern `ramp`, which has pattern, for_s, to_per_s, from_per_s, "
            "random",
        ),
        (
            stage(pattern="spike", per_s=1, peak_per_s=2, peak_at_s=8, peak_for_s=3),
            "`arrivals[1].peak_for_s`: the peak ends at 11 s, after its stage of 10 s",
        ),
        (
            stage(pattern="step", per_s=1, step_per_s=1, every_s=0.0001),
            f"`arrivals[1].every_s`: 0.0001 s makes more than {MAX_STEPS} steps; use a ramp",
        ),
        (raw(call={"min_s": 70}), "`call.min_s`: 70 is over `call.max_s`, 60"),
        (
            raw(call={"length": "exponential", "mean_s": 90}),
            "`call.mean_s`: 90 is outside `call.min_s` to `call.max_s`, 0 to 60",
        ),
        (raw(behaviors={}), "`behaviors`: expected at least one weight over 0"),
        (raw(behaviors={"talker": 0}), "`behaviors`: expected at least one weight over 0"),
        (raw(start={"token": "x"}), "`start.token`: is said by the load tester itself; leave it out"),
        (raw(start={"type": "x"}), "`start.type`: is said by the load tester itself; leave it out"),
        (raw(start={"voiceFormat": 1}), "`start.voiceFormat`: is said by the load tester itself; leave it out"),
        (raw(start={"sampleRate": 8000}), "`start.sampleRate`: is said by the load tester itself; leave it out"),
        (raw(start={"a": [{"b": date(2026, 1, 1)}]}), "`start.a[0].b`: expected what JSON has, got a date"),
        (raw(warm_up_s=10), "`warm_up_s`: 10 leaves nothing of the arrivals, which last 10 s"),
        (
            raw(events=[{"at_s": 11, "run": "true"}]),
            "`events[0].at_s`: 11 is after the last arrivals, which end at 10 s",
        ),
        (raw(events=[{"at_s": 1, "run": "echo 'a"}]), '`events[0].run`: No closing quotation in "echo \'a"'),
        (raw(events=[{"at_s": 1, "run": "  "}]), "`events[0].run`: expected a command"),
        (
            raw(events=[{"at_s": 1, "run": "true", "times": 2}]),
            "`events[0].every_s`: stands beside `times` over 1, and only there",
        ),
        (
            raw(events=[{"at_s": 1, "run": "true", "every_s": 2}]),
            "`events[0].every_s`: stands beside `times` over 1, and only there",
        ),
        (
            raw(events=[{"at_s": 1, "run": "true", "every_s": 5, "times": 3}]),
            "`events[0].times`: the last one, at 11 s, is after the last arrivals",
        ),
        (
            raw(knee={"from_streams": 20, "to_streams": 10}),
            "`knee.from_streams`: 20 is over `knee.to_streams`, 10",
        ),
    ],
)
def test_keys_that_do_not_fit_together(given: dict[str, Any], complaint: str) -> None:
    assert refused(given) == complaint


def test_who_is_owed_a_transcript() -> None:
    owed = {behavior.value for behavior in Behavior if behavior.expects_transcript}
    assert owed == {"talker", "pauser", "frozen", "reconnector"}


def test_an_objective_that_is_none() -> None:
    complaint = refused(raw(objectives=["success >= 99%", "finalisation p99 <= 1s"]))
    assert complaint.startswith("`objectives[1]`: ")
    assert "finalization" in complaint


def test_everything_that_does_not_fit_is_said_at_once() -> None:
    complaint = refused(raw(behaviors={}, warm_up_s=10, arrivals=[{"for_s": 10}]))
    assert [line.partition(":")[0] for line in complaint.splitlines()] == [
        "`arrivals[0].per_s`",
        "`behaviors`",
        "`warm_up_s`",
    ]


def test_every_key_of_a_stage_means_something_in_some_pattern() -> None:
    used = {key for pattern in NEEDED_KEYS for key in used_keys(Stage(pattern=pattern, for_s=1))}  # type: ignore[arg-type]
    assert used == set(Stage.__struct_fields__)


def test_defaults_of_other_patterns_may_stand_there() -> None:
    """As they do in a text that is complete."""
    assert list(stage_problems(Stage(pattern="constant", for_s=1, per_s=1, from_per_s=0.0, random=True))) == []


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.one_of(TEXTS, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
FREE = st.dictionaries(TEXTS.filter(lambda key: key not in ("type", "token", "voiceFormat", "sampleRate")), VALUES)
STAGES = st.sampled_from(
    [
        {"pattern": "constant", "for_s": 10.5, "per_s": 0.1},
        {"pattern": "poisson", "for_s": 1e-7, "streams": 1e5},
        {"pattern": "ramp", "for_s": 3, "to_per_s": 2, "random": False},
        {"pattern": "step", "for_s": 3, "streams": 2, "step_per_s": 1, "every_s": 1},
        {"pattern": "spike", "for_s": 3, "per_s": 0, "peak_per_s": 9, "peak_at_s": 1, "peak_for_s": 2},
    ]
)


@given(
    description=TEXTS,
    start=FREE,
    arrivals=st.lists(STAGES, min_size=1, max_size=3),
    commands=st.lists(st.sampled_from(["a 'b c'", 'say "x\\\\y"', "é"]), max_size=2),
    frame_bytes=st.none() | st.integers(1, 65536),
    file=TEXTS,
)
def test_the_text_of_a_scenario_is_the_same_scenario(
    description: str,
    start: dict[str, Any],
    arrivals: list[dict[str, Any]],
    commands: list[str],
    frame_bytes: int | None,
    file: str,
) -> None:
    scenario = parse_scenario(
        raw(
            description=description,
            start=start,
            arrivals=arrivals,
            events=[{"at_s": 0, "run": command} for command in commands],
            audio={"files": [file]} | ({} if frame_bytes is None else {"frame_bytes": frame_bytes}),
            behaviors={"talker": 3, "vanish": 0.5},
            objectives=["success >= 99.9%"],
        )
    )
    assert parse_scenario(tomllib.loads(to_toml(scenario))) == scenario
