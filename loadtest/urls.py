"""Where the stream is: one function from what a person types to the WebSocket address.

Pure.
"""

from typing import Final
from urllib.parse import urlsplit

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


def _address(given: str, wanted_path: str, schemes: dict[str, str]) -> str:
    try:
        parts = urlsplit(given.strip())
        port = parts.port  # raises ValueError when it is not a port
    except ValueError as error:
        raise UrlError(f"{given!r} is not a URL: {error}") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise UrlError(f"{given!r}: expected http://HOST[:PORT], https://HOST, ws://HOST[:PORT] or wss://HOST")
    if parts.username is not None or parts.query or parts.fragment:
        raise UrlError(f"{given!r}: expected no user, query or fragment (a token goes into --token)")
    if port == 0:
        raise UrlError(f"{given!r}: port 0 cannot be dialed")
    path = parts.path.rstrip("/")
    if path and not path.endswith(wanted_path):
        raise UrlError(f"{given!r}: expected a base without a path, or a URL that ends in {wanted_path}")
    return f"{schemes[parts.scheme]}://{parts.netloc}{path or wanted_path}"
