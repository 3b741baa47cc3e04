"""What the cloud commands have in common: options, and how an error is shown."""

import argparse
import sys
from collections.abc import Callable
from typing import Final

from ops.cloud.api import Cloud, cloud_from
from ops.cloud.exits import HELP, CloudError
from ops.cloud.rollout import DEADLINE_S, POLL_S, Patience
from ops.cloud.safe_text import one_line

SERVICE: Final = "miniapp-backend"


def add_parser(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, description: str
) -> argparse.ArgumentParser:
    """A parser with the options that say which environment is meant."""
    parser = commands.add_parser(name, help=description, description=description, epilog=HELP)
    group = parser.add_argument_group("which environment")
    group.add_argument("--env", "-e", default="", metavar="ID", help="environment id (or CLOUDBASE_ENV_ID)")
    group.add_argument("--region", default="", help="(or TENCENTCLOUD_REGION; default ap-shanghai)")
    group.add_argument("--endpoint", default="", metavar="URL", help="instead of Tencent's (or CLOUDBASE_ENDPOINT)")
    return parser


def add_service(parser: argparse.ArgumentParser) -> None:
    """The option that names the service."""
    parser.add_argument("--service", "-s", default=SERVICE, metavar="NAME", help=f"default {SERVICE}")


def add_patience(parser: argparse.ArgumentParser) -> None:
    """The options that say how long to wait for a rollout."""
    parser.add_argument("--deadline", type=positive, default=DEADLINE_S, metavar="S", help="for the rollout, seconds")
    parser.add_argument(
        "--poll", type=positive, default=POLL_S, metavar="S", help="seconds between two looks, at first"
    )


def patience_of(arguments: argparse.Namespace) -> Patience:
    """How long to wait, as the command line says."""
    return Patience(arguments.deadline, arguments.poll)


def positive(text: str) -> float:
    """A number above 0, for argparse."""
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError(text)
    return value


def say(text: str) -> None:
    """Print a line at once: whoever waits reads along, also through a pipe."""
    print(text, flush=True)


def ask(question: str) -> bool:
    """Whether the operator says yes. Without a terminal: no."""
    if not sys.stdin.isatty():
        return False
    try:
        return input(f"{question} [y/N] ").strip().casefold() in ("y", "yes")
    except (EOFError, UnicodeError):  # Ctrl-D, or keys that are no text
        print()
        return False


def run_with_cloud(arguments: argparse.Namespace, command: Callable[[argparse.Namespace, Cloud], int]) -> int:
    """Run a command; an error is printed with what to do, and is its exit code."""
    try:
        return command(arguments, cloud_from(arguments))
    except CloudError as error:
        print(f"ops: {one_line(error.what)}", file=sys.stderr)
        for remedy in error.remedies:
            print(f"  -> {remedy}", file=sys.stderr)
        return error.exit_code
