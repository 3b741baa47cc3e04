"""Where the stream is: one function from what a person types to the WebSocket address.

Pure.
"""

from typing import Final
from urllib.parse import SplitResult, urlsplit

STREAM_PATH: Final = "/api/realtime-voice/stream"
RECOGNIZE_PATH: Final = "/api/realtime-voice/recognize"

_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_HTTP_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class UrlError(ValueError):
    """A URL that cannot lead to the service; the text says what was expected."""


def stream_url(given: str) -> str:
    """The `ws://` or `wss://` address of the voice stream.

    `given` is a base (`http://host:port`, `wss://host`) or already the full stream URL, with or without a prefix that
    a reverse proxy adds. Raises UrlError for everything else, a query string included: a token must never travel there.
    """
    return _address(given, STREAM_PATH, _SCHEMES)


def recognize_url(given: str) -> str:
    """The `http://` or `https://` address for uploads, from a base or the full URL. Raises UrlError as `stream_url`."""
    return _address(given, RECOGNIZE_PATH, _HTTP_SCHEMES)


def split(given: str) -> SplitResult:
    """The parts of a URL that has a scheme of ours, a host, and a port where it names one. Raises UrlError."""
    try:
        parts = urlsplit(given.strip())
        parts.port  # noqa: B018 - it raises for what is no number
    except ValueError as error:
        raise UrlError(f"{given!r} is not a URL: {error}") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise UrlError(f"{given!r}: expected http://HOST[:PORT], https://HOST, ws://HOST[:PORT] or wss://HOST")
    return parts


def _address(given: str, wanted_path: str, schemes: dict[str, str]) -> str:
    parts = split(given)
    if parts.username is not None or parts.query or parts.fragment:
        raise UrlError(f"{given!r}: expected no user, query or fragment (a token goes into --token)")
    if parts.port == 0:
        raise UrlError(f"{given!r}: port 0 cannot be dialed")
    path = parts.path.rstrip("/")
    if path and not path.endswith(wanted_path):
        raise UrlError(f"{given!r}: expected a base without a path, or a URL that ends in {wanted_path}")
    return f"{schemes[parts.scheme]}://{parts.netloc}{path or wanted_path}"
