"""The speakers of a bench: `loadtest run` with a scenario of so many streams that open evenly and then talk at once."""

import array
import contextlib
import json
import math
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtest.bench.figures import FRAME_MS, BenchError
from loadtest.bench.programs import Running, running
from loadtest.record import StreamRecord
from loadtest.summary import Summary
from loadtest.summary_files import STREAMS_NAME, SUMMARY_NAME, read_streams, read_summary

OPEN_PER_S: Final = 40.0
"""Streams that open in a second: slow enough that opening leaves room for those that talk already."""
OPEN_AT_LEAST_S: Final = 1.0
AFTER_S: Final = 1.5
"""Talk goes on for so long behind the window, so that nobody leaves inside of it."""
SENTENCE_S: Final = 2.0
"""Of the sink: ten results, one for each 200 ms."""
TALK_NAME: Final = "talk.wav"
_RATE_HZ: Final = 16000
_PERIOD: Final = 80  # samples: 200 Hz
_LOUD: Final = 8000
_END_LIMIT_S: Final = 90.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Talk:
    """What the speakers do."""

    streams: int
    seconds: float
    """How long all of them talk together."""
    settle_s: float = 1.0
    """From the last opening to the window."""

    @property
    def opening_s(self) -> float:
        """How long the openings take by plan."""
        return max(OPEN_AT_LEAST_S, self.streams / OPEN_PER_S)

    @property
    def call_s(self) -> float:
        """How long each talks: whole sentences of the sink."""
        return SENTENCE_S * math.ceil((self.opening_s + self.settle_s + self.seconds + AFTER_S) / SENTENCE_S)

    @property
    def scenario(self) -> str:
        """As a scenario of the load tester, in TOML."""
        per_s = self.streams / self.opening_s
        return scenario("bench", per_s=per_s, for_s=(self.streams + 0.01) / per_s)


def scenario(name: str, *, per_s: float, for_s: float, objectives: tuple[str, ...] = ()) -> str:
    """A scenario of even arrivals, each of which speaks `talk.wav`; words are not compared. Pure."""
    return (
        f'name = "{name}"\nobjectives = {json.dumps(objectives)}\ncompare_transcripts = false\n'
        f'[audio]\nfiles = ["{TALK_NAME}"]\nframe_ms = {FRAME_MS}\n'
        f'[[arrivals]]\npattern = "constant"\nper_s = {per_s}\nfor_s = {for_s}\n'
        '[start]\nengineType = "16k_en"\n'
    )


def write_talk(directory: Path, length_s: float) -> None:
    """`talk.wav`: an even tone of exactly that length, so that there is sound, and a result of the sink, all the time.

    Whole sentences of the sink and no more, since what it settles at the end covers the audio up to its last word: the
    lateness of that one result would be the sink's manner, and one of a hundred is a p99.
    """
    samples = round(length_s * _RATE_HZ)
    period = array.array("h", (round(_LOUD * math.sin(math.tau * at / _PERIOD)) for at in range(_PERIOD)))
    if sys.byteorder == "big":
        period.byteswap()
    with wave.open(str(directory / TALK_NAME), "wb") as talk:
        talk.setnchannels(1)
        talk.setsampwidth(2)
        talk.setframerate(_RATE_HZ)
        talk.writeframes((period.tobytes() * math.ceil(samples / _PERIOD))[: 2 * samples])


class Speakers:
    """A `loadtest run` that goes on."""

    def __init__(self, program: Running, directory: Path) -> None:
        self._program = program
        self._directory = directory

    @property
    def are_talking(self) -> bool:
        """Whether the run has not ended."""
        return self._program.process.poll() is None

    def wait(self) -> tuple[int, Summary, list[StreamRecord]]:
        """(exit code, summary, all streams) when all have ended.

        Raises BenchError when they do not end, or leave no summary.
        """
        try:
            code = self._program.process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the speakers do not end\n{self._program.last_lines()}") from None
        if not (self._directory / SUMMARY_NAME).exists():
            raise BenchError(f"the speakers left no summary\n{self._program.last_lines()}")
        return code, read_summary(self._directory), list(read_streams(self._directory / STREAMS_NAME))


@contextlib.contextmanager
def speaking(url: str, scenario_toml: str, call_s: float, *, cpu: int | None, directory: Path) -> Iterator[Speakers]:
    """Speakers that have been started, with calls of so many seconds; they are ended with the `with`."""
    write_talk(directory, call_s)
    file = directory / "scenario.toml"
    file.write_text(scenario_toml, encoding="utf-8")
    out = directory / "run"
    command = ["loadtest", "run", "--url", url, "--scenario", str(file), "--out", str(out), "--processes", "1"]
    command += ["--server-metrics", "off", "--no-live", "--quiet"]
    with running(*command, cpu=cpu, directory=directory, name="speakers") as program:
        yield Speakers(program, out)


@dataclass(frozen=True, slots=True)
class Opening:
    """From the last look without a stream to the first with all of them."""

    cpu_before_s: float
    resident_before_kib: int
    all_open: bool


def wait_open(gateway: Running, speakers: Speakers, streams: int, limit_s: float) -> Opening:
    """Wait until so many streams are open, by the gateway's descriptors: two for each."""
    quiet = gateway.descriptors()
    before_s, before_kib = gateway.cpu_s(), gateway.resident_kib()
    deadline = math.inf
    while speakers.are_talking:
        now = gateway.descriptors()
        if now <= quiet:
            before_s, before_kib = gateway.cpu_s(), gateway.resident_kib()
        elif deadline == math.inf:
            deadline = time.monotonic() + limit_s
        if now >= quiet + 2 * streams:
            return Opening(before_s, before_kib, all_open=True)
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_S)
    return Opening(before_s, before_kib, all_open=False)
