"""The pool of decoder processes, with processes that need no model. Real time only as a hang guard."""

import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from service.localasr.engine import (
    EngineOverloadedError,
    EngineUnavailableError,
    Event,
    SentenceClosed,
    StreamFailed,
    StreamFinished,
    StreamSettings,
)
from service.localasr.sphinx import SphinxEngine, _read_cpu_max
from service.localasr.worker_process import WorkerGoneError

COMMAND = (sys.executable, "-m", "tests.localasr.fake_worker")
GUARD_S = 60
SETTINGS = StreamSettings()


class Ears:
    """The events of a stream."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended = trio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, StreamFinished | StreamFailed):
            self.ended.set()

    @property
    def heard(self) -> tuple[int, int]:
        """The bytes the worker took, and its process id."""
        (closed, finished) = self.events
        assert isinstance(closed, SentenceClosed)
        assert finished == StreamFinished()
        size, pid = closed.words[0].text.split("@")
        return int(size), int(pid)


@asynccontextmanager
async def running(capacity: int | None) -> AsyncGenerator[SphinxEngine]:
    engine = SphinxEngine(capacity, command=COMMAND)
    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            yield engine
            nursery.cancel_scope.cancel()


async def hear(engine: SphinxEngine, pcm: bytes) -> Ears:
    ears = Ears()
    async with engine.open(SETTINGS, ears) as stream:
        stream.feed(pcm)
        stream.finish()
        await ears.ended.wait()
    return ears


async def test_a_worker_serves_one_stream_after_another() -> None:
    async with running(1) as engine:
        first, second = await hear(engine, bytes(200_000)), await hear(engine, bytes(40))
        assert first.heard == (200_000, second.heard[1])
        assert second.heard[0] == 40


async def test_a_worker_that_died_while_idle_is_replaced() -> None:
    async with running(1) as engine:
        pid = (await hear(engine, bytes(40))).heard[1]
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":  # noqa: ASYNC110, ASYNC240
            await trio.sleep(0.01)
        assert (await hear(engine, bytes(40))).heard[1] != pid


async def test_an_abandoned_worker_forgets_its_stream() -> None:
    async with running(1) as engine:
        async with engine.open(SETTINGS, Ears()) as stream:
            stream.feed(bytes(96_000))
        assert (await hear(engine, bytes(40))).heard[0] == 40


async def test_streams_run_side_by_side_and_one_that_sticks_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.localasr.sphinx.STUCK_S", 1.0)
    async with running(2) as engine:
        stuck = Ears()
        async with engine.open(SETTINGS, stuck) as stream:
            stream.feed(b"stick!")
            assert (await hear(engine, bytes(40))).heard[0] == 40
            await stuck.ended.wait()
        assert stuck.events == [StreamFailed()]
        # The stuck one is replaced: two streams at once again.
        async with engine.open(SETTINGS, Ears()):
            assert (await hear(engine, bytes(40))).heard[0] == 40


@pytest.mark.parametrize("pcm", [b"crash!", b"nonsense"])
async def test_a_worker_that_crashes_or_talks_nonsense_fails_its_stream_and_is_replaced(pcm: bytes) -> None:
    async with running(1) as engine:
        ears = Ears()
        async with engine.open(SETTINGS, ears) as stream:
            stream.feed(pcm)
            await ears.ended.wait()
        assert ears.events == [StreamFailed()]
        assert (await hear(engine, bytes(40))).heard[0] == 40


async def test_audio_that_waits_is_bounded() -> None:
    async with running(1) as engine, engine.open(SETTINGS, Ears()) as stream:
        stream.feed(bytes(30 * 32000))
        with pytest.raises(EngineOverloadedError):
            stream.feed(bytes(2))


async def test_a_stream_without_a_worker_is_refused_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.localasr.sphinx.TAKE_S", 0.05)
    async with running(1) as engine, engine.open(SETTINGS, Ears()):
        with pytest.raises(EngineUnavailableError):
            async with engine.open(SETTINGS, Ears()):
                pass


async def test_capacity_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr("service.localasr.sphinx._read_cpu_max", lambda: "200000 100000")
    async with running(None) as engine:
        assert engine.cost == 0.25
        assert engine.capacity == 6


def test_where_there_is_no_cgroup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("service.localasr.sphinx._CPU_MAX", tmp_path / "cpu.max")
    assert _read_cpu_max() == ""
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert _read_cpu_max() == "max 100000\n"


@pytest.mark.parametrize("command", [(sys.executable, "-c", "pass"), (sys.executable, "-c", "print('hello')")])
async def test_without_a_first_worker_there_is_no_engine(command: tuple[str, ...]) -> None:
    with trio.fail_after(GUARD_S), pytest.raises(WorkerGoneError):
        await SphinxEngine(1, command=command).run()


async def test_a_worker_that_cannot_be_replaced_now_is_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.localasr.sphinx.RESTART_MIN_S", 0.01)
    async with running(2) as engine:
        good, engine._command = engine._command, ("/does/not/exist",)
        async with engine.open(SETTINGS, Ears()):
            await trio.sleep(0.05)
            engine._command = good
            assert (await hear(engine, bytes(40))).heard[0] == 40
