"""The routes for orchestrators and Prometheus. Real sockets, since the peer's address decides."""

import shutil
from typing import Any

import pytest
import trio

from service.recognizer.circuit import State
from service.recognizer.target import RecognizerTarget
from service.settings import RecognizerKind, TencentCredentials
from service.web.app import create_app
from service.web.health import is_loopback
from tests.support.edge import HttpClient, get, make_deps, running_edge


async def test_index_and_health() -> None:
    async with running_edge(make_deps()) as running:
        for target in ("/", "/health"):
            reply = await get(running.port, target)
            assert reply.status == 200
            body = reply.envelope()
            assert sorted(body) == ["code", "data", "message", "timestamp"]
            assert body["code"] == 0
            assert body["timestamp"] > 1_600_000_000_000
        assert (await get(running.port, "/")).envelope()["data"]["name"] == "miniapp-backend"


async def test_ready_follows_the_phase() -> None:
    deps = make_deps(upstream_concurrency=7)
    async with running_edge(deps) as running:
        reply = await get(running.port, "/ready")
        assert reply.status == 200
        assert reply.envelope()["data"] == {
            "phase": "serving",
            "recognizer": "down",
            "slots": {"used": 0, "total": 7},
            "streams": 0,
            "shedding": False,
            "history": {"database": "none", "pending": 0},
        }
        deps.recognizer.target = RecognizerTarget(
            RecognizerKind.LOCAL, "ws://127.0.0.1:1", TencentCredentials("a", "b", "c"), ()
        )
        with deps.admission.stream():
            data = (await get(running.port, "/ready")).envelope()["data"]
            assert (data["recognizer"], data["streams"]) == ("up", 1)
        for state, shown in ((State.OPEN, "open"), (State.HALF_OPEN, "half_open"), (State.CLOSED, "up")):
            deps.breaker._circuit.state = state
            reply = await get(running.port, "/ready")
            assert (reply.status, reply.envelope()["data"]["recognizer"]) == (200, shown)
        deps.breaker._circuit.state, deps.recognizer.target = State.OPEN, None
        assert (await get(running.port, "/ready")).envelope()["data"]["recognizer"] == "down"
        deps.lifecycle.drain()
        reply = await get(running.port, "/ready")
        assert reply.status == 503
        assert reply.envelope()["code"] == 503
        assert reply.envelope()["data"]["phase"] == "draining"


@pytest.mark.parametrize(
    ("method", "target", "status"), [("GET", "/nothing", 404), ("POST", "/health", 405), ("DELETE", "/", 405)]
)
async def test_errors_answer_in_the_envelope(method: str, target: str, status: int) -> None:
    async with running_edge(make_deps()) as running:
        reply = await (await HttpClient.connect(running.port)).request(method, target)
        assert reply.status == status
        body = reply.envelope()
        assert (body["code"], body["data"]) == (status, None)


async def test_head_has_the_headers_only() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        for target in ("/", "/health", "/ready", "/metrics"):
            reply = await client.request("HEAD", target)
            assert reply.status == 200
            assert int(reply.headers["content-length"]) > 0


async def test_bug_is_500_and_says_nothing(expected_errors: list[Any]) -> None:
    deps = make_deps()
    app = create_app(deps)

    @app.get("/bug")
    async def bug() -> str:
        raise ValueError("secret-text")

    async with running_edge(deps, app) as running:
        reply = await get(running.port, "/bug")
        assert reply.status == 500
        assert b"secret-text" not in reply.body
        assert reply.envelope()["code"] == 500
    (record,) = expected_errors
    assert record.voice_fields["exception"] == "ValueError"
    expected_errors.clear()


async def test_metrics_without_a_token_is_for_this_machine() -> None:
    async with running_edge(make_deps()) as running:
        reply = await get(running.port, "/metrics")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith("text/plain")
        assert b"voice_connections_active 1.0" in reply.body


async def test_metrics_with_a_token() -> None:
    token = "tökén-with-16-ch"
    async with running_edge(make_deps(metrics_token=token)) as running:
        reply = await get(running.port, "/metrics")
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        assert (await get(running.port, "/metrics", ["Authorization: Bearer wrong"])).status == 401


async def test_metrics_with_the_right_token() -> None:
    async with running_edge(make_deps(metrics_token="0123456789abcdef")) as running:
        assert (await get(running.port, "/metrics", ["Authorization: Bearer 0123456789abcdef"])).status == 200


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (("127.0.0.1", 1), True),
        (("127.9.9.9", 1), True),
        (("::1", 1), True),
        (("::ffff:127.0.0.1", 1), True),
        (("::ffff:10.0.0.1", 1), False),
        (("fe80::1%eth0", 1), False),
        (("10.0.0.1", 1), False),
        (("testclient", 1), False),
        (None, False),
        ((), False),
    ],
)
def test_is_loopback(client: object, expected: bool) -> None:
    assert is_loopback(client) is expected


async def test_metrics_are_hidden_from_other_machines() -> None:
    app = create_app(make_deps())
    response = await app.test_client().get("/metrics", scope_base={"client": ("10.0.0.1", 1)})
    assert response.status_code == 404
    # What a proxy says about the peer is not believed.
    headers = {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1"}
    response = await app.test_client().get("/metrics", headers=headers, scope_base={"client": ("10.0.0.1", 1)})
    assert response.status_code == 404


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not on the PATH")
async def test_promtool_accepts_the_metrics() -> None:
    deps = make_deps()
    deps.metrics.streams_ended.labels("completed").inc()
    async with running_edge(deps) as running:
        body = (await get(running.port, "/metrics")).body
    done = await trio.run_process(
        ["promtool", "check", "metrics"], stdin=body, capture_stdout=True, capture_stderr=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
