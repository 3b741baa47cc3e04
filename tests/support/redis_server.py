"""A Redis of a test's own, at one address, that can be killed, come back empty, or stop answering."""

import contextlib
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator

import pytest
import trio

from tests.support.mortal_recognizer import HOST, held_port

needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
_START_S = 10.0


class RedisServer:
    """`redis-server` without a file: each start is an empty one."""

    def __init__(self, port: int) -> None:
        """`redis_server` makes one, and holds the port."""
        self._port = port
        self._process: trio.Process | None = None
        self.url = f"redis://{HOST}:{port}/0"

    async def start(self) -> None:
        """Start it; returns when it answers."""
        self._process = await trio.lowlevel.open_process(
            ["redis-server", "--bind", HOST, "--port", str(self._port), "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )
        with trio.fail_after(_START_S):
            while await self.ask("PING") != "PONG":  # noqa: ASYNC110 - another process: there is no event
                await trio.sleep(0.02)

    async def kill(self) -> None:
        """End it by SIGKILL; returns when it has ended."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    def freeze(self) -> None:
        """It goes on accepting connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It answers again, first all that it was asked meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def ask(self, *command: str) -> str:
        """What `redis-cli` shows for a command."""
        shown = await trio.run_process(
            ["redis-cli", "-h", HOST, "-p", str(self._port), *command], capture_stdout=True, check=False
        )
        return shown.stdout.decode().strip()


@contextlib.asynccontextmanager
async def redis_server() -> AsyncIterator[RedisServer]:
    """It answers when this is entered, and is killed at the end of the `async with`."""
    with held_port() as port:
        server = RedisServer(port)
        await server.start()
        try:
            yield server
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(_START_S):
                await server.kill()
