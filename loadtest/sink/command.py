"""`loadtest sink`: the cheapest peer as a program."""

import argparse
import asyncio
import contextlib
import ipaddress
import itertools
import resource
import signal
import ssl
import sys
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from loadtest.sink.answer import Stream
from loadtest.sink.gateway import GatewayStream
from loadtest.sink.hearing import Manner
from loadtest.sink.recognizer import RecognizerStream
from loadtest.sink.server import Sink
from loadtest.urls import STREAM_PATH
from service.localasr.request import PATH_PREFIX

_STOPPED: Final = 0
_CANNOT_SERVE: Final = 2

RECOGNIZER: Final = "recognizer"
GATEWAY: Final = "gateway"


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `sink` to the commands."""
    command = commands.add_parser(
        "sink",
        help="the cheapest recognizer or gateway, to measure the other side alone",
        description="Hear a word in each stretch of sound, whatever is said. As a recognizer: what a gateway costs by "
        "itself (TENCENT_ASR_URL is the address that is printed). As a gateway: what the load tester can do by itself. "
        "Exit code: 0 ended by SIGTERM or SIGINT, 2 it could not serve.",
    )
    command.add_argument("--as", dest="role", choices=(RECOGNIZER, GATEWAY), default=RECOGNIZER, help="[%(default)s]")
    command.add_argument("--host", default="127.0.0.1", help="[%(default)s]")
    command.add_argument("--port", type=partial(_within, 0, 65535), default=0, help="0: any free one [%(default)s]")
    command.add_argument(
        "--result-every-ms",
        type=partial(_within, 20, 10_000),
        default=200,
        metavar="MS",
        help="a result, with a word more, for each stretch of this much speech [%(default)s]",
    )
    command.add_argument(
        "--sentence-every",
        type=partial(_within, 1, 100),  # what the cache of results is bounded with
        default=10,
        metavar="N",
        help="every Nth result settles a sentence [%(default)s]",
    )
    command.add_argument(
        "--final-delay-ms",
        type=partial(_within, 0, 60_000),
        default=0,
        metavar="MS",
        help="from the end of the audio to the last answers; `finalize` is answered at once [%(default)s]",
    )
    command.add_argument("--tls", nargs=2, type=Path, metavar=("CERT", "KEY"), help="PEM files: serve wss")


def run_sink(arguments: argparse.Namespace) -> int:
    """The command: serves until SIGTERM or SIGINT, in an asyncio loop of its own. Returns the exit code.

    Must be called in the main thread and outside of any event loop.
    """
    manner = Manner(arguments.result_every_ms, arguments.sentence_every, arguments.final_delay_ms)
    sink = Sink(_streams(arguments.role, manner), final_delay_s=manner.final_delay_ms / 1000)
    _allow_descriptors()
    try:
        tls = _tls_context(*arguments.tls) if arguments.tls else None
        # uvloop would save nothing that could be measured here: aiofastnet, which picows brings, has the sockets.
        asyncio.run(_serve(sink, arguments.role, arguments.host, arguments.port, tls))
    except BrokenPipeError:  # whoever was to read the address has left
        raise
    except OSError as error:  # ssl.SSLError is one
        print(f"loadtest: the sink cannot serve: {error.strerror or error}", file=sys.stderr)
        return _CANNOT_SERVE
    return _STOPPED


def caution(role: str, host: str) -> str:
    """What must be said when it starts."""
    unchecked = "signatures" if role == RECOGNIZER else "tokens"
    if not _is_loopback(host):
        return f"{host} is not a loopback address: anybody who reaches it is served, {unchecked} are not checked"
    return f"{unchecked} are not checked"


async def _serve(sink: Sink, role: str, host: str, port: int, tls: ssl.SSLContext | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def announce(bound_port: int) -> None:
        shown = f"[{host}]" if ":" in host else host
        print(f"loadtest: the sink as a {role}: {caution(role, host)}", file=sys.stderr, flush=True)
        print(f"Serving on {'ws' if tls is None else 'wss'}://{shown}:{bound_port}", flush=True)

    await sink.serve(host, port, tls, announce, stop)


def _streams(role: str, manner: Manner) -> Callable[[str], Stream | None]:
    """What makes the stream for a request target."""
    if role == RECOGNIZER:
        return lambda target: RecognizerStream(target, manner) if target.startswith(PATH_PREFIX) else None
    run_id = uuid.uuid4().hex[:8]
    numbers = itertools.count(1)

    def gateway_stream(target: str) -> Stream | None:
        if not urlsplit(target).path.endswith(STREAM_PATH):
            return None
        return GatewayStream(f"sink-{run_id}-{next(numbers)}", manner)

    return gateway_stream


def _tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _allow_descriptors() -> None:
    """A stream is a descriptor, and shells begin with 1024: take what this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses what it says is allowed
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _within(low: int, high: int, given: str) -> int:
    try:
        number = int(given)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{given}: expected a whole number from {low} to {high}")
    return number
