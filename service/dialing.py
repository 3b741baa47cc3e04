"""How every client of a WebSocket address in this project gets its transport."""

import functools
import ssl
from urllib.parse import urlsplit

import trio

from service.tls_stream import TlsStream


@functools.cache
def tls_context() -> ssl.SSLContext:
    """The settings for connections to servers, which are checked against the system's authorities (SSL_CERT_FILE).

    Made once for a process: reading the authorities takes over 20 ms, in which the event loop stands still.
    """
    return ssl.create_default_context()


async def dial(url: str) -> trio.abc.Stream:
    """A TCP connection to the address, with TLS and the host's name checked for `wss`.

    Raises OSError, ssl.SSLError or trio.BrokenResourceError. Cancelled, it leaves nothing open. The caller closes.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "wss":
        return await trio.open_tcp_stream(host, parts.port or 80)
    return await connect_tls(host, parts.port or 443, tls_context())


async def connect_tls(host: str, port: int, tls: ssl.SSLContext, address: str | None = None) -> TlsStream:
    """A TLS connection whose certificate was checked for `host`, dialed at `address` where that is given.

    Raises, and is cancelled, as `dial`. The caller closes.
    """
    encrypted = TlsStream(await trio.open_tcp_stream(address or host, port), tls, host)
    try:
        await encrypted.do_handshake()  # now, so that a bad certificate is said to be one
    except BaseException:
        await trio.aclose_forcefully(encrypted)
        raise
    return encrypted
