"""TLS between two ends of this process, with an authority of its own."""

import functools
import ssl

import trio
import trustme

from service.tls_stream import TlsStream


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server called localhost, and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def connected_pair() -> tuple[TlsStream, trio.SSLStream[trio.SocketStream]]:
    """The client's and the server's end, hands shaken, over a real socket."""
    server_context, client_context = contexts()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        connecting = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        accepted = trio.SSLStream(await listener.accept(), server_context, server_side=True, https_compatible=True)
    client = TlsStream(connecting, client_context, "localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accepted.do_handshake)
        await client.do_handshake()
    return client, accepted
