"""`python -m ops edge up|roll|faults`: the cloud's front door on this machine."""

import argparse
import contextlib
import math
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from ops.edge.authority import HOST
from ops.edge.control import Answer, controlled, default_state_file, tell
from ops.edge.door import Door, front_door
from ops.edge.faults import DEFAULT_DELAY_S, DEFAULT_IDLE_S, FAULTS, SOUND, fault_named
from ops.edge.fleet import Fleet, fleet
from ops.edge.programs import EdgeError

_OK: Final = 0
_FAILED: Final = 1
_END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The last: the terminal was closed."""
_DEFAULT_UPSTREAM: Final = "http://127.0.0.1:8000"
_MOST_REPLICAS: Final = 16
_ROLL_LIMIT_S: Final = 3600.0
"""Sixteen replicas with a long DRAIN_S; whoever waits can be interrupted."""


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `edge` to the commands."""
    edge = commands.add_parser(
        "edge",
        help="start the cloud's front door on this machine, sound or with a fault",
        description="A gateway as the cloud has it, made of nginx and HAProxy, on the loopback address.",
    )
    actions = edge.add_subparsers(dest="action", required=True, metavar="ACTION")
    up = actions.add_parser(
        "up",
        help="start it, and end it with Ctrl-C",
        description="Start a front door before a service that runs, or before replicas of its own. Runs until Ctrl-C "
        "or SIGTERM. Exit code: 0 ended so, 1 it could not start or a part of it ended.",
    )
    up.add_argument("--fault", choices=[fault.name for fault in FAULTS], default=SOUND.name, help="[%(default)s]")
    behind = up.add_mutually_exclusive_group()
    behind.add_argument("--upstream", metavar="URL", help=f"the service that is behind it [{_DEFAULT_UPSTREAM}]")
    behind.add_argument(
        "--replicas",
        type=partial(_whole, 1, _MOST_REPLICAS),
        metavar="N",
        help="start so many services, balanced by HAProxy, which `roll` replaces",
    )
    up.add_argument("--recognizer", metavar="URL", help="for --replicas [a scripted one, which hears coded audio only]")
    up.add_argument("--drain-s", type=partial(_seconds, 0, 600), default=20.0, metavar="S", help="[%(default)s]")
    up.add_argument(
        "--idle-s",
        type=partial(_seconds, 0.1, 86400),
        default=DEFAULT_IDLE_S,
        metavar="S",
        help="a silent connection lives so long [%(default)s]",
    )
    up.add_argument(
        "--delay-s",
        type=partial(_seconds, 0.01, 600),
        default=DEFAULT_DELAY_S,
        metavar="S",
        help="of the fault `slow` [%(default)s]",
    )
    roll = actions.add_parser(
        "roll",
        help="replace all replicas of the running one, one after the other",
        description="Replace the replicas as a release does. Exit code: 0 all were replaced, 1 they were not.",
    )
    for action in (up, roll):
        action.add_argument("--state", type=Path, default=default_state_file(), metavar="FILE", help="[%(default)s]")
    actions.add_parser("faults", help="list the faults")


async def run(arguments: argparse.Namespace) -> int:
    """The command; returns the exit code."""
    try:
        if arguments.action == "faults":
            return _list_faults()
        if arguments.action == "roll":
            return await _roll(arguments.state)
        return await _up(arguments)
    except* EdgeError as group:
        print(f"ops: {_reason(group)}", file=sys.stderr)
    return _FAILED


async def _up(arguments: argparse.Namespace) -> int:
    with trio.open_signal_receiver(*_END_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_by_signal, signals, nursery.cancel_scope)  # while it starts, too
            async with _opened(arguments) as (door, replicas):
                watched = {"the front door": door.process}
                state = {"url": door.url, "ca": str(door.ca), "fault": arguments.fault}
                if replicas is not None:
                    watched["HAProxy"] = replicas.balancer.process
                    state["balancer"] = replicas.url
                async with trio.open_nursery() as watchers, controlled(arguments.state, state, _actions(replicas)):
                    for what, process in watched.items():
                        watchers.start_soon(_watch, what, process)
                    _announce(arguments, door, replicas)
                    await trio.sleep_forever()
    return _OK


async def _end_by_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


@contextlib.asynccontextmanager
async def _opened(arguments: argparse.Namespace) -> AsyncGenerator[tuple[Door, Fleet | None], None]:
    """The replicas, where they are asked for, and the door before them."""
    async with contextlib.AsyncExitStack() as stack:
        replicas = None
        upstream = arguments.upstream or _DEFAULT_UPSTREAM
        if arguments.replicas:
            running = fleet(arguments.replicas, recognizer=arguments.recognizer, drain_s=arguments.drain_s)
            replicas = await stack.enter_async_context(running)
            upstream = replicas.url
        opening = front_door(upstream, fault_named(arguments.fault), idle_s=arguments.idle_s, delay_s=arguments.delay_s)
        yield await stack.enter_async_context(opening), replicas


def _announce(arguments: argparse.Namespace, door: Door, replicas: Fleet | None) -> None:
    """Everything that is needed to try it; the address comes first, on a line of its own."""
    print(f"Serving on {door.url}")
    print(f"fault: {arguments.fault}: {fault_named(arguments.fault).shows}")
    print(f"https: {door.https_url} (its certificate is for {HOST}, too)")
    print(f"http: {door.http_url}")
    if replicas is not None:
        print(f"without TLS, past the front door: {replicas.url} ({replicas.size} replicas)")
    print(f"CA: {door.ca}")
    print(f"to trust it: export SSL_CERT_FILE={door.ca}, or curl --cacert {door.ca} {door.https_url}/health")
    print(f"state: {arguments.state}", flush=True)


def _actions(replicas: Fleet | None) -> Callable[[str], Awaitable[Answer]]:
    async def act(word: str) -> Answer:
        if word != "roll":
            raise EdgeError(f"{word!r} is not known here; expected `roll`")
        if replicas is None:
            raise EdgeError("there is nothing to roll: start `edge up` with --replicas")
        return {"replaced": [asdict(one) for one in await replicas.roll()]}

    return act


async def _watch(what: str, process: trio.Process) -> None:
    code = await process.wait()
    raise EdgeError(f"{what} has ended with {code}")


async def _roll(state_file: Path) -> int:
    answer = await tell(state_file, "roll", _ROLL_LIMIT_S)
    for one in answer["replaced"]:
        print(f"replica {one['replica']}: stopped in {one['stopping_s']:.1f} s, back after {one['away_s']:.1f} s")
    return _OK


def _list_faults() -> int:
    width = max(len(fault.name) for fault in FAULTS)
    for fault in FAULTS:
        print(f"{fault.name:{width}}  {fault.shows}")
    return _OK


def _reason(group: BaseExceptionGroup[Any]) -> str:
    """What the errors in a group say."""
    return "; ".join(
        _reason(error) if isinstance(error, BaseExceptionGroup) else str(error) for error in group.exceptions
    )


def _whole(low: int, high: int, given: str) -> int:
    number = int(given) if given.isascii() and given.isdigit() else low - 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{given}: expected a whole number from {low} to {high}")
    return number


def _seconds(low: float, high: float, given: str) -> float:
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{given}: expected seconds from {low:g} to {high:g}")
    return number
