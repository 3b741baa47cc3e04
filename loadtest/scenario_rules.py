"""From the keys of a TOML file to a `Scenario`, and what its keys must be to each other. Pure."""

import difflib
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from loadtest.objectives import ObjectiveError, parse_objective
from loadtest.scenario import Audio, Behavior, Call, Event, Knee, Phone, Scenario, ScenarioError, Stage

# Keys beside `pattern` and `for_s`. `rate` stands for either `per_s` or `streams`.
NEEDED_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "constant": ("rate",),
    "poisson": ("rate",),
    "ramp": ("to_per_s",),
    "step": ("rate", "step_per_s", "every_s"),
    "spike": ("rate", "peak_per_s", "peak_at_s", "peak_for_s"),
}
OPTIONAL_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "ramp": ("from_per_s", "random"),
    "step": ("random",),
    "spike": ("random",),
}
_RATES: Final = ("per_s", "streams")
_EVERYWHERE: Final = ("pattern", "for_s")

MAX_STEPS: Final = 10_000  # of one stage: what changes more often is a ramp

# What the load tester says itself in `start`.
RESERVED_IN_START: Final = ("type", "token", "voiceFormat", "sampleRate")

_TABLES: Final[dict[str, type[msgspec.Struct]]] = {
    "": Scenario,
    "audio": Audio,
    "call": Call,
    "arrivals[]": Stage,
    "phone": Phone,
    "events[]": Event,
    "knee": Knee,
}
_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$\.?(?P<path>.*)`)?$", re.DOTALL)
_QUOTED: Final = re.compile(r"[`'](.*)[`']")


def parse_scenario(raw: Mapping[str, Any]) -> Scenario:
    """The scenario that the keys of a TOML file say, or those of `msgspec.to_builtins`, which has tuples for lists.

    Raises ScenarioError, which names every key that is wrong; of wrong types and values, the first one.
    """
    for path, value in _values(raw, ""):
        if isinstance(value, float) and not math.isfinite(value):
            raise ScenarioError(f"`{path}`: expected a finite number, got {value}")
    try:
        scenario = msgspec.convert(raw, Scenario)
    except msgspec.ValidationError as error:
        raise ScenarioError(_explained(str(error), raw)) from None
    check_scenario(scenario)
    return scenario


def check_scenario(scenario: Scenario) -> None:
    """Raises ScenarioError with a line for each thing that does not fit together."""
    found = list(_problems(scenario))
    if found:
        raise ScenarioError("\n".join(found))


def near_miss(given: str, known: Sequence[str]) -> str:
    """`; did you mean …?`, or else the known names."""
    close = difflib.get_close_matches(given, known, n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else f"; expected one of {', '.join(known)}"


def used_keys(stage: Stage) -> tuple[str, ...]:
    """The keys that mean something in a stage of this pattern."""
    needed = NEEDED_KEYS[stage.pattern]
    rates = _RATES if "rate" in needed else ()
    return (*_EVERYWHERE, *rates, *(key for key in needed if key != "rate"), *OPTIONAL_KEYS.get(stage.pattern, ()))


def _problems(scenario: Scenario) -> Iterator[str]:
    for index, stage in enumerate(scenario.arrivals):
        yield from (f"`arrivals[{index}].{problem}" for problem in stage_problems(stage))
    yield from _call_problems(scenario.call)
    if not any(weight > 0 for weight in scenario.behaviors.values()):
        yield "`behaviors`: expected at least one weight over 0"
    for key in RESERVED_IN_START:
        if key in scenario.start:
            yield f"`start.{key}`: is said by the load tester itself; leave it out"
    for path, value in _values(scenario.start, "start"):
        if not isinstance(value, str | int | float | bool | dict | list):
            yield f"`{path}`: expected what JSON has, got a {type(value).__name__}"
    for index, text in enumerate(scenario.objectives):
        try:
            parse_objective(text)
        except ObjectiveError as error:
            yield f"`objectives[{index}]`: {error}"
    yield from _time_problems(scenario)
    if scenario.knee.from_streams > scenario.knee.to_streams:
        yield f"`knee.from_streams`: {scenario.knee.from_streams} is over `knee.to_streams`, {scenario.knee.to_streams}"


def stage_problems(stage: Stage) -> Iterator[str]:
    """What does not fit together in one stage; each begins with its key and a backtick."""
    needed, used = NEEDED_KEYS[stage.pattern], used_keys(stage)
    for field in msgspec.structs.fields(stage):
        if field.name not in used and getattr(stage, field.name) != field.default:
            yield f"{field.name}`: is not used by the pattern `{stage.pattern}`, which has {', '.join(used)}"
    if "rate" in needed:
        if stage.per_s is None and stage.streams is None:
            yield f"per_s`: missing; the pattern `{stage.pattern}` needs `per_s` or `streams`"
        elif stage.per_s is not None and stage.streams is not None:
            yield "streams`: stands beside `per_s`; expected one of the two"
    for key in needed:
        if key != "rate" and getattr(stage, key) is None:
            yield f"{key}`: missing; the pattern `{stage.pattern}` needs it"
    if stage.pattern == "spike" and stage.peak_at_s is not None and stage.peak_for_s is not None:
        end_s = stage.peak_at_s + stage.peak_for_s
        if end_s > stage.for_s:
            yield f"peak_for_s`: the peak ends at {end_s:g} s, after its stage of {stage.for_s:g} s"
    if stage.every_s is not None and stage.for_s / stage.every_s > MAX_STEPS:
        yield f"every_s`: {stage.every_s:g} s makes more than {MAX_STEPS} steps; use a ramp"


def _call_problems(call: Call) -> Iterator[str]:
    if call.min_s > call.max_s:
        yield f"`call.min_s`: {call.min_s:g} is over `call.max_s`, {call.max_s:g}"
    elif call.length in ("constant", "exponential") and not call.min_s <= call.mean_s <= call.max_s:
        yield (
            f"`call.mean_s`: {call.mean_s:g} is outside `call.min_s` to `call.max_s`, {call.min_s:g} to {call.max_s:g}"
        )


def _time_problems(scenario: Scenario) -> Iterator[str]:
    duration_s = math.fsum(stage.for_s for stage in scenario.arrivals)
    if scenario.warm_up_s >= duration_s:
        yield f"`warm_up_s`: {scenario.warm_up_s:g} leaves nothing of the arrivals, which last {duration_s:g} s"
    for index, event in enumerate(scenario.events):
        if event.at_s > duration_s:
            yield f"`events[{index}].at_s`: {event.at_s:g} is after the last arrivals, which end at {duration_s:g} s"
        if (event.every_s is None) is not (event.times == 1):
            yield f"`events[{index}].every_s`: stands beside `times` over 1, and only there"
        elif event.every_s is not None:
            last_s = event.at_s + (event.times - 1) * event.every_s
            if event.at_s <= duration_s < last_s and not math.isclose(last_s, duration_s):
                yield f"`events[{index}].times`: the last one, at {last_s:g} s, is after the last arrivals"
        try:
            has_command = bool(shlex.split(event.run))
        except ValueError as error:
            yield f"`events[{index}].run`: {error} in {event.run!r}"
        else:
            if not has_command:
                yield f"`events[{index}].run`: expected a command"


def _values(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Everything inside of a TOML value, with the key of each."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _values(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{path}[{index}]")
    else:
        yield path, value


def _explained(message: str, raw: Mapping[str, Any]) -> str:
    """What msgspec says, in the words of this program: the key first, then what is wrong with it."""
    match = _PLACE.match(message)
    what, path = (match["what"], match["path"] or "") if match else (message, "")
    quoted = _QUOTED.search(what)
    name = quoted[1] if quoted else ""
    if match and match["key"]:
        return f"`{_joined(path, name)}`: not known{near_miss(name, [behavior.value for behavior in Behavior])}"
    if what.startswith("Object contains unknown field"):
        table = _TABLES[re.sub(r"\[\d+\]", "[]", path)]
        return f"`{_joined(path, name)}`: not known{near_miss(name, table.__struct_fields__)}"
    if what.startswith("Object missing required field"):
        return f"`{_joined(path, name)}`: missing"
    path, got = _found(raw, path, what)
    if what.startswith("Invalid enum value"):
        return f"`{path}`: not known: {got!r}{near_miss(name, _choices(path))}"
    expected = what.partition(", got ")[0].replace("`object`", "a table").replace("`array`", "an array")
    return f"`{path}`: {expected[:1].lower()}{expected[1:].replace('`', '')}, got {_shortened(got)}"


def _found(raw: Mapping[str, Any], path: str, what: str) -> tuple[str, object]:
    """The value at a path. msgspec does not say which key of `behaviors` it means: the first that is no weight."""
    if path.endswith("[...]"):
        weights = raw["behaviors"].items()
        is_weight = {key: isinstance(value, int | float) and type(value) is not bool for key, value in weights}
        return next((f"behaviors.{key}", value) for key, value in weights if not is_weight[key] or value < 0)
    value: Any = raw
    for part in re.findall(r"[^.\[\]]+", path):
        value = value[int(part)] if isinstance(value, list | tuple) else value[part]
    return path, value


def _choices(path: str) -> tuple[str, ...]:
    if path == "call.length":
        return ("clip", "constant", "uniform", "exponential")
    return tuple(NEEDED_KEYS)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
