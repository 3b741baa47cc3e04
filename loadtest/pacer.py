"""Sends the frames of all phones of a process when they are due, from one task.

A Trio task that sleeps for each frame costs more than the frame: several hundred phones could not keep time on one CPU.
So the frames that are to be sent wait in one heap by the time they are due; one task sleeps until the first of them and
sends all that are due, without a task switch in between. A phone's own task wakes when its frames are over, or when
the service did not take one.
"""

import heapq
import itertools
from dataclasses import dataclass
from typing import Final, Protocol

import trio

# Then others may run: the listeners have to take what came. A frame costs some 30 µs, most of it in the kernel, so that
# this is below 10 ms; with a smaller one, a pacer that has fallen behind (by a burst of results) does not catch up.
_BATCH_FRAMES: Final = 256


class Frames(Protocol):
    """Frames of one phone, in order."""

    def send_next(self, now_s: float) -> float | None:
        """Send the frame that is due, and return when the next one is; None to wake the phone. Raises nothing."""
        ...


@dataclass(slots=True)
class _Waiting:
    frames: Frames
    task: trio.lowlevel.Task | None
    """None: it was cancelled, and what is in the heap is to be dropped."""


class Pacer:
    """Whoever makes one runs it, and cancels it when the phones are done."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Waiting]] = []  # at most one entry for each phone that speaks
        self._ties = itertools.count()
        self._nap: trio.CancelScope | None = None

    async def send(self, first_due_s: float, frames: Frames) -> None:
        """Have the frames sent, each when it is due. Returns when `send_next` has said None; `run` must be running.

        Cancelled, no frame is sent any more.
        """
        waiting = _Waiting(frames, trio.lowlevel.current_task())
        heapq.heappush(self._heap, (first_due_s, next(self._ties), waiting))
        if self._nap is not None and first_due_s < self._nap.deadline:
            self._nap.deadline = first_due_s

        def forget(_raise_cancel: object) -> trio.lowlevel.Abort:
            waiting.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(forget)

    async def run(self) -> None:
        """Send frames until cancelled."""
        heap = self._heap
        while True:
            with trio.CancelScope(deadline=heap[0][0] if heap else float("inf")) as self._nap:
                await trio.sleep_forever()
            self._nap = None
            while self._send_due():  # noqa: ASYNC110 - nothing is waited for
                await trio.lowlevel.checkpoint()

    def _send_due(self) -> bool:
        """Send what is due. Returns whether there is more of it."""
        heap = self._heap
        for _ in range(_BATCH_FRAMES):
            if not heap:
                return False
            now_s = trio.current_time()
            due_s, tie, waiting = heap[0]
            if due_s > now_s:
                return False
            if waiting.task is None:
                heapq.heappop(heap)
                continue
            next_due_s = waiting.frames.send_next(now_s)
            if next_due_s is None:
                heapq.heappop(heap)
                trio.lowlevel.reschedule(waiting.task)
            else:
                heapq.heapreplace(heap, (next_due_s, tie, waiting))
        return True
