"""The addresses of the recognizer, of its API (https anywhere, http on this machine only) and of a Pushgateway."""

import pytest

from tests.pure.test_settings import problems, read


@pytest.mark.parametrize(
    "given_url",
    ["https://asr.ap-guangzhou.tencentcloudapi.com", "http://localhost:80", "http://127.0.0.9", "http://[::1]:1"],
)
def test_addresses_of_the_api(given_url: str) -> None:
    assert read({"TENCENT_API_URL": given_url}).tencent_api_url == given_url


def test_addresses_of_the_api_that_cannot_be_used() -> None:
    for wrong in (
        "https://user:password@host",
        "wss://host",
        "https://host/path",
        "https://host?a=b",
        "host",
        "https://",
    ):
        (problem,) = problems({"TENCENT_API_URL": wrong})
        assert problem == "TENCENT_API_URL: expected https://HOST[:PORT], and nothing behind it"
    for wrong in ("http://asr.tencentcloudapi.com", "http://10.0.0.1", "http://127.0.0.1.example.com"):
        (problem,) = problems({"TENCENT_API_URL": wrong})
        assert problem == "TENCENT_API_URL: http:// is for this machine only: expected https://HOST[:PORT]"


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("wss://asr.example.com", "wss://asr.example.com"),
        ("ws://127.0.0.1:9000/", "ws://127.0.0.1:9000"),
        ("ws://[::1]:1", "ws://[::1]:1"),
        ("wss://a:65535", "wss://a:65535"),
    ],
)
def test_an_address_of_the_recognizer(given_url: str, expected: str) -> None:
    assert read({"TENCENT_ASR_URL": given_url}).tencent_asr_url == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "asr.cloud.tencent.com", "https://a", "ws://", "ws://:80", "ws://a:0", "ws://a:65536", "ws://a:b", "ws://[::1",
        "ws://a/asr/v2", "ws://a?b=c", "ws://a#b", "ws://a?", "ws://a#", "ws://a:", "ws://a b", "ws://user:word@a",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_recognizer(wrong: str) -> None:
    expected = "TENCENT_ASR_URL: expected ws://HOST[:PORT] or wss://HOST[:PORT], and nothing behind it"
    assert problems({"TENCENT_ASR_URL": wrong}) == [expected]


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("http://127.0.0.1:9091", "http://127.0.0.1:9091"),
        ("https://push.example.com/", "https://push.example.com"),
        ("https://push.example.com:443/a/b-c_d/", "https://push.example.com:443/a/b-c_d"),
        ("http://[::1]:9091/x", "http://[::1]:9091/x"),
    ],
)
def test_an_address_of_a_pushgateway(given_url: str, expected: str) -> None:
    assert read({"METRICS_PUSH_URL": given_url}).metrics_push_url == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "push.example.com", "ws://a", "http://", "http://a:0", "http://a:80b", "http://a b", "http://user:word@a",
        "http://a/?b", "http://a/#b", "http://a/b c", "http://a/%0a", "http://a/" + "a/" * 5000 + "?",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_pushgateway(wrong: str) -> None:
    expected = "METRICS_PUSH_URL: expected http://HOST[:PORT][/PATH] or https://, without user or password"
    assert problems({"METRICS_PUSH_URL": wrong}) == [expected]


@pytest.mark.parametrize("wrong", ["user", "user:", ":password"])
def test_the_account_of_a_pushgateway_has_two_parts(wrong: str) -> None:
    assert problems({"METRICS_PUSH_AUTH": wrong}) == ["METRICS_PUSH_AUTH: expected USER:PASSWORD"]


def test_the_account_of_a_pushgateway_is_not_shown() -> None:
    settings = read({"METRICS_PUSH_AUTH": "user:password"})
    assert "METRICS_PUSH_AUTH=(set, 13 characters)" in settings.describe()
    assert "password" not in repr(settings)
