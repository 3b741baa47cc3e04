"""`TENCENT_API_URL`: https anywhere, http on this machine only."""

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
