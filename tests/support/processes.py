"""The programs of this project as child processes of a test, each in an environment of its own."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import trio

from service.localasr.signature import Credentials
from tests.support import contract_check

ROOT = Path(__file__).parents[2]
REAL_TIME_GUARD_S = 90
_ACCOUNT = Credentials()
ACCOUNT_SETTINGS = {
    "TENCENT_APP_ID": _ACCOUNT.app_id,
    "TENCENTCLOUD_SECRET_ID": _ACCOUNT.secret_id,
    "TENCENTCLOUD_SECRET_KEY": _ACCOUNT.secret_key,
}
"""Those that the local recognizer expects: the test vectors' own."""
_OURS = re.compile(
    r"TENCENT|JWT_|AUTH_|RECOGNIZER|LOCALASR|MAX_|PORT$|HOST$|METRICS_|DATABASE_URL|REDIS_URL|SPOOL_|HISTORY_|KEEP_|WECHAT_"
)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of ours, and with those given; no history unless they name one."""
    others = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    return others | {"DATABASE_URL": "none"} | settings


class Program:
    """A running program; its standard error goes on being read, so that it never blocks on it."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.errors = bytearray()
        self.has_error = trio.Event()

    async def read_errors(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.errors += data

    async def first_line(self) -> str:
        """The first line of standard output; the test fails when the program ends before."""
        assert self.process.stdout is not None
        line = b""
        while b"\n" not in line:
            data = await self.process.stdout.receive_some(4096)
            if not data:
                raise AssertionError(f"ended without a word: {self.errors.decode()}")
            line += data
        return line.decode().splitlines()[0]

    @property
    def log(self) -> list[dict[str, object]]:
        """The log lines so far."""
        return [json.loads(line) for line in self.errors.decode().splitlines() if line.startswith("{")]

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines of one event of the gateway."""
        return [
            line for line in self.log if line.get("event") == name and str(line.get("logger", "")).startswith("voice")
        ]


@contextlib.asynccontextmanager
async def program(*command: str, **settings: str) -> AsyncIterator[Program]:
    """Run `python -m command…` until the end of the `async with`; it is killed when it still runs then.

    The test fails when all this takes longer than REAL_TIME_GUARD_S.
    """
    with trio.fail_after(REAL_TIME_GUARD_S):
        async with trio.open_nursery() as nursery:
            process = await trio.lowlevel.open_process(
                [sys.executable, "-m", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                env=environment(**settings),
            )
            running = Program(process)
            try:
                nursery.start_soon(running.read_errors)
                yield running
            finally:
                if process.returncode is None:
                    process.kill()
                with trio.move_on_after(10, shield=True):
                    await process.wait()
                nursery.cancel_scope.cancel()


@contextlib.asynccontextmanager
async def gateway(**settings: str) -> AsyncIterator[tuple[Program, str]]:
    """`python -m service` on a free port, with every message checked that it sends; its base URL.

    There is no history unless `DATABASE_URL` is given.
    """
    chosen = {"HOST": "127.0.0.1", "PORT": "0", "AUTH_MODE": "off", **settings}
    async with program(*contract_check.checked("service"), **chosen) as running:
        yield running, (await running.first_line()).removeprefix("Serving on ")


@contextlib.asynccontextmanager
async def scripted_recognizer(script: Path | None = None) -> AsyncIterator[str]:
    """`python -m service.localasr --engine script`; its address. The account is that of the test vectors."""
    faults = ["--script", str(script)] if script else []
    async with program("service.localasr", "--engine", "script", *faults) as running:
        yield json.loads(await running.first_line())["url"]


def children(pid: int) -> Iterator[int]:
    """The processes below one, as Linux tells them."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # one that just ended
            for child in map(int, task.read_text().split()):
                yield child
                yield from children(child)


def children_running(pid: int, module: str) -> list[int]:
    """The processes below one that run a Python module of ours."""
    below = []
    for child in children(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if module.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                below.append(child)
    return below


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def wait_gone(*pids: int) -> None:
    """Wait until none of these runs, or until the test's guard."""
    while any(alive(pid) for pid in pids):  # noqa: ASYNC110 - nothing tells us of other processes' children
        await trio.sleep(0.02)
