"""Where the stream is, from everything a person may type."""

import pytest

from loadtest.urls import UrlError, stream_url


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/api/realtime-voice/stream"),
        ("http://127.0.0.1:8000/", "ws://127.0.0.1:8000/api/realtime-voice/stream"),
        ("ws://127.0.0.1:8000", "ws://127.0.0.1:8000/api/realtime-voice/stream"),
        ("https://voice.example.com", "wss://voice.example.com/api/realtime-voice/stream"),
        ("WSS://voice.example.com", "wss://voice.example.com/api/realtime-voice/stream"),
        ("wss://[::1]:8443", "wss://[::1]:8443/api/realtime-voice/stream"),
        ("  wss://voice.example.com  ", "wss://voice.example.com/api/realtime-voice/stream"),
        (
            "wss://voice.example.com/api/realtime-voice/stream",
            "wss://voice.example.com/api/realtime-voice/stream",
        ),
        (
            "https://voice.example.com/gateway/api/realtime-voice/stream/",
            "wss://voice.example.com/gateway/api/realtime-voice/stream",
        ),
    ],
)
def test_bases_and_full_urls_lead_to_the_stream(given: str, expected: str) -> None:
    assert stream_url(given) == expected


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("", "expected http://HOST"),
        ("127.0.0.1:8000", "expected http://HOST"),
        ("ftp://voice.example.com", "expected http://HOST"),
        ("ws://", "expected http://HOST"),
        ("ws://voice.example.com:port", "is not a URL"),
        ("ws://voice.example.com:70000", "is not a URL"),
        ("ws://[::1", "is not a URL"),
        ("ws://voice.example.com:0", "port 0"),
        ("ws://voice.example.com/health", "expected a base without a path"),
        ("ws://voice.example.com/?token=secret", "a token goes into --token"),
        ("ws://user@voice.example.com", "a token goes into --token"),
        ("ws://voice.example.com#part", "a token goes into --token"),
    ],
)
def test_everything_else_is_refused_with_what_was_expected(given: str, complaint: str) -> None:
    with pytest.raises(UrlError, match=complaint.replace("(", r"\(")):
        stream_url(given)
