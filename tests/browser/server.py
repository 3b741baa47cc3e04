"""The gateway as a process for tests without an event loop: it can be stopped, killed and started again at its port."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tests.support import contract_check
from tests.support.processes import ACCOUNT_SETTINGS, ROOT, environment

END_LIMIT_S = 20


class Server:
    """`python -m MODULE …` that prints a line when it listens."""

    def __init__(self, *command: str, **settings: str) -> None:
        self._command = command
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Its first line. Returns when it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env=environment(**self._settings),
        )
        line = _output(self._process).readline().decode().strip()
        assert line, f"{self._command} ended without a word"
        return line

    @property
    def is_running(self) -> bool:
        """Whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Returns when it has ended."""
        if self._process is not None:
            with self._process as process:
                self._process = None
                if process.poll() is None:
                    os.kill(process.pid, how)
                process.wait(END_LIMIT_S)


def _output(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout


@contextmanager
def running(server: Server) -> Iterator[str]:
    """The server from its first line to its end, however it was restarted between."""
    try:
        yield server.start()
    finally:
        server.end(signal.SIGKILL)


class Gateway(Server):
    """The service at a port that stays its own."""

    def __init__(self, **settings: str) -> None:
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = contract_check.checked("service")
        # A busy machine would be told `overloaded`, and the page would come back with another `start`, as it should.
        own = {"HOST": "127.0.0.1", "PORT": str(port), "AUTH_MODE": "off", "MAX_LAG_MS": "60000"}
        super().__init__(*command, **{**own, **settings})


@contextmanager
def exact_gateway(**settings: str) -> Iterator[Gateway]:
    """A gateway whose recognizer hears coded audio, exactly, and outlives it."""
    with running(Server("service.localasr", "--engine", "script")) as line:
        gateway = Gateway(TENCENT_ASR_URL=json.loads(line)["url"], **ACCOUNT_SETTINGS, **settings)
        with running(gateway):
            yield gateway
