"""Changes to a scenario from the command line. Pure.

`with_overrides` works on the keys of the file, before they are checked; the others on a scenario that has been checked,
and their result has to be checked again.
"""

import copy
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from loadtest.scenario import Scenario, ScenarioError, Stage
from loadtest.scenario_rules import parse_scenario

_BARE_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STEP: Final = re.compile(r"\[(\d+)\]")


def with_overrides(raw: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """The keys of a scenario with each `key=value` applied, in order; `raw` stays as it is.

    A key is dotted (`audio.frame_ms`), a place in a list its number (`arrivals.0.per_s` or `arrivals[0].per_s`). A
    value is one of TOML; a bare word is a string, and nothing at all (`arrivals.0.streams=`) removes the key. Raises
    ScenarioError for what cannot be read or has no place; whether the key exists is for `parse_scenario` to say.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(raw))
    for setting in settings:
        key, equals, text = setting.partition("=")
        key, text = key.strip(), text.strip()
        steps = _STEP.sub(r".\1", key).split(".")
        if not equals or not all(_KEY.fullmatch(step) for step in steps):
            raise ScenarioError(f"{setting!r}: expected key=value, such as audio.frame_ms=20 or arrivals.0.per_s=5")
        place, last = _place(changed, key, steps)
        if text:
            place[last] = _value(key, text)
        elif isinstance(place, list) or last in place:
            del place[last]
    return changed


def _place(changed: dict[str, Any], key: str, steps: Sequence[str]) -> tuple[Any, Any]:
    """The table or list that has the value, and its key in there. Tables on the way are made."""
    at: Any = changed
    for step in steps[:-1]:
        index = _index(at, key, step)
        at = at.setdefault(index, {}) if isinstance(at, dict) else at[index]
    return at, _index(at, key, steps[-1])


def _index(at: object, key: str, step: str) -> Any:
    if isinstance(at, dict):
        return step
    if not isinstance(at, list):
        raise ScenarioError(f"`{key}`: {step!r} would be inside of a value")
    if not step.isdecimal() or int(step) >= len(at):
        raise ScenarioError(f"`{key}`: there is no {step!r} in a list of {len(at)}")
    return int(step)


def _value(key: str, text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
        if list(parsed) == ["value"]:
            return parsed["value"]
    except tomllib.TOMLDecodeError:
        if _BARE_WORD.fullmatch(text):
            return text
    raise ScenarioError(f"`{key}`: {text!r} is no value of TOML; a text with spaces needs quotation marks of its own")


def with_frame_ms(scenario: Scenario, frame_ms: float) -> Scenario:
    """The scenario with frames of so many milliseconds, whatever size it had."""
    audio = msgspec.structs.replace(scenario.audio, frame_ms=frame_ms, frame_bytes=None)
    return checked(msgspec.structs.replace(scenario, audio=audio))


def with_load(
    scenario: Scenario, *, per_s: float | None = None, streams: float | None = None, for_s: float | None = None
) -> Scenario:
    """The scenario with another load: calls per second or concurrent streams, not both, and how long.

    `for_s` stretches the whole timetable: stages with their steps and peaks, events, the warm-up. A new load keeps the
    pattern of a single `constant` or `poisson` stage; any other arrivals, whose shape would have no meaning then,
    become one `poisson` stage of the same duration. Raises ScenarioError for values out of range.
    """
    if per_s is not None and streams is not None:
        raise ScenarioError("`streams`: stands beside `per_s`; expected one of the two")
    if for_s is not None:
        scenario = _stretched(scenario, for_s)
    if per_s is not None or streams is not None:
        keeps = [stage.pattern for stage in scenario.arrivals] == ["constant"]
        stage = Stage(
            pattern="constant" if keeps else "poisson",
            for_s=math.fsum(stage.for_s for stage in scenario.arrivals),
            per_s=per_s,
            streams=streams,
        )
        scenario = msgspec.structs.replace(scenario, arrivals=(stage,))
    return checked(scenario)


def shape_of(scenario: Scenario) -> str:
    """The patterns of the arrivals, when they have a shape that a new load takes away; else nothing."""
    patterns = [stage.pattern for stage in scenario.arrivals]
    return "" if patterns in (["constant"], ["poisson"]) else ", ".join(patterns)


def checked(scenario: Scenario) -> Scenario:
    """The scenario itself, when its values are in range and fit together. Raises ScenarioError."""
    return parse_scenario(msgspec.to_builtins(scenario))


def _stretched(scenario: Scenario, for_s: float) -> Scenario:
    factor = for_s / math.fsum(stage.for_s for stage in scenario.arrivals)

    def longer(time_s: float | None) -> float | None:
        return None if time_s is None else time_s * factor

    stages = tuple(
        msgspec.structs.replace(
            stage,
            for_s=stage.for_s * factor,
            every_s=longer(stage.every_s),
            peak_at_s=longer(stage.peak_at_s),
            peak_for_s=longer(stage.peak_for_s),
        )
        for stage in scenario.arrivals
    )
    events = tuple(
        msgspec.structs.replace(event, at_s=event.at_s * factor, every_s=longer(event.every_s))
        for event in scenario.events
    )
    return msgspec.structs.replace(scenario, arrivals=stages, events=events, warm_up_s=scenario.warm_up_s * factor)
