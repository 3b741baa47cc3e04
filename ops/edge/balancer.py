"""HAProxy before several replicas, and what it knows about them."""

import contextlib
import csv
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from ops.edge.authority import ADDRESS
from ops.edge.programs import EdgeError, free_ports, program_path, running, wait_listening
from ops.edge.rendering import rolling_configuration, server_name

_POLL_S: Final = 0.05
_ANSWER_S: Final = 5.0
_MOST_BYTES: Final = 1024 * 1024  # of statistics: some 500 B for each replica


@dataclass(frozen=True, slots=True)
class Balancer:
    """A running HAProxy."""

    url: str
    process: trio.Process
    _admin: Path

    async def is_up(self, number: int) -> bool:
        """Whether it sends new connections to a replica. Raises EdgeError when it does not answer."""
        return servers_up(await self._ask("show stat -1 4 -1")).get(server_name(number), False)

    async def wait_up(self, number: int, limit_s: float) -> None:
        """Wait until it sends new connections to a replica. Raises EdgeError after `limit_s`."""
        with trio.move_on_after(limit_s):
            while not await self.is_up(number):  # noqa: ASYNC110 - HAProxy tells nobody
                await trio.sleep(_POLL_S)
            return
        raise EdgeError(f"HAProxy did not see {server_name(number)} within {limit_s:g} s")

    async def _ask(self, command: str) -> str:
        answer = bytearray()
        try:
            with trio.fail_after(_ANSWER_S):
                async with await trio.open_unix_socket(self._admin) as admin:
                    await admin.send_all(f"{command}\n".encode())
                    async for data in admin:
                        answer += data
                        if len(answer) > _MOST_BYTES:
                            break
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise EdgeError(f"HAProxy does not answer on its socket: {str(error) or 'too slow'}") from error
        return answer.decode()


@contextlib.asynccontextmanager
async def balancer(replica_ports: Sequence[int]) -> AsyncGenerator[Balancer, None]:
    """Start HAProxy before these ports of the loopback address. Raises EdgeError."""
    binary = program_path("haproxy")
    with tempfile.TemporaryDirectory(prefix="voice-balancer-") as name:
        directory = Path(name)
        (port,) = free_ports(1)
        path = directory / "haproxy.cfg"
        path.write_text(rolling_configuration(directory=directory, port=port, replica_ports=replica_ports))
        log = directory / "haproxy.log"
        async with running([binary, "-db", "-f", str(path)], log=log) as process:
            await wait_listening("HAProxy", process, port, log)
            yield Balancer(f"http://{ADDRESS}:{port}", process, directory / "haproxy.sock")


def servers_up(statistics: str) -> dict[str, bool]:
    """From HAProxy's `show stat`: each server, and whether it is used. Pure."""
    rows = csv.DictReader(statistics.removeprefix("# ").splitlines())
    return {row["svname"]: row["status"].startswith("UP") for row in rows if row.get("svname") and row.get("status")}
