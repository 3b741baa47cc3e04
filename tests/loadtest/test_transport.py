"""The bytes of a connection, over real sockets where the socket is the point."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from trio.testing import MockClock, check_two_way_stream, memory_stream_pair

from loadtest.transport import Transport
from tests.loadtest.protocol_server import GUARD_S

Pair = tuple[Transport, trio.SocketStream]


@asynccontextmanager
async def connected() -> AsyncIterator[Pair]:
    """A transport, and the other end of it."""
    accepted: list[trio.SocketStream] = []
    came = trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        accepted.append(stream)
        came.set()
        await trio.sleep_forever()

    with trio.fail_after(GUARD_S):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
            port = listeners[0].socket.getsockname()[1]
            async with Transport(await trio.open_tcp_stream("127.0.0.1", port)) as transport:
                await came.wait()
                async with accepted[0]:
                    yield transport, accepted[0]
            nursery.cancel_scope.cancel()


async def test_it_is_a_stream_as_trio_means_it() -> None:
    async def make() -> tuple[Transport, Transport]:
        left, right = memory_stream_pair()
        return Transport(left), Transport(right)

    await check_two_way_stream(make, None)


async def test_what_the_kernel_does_not_take_is_sent_before_anything_else() -> None:
    """A pong of the library must not come into the middle of a frame."""
    frame, pong = bytes(range(256)) * 65536, b"pong"  # 16 MiB: more than any kernel takes at once
    async with connected() as (transport, service), trio.open_nursery() as nursery:
        taken = transport.send_now(frame)
        assert 0 < taken < len(frame)
        assert transport.send_now(b"another") == 0
        nursery.start_soon(transport.send_all, pong)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(transport.send_rest, frame, taken)
        heard = bytearray()
        while len(heard) < len(frame + pong):
            heard += await service.receive_some(1024 * 1024)
        assert heard == frame + pong
        await trio.testing.wait_all_tasks_blocked()
        assert transport.send_now(b"frame") == 5


async def test_while_the_library_sends_nothing_goes_the_short_way() -> None:
    async with connected() as (transport, service), trio.open_nursery() as nursery:
        flood = bytes(16 * 1024 * 1024)
        nursery.start_soon(transport.send_all, flood)
        await trio.testing.wait_all_tasks_blocked()
        assert transport.send_now(b"frame") == 0
        heard = 0
        while heard < len(flood):
            heard += len(await service.receive_some(1024 * 1024))
        await trio.testing.wait_all_tasks_blocked()
        assert transport.send_now(b"frame") == 5


async def test_a_broken_connection_is_said_to_be_broken() -> None:
    async with connected() as (transport, _service):
        await transport.abort()
        with pytest.raises(trio.BrokenResourceError):
            transport.send_now(b"frame")


async def test_an_abort_is_a_reset() -> None:
    async with connected() as (transport, service):
        await transport.abort()
        assert transport.ended
        with pytest.raises(trio.BrokenResourceError, match="reset"):
            await service.receive_some()


async def test_a_small_receive_buffer_holds_up_the_service() -> None:
    async with connected() as (transport, service):
        transport.limit_receive_buffer(4096)
        service.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        with trio.move_on_after(0.2) as patience:
            await service.send_all(bytes(1024 * 1024))
        assert patience.cancelled_caught


async def test_reading_can_be_held_up(autojump_clock: MockClock) -> None:
    phone, service = memory_stream_pair()
    transport = Transport(phone)
    transport.hold()
    await service.send_all(b"ping")
    with trio.move_on_after(10) as patience:
        await transport.receive_some()
    assert patience.cancelled_caught
    await service.send_all(b" again")
    transport.release()
    assert await transport.receive_some() == b" again"


async def test_bytes_in_flight_stay_while_reading_is_held_up(autojump_clock: MockClock) -> None:
    phone, service = memory_stream_pair()
    transport = Transport(phone)
    heard: list[tuple[float, bytes]] = []
    began_s = trio.current_time()

    async def read() -> None:
        while data := await transport.receive_some():
            heard.append((trio.current_time() - began_s, bytes(data)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        transport.hold()
        await service.send_all(b"ping")
        await trio.sleep(3)
        transport.release()
        await trio.sleep(1)
        await service.send_all(b"more")
        await service.aclose()
    assert heard == [(3.0, b"ping"), (4.0, b"more")]


async def test_a_vanished_phone_sees_nothing_but_the_end(autojump_clock: MockClock) -> None:
    phone, service = memory_stream_pair()
    transport = Transport(phone)
    ends: list[bool] = []
    transport.on_end = lambda: ends.append(True)
    await service.send_all(b"HTTP/1.1 101")
    assert await transport.receive_some() == b"HTTP/1.1 101"
    transport.discard()
    await service.send_all(b"ping")
    await service.aclose()
    assert await transport.receive_some() == b""
    assert transport.head == b"HTTP/1.1 101"
    assert ends == [True]
