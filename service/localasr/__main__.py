"""``python -m service.localasr``: the recognizer as a program.

When it is ready it prints one JSON line to standard output (``{"event": "listening", "url": ..., "engine": ...,
"engines": [...], "capacity": ...}``). Logs are JSON lines on standard error. SIGTERM and SIGINT end it with exit code
0, and with ``--exit-with-parent`` the end of standard input does, too. The account it accepts is in LOCALASR_APP_ID,
LOCALASR_SECRET_ID, LOCALASR_SECRET_KEY and, for a temporary one, LOCALASR_TOKEN.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import trio

from service.localasr.engine import Engine
from service.localasr.faults import Script, parse_script
from service.localasr.scripted import DEFAULT_CAPACITY, ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig, describe_errors, serve
from service.localasr.signature import Credentials

log = logging.getLogger("service.localasr")
_PLAIN_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON, with what was given as ``extra``. Exceptions by type and place, never by text."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the same first fields as the gateway's own, since both write to one standard error."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        fields: dict[str, object] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname,
            "event": record.getMessage(),
            "logger": "localasr",
        }
        fields |= {name: value for name, value in vars(record).items() if name not in _PLAIN_RECORD}
        if record.exc_info and record.exc_info[1] is not None:
            fields["errors"] = describe_errors(record.exc_info[1])
        return json.dumps(fields, default=str)


def credentials_from(environment: Mapping[str, str]) -> Credentials:
    """The account to accept; what is not set is that of the documented test vectors."""
    names = {"app_id": "APP_ID", "secret_id": "SECRET_ID", "secret_key": "SECRET_KEY", "token": "TOKEN"}
    given = {field: environment.get(f"LOCALASR_{name}") for field, name in names.items()}
    return msgspec.structs.replace(Credentials(), **{field: value for field, value in given.items() if value})


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; exits with 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m service.localasr", description="A recognizer for one machine.")
    parser.add_argument("--engine", choices=("pocketsphinx", "script"), default="pocketsphinx")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--script", type=Path, metavar="FILE.json", help="faults and delays: see faults.py")
    parser.add_argument("--exit-with-parent", action="store_true", help="end when standard input does")
    parser.add_argument("--capacity", type=int, metavar="N", help="streams at once; default: measured")
    options = parser.parse_args(arguments)
    if options.capacity is not None and not 1 <= options.capacity <= 10_000:
        parser.error("--capacity must be between 1 and 10000")
    return options


async def run(options: argparse.Namespace, script: Script) -> None:
    """Serve until a signal or the parent ends it."""
    async with trio.open_nursery() as nursery:
        await nursery.start(_end_on_signal, nursery.cancel_scope)
        if options.exit_with_parent:
            nursery.start_soon(_end_with_parent, nursery.cancel_scope)
        engine = await _start_engine(nursery, options, script)
        config = RecognizerConfig(credentials=credentials_from(os.environ), script=script)
        url = await nursery.start(serve, Recognizer(engine, config), options.host, options.port)
        ready = {
            "event": "listening",
            "url": url,
            "engine": engine.name,
            "engines": list(engine.engines),
            "capacity": engine.capacity,
        }
        sys.stdout.write(json.dumps(ready) + "\n")
        sys.stdout.flush()


async def _start_engine(nursery: trio.Nursery, options: argparse.Namespace, script: Script) -> Engine:
    """The engine; PocketSphinx keeps its pool in ``nursery``, which is the program's own."""
    if options.engine == "script":
        return ScriptedEngine(script.mode, options.capacity or DEFAULT_CAPACITY)
    from service.localasr.sphinx import SphinxEngine  # the scripted engine must work without the extra

    sphinx = SphinxEngine(options.capacity)
    await nursery.start(sphinx.run)
    fields = {"event": "engine_ready", "cost": round(sphinx.cost, 3), "capacity": sphinx.capacity}
    log.info("engine ready", extra=fields)
    return sphinx


async def _end_on_signal(
    program: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            log.info("ending", extra={"event": "signal", "signal": number})
            program.cancel()


async def _end_with_parent(program: trio.CancelScope) -> None:
    # A thread, because standard input may be anything; os.read, because an abandoned thread must not hold a lock of
    # `sys`.
    while await trio.to_thread.run_sync(os.read, 0, 4096, abandon_on_cancel=True):
        pass
    log.info("ending", extra={"event": "parent_gone"})
    program.cancel()


def main() -> None:
    """Run the program; exit code 0 after a signal, 1 when it cannot start, 2 for a wrong command line or script."""
    options = parse_arguments()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("trio-websocket").setLevel(logging.WARNING)
    try:
        script = parse_script(options.script.read_bytes()) if options.script else Script()
    except (OSError, msgspec.DecodeError) as error:
        log.error("the script cannot be used: %s", error)
        sys.exit(2)
    try:
        trio.run(run, options, script)
    except* Exception as group:
        log.error("cannot run", extra={"event": "failed", "errors": describe_errors(group)})
        sys.exit(1)


if __name__ == "__main__":
    main()
