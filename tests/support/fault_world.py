"""Both ends of connections through the fault proxy, in the hands of a test."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import trio

from tests.support.fault_proxy import FaultProxy, Faults, Link, fault_proxy

HANG_S = 30.0


@dataclass(frozen=True)
class World:
    """The proxy, and a target whose accepted ends the test holds."""

    proxy: FaultProxy
    target: trio.SocketListener

    async def connect(self) -> "Talk":
        client = await trio.open_tcp_stream("127.0.0.1", self.proxy.port)
        server = await self.target.accept()
        return Talk(client, server, await self.proxy.link_of(client.socket.getsockname()[1]))


@dataclass(frozen=True)
class Talk:
    """Both ends of a connection, and what is between them."""

    client: trio.SocketStream
    server: trio.SocketStream
    link: Link

    async def close(self) -> None:
        for end in (self.client, self.server):
            await trio.aclose_forcefully(end)

    async def check_it_works(self) -> None:
        """One message each way, and nothing else came before."""
        await self.client.send_all(b"ping")
        assert await exactly(self.server, 4) == b"ping"
        await self.server.send_all(b"pong")
        assert await exactly(self.client, 4) == b"pong"


@contextlib.asynccontextmanager
async def world(**options: int | Faults) -> AsyncIterator[World]:
    with trio.fail_after(HANG_S):
        (target,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with target, fault_proxy(target.socket.getsockname()[1], **options) as proxy:  # type: ignore[arg-type]
            yield World(proxy, target)


async def exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """So many bytes, or those that came until the end."""
    got = bytearray()
    while len(got) < count:
        data = await stream.receive_some(count - len(got))
        if not data:
            break
        got += data
    return bytes(got)


async def to_the_end(stream: trio.SocketStream) -> tuple[bytes, str]:
    """Everything that comes, and how it ends."""
    got = bytearray()
    try:
        async for data in stream:
            got += data
    except trio.BrokenResourceError:
        return bytes(got), "reset"
    return bytes(got), "closed"


async def part(stream: trio.SocketStream, *, is_reset: bool) -> None:
    if is_reset:
        stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    await trio.aclose_forcefully(stream)
