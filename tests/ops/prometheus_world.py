"""Debian's Prometheus and Pushgateway as processes of a test, on free ports, with their data in a temporary folder."""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from tests.support.processes import ROOT

RULES = ROOT / "ops" / "prometheus"
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not on PATH (Debian: apt-get install prometheus)"
)
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: apt-get install prometheus)"
)
needs_pushgateway = pytest.mark.skipif(
    shutil.which("prometheus-pushgateway") is None,
    reason="prometheus-pushgateway is not on PATH (Debian: apt-get install prometheus-pushgateway)",
)


class Prometheus:
    """The HTTP API of a running one."""

    def __init__(self, url: str, client: httpx2.AsyncClient) -> None:
        self.url = url
        self._client = client

    async def api(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer; anything but success fails the test."""
        answer = (await self._client.get(f"{self.url}/api/v1/{path}", params=parameters)).json()
        assert answer["status"] == "success", (parameters, answer)
        assert not answer.get("warnings"), (parameters, answer)
        return answer["data"]

    async def query(self, expr: str) -> list[Any]:
        """The series of an instant query."""
        found: list[Any] = (await self.api("query", query=expr))["result"]
        return found

    async def until(self, expr: str) -> list[Any]:
        """The series of a query as soon as there are some, or the test's guard."""
        while not (found := await self.query(expr)):  # noqa: ASYNC110 - nothing tells us
            await trio.sleep(0.2)
        return found


@contextlib.asynccontextmanager
async def prometheus(config: Path, *options: str) -> AsyncIterator[Prometheus]:
    """Runs until the end of the `async with`. `options` replace the local storage with another one."""
    port = free_port()
    storage = options or (f"--storage.tsdb.path={config.parent / f'data-{port}'}",)
    command = ["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}", *storage]
    async with _running(command, config.parent / f"prometheus-{port}.log"), httpx2.AsyncClient() as client:
        url = f"http://127.0.0.1:{port}"
        await answers(client, f"{url}/-/ready")
        yield Prometheus(url, client)


@contextlib.asynccontextmanager
async def pushgateway(folder: Path, port: int = 0) -> AsyncIterator[str]:
    """The URL of a Pushgateway."""
    port = port or free_port()
    command = ["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{port}"]
    async with _running(command, folder / f"pushgateway-{port}.log"), httpx2.AsyncClient() as client:
        await answers(client, f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"


async def answers(client: httpx2.AsyncClient, url: str) -> None:
    """Waits until a URL answers with 200, or for the test's guard."""
    while True:
        with contextlib.suppress(httpx2.TransportError):
            if (await client.get(url)).status_code == 200:
                return
        await trio.sleep(0.05)


def free_port() -> int:
    """A port that nobody listens on; another process may take it in between, which is rare."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def _running(command: list[str], log: Path) -> AsyncIterator[None]:
    with log.open("wb") as file:
        process = await trio.lowlevel.open_process(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=log.parent
        )
    try:
        yield
    finally:
        process.kill()
        with trio.move_on_after(10, shield=True):
            await process.wait()
