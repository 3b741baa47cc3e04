"""What WeChat's answer to a login code means."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Slug
from service.login.answers import Refused, WechatUser, read_answer
from service.users import is_openid, user_id_of

OPENID = "oABCDEFGHIJKLMNOPQRSTUVWXY_-"


def body(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def refused(**fields: object) -> Refused:
    answer = read_answer(200, body(**fields))
    assert isinstance(answer, Refused)
    return answer


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, WechatUser(OPENID)),
        ({"errcode": 0, "errmsg": "ok"}, WechatUser(OPENID)),
        ({"errcode": "0"}, WechatUser(OPENID)),
        ({"unionid": "o6_bmasdasdsad6_2sgVt7hMZOPfL"}, WechatUser(OPENID, "o6_bmasdasdsad6_2sgVt7hMZOPfL")),
        ({"unionid": "no unionid"}, WechatUser(OPENID)),
    ],
)
def test_success(fields: dict[str, object], expected: WechatUser) -> None:
    assert read_answer(200, body(openid=OPENID, session_key="tiihtNczf5v6AKRyjwEUhQ==", **fields)) == expected


def test_the_session_key_is_not_kept() -> None:
    answer = read_answer(200, body(openid=OPENID, session_key="tiihtNczf5v6AKRyjwEUhQ=="))
    assert "tiiht" not in repr(answer)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_answer(200, b"\xef\xbb\xbf" + body(openid=OPENID)) == WechatUser(OPENID)


@pytest.mark.parametrize(
    ("errcode", "slug", "may_ask_again"),
    [
        (-1, Slug.LOGIN_UNAVAILABLE, True),
        (40029, Slug.LOGIN_REFUSED, False),
        (40163, Slug.LOGIN_REFUSED, False),
        (40226, Slug.FORBIDDEN, False),
        (45011, Slug.TOO_MANY_REQUESTS, False),
        (40013, Slug.LOGIN_REJECTED, False),
        (40125, Slug.LOGIN_REJECTED, False),
        (41002, Slug.INTERNAL, False),
        (41004, Slug.INTERNAL, False),
        (41008, Slug.INTERNAL, False),
        (50000, Slug.LOGIN_UNAVAILABLE, False),
        ("40029", Slug.LOGIN_REFUSED, False),
    ],
)
def test_errcode(errcode: int | str, slug: Slug, may_ask_again: bool) -> None:
    answer = refused(errcode=errcode, errmsg="no, rid: 63ea1f2b-7c0e3f1a-1d2e3f4a")
    assert (answer.slug, answer.may_ask_again) == (slug, may_ask_again)
    assert (answer.errcode, answer.request_id) == (int(errcode), "63ea1f2b-7c0e3f1a-1d2e3f4a")


def test_an_errcode_goes_before_an_openid() -> None:
    assert refused(errcode=40029, openid=OPENID).slug is Slug.LOGIN_REFUSED


@pytest.mark.parametrize(
    ("errmsg", "expected"),
    [
        ("invalid code, rid: 63ea1f2b-7c0e-1d2e", "63ea1f2b-7c0e-1d2e"),
        ("invalid code, hints: [ req_id: mHIfbXre-4.ba ]", "mHIfbXre-4"),
        ("invalid code", ""),
        ("hybrid: no", ""),
        ("rid: " + "a" * 100, "a" * 64),
    ],
)
def test_the_request_id_is_for_the_log(errmsg: str, expected: str) -> None:
    assert refused(errcode=40029, errmsg=errmsg).request_id == expected


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"<html>502</html>", b"\xff", b"[" * 30_000, body(), body(openid=""), body(openid="a b"),
     body(openid=7.5), body(errcode="none")],
)  # fmt: skip
def test_what_is_no_answer(data: bytes) -> None:
    answer = read_answer(200, data)
    assert isinstance(answer, Refused)
    assert (answer.slug, answer.may_ask_again, answer.errcode) == (Slug.LOGIN_UNAVAILABLE, False, None)


def test_a_failure_of_its_server_is_not_believed() -> None:
    answer = read_answer(502, body(openid=OPENID))
    assert isinstance(answer, Refused)
    assert (answer.slug, answer.may_ask_again) == (Slug.LOGIN_UNAVAILABLE, True)


@given(st.binary())
def test_any_bytes_have_an_answer(data: bytes) -> None:
    assert isinstance(read_answer(200, data), Refused)


def test_the_id_of_a_user_is_always_the_same() -> None:
    assert user_id_of("wx1", OPENID) == "u_79135eb146b04a7c76e5e716b43b576a"  # as openssl dgst -sha256 -hmac
    assert is_openid(user_id_of("wx1", OPENID))
    assert len({user_id_of("wx1", OPENID), user_id_of("wx2", OPENID), user_id_of("wx1", OPENID[:-1])}) == 3
