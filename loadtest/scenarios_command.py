"""`loadtest scenarios`: which scenarios are bundled, and what they say."""

import argparse
import sys
from typing import Final

from loadtest.audio import load_clips
from loadtest.plan import make_plan, planned_peak
from loadtest.scenario import ScenarioError
from loadtest.scenario_files import bundled_names, load_scenario, scenario_text

OK: Final = 0
USAGE: Final = 2

_HEAD: Final = f"{'name':<12} {'streams':>7} {'at once':>7} {'arrivals':>9}  description"


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `scenarios` to the commands."""
    command = commands.add_parser(
        "scenarios",
        help="list the bundled scenarios, or show one",
        description="List the bundled scenarios with what they plan: streams in all, the most that speak at once, and "
        "how long they arrive. `scenarios show NAME` prints one, to be copied and edited. Exit code: 0, or 2 for a "
        "scenario that cannot be read.",
        usage="%(prog)s [-h] [show NAME]",
    )
    command.set_defaults(name=None)
    actions = command.add_subparsers(dest="action", prog=f"{command.prog}", metavar="[show NAME]")
    show = actions.add_parser("show", help="print a scenario as it is in its file")
    show.add_argument("name", metavar="NAME", help="a bundled scenario, or the path of a .toml file")


def run_scenarios(arguments: argparse.Namespace) -> int:
    """The command. Returns the exit code. Blocks while it reads files, and plans what it lists."""
    try:
        if arguments.name is not None:
            print(scenario_text(arguments.name)[0], end="")
        else:
            print(_HEAD, *map(_line, bundled_names()), sep="\n")
    except ScenarioError as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return USAGE
    return OK


def _line(name: str) -> str:
    loaded = load_scenario(name)
    durations_s = [clip.speech.duration_s for clip in load_clips(loaded.scenario.audio.files, loaded.directory)]
    plan = make_plan(loaded.scenario, durations_s)
    peak = planned_peak(plan, durations_s)
    return f"{name:<12} {len(plan.calls):>7} {peak:>7} {plan.duration_s:>7g} s  {loaded.scenario.description}"
