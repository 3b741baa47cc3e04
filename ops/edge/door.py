"""A front door on this machine: nginx or HAProxy before a service, sound or with a fault."""

import contextlib
import getpass
import os
import signal
import socket
import tempfile
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trio

from ops.edge.authority import ADDRESS, Pair, write_certificates
from ops.edge.faults import DEFAULT_DELAY_S, DEFAULT_IDLE_S, SOUND, Fault, Upstream
from ops.edge.programs import EdgeError, free_ports, program_path, running, wait_listening
from ops.edge.rendering import nginx_configuration, slow_configuration


@dataclass(frozen=True, slots=True)
class Door:
    """A door that is open."""

    url: str
    """What to try: https://, but http:// where the redirect is the fault."""
    https_url: str
    http_url: str
    """Answers 307 to https."""
    ca: Path
    """The authority's certificate (PEM): whoever trusts it trusts a sound door."""
    process: trio.Process

    @property
    def tls_port(self) -> int:
        """Of `https_url`."""
        return urlsplit(self.https_url).port or 443

    @property
    def plain_port(self) -> int:
        """Of `http_url`."""
        return urlsplit(self.http_url).port or 80


@contextlib.asynccontextmanager
async def front_door(
    upstream: str,
    fault: Fault = SOUND,
    *,
    idle_s: float = DEFAULT_IDLE_S,
    delay_s: float = DEFAULT_DELAY_S,
) -> AsyncGenerator[Door, None]:
    """Start a door before the service at `upstream` (an http:// base URL) and end it with the `async with`.

    Certificates, configuration and logs are in a directory that only this user can enter, and go with it. Raises
    EdgeError when the program is not installed or does not start, and for an upstream that cannot be used.
    """
    binary = program_path("haproxy" if fault.is_haproxy else "nginx")
    with tempfile.TemporaryDirectory(prefix="voice-edge-") as name, _asked_at(fault, upstream) as asked:
        directory = Path(name)
        ca, pair = write_certificates(directory, fault.certificate)
        tls_port, plain_port = free_ports(2)
        command = _configure(
            fault, binary, directory, pair, (tls_port, plain_port), asked, idle_s=idle_s, delay_s=delay_s
        )
        log = directory / "door.log"
        # nginx's SIGTERM and HAProxy's SIGUSR1 and SIGTERM differ; SIGTERM ends both at once, connections included.
        async with running(command, log=log, end_signal=signal.SIGTERM) as process:
            await wait_listening(Path(binary).name, process, tls_port, log)
            https_url, http_url = f"https://{ADDRESS}:{tls_port}", f"http://{ADDRESS}:{plain_port}"
            yield Door(http_url if fault.is_plain else https_url, https_url, http_url, ca, process)


def _configure(
    fault: Fault,
    binary: str,
    directory: Path,
    pair: Pair,
    ports: tuple[int, int],
    upstream: str,
    *,
    idle_s: float,
    delay_s: float,
) -> list[str]:
    """Write the configuration and return the command that takes it."""
    tls_port, plain_port = ports
    if fault.is_haproxy:
        path = directory / "haproxy.cfg"
        text = slow_configuration(
            directory=directory, tls_port=tls_port, plain_port=plain_port, upstream=upstream, pair=pair, delay_s=delay_s
        )
        command = [binary, "-db", "-f", str(path)]
    else:
        path = directory / "nginx.conf"
        text = nginx_configuration(
            fault,
            directory=directory,
            tls_port=tls_port,
            plain_port=plain_port,
            upstream=upstream,
            pair=pair,
            idle_s=idle_s,
            user=getpass.getuser() if os.geteuid() == 0 else None,
        )
        command = [binary, "-e", "stderr", "-p", str(directory), "-c", str(path)]
    path.write_text(text, encoding="utf-8")
    return command


@contextlib.contextmanager
def _asked_at(fault: Fault, upstream: str) -> Iterator[str]:
    """The host:port that the door asks. A port where nobody listens is held, so that nobody else takes it."""
    if fault.upstream is Upstream.SERVICE:
        yield host_and_port(upstream)
        return
    with socket.socket() as held:
        held.bind((ADDRESS, 0))
        yield f"{ADDRESS}:{held.getsockname()[1]}"


def host_and_port(url: str) -> str:
    """Where a base URL points to. Raises EdgeError for one that is not http:// with a host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme != "http" or not host or parts.path.strip("/"):
        raise EdgeError(f"{url!r} cannot be the upstream: expected http://HOST:PORT")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
