"""The programs of a bench: a recognizer that costs next to nothing, and the gateway, each on a CPU of its own.

They are waited for without an event loop: a bench has nothing else to do, and its own CPU time would be the speakers'.
"""

import contextlib
import os
import re
import resource
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from loadtest.bench.figures import BenchError, process_cpu_s, resident_kib

ROOT: Final = Path(__file__).parents[2]
START_LIMIT_S: Final = 30.0
_STOP_LIMIT_S: Final = 15.0
_POLL_S: Final = 0.05
_SERVING: Final = re.compile(rb"Serving on (\S+)")
_OURS: Final = re.compile(
    r"TENCENT|JWT_|AUTH_|RECOGNIZER|LOCALASR|MAX_|UPSTREAM|PORT$|HOST$|METRICS_|SSL_CERT|LOG_LEVEL"
)
"""Settings of ours, which must not reach the gateway from the shell that starts the bench."""


class Running:
    """A program that runs."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.log = log
        self.url = ""
        """What it says it serves."""

    def cpu_s(self) -> float:
        """CPU time so far."""
        return process_cpu_s(self._proc("stat").read_text(), os.sysconf("SC_CLK_TCK"))

    def resident_kib(self) -> int:
        """Resident memory."""
        return resident_kib(self._proc("status").read_text())

    def descriptors(self) -> int:
        """Open files and sockets: looking costs the program nothing, unlike asking it."""
        return len(list(self._proc("fd").iterdir()))

    def scrape(self) -> str:
        """Its metrics, in the Prometheus text format."""
        url = "http" + self.url.removeprefix("ws").removeprefix("http") + "/metrics"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - the gateway that we started
                return str(answer.read().decode())
        except (urllib.error.URLError, TimeoutError) as error:
            raise BenchError(f"{url} does not answer: {error}\n{self.last_lines()}") from None

    def last_lines(self) -> str:
        """The end of what it printed."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-2000:]

    def _proc(self, name: str) -> Path:
        path = Path(f"/proc/{self.process.pid}/{name}")
        if self.process.poll() is not None or not path.exists():
            raise BenchError(f"the program has ended with {self.process.returncode}\n{self.last_lines()}")
        return path


@contextlib.contextmanager
def on_cpu(cpu: int | None) -> Iterator[None]:
    """Threads and programs that are started in here run on that CPU alone, and so does the caller meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cpu is None else {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    *command: str, cpu: int | None, directory: Path, name: str, settings: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """`python -m command…` on one CPU while the `with` lasts; what it prints goes to a file in the directory."""
    log = directory / f"{name}.log"
    with log.open("wb") as output:
        program = Running(_started(command, cpu, output, settings or {}), log)
    try:
        yield program
    finally:
        program.process.terminate()
        try:
            program.process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            program.process.kill()
            program.process.wait()


@contextlib.contextmanager
def serving(
    *command: str, cpu: int | None, directory: Path, name: str, settings: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """The same, once it has said what it serves. Raises BenchError when it does not."""
    with running(*command, cpu=cpu, directory=directory, name=name, settings=settings) as program:
        deadline = time.monotonic() + START_LIMIT_S
        while (said := _SERVING.search(program.log.read_bytes())) is None:
            if program.process.poll() is not None or time.monotonic() > deadline:
                raise BenchError(f"{name} does not serve\n{program.last_lines()}")
            time.sleep(_POLL_S)
        program.url = said[1].decode()
        yield program


def gateway_settings(recognizer_url: str, authority: Path | None, max_streams: int) -> dict[str, str]:
    """Of a gateway at a sink: production's defaults, but for what a bench has to do without or to have more of."""
    settings = {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "AUTH_MODE": "off",
        "TENCENT_ASR_URL": recognizer_url,
        "TENCENT_APP_ID": "1250000000",
        "TENCENTCLOUD_SECRET_ID": "none",
        "TENCENTCLOUD_SECRET_KEY": "none",
        "MAX_STREAMS": str(max_streams),
        "UPSTREAM_CONCURRENCY": str(max_streams),
        "LOG_LEVEL": "WARNING",
        "DATABASE_URL": "none",
    }
    return settings | ({"SSL_CERT_FILE": str(authority)} if authority is not None else {})


def allow_descriptors() -> None:
    """Take as many open files as this process may have; programs inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def make_certificate(directory: Path) -> tuple[Path, Path, Path]:
    """A throw-away certificate for localhost: (authority, certificate, key). Raises BenchError without trustme."""
    try:
        import trustme
    except ModuleNotFoundError:
        raise BenchError("TLS needs the package trustme, of the extra `dev`; or say --tls no") from None
    authority, issued = trustme.CA(), None
    issued = authority.issue_cert("localhost")
    paths = directory / "authority.pem", directory / "certificate.pem", directory / "key.pem"
    authority.cert_pem.write_to_path(str(paths[0]))
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(str(paths[1]), append=number > 0)
    issued.private_key_pem.write_to_path(str(paths[2]))
    return paths


def _started(
    command: tuple[str, ...], cpu: int | None, output: IO[bytes], settings: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not _OURS.search(name)} | dict(settings)
    with on_cpu(cpu):
        return subprocess.Popen(  # noqa: S603 - programs of this project
            [sys.executable, "-m", *command], stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=environment
        )
