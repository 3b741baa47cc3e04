"""A MariaDB of a test's own, to be stopped and killed: the one that others use is not for that."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from tests.support.mortal_recognizer import held_port

READY_S = 60
needs_mariadb = pytest.mark.skipif(
    not (shutil.which("mariadbd") and shutil.which("mariadb-install-db")),
    reason="mariadbd is not installed (Debian: mariadb-server)",
)


class OwnMariaDB:
    """A server on a port of its own, with an empty database `voice`."""

    def __init__(self, directory: Path, port: int) -> None:
        """`own_mariadb` makes one."""
        self._directory = directory
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"mysql://root@127.0.0.1:{port}/voice"
        self.driver_url = f"mysql+pymysql://root@127.0.0.1:{port}/voice"

    async def start(self) -> None:
        """Run it; returns when it answers."""
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it is to be signaled while it runs
                [
                    "mariadbd",
                    "--no-defaults",
                    f"--datadir={self._directory / 'data'}",
                    f"--socket={self._directory / 'socket'}",
                    f"--pid-file={self._directory / 'pid'}",
                    "--bind-address=127.0.0.1",
                    f"--port={self._port}",
                    "--skip-grant-tables",
                    "--skip-networking=0",
                    "--innodb-buffer-pool-size=32M",
                    *_as_root(),
                ],
                stdout=log,
                stderr=log,
            )
        with trio.fail_after(READY_S):
            while not await trio.to_thread.run_sync(self._answers):
                assert self._process.poll() is None, (self._directory / "log").read_text()[-2000:]
                await trio.sleep(0.1)

    def _answers(self) -> bool:
        engine = create_engine(self.driver_url.removesuffix("/voice"), connect_args={"connect_timeout": 2})
        try:
            with engine.begin() as connection:
                connection.execute(text("CREATE DATABASE IF NOT EXISTS voice"))
        except SQLAlchemyError:
            return False
        else:
            return True
        finally:
            engine.dispose()

    def stop_answering(self) -> None:
        """It is there, takes connections, and says nothing: SIGSTOP."""
        self._running().send_signal(signal.SIGSTOP)

    def answer_again(self) -> None:
        """SIGCONT."""
        self._running().send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, also of one that does not answer."""
        process = self._running()
        process.kill()
        process.wait()
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


@contextlib.asynccontextmanager
async def own_mariadb(directory: Path) -> AsyncIterator[OwnMariaDB]:
    """It answers when this is entered, and is killed at the end of the `async with`."""
    await trio.run_process(
        [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={directory / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            *_as_root(),
        ],
        capture_stdout=True,
        capture_stderr=True,
    )
    with held_port() as port:
        server = OwnMariaDB(directory, port)
        try:
            await server.start()
            yield server
        finally:
            with contextlib.suppress(AssertionError):
                server.kill()
