"""Limits at the edge: whose address counts, how fast messages may come, and two gateways with one Redis."""

import contextlib
import dataclasses
import ipaddress
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, serve
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import AuthMode, RecognizerKind
from service.shared import redis as shared_redis
from service.shared.redis import SharedRedis
from service.stream import limiter as stream_limiter
from service.stream.limiter import Limiter
from service.stream.limits import Limits
from service.tokens import mint
from tests.support.edge import HANG_S, Closed, Running, WsClient, make_deps, running_edge
from tests.support.gateway import CREDENTIALS, metric
from tests.support.redis_server import needs_redis, redis_server
from tests.support.wire_phone import PATH

SECRET = "s" * 40
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)


@contextlib.asynccontextmanager
async def gateway(redis_url: str = "", **settings: Any) -> AsyncIterator[Running]:
    """One on real sockets. With a Redis it shares the limits, and not the slots: a new pool grants none for a while."""
    chosen = {"auth_mode": AuthMode.OFF, "recognizer": RecognizerKind.TENCENT, "credentials": CREDENTIALS, **settings}
    deps = make_deps(**chosen)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(serve, Recognizer(ScriptedEngine("coded", 100)), "127.0.0.1", 0)
        deps.recognizer.target = RecognizerTarget(RecognizerKind.TENCENT, url, CREDENTIALS, ENGINES)
        await nursery.start(deps.pump.run)
        if redis_url:
            redis = SharedRedis(redis_url)
            deps = dataclasses.replace(deps, limiter=Limiter(Limits.of(deps.settings), redis=redis))
            await nursery.start(redis.run)
            nursery.start_soon(deps.limiter.run)
        async with running_edge(deps) as running:
            yield running
        nursery.cancel_scope.cancel()


async def closed(client: WsClient) -> tuple[int | None, str | None]:
    """Code and reason of the close; what comes before is passed over."""
    while True:
        try:
            await client.receive()
        except Closed as end:
            return end.code, end.reason


async def first_answer(running: Running, *headers: tuple[str, str], **start: Any) -> tuple[WsClient, str]:
    """A client, and `ready` or the code of the error that it got."""
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    client = await WsClient.connect(running.port, PATH, extra_headers=encoded)
    await client.send_json(type="start", **start)
    while True:
        message: dict[str, Any] = await client.receive_json()
        if message["type"] in ("ready", "error"):
            return client, message.get("code", "ready")


def bearer(user: str = "u") -> tuple[str, str]:
    token = mint(SECRET, user, now_s=int(time.time()), ttl_s=3600)
    return "Authorization", f"Bearer {token}"


async def test_behind_a_trusted_proxy_its_clients_are_told_apart() -> None:
    async with gateway(max_streams_per_address=1, trusted_proxies=LOOPBACK) as running:
        one, said = await first_answer(running, ("X-Forwarded-For", "198.51.100.1"))
        assert said == "ready"
        _, said = await first_answer(running, ("X-Forwarded-For", "198.51.100.2"))
        assert said == "ready"
        # It says it is another, and the proxy adds who it is: in the same line, or in one of its own.
        for forged in (
            [("X-Forwarded-For", "192.0.2.66, 198.51.100.1")],
            [("X-Forwarded-For", "192.0.2.66"), ("X-Forwarded-For", "198.51.100.1")],
        ):
            _, said = await first_answer(running, *forged)
            assert said == "too_many_streams"
        await one.send_json(type="cancel")
        assert await closed(one) == (1000, "canceled")
        _, said = await first_answer(running, ("X-Forwarded-For", "198.51.100.1"))
        assert said == "ready"
        assert metric(running, "voice_messages_rejected_total", slug="too_many_streams") == 2


async def test_without_trust_nobody_says_who_he_is() -> None:
    async with gateway(max_streams_per_address=1) as running:
        _, said = await first_answer(running, ("X-Forwarded-For", "198.51.100.1"))
        assert said == "ready"
        _, said = await first_answer(running, ("X-Forwarded-For", "198.51.100.2"))
        assert said == "too_many_streams"


async def test_a_flood_of_frames_ends_in_the_pump() -> None:
    """While audio is relayed, no task of the stream runs: the meter is charged all the same."""
    async with gateway(messages_per_s=20) as running:
        client, said = await first_answer(running)
        assert said == "ready"
        for number in range(2000):
            await client.send(bytes(2))
            if number % 50 == 0:
                await trio.sleep(0.01)
            if running.deps.admission.streams == 0:
                break
        assert await closed(client) == (4429, "quota_exceeded")
        assert metric(running, "voice_streams_ended_total", outcome="quota_exceeded") == 1


@pytest.mark.parametrize(("frame_ms", "kept_s"), [(10, 15), (40, 60)])
async def test_what_a_phone_sends_again_after_a_break_is_no_flood(frame_ms: int, kept_s: int) -> None:
    """docs/protocol.md: in any cut, as fast as the connection takes it. The pace holds it up, not the meter."""
    async with gateway() as running:
        client, said = await first_answer(running, resume={"streamId": "a" * 36, "sentences": 0, "settledMs": 0})
        assert said == "ready"
        ended: list[tuple[int | None, str | None]] = []
        async with trio.open_nursery() as phone:

            async def send() -> None:
                for _ in range(kept_s * 1000 // frame_ms):
                    await client.send(bytes(32 * frame_ms))

            async def hear() -> None:
                ended.append(await closed(client))
                phone.cancel_scope.cancel()

            phone.start_soon(send)
            phone.start_soon(hear)
            await trio.sleep(5)
            phone.cancel_scope.cancel()
        assert ended == []


@needs_redis
async def test_two_gateways_hold_a_user_to_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_limiter, "BEAT_S", 0.05)
    monkeypatch.setattr(shared_redis, "ANSWER_S", HANG_S)  # late is not away, on a machine that does too much
    async with redis_server() as server:
        settings: dict[str, Any] = {
            "auth_mode": AuthMode.TOKEN,
            "jwt_secret": SECRET,
            "max_streams_per_user": 1,
            "max_new_streams_per_minute": 2,
        }
        async with gateway(server.url, **settings) as here, gateway(server.url, **settings) as there:
            one, said = await first_answer(here, bearer())
            assert said == "ready"
            _, said = await first_answer(there, bearer())
            assert said == "too_many_streams"
            _, said = await first_answer(there, bearer("other"))
            assert said == "ready"
            one_id = here.deps.limiter.held[0]
            resume = {"streamId": one_id, "sentences": 0, "settledMs": 0}
            _, said = await first_answer(there, bearer(), resume=resume)
            assert said == "ready"
            assert await closed(one) == (1000, "client_left"), "told with the next beat"
            assert metric(here, "voice_streams_ended_total", outcome="client_left") == 1
