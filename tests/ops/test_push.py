"""Metrics that are pushed: against Debian's Pushgateway, and on by remote write to another Prometheus."""

import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
import trio
from prometheus_client import CollectorRegistry, Gauge

from service.telemetry import push
from service.telemetry.push import PushTarget, instance_of, keep_pushing
from tests.ops.prometheus_world import (
    RULES,
    free_port,
    needs_prometheus,
    needs_pushgateway,
    prometheus,
    pushgateway,
)
from tests.support.processes import gateway

GUARD_S = 60


def registry_with(value: float) -> tuple[CollectorRegistry, Gauge]:
    registry = CollectorRegistry()
    gauge = Gauge("voice_trial", "A trial", registry=registry)
    gauge.set(value)
    return registry, gauge


async def shown(url: str) -> str:
    async with httpx2.AsyncClient() as client:
        return (await client.get(f"{url}/metrics")).text


async def until_shown(url: str, line: str) -> None:
    while line not in await shown(url):  # noqa: ASYNC110 - nothing tells us
        await trio.sleep(0.05)


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None]]:
    return [
        (record.msg, getattr(record, "voice_fields", {}).get("reason"))
        for record in caplog.records
        if record.name == "voice.metrics"
    ]


@needs_pushgateway
async def test_a_service_pushes_and_takes_it_back(tmp_path: Path) -> None:
    with trio.fail_after(GUARD_S):
        async with (
            pushgateway(tmp_path) as url,
            gateway(METRICS_PUSH_URL=url, METRICS_PUSH_S="5", RECOGNIZER="tencent", **_ACCOUNT) as (service, _),
        ):
            group = f'instance="{instance_of(0)}",job="voice-gateway"'
            await until_shown(url, f"voice_streams_active{{{group}}} 0")
            text = await shown(url)
            assert f'voice_recognizer_errors_total{{code="4002",{group}}} 0' in text  # at zero before the first one
            assert f"process_start_time_seconds{{{group}}}" in text
            assert f"push_failure_time_seconds{{{group}}} 0" in text
            service.process.send_signal(signal.SIGTERM)
            assert await service.process.wait() == 0
            assert 'job="voice-gateway"' not in await shown(url)
            assert [line["level"] for line in service.log if line.get("logger") == "voice.metrics"] == []


_ACCOUNT = {"TENCENT_APP_ID": "1250000000", "TENCENTCLOUD_SECRET_ID": "id", "TENCENTCLOUD_SECRET_KEY": "key"}


@needs_pushgateway
async def test_a_service_ends_in_time_without_its_pushgateway() -> None:
    """A connection is accepted and never answered: neither the service nor its end waits for it."""
    with trio.fail_after(GUARD_S):
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
            async with gateway(METRICS_PUSH_URL=url, RECOGNIZER="tencent", **_ACCOUNT) as (service, base):
                async with httpx2.AsyncClient() as client:
                    assert (await client.get(f"{base}/health")).status_code == 200
                service.process.send_signal(signal.SIGTERM)
                assert await service.process.wait() == 0


@needs_pushgateway
async def test_trouble_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "voice")
    port = free_port()
    registry, gauge = registry_with(1)
    target = PushTarget(f"http://127.0.0.1:{port}", "a:80", 0.05)
    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_pushing, registry, target)
            await trio.sleep(0.3)
            assert logged(caplog) == [("metrics_push_failed", "URLError")]
            async with pushgateway(tmp_path, port) as url:
                gauge.set(2)
                await until_shown(url, 'voice_trial{instance="a:80",job="voice-gateway"} 2')
                assert logged(caplog)[1:] == [("metrics_push_restored", None)]
                gauge.set(3)
                await until_shown(url, 'voice_trial{instance="a:80",job="voice-gateway"} 3')
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    while "voice_trial" in await shown(url):  # noqa: ASYNC110 - nothing tells us
                        await trio.sleep(0.05)
    assert len(logged(caplog)) == 2


async def _answer(stream: trio.SocketStream, *, status: bytes, seen: list[bytes]) -> None:
    async with stream:
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some(65536)
        seen.append(data)
        await stream.send_all(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@contextlib.asynccontextmanager
async def answering(status: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that gives every request this status; its URL, and what it was sent."""
    seen: list[bytes] = []
    async with trio.open_nursery() as nursery:
        handler = partial(_answer, status=status, seen=seen)
        (listener,) = await nursery.start(partial(trio.serve_tcp, handler, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", seen
        nursery.cancel_scope.cancel()


async def test_a_refusal_is_told_by_its_status_and_the_account_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    registry, _ = registry_with(1)
    with trio.fail_after(GUARD_S):
        async with answering(b"401 Unauthorized") as (url, seen), trio.open_nursery() as nursery:
            nursery.start_soon(keep_pushing, registry, PushTarget(f"{url}/base", "a:80", 60, "user:pass:word"))
            while not logged(caplog):  # noqa: ASYNC110 - a log record tells nobody
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    assert logged(caplog) == [("metrics_push_failed", "HTTP 401")]
    put, delete = seen
    assert put.startswith(b"PUT /base/metrics/job/voice-gateway/instance/a%3A80 HTTP/1.1\r\n")
    assert b"Authorization: Basic dXNlcjpwYXNzOndvcmQ=\r\n" in put
    assert delete.startswith(b"DELETE /base/metrics/job/voice-gateway/instance/a%3A80 ")
    assert "pass" not in caplog.text


async def test_a_pushgateway_that_never_answers_holds_one_thread(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(push, "PUSH_LIMIT_S", 0.2)
    monkeypatch.setattr(push, "DELETE_LIMIT_S", 0.2)
    registry, _ = registry_with(1)
    with trio.fail_after(GUARD_S), socket.create_server(("127.0.0.1", 0)) as deaf:
        target = PushTarget(f"http://127.0.0.1:{deaf.getsockname()[1]}", "a:80", 0.05)
        with trio.move_on_after(1):
            await keep_pushing(registry, target)
    assert logged(caplog) == [("metrics_push_failed", "timeout")] or logged(caplog)[0][1] == "TimeoutError"


@needs_prometheus
@needs_pushgateway
async def test_what_was_pushed_goes_on_by_remote_write(tmp_path: Path) -> None:
    registry, _ = registry_with(7)
    (tmp_path / "receiver").mkdir()
    (tmp_path / "receiver" / "prometheus.yml").write_text("global: {}\n")
    with trio.fail_after(GUARD_S):
        async with (
            pushgateway(tmp_path) as url,
            prometheus(
                tmp_path / "receiver" / "prometheus.yml",
                f"--storage.tsdb.path={tmp_path / 'receiver' / 'data'}",
                "--web.enable-remote-write-receiver",
            ) as receiver,
        ):
            text = (RULES / "remote-write.yml").read_text(encoding="utf-8")
            text = text.replace("interval: 15s", "interval: 500ms").replace("timeout: 5s", "timeout: 500ms")
            text = text.replace("127.0.0.1:9091", url.removeprefix("http://"))
            assert "http://127.0.0.1:9090/api/v1/write" in text
            sender = tmp_path / "remote-write.yml"
            sender.write_text(text.replace("http://127.0.0.1:9090", receiver.url))
            agent = ("--enable-feature=agent", f"--storage.agent.path={tmp_path / 'agent'}")
            async with prometheus(sender, *agent), trio.open_nursery() as nursery:
                nursery.start_soon(keep_pushing, registry, PushTarget(url, "a:80", 60))
                (series,) = await receiver.until('voice_trial{job="voice-gateway", instance="a:80"}')
                assert series["value"][1] == "7"
                assert await receiver.until('push_time_seconds{job="voice-gateway"}')
                nursery.cancel_scope.cancel()
