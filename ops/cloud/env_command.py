"""`python -m ops env get|set|unset`: the variables of the service, secrets masked.

The API knows the environment only as a whole, so it is read, changed and written. A change makes a new version of the
same image: the instances are replaced, and the streams on them are cut.
"""

import argparse
from pathlib import Path

from ops.cloud import answers, checks, command_line, exits, rollout
from ops.cloud.api import Cloud
from ops.cloud.command_line import say
from ops.cloud.desired import environment_item
from ops.cloud.dotenv import parse_assignment, parse_dotenv
from ops.cloud.exits import CloudError
from ops.cloud.safe_text import one_line, secrets_of, shown


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = command_line.add_parser(commands, "env", "show or change the service's environment, secrets masked")
    command_line.add_service(parser)
    command_line.add_patience(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.set_defaults(dry_run=False)
    parser.add_argument("--wait-busy", action="store_true", help="while a rollout runs: wait for its end")
    actions = parser.add_subparsers(dest="action", required=True, metavar="get|set|unset")
    get = actions.add_parser("get", help="show the variables")
    get.add_argument("names", nargs="*", metavar="NAME")
    get.add_argument("--show", action="store_true", help="also the values of secrets")
    # Without abbreviations: `set --env ID` would be taken for --env-file.
    put = actions.add_parser("set", help="set some, and keep the others", allow_abbrev=False)
    put.add_argument("assignments", nargs="*", metavar="NAME=VALUE", help="a shell's history keeps it: for no secrets")
    put.add_argument("--env-file", type=Path, metavar="FILE", help="for secrets")
    unset = actions.add_parser("unset", help="remove some")
    unset.add_argument("names", nargs="+", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    """Show or change, and return the exit code."""
    return command_line.run_with_cloud(arguments, _env)


def _env(arguments: argparse.Namespace, cloud: Cloud) -> int:
    service = str(arguments.service)
    detail = checks.found(cloud, service)
    try:
        before = detail.server_config.environment
    except ValueError:
        raise CloudError("The service's environment is not a JSON object.", "Correct it in the console.") from None
    if arguments.action == "get":
        return _get(arguments, before)
    after = _changed(arguments, before)
    changes = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    if not changes:
        say("Nothing to do: it is so already.")
        return exits.DONE
    checks.check_settings(after)
    checks.check_free(cloud, service, arguments)
    for name in changes:
        is_to_be = shown(name, after[name]) if name in after else "(removed)"
        say(f"{name}: {shown(name, before[name]) if name in before else '(not set)'} -> {is_to_be}")
    say("Every instance is replaced, and the streams on it are cut.")
    if not arguments.yes and not command_line.ask("Change it?"):
        raise CloudError("Nothing was changed.", "Without a terminal, say --yes.", exit_code=exits.USAGE)
    started = cloud.change(
        "SubmitServerConfigChangeDiff", answers.TaskStarted, ServerName=service, Items=[environment_item(after)]
    )
    if started.task_id > 0:
        patience = command_line.patience_of(arguments)
        rollout.wait_for_task(cloud, service, started.task_id, patience, say, secrets_of({**before, **after}))
    say("Done.")
    return exits.DONE


def _get(arguments: argparse.Namespace, environment: dict[str, str]) -> int:
    missing = [name for name in arguments.names if name not in environment]
    for name, value in sorted(environment.items()):
        if not arguments.names or name in arguments.names:
            say(f"{name}={one_line(value) if arguments.show else shown(name, value)}")
    if missing:
        raise CloudError(f"Not set: {', '.join(missing)}.")
    return exits.DONE


def _changed(arguments: argparse.Namespace, before: dict[str, str]) -> dict[str, str]:
    if arguments.action == "unset":
        return {name: value for name, value in before.items() if name not in arguments.names}
    after = dict(before)
    if arguments.env_file is not None:
        try:
            after |= parse_dotenv(arguments.env_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeError) as error:
            raise CloudError(f"--env-file: {type(error).__name__}", exit_code=exits.USAGE) from None
    after |= dict(parse_assignment(text) for text in arguments.assignments)
    if not arguments.assignments and arguments.env_file is None:
        raise CloudError("Nothing to set: give NAME=VALUE or --env-file.", exit_code=exits.USAGE)
    return after
