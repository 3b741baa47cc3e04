"""Asking WeChat who a code belongs to, over real sockets."""

import logging
import socket

import pytest
import trio

from service.failures import Slug
from service.login import wechat as login
from service.login.answers import NO_ANSWER, Refused, WechatUser
from service.login.wechat import MAX_ANSWER_BYTES, Asked, WechatLogin
from service.settings import Settings
from tests.support.wechat import APPID, APPSECRET, BUSY, CODE, OPENID, REQUEST_ID, UNIONID, Trouble, wechat

HANG_S = 20


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "PAUSES_S", (0.01, 0.02))


async def ask(url: str, code: str = CODE, *, appid: str = APPID, appsecret: str = APPSECRET) -> Asked:
    asker = WechatLogin.of(Settings(wechat_appid=appid, wechat_appsecret=appsecret, wechat_api_url=url))
    assert asker is not None
    with trio.fail_after(HANG_S):
        return await asker.ask(code)


def slug_of(asked: Asked) -> Slug:
    assert isinstance(asked.answer, Refused)
    return asked.answer.slug


def test_without_an_appid_there_is_no_login() -> None:
    assert WechatLogin.of(Settings()) is None


def test_the_secret_is_not_shown() -> None:
    assert APPSECRET not in repr(WechatLogin("http://127.0.0.1:1", APPID, APPSECRET))


async def test_a_good_code() -> None:
    async with wechat() as server:
        assert await ask(server.url) == Asked(WechatUser(OPENID), 1)
    assert server.queries == [
        {"appid": APPID, "secret": APPSECRET, "js_code": CODE, "grant_type": "authorization_code"}
    ]


async def test_a_code_is_passed_on_as_it_is() -> None:
    code = "a&b=c d%20/?#+"
    async with wechat() as server:
        server.codes[code] = {"openid": OPENID, "unionid": UNIONID}
        assert (await ask(server.url, code)).answer == WechatUser(OPENID, UNIONID)


async def test_a_code_is_good_once() -> None:
    async with wechat() as server:
        await ask(server.url)
        second = await ask(server.url)
    assert slug_of(second) is Slug.LOGIN_REFUSED
    assert isinstance(second.answer, Refused)
    assert (second.answer.errcode, second.answer.request_id, second.attempts) == (40029, REQUEST_ID, 1)


async def test_wrong_settings() -> None:
    async with wechat() as server:
        for wrong in ({"appid": "wx0"}, {"appsecret": "old"}):
            assert slug_of(await ask(server.url, **wrong)) is Slug.LOGIN_REJECTED


@pytest.mark.parametrize("trouble", [BUSY, Trouble(status=502, raw=b"<html>")], ids=["busy", "502"])
async def test_what_passes_is_asked_again_with_the_same_code(trouble: Trouble) -> None:
    async with wechat(trouble, trouble) as server:
        assert await ask(server.url) == Asked(WechatUser(OPENID), 3)
    assert [query["js_code"] for query in server.queries] == [CODE] * 3


@pytest.mark.parametrize("cut_after_bytes", [0, 60, 120])
async def test_an_answer_that_is_lost_on_its_way_has_used_the_code(cut_after_bytes: int) -> None:
    async with wechat(Trouble(cut_after_bytes=cut_after_bytes)) as server:
        asked = await ask(server.url)
    assert (slug_of(asked), asked.attempts) == (Slug.LOGIN_REFUSED, 2)


async def test_what_does_not_pass_is_given_up() -> None:
    async with wechat(*[BUSY] * 9) as server:
        asked = await ask(server.url)
    assert (slug_of(asked), asked.attempts, len(server.queries)) == (Slug.LOGIN_UNAVAILABLE, 3, 3)
    assert isinstance(asked.answer, Refused)
    assert asked.answer.errcode == -1


@pytest.mark.parametrize("errcode", [40029, 40163, 40226, 45011, 40013, 40125, 41002, 41004, 41008, 99999])
async def test_other_refusals_are_final(errcode: int) -> None:
    async with wechat(Trouble(errcode=errcode)) as server:
        assert (await ask(server.url)).attempts == 1


async def test_an_answer_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "ATTEMPT_S", 0.5)
    async with wechat(Trouble(never=True)) as server:
        assert await ask(server.url) == Asked(WechatUser(OPENID), 2)


@pytest.mark.parametrize("stalls_after_bytes", [20, 120])
async def test_an_answer_that_does_not_end(stalls_after_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "ATTEMPT_S", 0.5)
    async with wechat(Trouble(stalls_after_bytes=stalls_after_bytes)) as server:
        asked = await ask(server.url)
    assert (slug_of(asked), asked.attempts) == (Slug.LOGIN_REFUSED, 2)  # the code is used


async def test_the_whole_login_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "LOGIN_S", 0.1)
    async with wechat(Trouble(never=True)) as server:
        asked = await ask(server.url)
    assert asked.answer == NO_ANSWER
    assert asked.attempts <= 1


async def test_nobody_answers() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and no listen: a connection is refused
        asked = await ask(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert asked == Asked(NO_ANSWER, 3)


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble(raw=b""),
        Trouble(raw=b"<html>login to this hotel's network</html>"),
        Trouble(raw=b'{"openid": "' + b"o" * MAX_ANSWER_BYTES * 64 + b'"}'),
        Trouble(status=302, raw=b""),
    ],
    ids=["empty", "html", "far too long", "elsewhere"],
)
async def test_what_is_no_answer_of_wechat(trouble: Trouble) -> None:
    async with wechat(trouble) as server:
        asked = await ask(server.url)
    assert (slug_of(asked), asked.attempts) == (Slug.LOGIN_UNAVAILABLE, 1)


async def test_what_is_no_http() -> None:
    async def say(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, say, 0)
        assert await ask(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}") == Asked(NO_ANSWER, 3)
        nursery.cancel_scope.cancel()


async def test_neither_code_nor_secret_is_heard_in_our_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Libraries log addresses, with all that is in them, below the level from which we hear them."""
    async with wechat(BUSY, Trouble(cut_after_bytes=0), Trouble(raw=b"no")) as server:
        with caplog.at_level(logging.WARNING):
            await ask(server.url)
    heard = [record.getMessage() for record in caplog.records]
    assert not [text for text in heard if APPSECRET in text or CODE in text], heard


async def test_a_login_that_is_cancelled_leaves_nothing_open() -> None:
    async with wechat(Trouble(never=True)) as server, trio.open_nursery() as nursery:
        nursery.start_soon(ask, server.url)
        await server.has_come.wait()
        nursery.cancel_scope.cancel()
