"""Several gateways behind HAProxy, which share one recognizer: they can be replaced one by one, or killed."""

import contextlib
import itertools
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from ops.edge import programs
from ops.edge.authority import ADDRESS
from ops.edge.balancer import Balancer, balancer
from ops.edge.programs import EdgeError, ProgramEnded, free_ports, read_log, tail
from service.localasr.signature import Credentials

OVERDUE_S: Final = 5.0
"""How long after `DRAIN_S` a replica may still run: the interpreter has to end, too."""
SEEN_S: Final = 10.0
"""For HAProxy's checks, every 200 ms, to find a replica."""


class RollFailed(EdgeError):
    """A replica was not replaced in order; the rest was left as it is."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What became of one replica in a roll."""

    replica: int
    stopping_s: float
    """From SIGTERM until it had ended."""
    away_s: float
    """From SIGTERM until HAProxy used it again."""


@dataclass(slots=True)
class _Replica:
    port: int
    log: Path
    process: trio.Process | None = None


@dataclass(slots=True)
class Fleet:
    """A running fleet. Its replicas may be stopped one by one, HAProxy not."""

    url: str
    """HAProxy, http://."""
    balancer: Balancer
    drain_s: float
    _replicas: list[_Replica]
    _environment: dict[str, str]
    _changing: trio.Lock = field(default_factory=trio.Lock)

    @property
    def size(self) -> int:
        """How many replicas."""
        return len(self._replicas)

    @property
    def processes(self) -> list[trio.Process]:
        """HAProxy, and the replicas that were started."""
        return [self.balancer.process, *(one.process for one in self._replicas if one.process is not None)]

    def replica_url(self, number: int) -> str:
        """One replica, past HAProxy."""
        return f"http://{ADDRESS}:{self._replicas[number].port}"

    def log_of(self, number: int) -> str:
        """What a replica has written, over all its lives."""
        return read_log(self._replicas[number].log)

    async def roll(self) -> list[Replaced]:
        """Replace all replicas, one after the other, each by SIGTERM; the next when HAProxy uses the one before again.

        Raises RollFailed when one does not end in order within DRAIN_S, or does not come back. Calls wait for each
        other.
        """
        async with self._changing:
            return [await self._replace(number) for number in range(self.size)]

    async def kill(self, number: int) -> None:
        """End a replica by SIGKILL, as a machine does that is lost."""
        await programs.end(self._running(number), signal.SIGKILL)

    async def start(self, number: int) -> None:
        """Start a replica that is down, on its old port; returns when HAProxy uses it. Raises EdgeError."""
        process = self._replicas[number].process
        if process is not None and process.returncode is None:
            raise EdgeError(f"replica {number} runs already")
        await self._launch(number)
        await self._wait_used(number)

    async def end(self) -> None:
        """End all replicas, at once, without waiting for their streams."""
        async with trio.open_nursery() as nursery:
            for replica in self._replicas:
                if replica.process is not None:
                    nursery.start_soon(programs.end, replica.process, signal.SIGTERM, 1.0)

    async def _replace(self, number: int) -> Replaced:
        process, replica = self._running(number), self._replicas[number]
        began = trio.current_time()
        process.terminate()
        limit_s = self.drain_s + OVERDUE_S
        with trio.move_on_after(limit_s) as limit:
            await process.wait()
        if limit.cancelled_caught:
            raise RollFailed(f"replica {number} still runs {limit_s:g} s after SIGTERM; see {replica.log}")
        if process.returncode != 0:
            raise RollFailed(f"replica {number} ended with {process.returncode} instead of 0: {tail(replica.log)}")
        stopping_s = trio.current_time() - began
        await programs.end(process)  # what it may have left behind
        try:
            await self.start(number)
        except EdgeError as error:
            raise RollFailed(f"replica {number} did not come back: {error}") from error
        return Replaced(number, stopping_s, trio.current_time() - began)

    def _running(self, number: int) -> trio.Process:
        process = self._replicas[number].process
        if process is None or process.returncode is not None:
            raise EdgeError(f"replica {number} does not run: {tail(self._replicas[number].log)}")
        return process

    async def _launch(self, number: int) -> None:
        replica = self._replicas[number]
        replica.process = await programs.start(
            [sys.executable, "-m", "service"],
            log=replica.log,
            environment=self._environment | {"PORT": str(replica.port)},
        )

    async def _wait_used(self, number: int) -> None:
        replica = self._replicas[number]
        process = self._running(number)
        await programs.wait_listening(f"replica {number}", process, replica.port, replica.log)
        await self.balancer.wait_up(number, SEEN_S)
        if process.returncode is not None:
            raise ProgramEnded(f"replica {number} ended: {tail(replica.log)}")


@contextlib.asynccontextmanager
async def fleet(
    replicas: int = 2,
    *,
    recognizer: str | None = None,
    drain_s: float = 20.0,
    settings: Mapping[str, str] | None = None,
) -> AsyncGenerator[Fleet, None]:
    """Start replicas of `python -m service` behind HAProxy; all end with the `async with`.

    `recognizer` is the address that they dial, with the account of this process's environment; without one they share a
    scripted recognizer, whose words are in the audio (`service.localasr.coded_audio`). `settings` go into the replicas'
    environment, after those of this process. Raises EdgeError.
    """
    with tempfile.TemporaryDirectory(prefix="voice-fleet-") as name:
        directory = Path(name)
        async with _recognizer(recognizer, directory / "recognizer.log") as account:
            ports = free_ports(replicas)
            environment = {
                **os.environ,
                "HOST": ADDRESS,
                "AUTH_MODE": "off",
                "DRAIN_S": f"{drain_s:g}",
                "DATABASE_URL": "none",
                **account,
                **(settings or {}),
            }
            async with balancer(ports) as front:
                members = [_Replica(port, directory / f"replica-{number}.log") for number, port in enumerate(ports)]
                running = Fleet(front.url, front, drain_s, members, environment)
                try:
                    for number in range(replicas):  # all at once: each needs a second to start
                        await running._launch(number)
                    for number in range(replicas):
                        await running._wait_used(number)
                    yield running
                finally:
                    with trio.move_on_after(3 * programs.END_S, shield=True):
                        await running.end()


@contextlib.asynccontextmanager
async def _recognizer(address: str | None, log: Path) -> AsyncGenerator[dict[str, str], None]:
    """The settings with which a gateway finds its recognizer."""
    if address is not None:
        yield {"TENCENT_ASR_URL": address}
        return
    account = Credentials()
    command = [sys.executable, "-m", "service.localasr", "--engine", "script", "--capacity", "1000"]
    async with programs.running(command, log=log) as process:
        yield {
            "TENCENT_ASR_URL": await _announced(process, log),
            "TENCENT_APP_ID": account.app_id,
            "TENCENTCLOUD_SECRET_ID": account.secret_id,
            "TENCENTCLOUD_SECRET_KEY": account.secret_key,
        }


async def _announced(process: trio.Process, log: Path) -> str:
    """The address in the line that the recognizer prints when it is ready."""
    with trio.move_on_after(programs.READY_S):
        for pause_s in itertools.repeat(0.02):
            for line in read_log(log).splitlines(keepends=True):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    if line.endswith("\n"):
                        return str(json.loads(line)["url"])
            if process.returncode is not None:
                raise ProgramEnded(f"the recognizer ended at once: {tail(log)}")
            await trio.sleep(pause_s)
    raise EdgeError(f"the recognizer was not ready after {programs.READY_S:g} s: {tail(log)}")
