"""A short scenario, a gateway that does what it is told, and `loadtest run` as a process."""

import json
import random
import struct
import sys
import wave
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed

from loadtest.summary import Summary
from loadtest.summary_files import read_summary
from tests.loadtest.protocol_server import Phone, gateway
from tests.support.processes import ROOT, environment

LATE: Final = "load tester itself was"
_INVALID: Final = 3
_ATTEMPTS: Final = 5
CLIP_S: Final = 0.4
RATE_HZ: Final = 16000


def write_scenario(directory: Path, *objectives: str, per_s: float = 20, for_s: float = 1.0, more: str = "") -> str:
    """A scenario of short calls, evenly spaced; its path."""
    noise = random.Random(1)
    samples = [noise.randrange(-9000, 9000) for _ in range(int(CLIP_S * RATE_HZ))]
    with wave.open(str(directory / "clip.wav"), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    path = directory / "short.toml"
    path.write_text(
        f'name = "short"\nobjectives = {json.dumps(objectives)}\ncompare_transcripts = false\n{more}\n'
        f'[audio]\nfiles = ["clip.wav"]\n'
        f'[[arrivals]]\npattern = "constant"\nper_s = {per_s}\nfor_s = {for_s}\n'
    )
    return str(path)


async def settle(phone: Phone, text: str = "one two", after_s: float = 0.0) -> None:
    """Hear a call to its end and give it one sentence, so long after its `stop`."""
    await phone.hear("stop")
    await trio.sleep(after_s)
    await phone.say("result", text=text, isFinal=True, index=0, startMs=0, endMs=int(CLIP_S * 1000))
    received = {"receivedBytes": phone.audio_bytes, "relayedBytes": phone.audio_bytes, "droppedBytes": 0}
    await phone.say("stopped", text=text, sentences=1, audio=received)
    await phone.close(1000)


async def refuse(phone: Phone, slug: str, code: int) -> None:
    """End a stream with a fatal error."""
    await phone.say("error", code=slug, message="no", retryable=True, fatal=True)
    await phone.close(code)


def calls(act: Callable[[Phone, int], Awaitable[None]]) -> Callable[[Phone], Awaitable[None]]:
    """A script: `act` is called with each stream that was asked for and its number, after its `start`.

    A connection that goes away without a `start`, such as the check before the run, has no number.
    """
    started = 0

    async def script(phone: Phone) -> None:
        nonlocal started
        with suppress(ConnectionClosed):
            await phone.say("welcome", protocol=1, heartbeatMs=10000)
            await phone.hear("start")
            number = started
            started += 1
            await act(phone, number)

    return script


async def answer(phone: Phone, number: int) -> None:
    """A call as it should be."""
    await phone.say("ready", streamId=f"s-{number}")
    await settle(phone)


Act = Callable[[Phone, int], Awaitable[None]]


@dataclass(frozen=True)
class Ended:
    """A `loadtest run` that has ended."""

    code: int
    out: str
    err: str
    directory: Path

    @property
    def summary(self) -> Summary:
        return read_summary(self.directory)

    @property
    def streams(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "streams.jsonl").read_text().splitlines()]


async def run(
    directory: Path,
    *arguments: str,
    meanwhile: Callable[[trio.Process], Awaitable[None]] | None = None,
    out: str = "out",
    **settings: str,
) -> Ended:
    """`python -m loadtest run …`; `meanwhile` is called with the process, and results go into `directory`/`out`."""
    command = [sys.executable, "-m", "loadtest", "run", "--server-metrics", "off", "--no-live"]
    command += ["--out", str(directory / out), *arguments]
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process, command, stdout=PIPE, stderr=PIPE, cwd=ROOT, env=environment(**settings), check=False
        )
        process: trio.Process = await nursery.start(start)
        if meanwhile is not None:
            nursery.start_soon(meanwhile, process)
        texts = {"out": b"", "err": b""}

        async def read(name: str, stream: trio.abc.ReceiveStream) -> None:
            async for data in stream:
                texts[name] += data

        assert process.stdout is not None
        assert process.stderr is not None
        nursery.start_soon(read, "out", process.stdout)
        nursery.start_soon(read, "err", process.stderr)
    assert process.returncode is not None
    return Ended(process.returncode, texts["out"].decode(), texts["err"].decode(), directory / out)


async def judged(directory: Path, act: Act, *arguments: str, out: str = "out") -> Ended:
    """A run against a gateway of its own, which may have been too late to be valid: `code_of` says so."""
    async with gateway(calls(act)) as server:
        return await run(directory, "--url", server.url, *arguments, out=out)


async def in_time(directory: Path, act: Act, *arguments: str) -> Ended:
    """A run in which the load tester was in time: again while the machine is too busy for that, as an operator would.

    On a machine that is never in time it is the last run, which owes the exit code 3 (`code_of`), says so, and gives no
    figures. What is not a figure holds all the same: what was counted, what was written down.
    """
    for _ in range(_ATTEMPTS):
        ended = await judged(directory, act, *arguments)
        if ended.code != _INVALID:
            break
    if ended.code == _INVALID:
        assert LATE in ended.out
        assert "finalization" not in ended.out.lower()
    return ended


def code_of(ended: Ended, when_valid: int) -> int:
    """The exit code that a run owes: 3 when the load tester was late, which its own figures tell, else `when_valid`."""
    own = ("send_lateness", "loop_lag")
    worst_ms = [ended.summary.latencies[name].p99_ms for name in own]
    worst_ms += [getattr(worker, f"{name}_p99_ms") for worker in ended.summary.workers for name in own]
    return _INVALID if any(p99_ms is not None and p99_ms > 10.01 for p99_ms in worst_ms) else when_valid
