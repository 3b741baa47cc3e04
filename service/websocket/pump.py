"""One epoll for the sockets of all streams: what is there is read and acted on without a task switch for each.

With a Trio task that waits for each socket, a wake costs more than the frame that it is for: registering with the
kernel, rescheduling and the checkpoints on the way. So the sockets are registered once, with an epoll of ours whose own
descriptor one Trio task waits for; that task calls whoever is concerned. What cannot be dealt with at once is left to
the stream's own tasks, which go on supervising its life.
"""

import contextlib
import select
import sys
from collections.abc import Callable
from typing import Final

import trio

IS_AVAILABLE: Final = sys.platform == "linux"
"""Elsewhere every WebSocket is read by the task that receives."""
_BATCH: Final = 256
"""Sockets between two checkpoints: some 10 ms of work at worst."""


class Pump:
    """Calls back when a registered socket has something to read, while `run` runs."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[float], None]] = {}
        self._poll: select.epoll | None = None

    @property
    def is_running(self) -> bool:
        """Whether sockets can be registered."""
        return self._poll is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Call back until cancelled. Returns at once where there is no epoll."""
        if not IS_AVAILABLE:
            task_status.started()
            return
        with select.epoll() as poll:
            self._poll = poll
            task_status.started()
            try:
                handled = 0
                while True:
                    ready = poll.poll(0, _BATCH - handled)
                    if not ready:
                        await trio.lowlevel.wait_readable(poll.fileno())
                        handled = 0
                        continue
                    now = trio.current_time()
                    for descriptor, _ in ready:
                        callback = self._callbacks.get(descriptor)
                        if callback is not None:  # else one before it in this batch ended it
                            callback(now)
                    # Others have become ready meanwhile: they are looked for before the loop goes another round.
                    handled += len(ready)
                    if handled == _BATCH:
                        await trio.lowlevel.checkpoint()
                        handled = 0
            finally:
                self._poll = None
                self._callbacks.clear()

    def register(self, descriptor: int, callback: Callable[[float], None]) -> None:
        """Call `callback`, which must not raise, whenever the socket can be read, with the time on Trio's clock.

        A second call changes nothing.
        """
        if self._poll is not None and self._callbacks.get(descriptor) != callback:
            self._callbacks[descriptor] = callback
            self._poll.register(descriptor, select.EPOLLIN)

    def unregister(self, descriptor: int, callback: Callable[[float], None]) -> None:
        """Call no more. Must come before the socket is closed, or else before its number is that of another one; may
        come twice."""
        if self._callbacks.get(descriptor) == callback:
            del self._callbacks[descriptor]
            if self._poll is not None:
                with contextlib.suppress(OSError):  # it was closed: the kernel has forgotten it
                    self._poll.unregister(descriptor)
