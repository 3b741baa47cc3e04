"""`loadtest speak`: say one recording to a gateway in real time, and show the caption as it grows."""

import argparse
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import trio

from loadtest.audio import Track, frames
from loadtest.behaviors import Talk, begin
from loadtest.caption import Caption, as_json, failure_line, summary
from loadtest.connection import Dial, Target
from loadtest.conversation import Conversation
from loadtest.messages import Result, ServerMessage, encode
from loadtest.plan import PlannedCall
from loadtest.printing import printable
from loadtest.scenario import Audio, Behavior, Phone, Scenario, Stage
from loadtest.speaker import Call, place_call
from loadtest.spoken import Heard, Outcome, Report, report_of
from loadtest.urls import UrlError, stream_url
from loadtest.wav import Speech, WavError, read_wav
from service.dialing import dial

DEFAULT_URL: Final = "ws://127.0.0.1:8000"
USAGE: Final = 2
EXIT_CODES: Final = {Outcome.OK: 0, Outcome.FAILED: 1, Outcome.UNREACHABLE: 2, Outcome.CANCELED: 130}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What is said, and to whom. `url` is the full address of the stream."""

    url: str
    speech: Speech
    token: str | None = None
    engine: str | None = None
    frame_ms: int = 40
    finalize_at_s: tuple[float, ...] = ()
    """Positions in the audio, in seconds and ascending, at which `finalize` is sent."""
    phone: Phone = field(default_factory=Phone)
    dial: Dial = dial


def add_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds `speak` to the commands."""
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
    command.add_argument(
        "--resume", action="store_true", help="obey `goaway`, and come back when the stream breaks, for up to 30 s"
    )
    command.add_argument("--json", action="store_true", help="print the report as JSON, and nothing else")
    command.add_argument("--verbose", action="store_true", help="without a terminal: a line for every partial, too")


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


async def run_speak(arguments: argparse.Namespace, token: str | None, phone: Phone | None = None) -> int:
    """The command. Returns the exit code; SIGINT drops the stream with a `cancel`. `phone` has the limits."""
    try:
        speech = read_wav(arguments.file)
        spoken = Spoken(
            url=stream_url(arguments.url),
            speech=speech,
            token=token,
            engine=arguments.engine,
            frame_ms=arguments.frame_ms,
            finalize_at_s=_checked_positions_s(arguments.finalize_at, speech),
            phone=msgspec.structs.replace(phone or Phone(), resumes=arguments.resume),
        )
    except (UrlError, WavError, argparse.ArgumentTypeError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return USAGE
    caption = Caption(sys.stdout, verbose=arguments.verbose)
    interrupted = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_receive_interrupts, signals, interrupted, name="signals")
            report = await speak(spoken, None if arguments.json else caption, interrupted)
            nursery.cancel_scope.cancel()
    caption.finish()
    _print(report, json=arguments.json)
    return EXIT_CODES[report.outcome or Outcome.FAILED]


def _checked_positions_s(positions_s: Sequence[float], speech: Speech) -> tuple[float, ...]:
    for position_s in positions_s:
        if position_s > speech.duration_s:
            raise argparse.ArgumentTypeError(f"--finalize-at {position_s:g}: the file has {speech.duration_s:.2f} s")
    return tuple(sorted(positions_s))


async def _receive_interrupts(signals: AsyncIterator[int], interrupted: trio.Event) -> None:
    async for _ in signals:
        interrupted.set()


async def speak(spoken: Spoken, caption: Caption | None, interrupted: trio.Event | None = None) -> Report:
    """Say it as a talker does, and return the report. Results are drawn on the caption.

    When `interrupted` is set, the stream is dropped with a `cancel`. Cancellation closes the connection without a word.
    """
    audio = Audio(frame_ms=spoken.frame_ms)
    track = Track(spoken.speech, 0.0, (0,))
    start = {} if spoken.engine is None else {"engineType": spoken.engine}
    stages = (Stage(for_s=1.0, per_s=1.0),)  # asked for by Scenario; the one arrival is now
    call = Call(
        planned=PlannedCall(number=0, at_s=0.0, track=0, behavior=Behavior.TALKER, seed=0, turn_at=0.5),
        track=track,
        frames=frames(track, audio),
        scenario=Scenario(name="speak", audio=audio, arrivals=stages, start=start, phone=spoken.phone),
        begins_at_s=trio.current_time(),
        expected_words=None,
        keep_text=True,
    )
    heard = Heard()
    watch = _Watch(heard, caption)
    target = Target(url=spoken.url, get_token=lambda: spoken.token, dial=spoken.dial)
    talk: Talk = partial(watch.talk, positions_s=spoken.finalize_at_s)
    record = await place_call(
        call, target, lambda _name, _s: None, interrupted=interrupted, observe=watch.take, talk=talk
    )
    return report_of(spoken.url, record, heard)


class _Watch:
    def __init__(self, heard: Heard, caption: Caption | None) -> None:
        self._heard = heard
        self._caption = caption
        self._audio_began_s: float | None = None

    def take(self, message: ServerMessage, now_s: float) -> None:
        self._heard.take(message, now_s)
        if isinstance(message, Result) and self._caption is not None:
            self._caption.show(message, 0.0 if self._audio_began_s is None else now_s - self._audio_began_s)

    async def talk(self, conversation: Conversation, positions_s: Sequence[float]) -> None:
        """As a talker, with a `finalize` after the frame that reaches each position."""
        said = await begin(conversation, conversation.frame_count)
        if self._audio_began_s is None:
            self._audio_began_s = trio.current_time()
        for number, position_s in enumerate(positions_s, start=1):
            reached = conversation.frames_until(position_s)
            if f"{number}@{position_s:g}s" in self._heard.finalize_sent_s:  # in a stream before
                continue
            await conversation.say(said, reached)
            said = max(said, reached)
            id_ = f"{number}@{position_s:g}s"
            self._heard.finalize_sent_s[id_] = trio.current_time()
            await conversation.send(encode("finalize", id=id_))
        await conversation.say(said, conversation.frame_count)
        self._heard.is_audio_sent = True
        await conversation.stop()


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
