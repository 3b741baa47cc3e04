"""The TLS stream keeps Trio's promises for streams, over real sockets."""

import gc
import ssl

import pytest
import trio
import trio.testing

from service.tls_stream import TlsStream
from tests.support.tls import connected_pair, contexts

GUARD_S = 60


async def make() -> tuple[TlsStream, trio.abc.Stream]:
    return await connected_pair()


async def make_clogged() -> tuple[TlsStream, trio.abc.Stream]:
    """The client's end is full. What was begun must be gone on with, so nothing else is sent on it here."""
    client, server = await connected_pair()
    with trio.move_on_after(0.3):
        await client.send_all(bytes(16 * 2**20))
    return client, server


async def test_trio_s_own_check_of_a_stream() -> None:
    with trio.fail_after(GUARD_S):
        await trio.testing.check_two_way_stream(make, None)


async def test_a_full_stream_blocks_and_can_be_given_up() -> None:
    with trio.fail_after(GUARD_S):
        client, server = await make_clogged()
        # Part of a record may be on its way: OpenSSL would send the rest of it, and say that this was what it sent.
        with pytest.raises(trio.BrokenResourceError):
            client.write_now(b"x" * 2**20)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x" * 2**20)
        with trio.move_on_after(0.1) as limit:
            await client.wait_send_all_might_not_block()
        assert limit.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_closed, client)
            await trio.testing.wait_all_tasks_blocked()
            await client.aclose()
        with pytest.raises(trio.ClosedResourceError):
            client.write_now(b"x")
        await trio.aclose_forcefully(server)


async def expect_closed(client: TlsStream) -> None:
    with pytest.raises(trio.ClosedResourceError):
        await client.receive_some()


async def test_what_write_now_leaves_is_sent_after_it() -> None:
    """Everything arrives once and in order, whatever the kernel took at once."""
    frames = [bytes([number]) * 50_000 for number in range(200)]
    with trio.fail_after(GUARD_S):
        client, server = await connected_pair()
        received = bytearray()
        waits = 0

        async def read() -> None:
            async for data in server:
                received.extend(data)

        async with trio.open_nursery() as nursery:
            await trio.testing.wait_all_tasks_blocked()
            for frame in frames:
                taken = client.write_now(frame)
                if taken < len(frame):
                    if not waits:
                        nursery.start_soon(read)
                    waits += 1
                    await client.send_all(frame[taken:])
            await client.aclose()
        assert waits
        assert received == b"".join(frames)
        await server.aclose()


async def test_an_end_without_tls_s_own_end_is_an_end() -> None:
    with trio.fail_after(GUARD_S):
        client, server = await connected_pair()
        await server.send_all(b"last words")
        await server.transport_stream.aclose()
        assert await client.receive_some() == b"last words"
        assert await client.receive_some() == b""
        await client.aclose()


async def test_a_certificate_of_another_host() -> None:
    server_context, client_context = contexts()
    with trio.fail_after(GUARD_S):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        connecting = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        accepted = trio.SSLStream(await listener.accept(), server_context, server_side=True)
        client = TlsStream(connecting, client_context, "elsewhere.example")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect_refusal, accepted)
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.do_handshake()
            await client.aclose()
        await trio.aclose_forcefully(accepted)
        await listener.aclose()


async def expect_refusal(accepted: trio.SSLStream[trio.SocketStream]) -> None:
    with pytest.raises(trio.BrokenResourceError):
        await accepted.do_handshake()


async def test_a_peer_that_resets_before_the_handshake() -> None:
    with trio.fail_after(GUARD_S):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        connecting = await trio.open_tcp_stream(*listener.socket.getsockname()[:2])
        accepted = await listener.accept()
        accepted.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await accepted.aclose()
        with pytest.raises(OSError, match="not connected"):
            TlsStream(connecting, contexts()[1], "localhost")
        gc.collect()  # a socket that was left open would warn now
        await listener.aclose()
