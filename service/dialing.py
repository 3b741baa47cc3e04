"""How every client of a WebSocket address in this project gets its transport."""

import ssl
from urllib.parse import urlsplit

import trio


async def dial(url: str) -> trio.abc.Stream:
    """A TCP connection to the address, with TLS and the host's name checked for `wss`.

    Raises OSError, ssl.SSLError or trio.BrokenResourceError. Cancelled, it leaves nothing open. The caller closes.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    host = parts.hostname or ""
    stream = await trio.open_tcp_stream(host, parts.port or (443 if secure else 80))
    if not secure:
        return stream
    encrypted = trio.SSLStream(stream, ssl.create_default_context(), server_hostname=host, https_compatible=True)
    try:
        await encrypted.do_handshake()  # now, so that a bad certificate is said to be one
    except BaseException:
        await trio.aclose_forcefully(encrypted)
        raise
    return encrypted
