"""`python -m loadtest`: speak to a gateway as a phone does.

Exit codes: 0 the stream went well, 1 it failed, 2 nothing could be tried (usage, file, nothing reachable),
130 interrupted.
"""

import argparse
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import trio

from loadtest.caption import Caption, as_json, failure_line, printable, summary
from loadtest.messages import Result
from loadtest.recognize import add_command as add_recognize
from loadtest.recognize import run_recognize
from loadtest.speaker import Deadlines, Outcome, Plan, Report, speak
from loadtest.urls import UrlError, stream_url
from loadtest.wav import Speech, WavError, read_wav

DEFAULT_URL: Final = "ws://127.0.0.1:8000"

_EXIT_CODES: Final = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.UNREACHABLE: 2, Outcome.CANCELED: 130}
_USAGE: Final = 2
_BROKEN_PIPE: Final = 141  # 128 + SIGPIPE, as a shell tells it


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code. Bad usage is reported by argparse, which exits with 2."""
    code = _BROKEN_PIPE
    try:
        code = trio.run(run, argv)
    except* BrokenPipeError:  # whoever read our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
    except* KeyboardInterrupt:  # before or after the stream, where no signal is being received
        code = _EXIT_CODES[Outcome.CANCELED]
    return code


async def run(argv: Sequence[str] | None = None, deadlines: Deadlines | None = None) -> int:
    """`main` inside a Trio program. `deadlines` are for tests that wait for one."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.command == "recognize":
            return await run_recognize(arguments, _checked_token(arguments.token))
        plan = _plan(arguments, deadlines or Deadlines())
    except (UrlError, WavError, argparse.ArgumentTypeError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return _USAGE
    return await _speak(plan, json=arguments.json, verbose=arguments.verbose)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="loadtest", description="Speak to a voice gateway as a phone does.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser(
        "speak",
        help="stream one WAV file in real time and show the caption",
        description="Stream one WAV file (16-bit mono PCM, 8 or 16 kHz) in real time, show the caption as it grows, "
        "then the text and a timing summary. Exit code: 0 ok, 1 the stream failed, 2 nothing could be tried, "
        "130 interrupted.",
    )
    command.add_argument("file", type=Path, metavar="FILE.wav")
    command.add_argument(
        "--url", default=DEFAULT_URL, help="base (http://host:port, wss://host) or full stream URL [%(default)s]"
    )
    command.add_argument("--token", help="token of the service, where it asks for one")
    command.add_argument("--engine", help="recognizer engine, such as 16k_zh [the service's default]")
    command.add_argument("--frame-ms", type=_frame_ms, default=40, metavar="MS", help="audio per message [%(default)s]")
    command.add_argument(
        "--finalize-at",
        type=_position_s,
        nargs="+",
        action="extend",
        default=[],
        metavar="S",
        help="send `finalize` at these positions of the audio, in seconds",
    )
    command.add_argument("--json", action="store_true", help="print the report as JSON, and nothing else")
    command.add_argument("--verbose", action="store_true", help="without a terminal: a line for every partial, too")
    add_recognize(commands)
    return parser


def _frame_ms(given: str) -> int:
    frame_ms = int(given)
    if not 10 <= frame_ms <= 1000:  # 1000 ms of 16 kHz are 32000 bytes, half of what a message may have
        raise argparse.ArgumentTypeError(f"{given} ms: expected 10 to 1000")
    return frame_ms


def _position_s(given: str) -> float:
    position_s = float(given)
    if not 0 <= position_s < float("inf"):
        raise argparse.ArgumentTypeError(f"{given} s: expected a position in the audio")
    return position_s


def _plan(arguments: argparse.Namespace, deadlines: Deadlines) -> Plan:
    url = stream_url(arguments.url)
    speech = read_wav(arguments.file)
    return Plan(
        url=url,
        speech=speech,
        token=_checked_token(arguments.token),
        engine=arguments.engine,
        frame_ms=arguments.frame_ms,
        finalize_at_s=_checked_positions_s(arguments.finalize_at, speech),
        deadlines=deadlines,
    )


def _checked_token(token: str | None) -> str | None:
    if token is not None and not (token.isascii() and token.isprintable() and token.strip() == token and token):
        raise argparse.ArgumentTypeError("--token: expected printable ASCII, as fits into a header")
    return token


def _checked_positions_s(positions_s: Sequence[float], speech: Speech) -> tuple[float, ...]:
    for position_s in positions_s:
        if position_s > speech.duration_s:
            raise argparse.ArgumentTypeError(f"--finalize-at {position_s:g}: the file has {speech.duration_s:.2f} s")
    return tuple(sorted(positions_s))


async def _speak(plan: Plan, *, json: bool, verbose: bool) -> int:
    caption = Caption(sys.stdout, verbose=verbose)
    interrupted = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_receive_interrupts, signals, interrupted, name="signals")
            report = await speak(plan, _ignore if json else caption.show, interrupted)
            nursery.cancel_scope.cancel()
    caption.finish()
    _print(report, json=json)
    return _EXIT_CODES[report.outcome or Outcome.FAILED]


async def _receive_interrupts(signals: AsyncIterator[int], interrupted: trio.Event) -> None:
    async for _ in signals:
        interrupted.set()


def _ignore(result: Result, since_s: float) -> None:
    pass


def _print(report: Report, *, json: bool) -> None:
    if json:
        print(as_json(report))
    elif report.connect_s is not None and report.outcome is not Outcome.CANCELED:
        if report.text is not None:
            print(printable(report.text))
        print("", *summary(report), sep="\n")
    sys.stdout.flush()
    problem = failure_line(report)
    if problem is not None:
        print(f"loadtest: {problem}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
