"""Each fault of the table is planted for real, and the doctor has to name it. The table is in the docs."""

import contextlib
import datetime
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trio
import trustme

from ops.doctor import exchange
from ops.doctor.causes import CATALOGUE
from ops.doctor.finding import Verdict
from ops.doctor.stage import Context
from ops.edge.door import front_door
from ops.edge.faults import fault_named
from ops.edge.programs import EdgeError, free_ports, program_path
from tests.ops.doctor_faults import NETWORK_FAULTS, PlantedFault
from tests.ops.doctor_support import (
    OLD_SERVICE,
    closed_port,
    context,
    http,
    is_upgrade,
    names,
    network_findings,
    proxy,
    self_signed,
    server,
)
from tests.support import contract_check
from tests.support.processes import ROOT, environment, gateway, program

HOST = "voice.example.com"
GUARD_S = 60
Planted = AbstractAsyncContextManager[Context]
ACCOUNT = {
    "RECOGNIZER": "tencent",
    "TENCENT_APP_ID": "1",
    "TENCENTCLOUD_SECRET_ID": "id",
    "TENCENTCLOUD_SECRET_KEY": "key",
    "TENCENT_ASR_URL": "ws://127.0.0.1:9",
}
"""No stream is started here, so there need be no recognizer."""
FAILS_BEFORE = {"routes-before-upgrade": {"http"}}
"""Stages that fail, too, and rightly, before the one that the row is about."""


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """One gateway for all faults that leave it as it is."""
    settings = environment(HOST="127.0.0.1", PORT="0", AUTH_MODE="off", **ACCOUNT)
    with subprocess.Popen(
        [sys.executable, "-m", *contract_check.checked("service")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=settings,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip().removeprefix("Serving on ")
        finally:
            process.kill()


@contextlib.asynccontextmanager
async def settings(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    yield context(base, "--local", environ={"PORT": "many", "TENCENT_APPID": "1"})


@contextlib.asynccontextmanager
async def unknown_name(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    with names(exists=False):
        yield context(f"http://{HOST}")


@contextlib.asynccontextmanager
async def late_name(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    with names(late_s=2.1):
        yield context(base.replace("127.0.0.1", "voicehost"))


@contextlib.asynccontextmanager
async def private_name(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    with names():
        yield context(base.replace("127.0.0.1", HOST))


@contextlib.asynccontextmanager
async def silence(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    with socket.socket() as held:
        yield context(f"http://127.0.0.1:{closed_port([held])}")


@contextlib.asynccontextmanager
async def another_port(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    with socket.socket() as held:
        port = base.rpartition(":")[2]
        yield context(f"http://127.0.0.1:{closed_port([held])}", "--local", environ={"PORT": port})


@contextlib.asynccontextmanager
async def loopback(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    yield context(base.replace("127.0.0.1", "127.0.0.2"))  # another address of this machine


def edge(fault: str, *, idle_s: float = 60.0, limit_s: float = 0.0) -> Callable[[str, Path], Planted]:
    @contextlib.asynccontextmanager
    async def plant(base: str, tmp_path: Path) -> AsyncIterator[Context]:
        chosen = fault_named(fault)
        try:
            program_path("haproxy" if chosen.is_haproxy else "nginx")
        except EdgeError as error:
            pytest.skip(str(error))
        async with front_door(base, chosen, idle_s=idle_s, delay_s=3.5) as door:
            url = door.url.replace("https:", "http:") if fault == "sound" and not limit_s else door.url
            examined = context(url, "--ca-file", str(door.ca), *(["--idle"] if limit_s else []))
            examined.idle_limit_s = limit_s or examined.idle_limit_s
            yield examined

    return plant


def certificate(begins_in_days: int, lives_days: int) -> Callable[[str, Path], Planted]:
    @contextlib.asynccontextmanager
    async def plant(base: str, tmp_path: Path) -> AsyncIterator[Context]:
        authority = trustme.CA()
        now = datetime.datetime.now(datetime.UTC)
        begins = now + datetime.timedelta(days=begins_in_days)
        ends = now + datetime.timedelta(days=lives_days)
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert(HOST, not_before=begins, not_after=ends).configure_cert(made)
        ca_file = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(ca_file)
        async with server(lambda head: http("200 OK", b"page") if head else b"", made) as port:
            with names():
                yield context(f"https://{HOST}:{port}", "--ca-file", str(ca_file))

    return plant


@contextlib.asynccontextmanager
async def own_certificate(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    async with server(lambda head: b"", self_signed(tmp_path, HOST)) as port:
        with names():
            yield context(f"https://{HOST}:{port}")


@contextlib.asynccontextmanager
async def plain_port(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    yield context(base.replace("http:", "https:"))


def answering(answer: Callable[[bytes], bytes | None]) -> Callable[[str, Path], Planted]:
    @contextlib.asynccontextmanager
    async def plant(base: str, tmp_path: Path) -> AsyncIterator[Context]:
        async with server(answer) as port:
            yield context(f"http://127.0.0.1:{port}")

    return plant


def behind(
    edit: Callable[[bytes], bytes | None] = lambda head: head, *, life_s: float = float("inf"), limit_s: float = 0.0
) -> Callable[[str, Path], Planted]:
    @contextlib.asynccontextmanager
    async def plant(base: str, tmp_path: Path) -> AsyncIterator[Context]:
        async with proxy(base, edit, life_s=life_s) as url:
            examined = context(url, *(["--idle"] if limit_s else []))
            examined.idle_limit_s = limit_s or examined.idle_limit_s
            yield examined

    return plant


@contextlib.asynccontextmanager
async def unknown_prefix(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    yield context(f"{base}/voice/api/realtime-voice/stream")


@contextlib.asynccontextmanager
async def under_hypercorn(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    (port,) = free_ports(1)
    options = ("--worker-class", "trio", "--bind", f"127.0.0.1:{port}", "service.asgi:app")
    async with program("hypercorn", *options, AUTH_MODE="off", **ACCOUNT) as running:
        while b"Running on" not in running.errors:  # noqa: ASYNC110 - the guard of `program` ends it
            await trio.sleep(0.05)
        yield context(f"http://127.0.0.1:{port}")


@contextlib.asynccontextmanager
async def small_messages(base: str, tmp_path: Path) -> AsyncIterator[Context]:
    async with gateway(TEST_WS_MAX_BYTES="16384", **ACCOUNT) as (_, url):
        yield context(url)


def express(head: bytes) -> bytes:
    if not head:
        return b""
    if is_upgrade(head):
        return http("404 Not Found", b"<pre>Cannot GET /test-ws</pre>", "X-Powered-By: Express")
    return http("200 OK", OLD_SERVICE, "X-Powered-By: Express")


def no_subprotocol(head: bytes) -> bytes:
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"sec-websocket-protocol"))


PLANTS: dict[str, Callable[[str, Path], Planted]] = {
    "bad-settings": settings,
    "no-such-name": unknown_name,
    "slow-dns": late_name,
    "private-address": private_name,
    "nothing-listens": silence,
    "wrong-port": another_port,
    "loopback-bind": loopback,
    "expired": edge("expired"),
    "expires-soon": certificate(-40, 10),
    "not-yet-valid": certificate(1, 90),
    "wrong-name": edge("wrong-name"),
    "self-signed": own_certificate,
    "untrusted": edge("untrusted"),
    "incomplete-chain": edge("incomplete-chain"),
    "old-tls": edge("old-tls"),
    "https-to-plain-port": plain_port,
    "http-to-tls-port": edge("sound"),
    "redirect": edge("redirect"),
    "other-service": answering(lambda head: http("200 OK", b"<title>It works</title>") if head else b""),
    "not-http": answering(lambda head: b"" if head else b"220 mail.example.com ESMTP\r\n"),
    "bad-gateway": edge("bad-gateway"),
    "unavailable": edge("unavailable"),
    "function": edge("function"),
    "cold-start": edge("slow"),
    "access-denied": answering(lambda head: http("403 Forbidden", b"", "Server: tcbgw") if head else b""),
    "unknown-prefix": unknown_prefix,
    "no-upgrade": edge("no-upgrade"),
    "http10": edge("http10"),
    "routes-before-upgrade": answering(express),
    "upgrade-swallowed": behind(lambda head: None if is_upgrade(head) else head),
    "prefix-stripped": edge("prefix-stripped"),
    "no-subprotocol": behind(no_subprotocol),
    "compression": under_hypercorn,
    "small-messages": small_messages,
    "idle-cut": edge("idle-cut", idle_s=2.5, limit_s=4.0),
    "connection-cut": behind(life_s=1.5, limit_s=3.0),
}


def test_every_row_is_planted() -> None:
    assert set(PLANTS) == {row.name for row in NETWORK_FAULTS}
    assert {row.cause for row in NETWORK_FAULTS} <= set(CATALOGUE)


@pytest.mark.parametrize("row", NETWORK_FAULTS, ids=lambda row: row.name)
async def test_a_planted_fault_is_named(
    row: PlantedFault, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if row.name == "upgrade-swallowed":
        monkeypatch.setattr(exchange, "ANSWER_S", 1.5)
    with trio.fail_after(GUARD_S):
        async with PLANTS[row.name](base, tmp_path) as examined:
            found = await network_findings(examined)
    finding = found[row.stage]
    assert (finding.verdict, *finding.causes[:1]) == (row.verdict, row.cause), finding
    stages = list(found)
    failed_before = {name for name in stages[: stages.index(row.stage)] if found[name].verdict is Verdict.FAIL}
    assert failed_before == FAILS_BEFORE.get(row.name, set())
    assert not {slug for each in found.values() for slug in each.causes} - set(CATALOGUE)


async def test_nothing_is_wrong_behind_a_sound_front_door(base: str) -> None:
    try:
        program_path("nginx")
    except EdgeError as error:
        pytest.skip(str(error))
    with trio.fail_after(GUARD_S):
        async with front_door(base) as door:
            options = ("--ca-file", str(door.ca), "--http-port", str(door.plain_port))
            found = await network_findings(context(door.https_url, *options))
    assert [name for name, finding in found.items() if finding.verdict is Verdict.FAIL] == []
    assert found["tls"].facts["tls_version"] == "TLSv1.3"
    assert found["redirect"].verdict is Verdict.PASS
    assert found["redirect"].facts["status"] == 307
    assert found["stream_route"].facts["subprotocol"] == "voice.v1"
