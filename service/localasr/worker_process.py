"""One worker process as a Trio resource: messages over its pipes, and an end that is certain."""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Sequence

import msgspec
import trio

from service.localasr.worker_wire import (
    FrameError,
    FrameReader,
    FromWorker,
    Prepare,
    Ready,
    ToWorker,
    decode_from_worker,
    encode_frame,
)

WORKER_COMMAND = (sys.executable, "-m", "service.localasr.worker")
# Loading the model takes 0.5 s on an idle core; this is a core shared by many.
READY_S = 60.0
KILL_S = 3.0


class WorkerGoneError(Exception):
    """The process ended, or answers nonsense. It is of no more use: ``kill`` it."""


class WorkerProcess:
    """A started worker. One task sends, one receives. Whoever started it calls ``kill``."""

    def __init__(self, process: trio.Process, ready: Ready | None = None) -> None:
        self._process = process
        self._reader = FrameReader()
        self._received: deque[FromWorker] = deque()  # bounded by what one read of 64 KiB holds
        self._sending = False
        self._condemned = False
        self.ready = ready or Ready(0.0, "")

    @property
    def usable(self) -> bool:
        """False when the process has ended, a message to it was cut short, or it was condemned."""
        return self._process.poll() is None and not self._sending and not self._condemned

    def condemn(self) -> None:
        """It failed a stream: never use it again."""
        self._condemned = True

    async def send(self, message: ToWorker) -> None:
        """Send one message.

        Raises ``WorkerGoneError``; when cancelled in the middle, the worker is no longer ``usable``.
        """
        stdin = self._process.stdin
        self._sending = True
        try:
            if stdin is not None:
                await stdin.send_all(encode_frame(message))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WorkerGoneError from error
        self._sending = False

    async def receive(self) -> FromWorker:
        """The next message. Raises ``WorkerGoneError``. Cancelling loses nothing."""
        while not self._received:
            stdout = self._process.stdout
            try:
                data = await stdout.receive_some(1 << 16) if stdout is not None else b""
                if not data:
                    raise WorkerGoneError
                self._received.extend(decode_from_worker(frame) for frame in self._reader.feed(data))
            except (trio.BrokenResourceError, trio.ClosedResourceError, FrameError, msgspec.DecodeError) as error:
                raise WorkerGoneError from error
        return self._received.popleft()

    async def kill(self) -> None:
        """End the process now and wait for it, at most 3 s; a cancelled caller waits, too. Safe to call again."""
        with trio.CancelScope(deadline=trio.current_time() + KILL_S, shield=True):
            self._process.kill()
            await self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    await pipe.aclose()


async def start_worker(mean: str | None, command: Sequence[str] = WORKER_COMMAND) -> WorkerProcess:
    """A worker that is ready for a stream.

    Without a ``mean`` it calibrates itself first. Raises ``WorkerGoneError`` when it fails to become ready within 60
    s, and ``OSError`` when the program cannot be run. Whatever happens, no process is left behind.
    """
    process = await trio.lowlevel.open_process(list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    worker = WorkerProcess(process)
    try:
        with trio.move_on_after(READY_S):
            await worker.send(Prepare(mean))
            ready = await worker.receive()
            if isinstance(ready, Ready):
                worker.ready = ready
                return worker
        raise WorkerGoneError
    except BaseException:
        with trio.CancelScope(deadline=trio.current_time() + KILL_S, shield=True):
            await worker.kill()
        raise
