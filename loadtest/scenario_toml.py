"""A scenario as TOML, complete: what it says does not change with the defaults of a later version. Pure.

The standard library reads TOML and does not write it. A scenario needs little: tables, strings, numbers, booleans and
lists, to which JSON's spelling is TOML's as well; tables inside of lists are inline.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from loadtest.scenario import Scenario
from loadtest.scenario_rules import used_keys


def to_toml(scenario: Scenario) -> str:
    """The text that `parse_scenario` reads as the same scenario. What is None, or means nothing, is left out."""
    raw: dict[str, Any] = msgspec.to_builtins(scenario)
    stages = [
        {key: table[key] for key in used_keys(stage)}
        for stage, table in zip(scenario.arrivals, raw.pop("arrivals"), strict=True)
    ]
    events = raw.pop("events")
    tables = {key: value for key, value in raw.items() if isinstance(value, dict)}
    lines = [*_pairs({key: value for key, value in raw.items() if key not in tables})]
    for key, table in tables.items():
        lines += ["", f"[{key}]", *_pairs(table)]
    for key, entries in (("arrivals", stages), ("events", events)):
        for entry in entries:
            lines += ["", f"[[{key}]]", *_pairs(entry)]
    return "\n".join(lines) + "\n"


def _pairs(table: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None)


def _key(key: str) -> str:
    is_bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if is_bare else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        return "{" + ", ".join(_pairs(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _string(text: str) -> str:
    """JSON's, with the one control character escaped that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
