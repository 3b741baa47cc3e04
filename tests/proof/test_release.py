"""A release loses no word: rolling restarts, and a lost machine, behind HAProxy under the load tester.

`make prove` has 100 streams and ten rolling restarts in a row (PROVE_RESTARTS); `make test` a dozen and one. After the
last one a replica is killed with SIGKILL and comes back.

The recognizer is the scripted one, whose words are in the audio alone, not in their place in a stream. Each is one
frame of the phones long, so that wherever a stream is cut no word is: then every transcript must be the undisturbed
one, word for word.
"""

import json
import os
import shlex
import sys
import wave
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest
import trio

from loadtest.events import has_failed
from ops.edge.control import Answer, controlled
from ops.edge.fleet import Fleet, fleet
from service.localasr.coded_audio import coded_pcm, silence
from tests.loadtest.run_support import Ended, code_of, run
from tests.support.front_door import needs_haproxy

RESTARTS: Final = int(os.environ.get("PROVE_RESTARTS", "1"))
STREAMS: Final = 12 if RESTARTS == 1 else 100
DRAIN_S: Final = 11.0
"""Streams are settled 3 s after the signal, and phones leave up to 2 s before that."""
EVERY_S: Final = 15.0
"""From one rolling restart to the next: two replicas that settle, and start in a second or two."""
FIRST_AT_S: Final = 4.0
LAST_FOR_S: Final = 12.0
"""Arrivals go on for so long after the beginning of the last one, so that there are streams to be lost by a kill."""
REPLICA_AWAY_S: Final = 1.0
FRAME_MS: Final = 40
RATE_HZ: Final = 16000
OBJECTIVES: Final = (
    "success == 100%",
    "lost_finals == 0",
    "doubled_finals == 0",
    "missing_words == 0",
    "extra_words == 0",
    "unanswered == 0",
)
pytestmark = [pytest.mark.proof, needs_haproxy]


def write_clip(path: Path, first_word: int) -> None:
    """1.9 s with two sentences; the pause of 800 ms is between them."""
    parts = []
    for number, pause_ms in enumerate((320, 800, 320, 320)):
        parts += [(first_word + number, FRAME_MS), silence(pause_ms)]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        file.writeframes(coded_pcm(parts, RATE_HZ))


def write_scenario(directory: Path, command: str) -> str:
    """Calls of a few clips, and the releases; its path."""
    for number in range(2):
        write_clip(directory / f"clip{number}.wav", 1000 * (number + 1))
    repeated = f"times = {RESTARTS}\nevery_s = {EVERY_S}\n" if RESTARTS > 1 else ""
    path = directory / "release.toml"
    path.write_text(
        f'name = "release"\nobjectives = {json.dumps(OBJECTIVES)}\n'
        f'[audio]\nfiles = ["clip0.wav", "clip1.wav"]\nframe_ms = {FRAME_MS}\n'
        '[call]\nlength = "constant"\nmean_s = 6\n'
        f'[[arrivals]]\npattern = "constant"\nstreams = {STREAMS}\n'
        f"for_s = {FIRST_AT_S + (RESTARTS - 1) * EVERY_S + LAST_FOR_S}\n"
        f"[[events]]\nat_s = {FIRST_AT_S}\nrun = {json.dumps(command)}\n{repeated}"
        "[phone]\nresumes = true\n[behaviors]\ntalker = 9\nreconnector = 1\n"
        '[start]\nengineType = "16k_en"\nvadSilenceMs = 500\n'
    )
    return str(path)


class Releases:
    """What `python -m ops edge roll` does to the fleet: the last one is followed by the loss of a machine."""

    def __init__(self, running: Fleet) -> None:
        self._fleet = running
        self._is_over = trio.Event()
        self.away_s: list[float] = []
        """Of each replica that was replaced."""

    async def act(self, _word: str) -> Answer:
        replaced = await self._fleet.roll()
        self.away_s += [one.away_s for one in replaced]
        if len(self.away_s) == RESTARTS * self._fleet.size:
            await self._fleet.kill(0)
            await trio.sleep(REPLICA_AWAY_S)
            await self._fleet.start(0)
            self._is_over.set()
        return {"replaced": [asdict(one) for one in replaced]}

    async def wait_over(self) -> None:
        """Until the lost machine is back. Fails when the load was over before the last release had begun."""
        with trio.move_on_after(60):
            await self._is_over.wait()
        rolls = len(self.away_s) // self._fleet.size
        assert self._is_over.is_set(), f"{rolls} of {RESTARTS} rolls were done while the load lasted: a busy machine?"


async def test_a_release_and_a_lost_machine_lose_no_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state.json"
    scenario = write_scenario(
        tmp_path, shlex.join([sys.executable, "-m", "ops", "edge", "roll", "--state", str(state)])
    )
    with trio.fail_after(180 + RESTARTS * EVERY_S * 3):
        async with fleet(2, drain_s=DRAIN_S) as running:
            releases = Releases(running)
            async with controlled(state, {}, releases.act):
                ended = await run(tmp_path, "--url", running.url, "--scenario", scenario)
                with capsys.disabled():
                    print(figures(ended, releases))  # noqa: T201 - the figures of a proof are for whoever runs it
                await releases.wait_over()
            logs = "".join(running.log_of(number) for number in range(running.size))
    check(ended, logs)


def check(ended: Ended, logs: str) -> None:
    """Nobody has lost a word, and phones did come back, from a release and from the loss."""
    summary = ended.summary
    counts, words = summary.counts, summary.words
    assert [event for event in summary.events if has_failed(event)] == []
    assert counts.endings == {"completed": counts.planned}
    assert counts.planned >= STREAMS
    assert counts.breaks["stopped"] > 0
    assert sum(count for name, count in counts.breaks.items() if name.startswith("closed_")) > 0
    assert (words.lost_finals, words.doubled_finals) == (0, 0)
    assert (words.complete, words.missing_words, words.extra_words) == (counts.planned, 0, 0)
    assert ended.code == code_of(ended, 0), ended.out + ended.err
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    assert sum(line.get("event") == "draining" for line in lines) == 2 * RESTARTS
    assert [line for line in lines if line.get("level") == "ERROR" or line.get("event") == "drain_overdue"] == []


def figures(ended: Ended, releases: Releases) -> str:
    """What came of it, in lines."""
    counts, words, latencies = ended.summary.counts, ended.summary.words, ended.summary.latencies
    lines = [
        "",
        f"{counts.planned} streams, {RESTARTS} rolls, replicas away for up to {max(releases.away_s, default=0):.1f} s",
        f"{counts.resumed} streams came back {counts.resumes} times, from {counts.breaks}",
        f"finals {words.finals}, lost {words.lost_finals}, doubled {words.doubled_finals}; "
        f"words missing {words.missing_words}, extra {words.extra_words}",
    ]
    for name in ("resume", "setup", "first_partial", "finalization", "send_lateness", "loop_lag"):
        one = latencies[name]
        lines.append(f"{name}: p50 {one.p50_ms} ms, p99 {one.p99_ms} ms, of {one.count}")
    return "\n".join(lines)
