"""Programs that the edge simulation starts: a server as a child process, its readiness, and its end."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

READY_S: Final = 20.0
"""Far above the second that the slowest of them needs on an idle machine."""
END_S: Final = 5.0
"""Between the request to end and the end by force."""
_POLL_S: Final = 0.02
_TAIL_CHARACTERS: Final = 1500
# Below what Linux gives to outgoing connections (ip_local_port_range): a server that is away for a moment must find its
# port free again.
_PORTS: Final = range(20_000, 32_000)
_TRIES: Final = 200
# A server outlives whoever started it, when that is killed. So each has a watcher in its process group, which reads a
# pipe that we never write to: when the pipe ends, so does the group. The server itself replaces this shell, and keeps
# its process id. PR_SET_PDEATHSIG is no way here: it tells of the end of a thread, and Trio starts processes in threads
# that end early; and nginx's workers would not hear of it.
_WATCHED: Final = """
exec 3<&0 </dev/null
(trap '' HUP INT TERM; read -r _ <&3; kill -TERM 0; sleep 1; kill -KILL 0) >/dev/null 2>&1 &
exec "$@" 3<&-
"""


class EdgeError(Exception):
    """The simulation cannot go on; the text says why, and what to do."""


class ProgramEnded(EdgeError):
    """A program ended that should run."""


def program_path(name: str) -> str:
    """Where a program is. Raises EdgeError with the Debian package that has it; nginx is often in /usr/sbin only."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if found is None:
        raise EdgeError(f"{name} is not installed; on Debian: apt install {name}")
    return found


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now; all different. Raises EdgeError."""
    chosen = random.SystemRandom()  # tests run side by side: whoever is seeded alike would meet
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for _ in range(_TRIES):
            if len(ports) == count:
                return ports
            attempt = held.enter_context(socket.socket())
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
            port = chosen.choice(_PORTS)
            if port in ports:  # with that option it can be bound twice
                continue
            with contextlib.suppress(OSError):
                attempt.bind(("127.0.0.1", port))
                ports.append(port)
    raise EdgeError(f"no {count} free ports found from {_PORTS.start} to {_PORTS.stop}")


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    end_signal: signal.Signals = signal.SIGTERM,
) -> AsyncGenerator[trio.Process, None]:
    """A child process until the end of the `async with`, its output appended to `log`.

    It is in a process group of its own: a Ctrl-C at the terminal is ours, and we end it in order. Then it has END_S
    after the signal, also when this was cancelled. When this process is killed, it ends within a second or two.
    """
    process = await start(command, log=log, environment=environment, directory=directory)
    try:
        yield process
    finally:
        with trio.move_on_after(3 * END_S, shield=True):
            await end(process, end_signal)


async def start(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> trio.Process:
    """As `running`, for whoever ends it with `end`."""
    with log.open("ab") as output:
        return await trio.lowlevel.open_process(
            ["/bin/sh", "-c", _WATCHED, "watched", *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=directory,
            process_group=0,
        )


async def end(process: trio.Process, number: signal.Signals = signal.SIGTERM, limit_s: float = END_S) -> None:
    """Ask a process to end, and kill it after `limit_s`, with what it has left behind in its process group.

    One that has ended is no error.
    """
    process.send_signal(number)
    with trio.move_on_after(limit_s):
        await process.wait()
    with contextlib.suppress(ProcessLookupError):  # nginx's workers outlive a master that was killed
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    if process.stdin is not None:  # the watcher's, which is gone
        await process.stdin.aclose()


async def wait_listening(what: str, process: trio.Process, port: int, log: Path) -> None:
    """Wait until the port of the process takes connections; `what` names it in errors.

    Raises ProgramEnded when the process ends first, and EdgeError after READY_S.
    """
    with trio.move_on_after(READY_S):
        while True:
            if process.returncode is not None:
                raise ProgramEnded(f"{what} ended at once: {tail(log)}")
            with contextlib.suppress(OSError):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                async with stream:
                    return
            await trio.sleep(_POLL_S)
    raise EdgeError(f"{what} does not listen on port {port} after {READY_S:g} s: {tail(log)}")


def tail(log: Path) -> str:
    """The end of a log, for an error message."""
    return read_log(log)[-_TAIL_CHARACTERS:].strip() or "it said nothing"


def read_log(log: Path) -> str:
    """All of a log so far; empty when there is none."""
    try:
        return log.read_text(errors="replace")
    except FileNotFoundError:
        return ""
