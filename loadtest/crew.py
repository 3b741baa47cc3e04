"""The worker processes of a run, as the conductor sees them."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import trio

from loadtest.lines import Lines, LineTooLong
from loadtest.worker_wire import MAX_LINE_BYTES, Job, Order, Word

STREAMS_PER_PROCESS: Final = 150
"""A stream of 40 ms frames was measured to take 0.25 % of a virtual CPU, opening and closing included, so these take
0.4 of one. The rest is for the bursts in which calls are opened."""

PREPARE_LIMIT_S: Final = 120.0  # a plan of a million calls takes some seconds, on a machine that is busy more
END_LIMIT_S: Final = 5.0  # between the last word and the end of the process
_ORDER_LIMIT_S: Final = 5.0  # an order is a few bytes into an empty pipe
_STDERR_TAIL_BYTES: Final = 4000
_STDERR_TAIL_LINES: Final = 5


def default_processes(peak_streams: int, cpus: int) -> int:
    """How many processes speak so many streams at once: no more than there are CPUs, at least one. Pure."""
    return max(1, min(cpus, -(-peak_streams // STREAMS_PER_PROCESS)))


def usable_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class WorkerLost(Exception):
    """A worker process did not do its job; the text says which, and what is known."""


class Hand:
    """One worker process. `work` conducts it; `tell` may be called meanwhile."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.planned = 0
        """Streams in its part of the plan, once it is prepared."""
        self.prepared = trio.Event()
        self._process: trio.Process | None = None
        self._telling = trio.Lock()
        self._errors = b""

    async def work(self, job: Job, heard: Callable[["Hand", Word], None]) -> None:
        """Start the process, give it the job, hear its words, and return after the last one, when it has ended.

        Raises WorkerLost when it ends before, or says what is no word. Cancelled, it kills the process.
        """
        process = self._process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "loadtest", "worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C at the terminal is ours to handle
        )
        self.pid = process.pid
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_errors, name="stderr of a worker")
                # It may be long, and the process slow to read it.
                await self._send(msgspec.json.encode(job) + b"\n", PREPARE_LIMIT_S)
                problem = await self._hear(heard)
                with trio.move_on_after(END_LIMIT_S):
                    await process.wait()
                nursery.cancel_scope.cancel()
            if problem is not None:
                raise WorkerLost(problem or self._how_it_ended())
        finally:
            if process.returncode is None:
                process.kill()
            with trio.CancelScope(shield=True):  # limited: it was killed
                await process.wait()
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        await pipe.aclose()

    async def tell(self, order: Order) -> None:
        """Give an order. One that a process cannot take any more is dropped: that it has ended is heard otherwise."""
        await self._send(msgspec.json.encode(order) + b"\n")

    async def _send(self, line: bytes, limit_s: float = _ORDER_LIMIT_S) -> None:
        if self._process is None or self._process.stdin is None:
            return
        with trio.move_on_after(limit_s):
            async with self._telling:
                try:
                    await self._process.stdin.send_all(line)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return

    async def _hear(self, heard: Callable[["Hand", Word], None]) -> str | None:
        """Hear all words. None when the last one has come, else what is wrong, empty when the process just ended."""
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        lines = Lines(self._process.stdout, MAX_LINE_BYTES)
        decoder = msgspec.json.Decoder(Word)
        try:
            while (line := await lines.next()) is not None:
                word = decoder.decode(line)
                if word.prepared is not None:
                    self.planned = word.prepared
                    self.prepared.set()
                heard(self, word)
                if word.last is not None:
                    return None
        except (LineTooLong, msgspec.DecodeError, UnicodeError) as error:
            return f"Worker {self.number} (process {self.pid}) said what is no word of a worker: {error}"
        return ""

    async def _read_errors(self) -> None:
        assert self._process is not None  # noqa: S101 - it was started
        assert self._process.stderr is not None  # noqa: S101 - it was asked for
        async for data in self._process.stderr:
            self._errors = (self._errors + data)[-_STDERR_TAIL_BYTES:]

    def _how_it_ended(self) -> str:
        code = self._process.returncode if self._process is not None else None
        how = (
            "stopped talking"
            if code is None
            else f"ended with exit code {code}"
            if code >= 0
            else f"was killed by signal {-code}"
        )
        lines = [line for line in self._errors.decode("utf-8", "replace").splitlines() if line.strip()]
        tail = f": {' | '.join(lines[-_STDERR_TAIL_LINES:])}" if lines else ""
        return f"Worker {self.number} (process {self.pid}) {how} before its streams had ended{tail}"


async def tell_all(hands: Sequence[Hand], order: Order) -> None:
    """Give everybody an order, at the same time: one who does not listen does not keep it from the others."""
    async with trio.open_nursery() as nursery:
        for hand in hands:
            nursery.start_soon(hand.tell, order, name="order")
