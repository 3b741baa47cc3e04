"""The PocketSphinx engine: a pool of worker processes, one stream in each at a time.

A worker is warm before the server says that it listens, and while there is capacity left, one more than the streams
need. A stream whose worker crashes, or is silent for 10 s with work to do, fails with 5000, and the worker is
replaced. A worker costs 110 MB; those once started are kept, so memory follows the highest load seen, at most
``capacity`` workers.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from service.localasr.capacity import MAX_CAPACITY, stream_capacity, usable_cpus
from service.localasr.engine import (
    EngineOverloadedError,
    EngineUnavailableError,
    Event,
    StreamFailed,
    StreamFinished,
    StreamSettings,
)
from service.localasr.worker_process import WORKER_COMMAND, WorkerGoneError, WorkerProcess, start_worker
from service.localasr.worker_wire import Abandon, Audio, Begin, Finish, Idle, Ready, Taken

log = logging.getLogger(__name__)

# How long a new stream waits for a decoder: a worker's start, twice over.
TAKE_S = 15.0
# A worker reports every packet, 20 ms of work each; the end of a long sentence takes it a second or two.
STUCK_S = 10.0
RECYCLE_S = 5.0
# Audio inside a worker and its pipe: little, so that an abandoned worker is soon free and the pipe (64 KiB) never
# fills.
MAX_IN_WORKER_S = 1
PACKET_S = 0.2
# Each worker has 3 s of its own, all at once.
KILL_ALL_S = 6.0
RESTART_MIN_S, RESTART_MAX_S = 0.5, 30.0
_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")


class SphinxEngine:
    """English speech by PocketSphinx. ``run`` must be running while streams are open.

    ``capacity`` None: measured from the first worker's calibration.
    """

    name = "pocketsphinx"
    engines = ("16k_en",)
    exact = False

    def __init__(self, capacity: int | None = None, *, command: Sequence[str] = WORKER_COMMAND) -> None:
        self.capacity = capacity or 1
        self.cost = 0.0
        """CPU seconds per second of speech, as the first worker measured it."""
        self._measure = capacity is None
        self._command = command
        self._mean: str | None = None
        self._workers: set[WorkerProcess] = set()
        self._idle_in, self._idle_out = trio.open_memory_channel[WorkerProcess](MAX_CAPACITY * 4)
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the pool until cancelled, then end every worker; ``started`` once one is warm and ``capacity`` is known.

        Raises ``WorkerGoneError`` or ``OSError`` when the first worker cannot start.
        """
        try:
            await self._add_worker()
            if self._measure:
                cpu_max = await trio.to_thread.run_sync(_read_cpu_max)
                self.capacity = stream_capacity(usable_cpus(len(os.sched_getaffinity(0)), cpu_max), self.cost)
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                task_status.started()
                await self._keep_warm()
        finally:
            self._nursery = None
            with trio.CancelScope(deadline=trio.current_time() + KILL_ALL_S, shield=True):
                async with trio.open_nursery() as nursery:
                    for worker in self._workers:
                        nursery.start_soon(worker.kill)

    @asynccontextmanager
    async def open(
        self, settings: StreamSettings, emit: Callable[[Event], None]
    ) -> AsyncGenerator[_SphinxStream, None]:
        """See ``Engine.open``: a worker for this stream alone."""
        worker = await self._take()
        stream = _SphinxStream(worker, settings, emit)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.run, name="decode")
                yield stream
                nursery.cancel_scope.cancel()
        finally:
            self._give_back(worker, clean=stream.finished)

    async def _take(self) -> WorkerProcess:
        with trio.move_on_after(TAKE_S):
            while True:
                worker = await self._idle_out.receive()
                if worker.usable:
                    self._wake()
                    return worker
                self._workers.discard(worker)
                self._wake()
                await worker.kill()
        raise EngineUnavailableError

    def _give_back(self, worker: WorkerProcess, *, clean: bool) -> None:
        if clean and worker.usable:
            self._idle_in.send_nowait(worker)
        elif self._nursery is not None:
            self._nursery.start_soon(self._recycle, worker, name="recycle a worker")

    async def _recycle(self, worker: WorkerProcess) -> None:
        """Make an abandoned worker forget its stream, or end it."""
        if worker.usable:
            with trio.move_on_after(RECYCLE_S):
                try:
                    await worker.send(Abandon())
                    while not isinstance(await worker.receive(), Idle):
                        pass
                except WorkerGoneError:
                    pass
                else:
                    self._idle_in.send_nowait(worker)
                    return
        log.warning("worker replaced", extra={"event": "worker_replaced"})
        self._workers.discard(worker)
        self._wake()
        await worker.kill()

    async def _keep_warm(self) -> None:
        pause_s = RESTART_MIN_S
        while True:
            self._changed = trio.Event()
            if len(self._workers) >= self.capacity or self._idle_out.statistics().current_buffer_used > 0:
                await self._changed.wait()
                continue
            try:
                await self._add_worker()
                pause_s = RESTART_MIN_S
            except (WorkerGoneError, OSError) as error:
                fields = {"event": "worker_failed", "error": type(error).__name__, "retry_in_s": pause_s}
                log.warning("worker failed to start", extra=fields)
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, RESTART_MAX_S)

    async def _add_worker(self) -> None:
        worker = await start_worker(self._mean, self._command)
        self._workers.add(worker)
        if self._mean is None:
            self._mean, self.cost = worker.ready.mean, worker.ready.cost
        self._idle_in.send_nowait(worker)

    def _wake(self) -> None:
        self._changed.set()


class _SphinxStream:
    """An ``EngineStream`` on a worker: ``run`` moves its audio there and its events back."""

    def __init__(self, worker: WorkerProcess, settings: StreamSettings, emit: Callable[[Event], None]) -> None:
        self._worker = worker
        self._settings = settings
        self._emit = emit
        bytes_per_s = settings.sample_rate_hz * 2
        self._max_backlog_bytes = settings.max_backlog_s * bytes_per_s
        self._max_in_worker_bytes = MAX_IN_WORKER_S * bytes_per_s
        self._packet_bytes = int(PACKET_S * bytes_per_s)
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._in_worker_bytes = 0
        self._ending = False
        self._more = trio.Event()
        self._patience = trio.CancelScope()
        self.finished = False

    def feed(self, pcm: bytes) -> None:
        """See ``EngineStream``: at most ``max_backlog_s`` of audio wait."""
        if self._backlog_bytes + len(pcm) > self._max_backlog_bytes:
            raise EngineOverloadedError
        for at in range(0, len(pcm), self._packet_bytes):
            self._backlog.append(pcm[at : at + self._packet_bytes])
        self._backlog_bytes += len(pcm)
        self._more.set()

    def finish(self) -> None:
        """See ``EngineStream``."""
        self._ending = True
        self._more.set()

    async def run(self) -> None:
        """Until the stream is finished or failed; emits ``StreamFailed`` itself, raises nothing."""
        try:
            with self._patience:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_audio, name="audio to worker")
                    await self._receive_events()
                    nursery.cancel_scope.cancel()
        except* WorkerGoneError:
            pass
        if not self.finished:
            self._worker.condemn()
            self._emit(StreamFailed())

    async def _send_audio(self) -> None:
        await self._worker.send(Begin(self._settings))
        while True:
            while self._backlog and self._in_worker_bytes < self._max_in_worker_bytes:
                pcm = self._backlog.popleft()
                self._backlog_bytes -= len(pcm)
                self._in_worker_bytes += len(pcm)
                self._expect_progress()
                await self._worker.send(Audio(pcm))
            if self._ending and not self._backlog:
                self._expect_progress()
                return await self._worker.send(Finish())
            await self._more.wait()
            self._more = trio.Event()

    async def _receive_events(self) -> None:
        while not self.finished:
            message = await self._worker.receive()
            if isinstance(message, Taken):
                self._in_worker_bytes -= message.size_bytes
                self._more.set()
                self._expect_progress()
            elif isinstance(message, StreamFinished):
                self.finished = True
                self._emit(message)
            elif not isinstance(message, Ready | Idle):
                self._emit(message)

    def _expect_progress(self) -> None:
        """A worker with work to do must say something within 10 s; one without may be silent."""
        waiting = self._in_worker_bytes > 0 or self._ending
        self._patience.deadline = trio.current_time() + STUCK_S if waiting else float("inf")


def _read_cpu_max() -> str:
    try:
        return _CPU_MAX.read_text()
    except OSError:
        return ""
