"""`POST /api/auth/wechat-login` over real sockets, against a stand-in of WeChat: from a code to a stream."""

import contextlib
import dataclasses
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import jwt
import pytest
import trio

from service.login import wechat as login
from service.settings import AuthMode
from service.tokens import key_id, verify
from service.users import user_id_of
from service.web.login import MAX_BODY_BYTES, MAX_LOGINS, OUTCOMES, PATHS
from tests.support.edge import HttpClient, Reply, Running, WsClient, make_deps, running_edge, until
from tests.support.gateway import running_gateway
from tests.support.wechat import APPID, APPSECRET, BUSY, CODE, OPENID, REQUEST_ID, UNIONID, Trouble, Wechat, wechat

PATH = PATHS[0]
SECRET, OLD_SECRET = "n" * 32, "o" * 32
USER_ID = user_id_of(APPID, OPENID)
STREAM = "/api/realtime-voice/stream"


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "PAUSES_S", (0.01, 0.02))


class World:
    """A gateway, and the WeChat that it asks."""

    def __init__(self, running: Running, server: Wechat) -> None:
        self.running = running
        self.server = server

    async def post(self, body: bytes, *headers: str, path: str = PATH) -> Reply:
        client = await HttpClient.connect(self.running.port)
        async with client.stream:
            return await client.request("POST", path, headers, body)

    async def log_in(self, code: str = CODE, *headers: str) -> Reply:
        return await self.post(json.dumps({"code": code}).encode(), *headers)

    async def refused(self, *headers: str, code: str = CODE) -> tuple[int, str, bool]:
        """Status, slug, and whether it may be tried again; the envelope and the hint are checked."""
        return told(await self.log_in(code, *headers))

    def count(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        return self.running.deps.metrics.registry.get_sample_value("voice_logins_total", labels) or 0.0


def told(reply: Reply) -> tuple[int, str, bool]:
    envelope = reply.envelope()
    assert envelope["code"] == reply.status
    data = envelope["data"]
    assert set(data) == {"error", "retryable", "retryAfterMs"}
    assert ("retry-after" in reply.headers) == (data["retryAfterMs"] is not None)
    return reply.status, data["error"], data["retryable"]


def settings_for(server: Wechat) -> dict[str, Any]:
    return {
        "auth_mode": AuthMode.TOKEN,
        "jwt_secret": SECRET,
        "jwt_secret_old": OLD_SECRET,
        "wechat_appid": APPID,
        "wechat_appsecret": APPSECRET,
        "wechat_api_url": server.url,
    }


@contextlib.asynccontextmanager
async def world(*troubles: Trouble, **settings: Any) -> AsyncIterator[World]:
    async with wechat(*troubles) as server, running_edge(make_deps(**settings_for(server) | settings)) as running:
        yield World(running, server)


@pytest.mark.parametrize("path", PATHS)
async def test_a_code_becomes_a_token(path: str) -> None:
    async with world(token_ttl_s=600) as gateway:
        now = gateway.running.deps.wall_clock()
        reply = await gateway.post(json.dumps({"code": CODE, "more": 1}).encode(), path=path)
        assert (reply.status, reply.envelope()["code"]) == (200, 0)
        data = reply.envelope()["data"]
        assert data == {"token": data["token"], "expiresIn": 600, "user": {"id": USER_ID}}
        identity = verify(data["token"], (SECRET,), now + 10)
        assert getattr(identity, "user_id", None) == USER_ID
        assert 590 <= identity.expires_at - now <= 610  # type: ignore[union-attr]
        assert jwt.get_unverified_header(data["token"])["kid"] == key_id(SECRET)
        assert set(jwt.decode(data["token"], options={"verify_signature": False})) == {"sub", "iat", "exp"}
        assert gateway.count("completed") == 1


async def test_the_token_opens_a_stream() -> None:
    async with wechat() as server, running_gateway(**settings_for(server)) as running:
        token = (await World(running, server).log_in()).envelope()["data"]["token"]
        said = []
        for given in (token, token[:-2], ""):
            client = await WsClient.connect(running.port, STREAM)
            assert (await client.receive_json())["type"] == "welcome"
            await client.send_json(type="start", token=given)
            message = await client.receive_json()
            said.append(message.get("code", message["type"]))
            await client.stream.aclose()
        assert said == ["ready", "unauthenticated", "unauthenticated"]


@pytest.mark.parametrize(
    ("errcode", "expected"),
    [
        (40029, (401, "login_refused", False)),
        (40163, (401, "login_refused", False)),
        (40226, (403, "forbidden", False)),
        (45011, (429, "too_many_requests", True)),
        (-1, (503, "login_unavailable", True)),
        (99999, (503, "login_unavailable", True)),
    ],
)
async def test_wechat_refuses(errcode: int, expected: tuple[int, str, bool]) -> None:
    async with world(*[Trouble(errcode=errcode)] * 3) as gateway:
        assert await gateway.refused() == expected
        assert gateway.count(expected[1]) == 1
        assert expected[1] in OUTCOMES


async def test_a_minute_is_waited_for_where_wechat_counts_minutes() -> None:
    async with world(Trouble(errcode=45011)) as gateway:
        assert 30 <= int((await gateway.log_in()).headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("errcode", "expected"),
    [
        (40013, (502, "login_rejected", False)),
        (40125, (502, "login_rejected", False)),
        (41002, (500, "internal", True)),
        (41004, (500, "internal", True)),
        (41008, (500, "internal", True)),
    ],
)
async def test_what_the_operator_has_to_correct_is_an_error_in_the_log(
    errcode: int, expected: tuple[int, str, bool], expected_errors: list[logging.LogRecord]
) -> None:
    async with world(Trouble(errcode=errcode)) as gateway:
        reply = await gateway.log_in()
    assert told(reply)[:2] == expected[:2]
    assert expected[1] in OUTCOMES
    fields = expected_errors.pop().voice_fields  # type: ignore[attr-defined]
    assert (fields["outcome"], fields["errcode"], fields["wechat_request"]) == (expected[1], errcode, REQUEST_ID)
    assert not expected_errors


async def test_busy_then_good() -> None:
    async with world(BUSY, BUSY) as gateway:
        assert (await gateway.log_in()).status == 200
        assert len(gateway.server.queries) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b"[]", b"{", b'{"code": 7}', b'{"code": ""}', b'{"code": "a b"}', b'{"code": "\xff"}',
        b'{"code": null}', b"code=" + CODE.encode(), b"[" * 4000, json.dumps({"code": "c" * 257}).encode(),
        b" " * (MAX_BODY_BYTES + 1) + json.dumps({"code": CODE}).encode(),
    ],
)  # fmt: skip
async def test_a_body_without_a_code(body: bytes) -> None:
    async with world() as gateway:
        reply = await gateway.post(body)
        assert told(reply) == (400, "bad_request", False)
        assert gateway.server.queries == []


async def test_no_body() -> None:
    async with world() as gateway:
        assert told(await gateway.post(b""))[:2] == (400, "bad_request")
        client = await HttpClient.connect(gateway.running.port)
        async with client.stream:
            assert (await client.request("GET", PATH)).status == 405


async def test_a_body_of_any_content_type() -> None:
    async with world() as gateway:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            gateway.server.codes[CODE] = {"openid": OPENID}
            assert (await gateway.log_in(CODE, f"Content-Type: {kind}")).status == 200


@pytest.mark.parametrize("missing", [{"wechat_appid": ""}, {"auth_mode": AuthMode.LOCKED, "jwt_secret": ""}])
async def test_without_settings(missing: dict[str, Any]) -> None:
    async with world(**missing) as gateway:
        assert await gateway.refused() == (501, "not_configured", False)


async def test_a_foreign_page_may_not_log_in() -> None:
    async with world(allowed_origins=("https://pages.example",)) as gateway:
        assert await gateway.refused("Origin: https://evil.example") == (403, "forbidden", False)
        assert gateway.server.queries == []
        reply = await gateway.log_in(CODE, "Origin: https://pages.example")
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, "https://pages.example")


async def test_logins_that_pile_up() -> None:
    async with world(*[Trouble(never=True)] * MAX_LOGINS) as gateway, contextlib.AsyncExitStack() as stack:
        body = json.dumps({"code": CODE}).encode()
        head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        for _ in range(MAX_LOGINS):
            client = await HttpClient.connect(gateway.running.port)
            await stack.enter_async_context(client.stream)
            await client.send(head + body)
        await until(lambda: len(gateway.server.queries) == MAX_LOGINS)
        assert await gateway.refused() == (429, "too_many_requests", True)
        await client.stream.aclose()
        await until(lambda: gateway.count("client_left") == 1)
        assert (await gateway.log_in()).status == 200


async def test_bodies_that_do_not_come_keep_nobody_out() -> None:
    """Whoever opens connections and sends nothing costs WeChat nothing, and takes no place among the logins."""
    async with world() as gateway, contextlib.AsyncExitStack() as stack:
        head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n".encode()
        for _ in range(MAX_LOGINS):
            client = await HttpClient.connect(gateway.running.port)
            await stack.enter_async_context(client.stream)
            await client.send(head + b"{")
        await until(lambda: gateway.running.edge.open_connections >= MAX_LOGINS)
        await trio.sleep(0.2)
        assert (await gateway.log_in()).status == 200


class Kept:
    """Users that are kept, or a store that takes its time."""

    def __init__(self, *, never: bool = False) -> None:
        self.users: list[tuple[str, str]] = []
        self._never = never

    async def user_of_openid(self, openid: str, unionid: str) -> str:
        self.users.append((openid, unionid))
        if self._never:
            await trio.sleep_forever()
        return user_id_of(APPID, openid)


@pytest.mark.parametrize("never", [False, True])
async def test_users_are_kept_and_nobody_waits_for_the_store(never: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.web.login.KEEPING_S", 0.05)
    kept = Kept(never=never)
    async with wechat() as server:
        server.codes[CODE]["unionid"] = UNIONID
        deps = dataclasses.replace(make_deps(**settings_for(server)), users=kept)
        async with running_edge(deps) as running:
            data = (await World(running, server).log_in()).envelope()["data"]
    assert data["user"] == {"id": USER_ID}
    assert kept.users == [(OPENID, UNIONID)]


async def test_one_log_line_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    async with world(Trouble(errcode=40029)) as gateway:
        with caplog.at_level(logging.INFO, "voice"):
            await gateway.log_in()
            token = (await gateway.log_in()).envelope()["data"]["token"]
    first, second = [record.voice_fields for record in caplog.records if record.msg == "login"]  # type: ignore[attr-defined]
    assert first | {"lasted_ms": 0} == {
        "outcome": "login_refused",
        "reason": "WeChat does not know the code: call wx.login again and send the new one.",
        "errcode": 40029,
        "wechat_request": REQUEST_ID,
        "attempts": 1,
        "lasted_ms": 0,
    }
    assert (second["outcome"], second["errcode"]) == ("completed", None)
    everything = str([first, second])
    for private in (CODE, APPSECRET, OPENID, token, "tiiht"):
        assert private not in everything
