"""What an upgrade request for a voice stream offers: its subprotocol and its token."""

import pytest

from service.identity import Caller
from service.stream.upgrade import bearer_of, caller_of, chosen_subprotocol


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ([], None),
        (["voice.v1"], "voice.v1"),
        (["bearer.abc", "voice.v1"], "voice.v1"),
        (["other", "voice.v1"], "voice.v1"),
        (["bearer.abc", "other", "another"], "other"),
        (["bearer.abc"], None),  # a token is never sent back
        (["bearer.", "bearer.abc"], None),
        (["Voice.v1"], "Voice.v1"),
    ],
)
def test_chosen_subprotocol(offered: list[str], expected: str | None) -> None:
    assert chosen_subprotocol(offered) == expected


@pytest.mark.parametrize(
    ("headers", "offered", "expected"),
    [
        ({}, [], ""),
        ({"Authorization": "Bearer abc"}, [], "abc"),
        ({"Authorization": "bEARER   abc "}, [], "abc"),
        ({"Authorization": "Bearer a b"}, [], "a b"),
        ({"token": "old"}, [], "old"),
        ({}, ["voice.v1", "bearer.sub"], "sub"),
        ({}, ["bearer.first", "bearer.second"], "first"),
        ({}, ["bearer."], ""),
        ({}, ["voice.v1", "Bearer.x"], ""),
        # Authorization goes before the old header, that before a subprotocol.
        ({"Authorization": "Bearer abc", "token": "old"}, ["bearer.sub"], "abc"),
        ({"token": "old"}, ["bearer.sub"], "old"),
        # An Authorization that holds no bearer token does not hide the others.
        ({"Authorization": "Basic dXNlcg==", "token": "old"}, [], "old"),
        ({"Authorization": "Bearer", "token": "old"}, [], "old"),
        ({"Authorization": "Bearer  ", "token": ""}, ["bearer.sub"], "sub"),
        ({"Authorization": "abc"}, [], ""),
    ],
)
def test_bearer_of(headers: dict[str, str], offered: list[str], expected: str) -> None:
    assert bearer_of(headers.get("Authorization", ""), headers.get("token", ""), offered) == expected


def test_what_a_request_says_of_its_caller() -> None:
    headers = {
        "authorization": ["Bearer abc", "Bearer def"],
        "origin": ["https://pages.example"],
        "host": ["voice.example", "other.example"],
        "x-wx-openid": ["oABC"],
    }
    assert caller_of(lambda name: headers.get(name, ()), ["bearer.sub"], "203.0.113.7") == Caller(
        "abc", "203.0.113.7", "https://pages.example", "voice.example", "oABC"
    )
    assert caller_of(lambda _: (), ["bearer.sub"], "") == Caller("sub")


def test_of_several_claims_none_is_overlooked() -> None:
    """One of them is the platform's, the other the stranger's."""
    headers = {"x-wx-openid": ["oVictim", "oMine"], "origin": ["https://evil.example", "https://pages.example"]}
    caller = caller_of(lambda name: headers.get(name, ()), (), "")
    assert (caller.wx_openid, caller.origin) == ("oVictim,oMine", "https://evil.example,https://pages.example")
