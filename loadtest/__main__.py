"""`python -m loadtest`: which command is meant. Each has a module of its own, which is imported when it is asked for:
`speak` and `recognize` work where the extra `loadtest` is not installed.

Exit codes are those of the commands; 2 is bad usage everywhere, and 130 interrupted.
"""

import argparse
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import trio

from loadtest.scenario import Phone
from loadtest.tokens import TokenError, checked

_USAGE: Final = 2
_INTERRUPTED: Final = 130
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as a shell tells it
_WORKER: Final = "worker"
_EXTRA: Final = frozenset({"hdrh", "httpx2", "picows", "rich"})


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    module: str
    help: str
    """Where the module cannot be imported, or need not be."""
    is_asyncio: bool = False
    """Not a Trio program."""

    def load(self) -> tuple[Callable[[Any], None], Callable[..., Any]]:
        """Its `add_command` and `run_<name>`. Raises ModuleNotFoundError."""
        module = importlib.import_module(self.module)
        return module.add_command, getattr(module, f"run_{self.name}")


_COMMANDS: Final = (
    _Command("speak", "loadtest.speak", "stream one WAV file in real time and show the caption"),
    _Command("recognize", "loadtest.recognize", "upload one recording and print its words"),
    _Command("run", "loadtest.run", "load a gateway with simulated phones and judge it"),
    _Command("scenarios", "loadtest.scenarios_command", "list the bundled scenarios, or show one"),
    _Command("merge", "loadtest.merge_command", "add the shards of one run up to one report"),
    _Command("compare", "loadtest.compare_command", "compare two runs"),
    _Command(
        "sink",
        "loadtest.sink.command",
        "the cheapest recognizer or gateway, to measure the other side alone",
        is_asyncio=True,
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Bad usage is reported by argparse, which exits with 2."""
    given = list(sys.argv[1:] if argv is None else argv)
    if given == [_WORKER]:  # started by `run`, not by people: no parser, no help
        return int(importlib.import_module("loadtest.worker").main())
    command = _command_of(given)
    code = _BROKEN_PIPE
    try:
        code = _run_plain(command, given) if command and command.is_asyncio else trio.run(run, given)
        sys.stdout.flush()  # here, where it can be told that nobody reads it
    except* BrokenPipeError:  # whoever read our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
    except* KeyboardInterrupt:  # where no signal is being received
        code = _INTERRUPTED
    return code


async def run(argv: Sequence[str], phone: Phone | None = None) -> int:
    """`main` inside a Trio program, for all commands but `sink`. `phone` has the limits of `speak`, for tests."""
    command = _command_of(argv)
    if command is None:
        return _complain(argv)
    runner = _load(command)
    arguments = _parser(command).parse_args(argv)
    given: tuple[Any, ...] = (arguments,)
    if arguments.command in ("speak", "recognize"):
        try:
            token = None if arguments.token is None else checked(arguments.token, "--token")
        except TokenError as error:
            print(f"loadtest: {error}", file=sys.stderr)
            return _USAGE
        given = (arguments, token, phone) if arguments.command == "speak" else (arguments, token)
    code = runner(*given)
    return int(await code if inspect.isawaitable(code) else code)


def _run_plain(command: _Command, argv: Sequence[str]) -> int:
    runner = _load(command)
    return int(runner(_parser(command).parse_args(argv)))


def _complain(argv: Sequence[str]) -> int:
    """Have argparse show its help, or say what is wrong: it exits."""
    _parser(None).parse_args(argv)
    return _USAGE


def _command_of(argv: Sequence[str]) -> _Command | None:
    """The command that is named first; None for help, and for what argparse will complain about."""
    return next((command for command in _COMMANDS if argv and command.name == argv[0]), None)


def _load(command: _Command) -> Callable[..., Any]:
    """What runs the command. Exits with 2 when a package that it needs is not installed."""
    try:
        return command.load()[1]
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        print(
            f"loadtest: `{command.name}` needs the package {error.name}, of the extra `loadtest`: "
            "pip install 'miniapp-backend[loadtest]'",
            file=sys.stderr,
        )
        raise SystemExit(_USAGE) from None


def _parser(wanted: _Command | None) -> argparse.ArgumentParser:
    """The parser, in which only the wanted command is complete; of the others the names are needed."""
    parser = argparse.ArgumentParser(prog="loadtest", description="Speak to a voice gateway as phones do.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        if command is wanted:
            command.load()[0](commands)
        else:
            commands.add_parser(command.name, help=command.help)
    return parser


if __name__ == "__main__":
    sys.exit(main())
