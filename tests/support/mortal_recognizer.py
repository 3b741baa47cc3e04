"""A recognizer process that is killed and started again at its address, as often as a test wants."""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import trio

from tests.support.processes import program

HOST = "127.0.0.1"


class MortalRecognizer:
    """`python -m service.localasr --engine script` at one address."""

    def __init__(self, port: int) -> None:
        """`mortal_recognizer` makes one, and holds the port."""
        self._port = port
        self._struck = trio.Event()
        self._is_up = trio.Event()
        self.url = f"ws://{HOST}:{port}"
        self.deaths = 0
        self.down_s: list[float] = []
        """How long nobody listened, for each death: from the kill to the ready line of the next process."""

    async def kill(self) -> None:
        """End it by SIGKILL, and have it started again at once; returns when it listens again."""
        self._is_up = trio.Event()
        self._struck.set()
        await self._is_up.wait()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Start it, and again after each `kill`, until cancelled."""
        died_at: float | None = None
        while True:
            self._struck = trio.Event()
            async with program("service.localasr", "--engine", "script", "--port", str(self._port)) as running:
                await running.first_line()
                if died_at is None:
                    task_status.started()
                else:
                    self.down_s.append(trio.current_time() - died_at)
                self._is_up.set()
                await self._struck.wait()
                died_at = trio.current_time()
                running.process.kill()
                await running.process.wait()
                self.deaths += 1


@contextlib.asynccontextmanager
async def mortal_recognizer() -> AsyncIterator[MortalRecognizer]:
    """It listens when this is entered, and is killed for good at the end of the `async with`."""
    with held_port() as port:
        recognizer = MortalRecognizer(port)
        async with trio.open_nursery() as nursery:
            await nursery.start(recognizer.run)
            yield recognizer
            nursery.cancel_scope.cancel()


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A free port that nobody else is given while a process of ours is not there: bound, and never listened on."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((HOST, 0))
        yield held.getsockname()[1]
