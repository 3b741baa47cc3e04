"""Scenarios from files: a person's own, and the bundled ones."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.overrides import with_overrides
from loadtest.scenario import Scenario, ScenarioError
from loadtest.scenario_rules import near_miss, parse_scenario
from loadtest.scenario_toml import to_toml

BUNDLED: Final = Path(__file__).parent / "scenarios"
MAX_FILE_BYTES: Final = 1024 * 1024  # a scenario has some kilobytes; this is another file


@dataclass(frozen=True, slots=True)
class LoadedScenario:
    """A scenario that can be run. `dataclasses.replace` gives it another load (`overrides.with_load`)."""

    scenario: Scenario
    directory: Path | None
    """What its audio files are relative to; None for a bundled scenario."""

    @property
    def toml(self) -> str:
        """The scenario as it is run, overrides included: another run of this text has the same plan."""
        return to_toml(self.scenario)


def load_scenario(given: str, settings: Sequence[str] = ()) -> LoadedScenario:
    """The scenario of a bundled name or a path, with the overrides `settings` (`key=value`). Blocks while it reads.

    A name has no slash and does not end in `.toml`. Raises ScenarioError for what cannot be read or run; the text names
    the file and the key.
    """
    text, directory = scenario_text(given)
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{given} is not TOML: {error}") from None
    try:
        return LoadedScenario(parse_scenario(with_overrides(raw, settings)), directory)
    except ScenarioError as error:
        raise ScenarioError(f"scenario {given}: {error}") from None


def scenario_text(given: str) -> tuple[str, Path | None]:
    """The text of a scenario, comments included, and its directory unless it is bundled. Raises ScenarioError."""
    is_name = "/" not in given and "\\" not in given and not given.endswith(".toml")
    if is_name and given not in bundled_names():
        hint = near_miss(given, bundled_names()).removeprefix("; ")
        raise ScenarioError(f"no scenario `{given}`: {hint} (A file of your own needs its path, ending in .toml)")
    path = BUNDLED / f"{given}.toml" if is_name else Path(given)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ScenarioError(f"{given} has over {MAX_FILE_BYTES} bytes; that is no scenario")
        return content.decode(), None if is_name else path.parent
    except OSError as error:
        raise ScenarioError(f"{given}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{given} is not UTF-8 text") from None


def bundled_names() -> tuple[str, ...]:
    """The scenarios that come with the load tester, sorted."""
    return tuple(sorted(path.stem for path in BUNDLED.glob("*.toml")))
