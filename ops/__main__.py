"""`python -m ops`, also `voice-ops`: which command is meant. Each has a module, imported when it is asked for.

A module has `add_command(commands)`, which adds its parser, and `run(arguments)`, plain or async, which returns the
exit code. 2 is bad usage everywhere, and 130 interrupted.
"""

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final

import trio

_USAGE: Final = 2
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as a shell tells it
_EXTRA: Final = frozenset({"cryptography", "hdrh", "httpx2", "rich", "tencentcloud"})


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    module: str
    help: str
    """Where the module cannot be imported, or need not be."""


_COMMANDS: Final = (
    _Command("doctor", "ops.doctor.command", "check a deployment stage by stage: what is wrong, why, and what to do"),
    _Command("deploy", "ops.cloud.deploy_command", "deploy to CloudBase Run, wait for the rollout, and check it"),
    _Command("list", "ops.cloud.list_command", "the services of a CloudBase environment"),
    _Command("status", "ops.cloud.status_command", "versions, instances and the last rollout of the service"),
    _Command("logs", "ops.cloud.logs_command", "the service's log on CloudBase, also as it grows"),
    _Command("rollback", "ops.cloud.rollback_command", "go back to the version before"),
    _Command("env", "ops.cloud.env_command", "show or change the service's environment, secrets masked"),
    _Command("token", "ops.token_command", "mint a token, or see what is in one and why it is refused"),
    _Command("edge", "ops.edge.command", "start the cloud's front door on this machine, sound or with a fault"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Bad usage is reported by argparse, which exits with 2."""
    given = list(sys.argv[1:] if argv is None else argv)
    _open_missing_streams()
    code = _BROKEN_PIPE
    try:
        code = trio.run(run, given)
        sys.stdout.flush()  # here, where it can be told that nobody reads it
    except* BrokenPipeError:  # whoever read our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
    except* KeyboardInterrupt:
        code = _INTERRUPTED
    return code


def _open_missing_streams() -> None:
    """Python has None where a stream was closed before it started (`>&-`): then nobody wants to read it."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - until the process ends


async def run(argv: Sequence[str]) -> int:
    """`main` inside a Trio program."""
    wanted = next((command for command in _COMMANDS if argv and command.name == argv[0]), None)
    module = None if wanted is None else _load(wanted)
    parser = argparse.ArgumentParser(prog="ops", description="Deploy the voice gateway, prove it, watch it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        if command is wanted and module is not None:
            module.add_command(commands)
        else:
            commands.add_parser(command.name, help=command.help)
    arguments = parser.parse_args(argv)
    if module is None:
        return _USAGE
    code = module.run(arguments)
    return int(await code if inspect.isawaitable(code) else code)


def _load(command: _Command) -> ModuleType:
    """The command's module. Exits with 2 when a package that it needs is not installed."""
    try:
        return importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(
            f"ops: `{command.name}` needs the package {error.name}, of the extra `ops`: "
            "pip install 'miniapp-backend[ops]'",
            file=sys.stderr,
        )
        raise SystemExit(_USAGE) from None


if __name__ == "__main__":
    sys.exit(main())
