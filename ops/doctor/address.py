"""From what an operator types to the target. Pure."""

from typing import Final

from loadtest.urls import STREAM_PATH, UrlError, split
from ops.doctor.stage import Target

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `make serve` serves."""
HTTP_PORT: Final = 80
HTTPS_PORT: Final = 443
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def target_of(given: str) -> Target:
    """The target of a base, with or without a prefix, or of the full stream URL.

    Raises UrlError for what is none: a query string too, since a token must never travel there.
    """
    parts = split(given)
    host, port = parts.hostname or "", parts.port
    if parts.username is not None or parts.query or parts.fragment:
        raise UrlError(f"{parts.scheme}://{host}: expected no user, query or fragment (a token: --token)")
    if not _is_name(host):
        raise UrlError(f"{parts.scheme}://{host}: expected a host name, its parts of 1 to 63 characters")
    if port == 0:
        raise UrlError(f"{given!r}: port 0 cannot be dialed")
    if not (given.isascii() and given.strip().isprintable() and " " not in given.strip()):
        raise UrlError(f"{given!r}: expected ASCII without spaces (an international name in its xn-- form)")
    scheme = _SCHEMES[parts.scheme]
    prefix = parts.path.rstrip("/").removesuffix(STREAM_PATH).rstrip("/")
    return Target(
        scheme=scheme,
        host=host,
        port=port or (HTTPS_PORT if scheme == "https" else HTTP_PORT),
        prefix=prefix,
    )


def _is_name(host: str) -> bool:
    """Whether it can be asked for: Python's resolver raises for parts that DNS has no room for."""
    labels = host.removesuffix(".").split(".")
    return len(host) < 255 and (":" in host or all(0 < len(label) < 64 for label in labels))


def host_header(host: str, port: int, *, is_secure: bool) -> str:
    """How a request names the host: the port where it is not the scheme's own, IPv6 in brackets."""
    name = f"[{host}]" if ":" in host else host
    return name if port == (HTTPS_PORT if is_secure else HTTP_PORT) else f"{name}:{port}"


def base_url(target: Target, *, is_websocket: bool = False) -> str:
    """The target as a URL, without a path behind its prefix."""
    scheme = {"http": "ws", "https": "wss"}[target.scheme] if is_websocket else target.scheme
    return f"{scheme}://{host_header(target.host, target.port, is_secure=target.is_secure)}{target.prefix.rstrip('/')}"
