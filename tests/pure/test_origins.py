"""Which pages may use the service from a visitor's browser."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stream.origins import is_allowed

PAGES = ("https://pages.example", "http://localhost:3000")


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        # No browser, or none that tells.
        (None, "voice.example", True),
        ("", "voice.example", True),
        # The service's own pages, also behind a proxy that speaks TLS.
        ("http://voice.example", "voice.example", True),
        ("https://voice.example", "voice.example", True),
        ("https://voice.example", "voice.example:443", True),
        ("https://voice.example:443", "voice.example", True),
        ("https://VOICE.example", "voice.Example", True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://[::1]", "[::1]", True),
        ("https://voice.example", "voice.example:8443", False),
        ("https://voice.example:8443", "voice.example", False),
        ("http://voice.example", "voice.example:443", False),
        # Others.
        ("https://evil.example", "voice.example", False),
        ("https://voice.example.evil.example", "voice.example", False),
        ("https://evil.example/voice.example", "voice.example", False),
        ("https://voice.example@evil.example", "voice.example", False),
        ("https://evil.example", "", False),
        ("https://", "", False),
        ("null", "voice.example", False),
        ("null", "null", False),
        ("file://", "voice.example", False),
        ("chrome-extension://abcdef", "voice.example", False),
        # Those that the operator names.
        ("https://pages.example", "voice.example", True),
        ("https://Pages.Example", "voice.example", True),
        ("http://localhost:3000", "voice.example", True),
        ("http://localhost:3001", "voice.example", False),
        ("http://pages.example", "voice.example", False),
        # What WeChat sends.
        ("weapp://wechat-game-runtime", "voice.example", True),
        ("https://servicewechat.com", "voice.example", True),
        ("https://servicewechat.com.evil.example", "voice.example", False),
        ("undefined", "voice.example", True),
        ("https://voice.example,undefined", "voice.example", True),
        ("https://voice.example, https://evil.example", "voice.example", False),
        ("undefined,null", "voice.example", False),
    ],
)
def test_is_allowed(origin: str | None, host: str, expected: bool) -> None:
    assert is_allowed(origin, host, PAGES) is expected


@given(st.text(), st.text())
def test_any_text_has_an_answer(origin: str, host: str) -> None:
    is_allowed(origin, host, PAGES)


@given(st.from_regex(r"https?://[a-z]{1,9}(\.[a-z]{1,9}){0,3}(:[1-9][0-9]{0,4})?", fullmatch=True))
def test_a_page_that_a_browser_names_is_allowed_at_its_own_host_and_nowhere_else(origin: str) -> None:
    own = origin.partition("://")[2]
    assert is_allowed(origin, own, ())
    assert not is_allowed(origin, "x" + own, ())
