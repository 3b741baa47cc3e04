"""Uploads are held to their user's limits."""

import time
from typing import Any

import jwt
import pytest

from service.identity import Identity
from service.settings import AuthMode
from service.stream.limits import DAY_MS
from tests.support.api3_server import Reply
from tests.support.coded_files import sample_pcm, wav
from tests.support.edge import HttpClient, until
from tests.web.test_recognize import BOUNDARY, PATH, multipart, world

SECRET = "s" * 40
WAV = wav(sample_pcm())  # 2.8 s
SETTINGS: dict[str, Any] = {"auth_mode": AuthMode.TOKEN, "jwt_secret": SECRET}


def bearer(user: str = "u") -> str:
    return "Authorization: Bearer " + jwt.encode({"sub": user, "exp": int(time.time()) + 3600}, SECRET, "HS256")


async def test_the_audio_of_a_day() -> None:
    async with world(**SETTINGS, max_audio_s_per_day=6) as gateway:
        for _ in range(2):
            assert (await gateway.post(WAV, bearer())).status == 200
        reply = await gateway.post(WAV, bearer())
        until_midnight_s = DAY_MS / 1000 - time.time() % (DAY_MS / 1000)
        assert (reply.status, reply.envelope()["data"]["error"]) == (429, "quota_exceeded")
        assert int(reply.headers["retry-after"]) == pytest.approx(until_midnight_s, abs=100)
        assert len(gateway.api.requests) == 2, "it was not paid for"
        assert (await gateway.post(WAV, bearer("other"))).status == 200
        assert gateway.count("quota_exceeded") == 1


async def test_what_was_not_recognized_is_not_counted() -> None:
    async with world(Reply(status=500), Reply(status=500), Reply(status=500), **SETTINGS, max_audio_s_per_day=3) as at:
        assert (await at.post(WAV, bearer())).status == 503
        assert (await at.post(WAV, bearer())).status == 200


async def test_who_leaves_before_the_answer_has_used_what_was_sent() -> None:
    """The recognizer is paid for it. The place is free at once."""
    async with world(Reply(never=True), **SETTINGS, max_audio_s_per_day=3, max_streams_per_user=1) as gateway:
        body, kind = multipart(WAV), f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        client = await HttpClient.connect(gateway.running.port)
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{bearer()}\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        await client.send(head.encode() + body)
        await until(lambda: gateway.api.at_a_time == 1)
        assert len(gateway.running.deps.limiter.held) == 1
        await client.stream.aclose()
        await until(lambda: gateway.count("client_left") == 1)
        assert gateway.running.deps.limiter.held == []
        reply = await gateway.post(WAV, bearer())
        assert (reply.status, reply.envelope()["data"]["error"]) == (429, "quota_exceeded")


async def test_uploads_at_a_time() -> None:
    """They share the user's places with streams, and none is counted as a new stream."""
    async with world(**SETTINGS, max_streams_per_user=2, max_new_streams_per_minute=1) as gateway:
        limiter, user = gateway.running.deps.limiter, Identity("u")
        async with limiter.stream("a stream", user, ""), limiter.upload("an upload", user, ""):
            reply = await gateway.post(WAV, bearer())
            assert (reply.status, reply.envelope()["data"]["error"]) == (429, "too_many_streams")
            assert 1 <= int(reply.headers["retry-after"]) <= 4
            assert (await gateway.post(WAV, bearer("other"))).status == 200
        assert (await gateway.post(WAV, bearer())).status == 200
        assert limiter.held == []
        assert gateway.count("too_many_streams") == 1
