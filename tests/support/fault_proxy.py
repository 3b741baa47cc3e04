"""A network that misbehaves: a TCP proxy on loopback whose faults a test changes while bytes are under way.

It sees bytes only, so it may stand before anything: the gateway, or a recognizer with TLS. Each direction of each
connection has `Faults` of its own: "up" is from whoever connects to the target, "down" is back.
"""

import contextlib
import dataclasses
import enum
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator
from random import Random
from typing import Final

import trio

from tests.support.fault_way import CLEAN, Faults, Way

__all__ = ["CLEAN", "FaultProxy", "Faults", "Link", "Refusal", "fault_proxy"]

HOST: Final = "127.0.0.1"
MAX_LINKS: Final = 1024
"""More at a time are reset: a test that loops must not eat the machine's descriptors."""
_BACKLOG: Final = 256
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: see socket(7)


class Refusal(enum.Enum):
    """What becomes of new connections."""

    NONE = "taken"
    RESET = "accepted, and reset at once"
    CLOSED_PORT = "nobody listens: ECONNREFUSED; the port stays ours"


class Link:
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, target: socket.socket, randoms: tuple[Random, Random]) -> None:
        """Takes both sockets; `run` closes them."""
        self._client = client
        self._target = target
        self._scope = trio.CancelScope()
        self._is_soft = False
        up, down = randoms
        self.up = Way(client, target, up, CLEAN, end=self._end, finished=self._finished)
        self.down = Way(target, client, down, CLEAN, end=self._end, finished=self._finished)
        self.up.back, self.down.back = self.down, self.up
        self.client_port: int = client.getpeername()[1]

    def change(self, *, up: Faults | None = None, down: Faults | None = None) -> None:
        """Have other faults from now on; None leaves a direction as it is."""
        for way, faults in ((self.up, up), (self.down, down)):
            if faults is not None:
                way.change(faults)

    def freeze(self) -> None:
        """Half-open: neither side is read, written or closed any more; whatever happens, the other does not hear."""
        self._set_frozen(True)

    def thaw(self) -> None:
        """Go on where `freeze` has stopped."""
        self._set_frozen(False)

    def reset(self) -> None:
        """RST to both ends, as soon as the proxy's tasks have run. What was queued is dropped."""
        self._end(False)

    def close(self) -> None:
        """FIN to both ends, in the middle of what was being said. What was queued is dropped."""
        self._end(True)

    async def run(self, target: tuple[str, int]) -> None:
        """Relay until both directions have ended, or the connection is cut. A target that is not there is a reset."""
        try:
            with self._scope:
                if await _connect(self._target, target):
                    async with trio.open_nursery() as nursery:
                        for name, way in (("up", self.up), ("down", self.down)):
                            nursery.start_soon(way.read, name=f"fault proxy, read {name}")
                            nursery.start_soon(way.write, name=f"fault proxy, write {name}")
        finally:
            for end in (self._client, self._target):
                if not self._is_soft:
                    _reset(end)
                end.close()

    def _set_frozen(self, is_frozen: bool) -> None:
        for way in (self.up, self.down):
            way.change(dataclasses.replace(way.faults, is_frozen=is_frozen))

    def _finished(self) -> None:
        if self.up.is_finished and self.down.is_finished:
            self._end(True)

    def _end(self, is_soft: bool) -> None:
        self._is_soft = is_soft
        self._scope.cancel()


class FaultProxy:
    """The proxy while it runs."""

    def __init__(
        self, nursery: trio.Nursery, target: tuple[str, int], seed: int, kernel_buffer_bytes: int | None
    ) -> None:
        """`fault_proxy` makes one; the nursery is its own."""
        self._nursery = nursery
        self._target = target
        self._seed = seed
        self._kernel_buffer_bytes = kernel_buffer_bytes
        self._listener = self._bound(0)
        self._listens = trio.Event()
        self._changed = trio.Event()
        self._links: list[Link] = []
        self._new = (CLEAN, CLEAN)
        self._refusal = Refusal.CLOSED_PORT
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        """Connections that were relayed, all in all."""
        self.refuse(Refusal.NONE)

    @property
    def links(self) -> tuple[Link, ...]:
        """The present connections, oldest first."""
        return tuple(self._links)

    def change_new(self, *, up: Faults | None = None, down: Faults | None = None) -> None:
        """Have these faults on connections that are yet to come."""
        old_up, old_down = self._new
        self._new = (old_up if up is None else up, old_down if down is None else down)

    def change_present(self, *, up: Faults | None = None, down: Faults | None = None) -> None:
        """Have these faults on all connections that there are."""
        for link in self._links:
            link.change(up=up, down=down)

    def change_all(self, *, up: Faults | None = None, down: Faults | None = None) -> None:
        """Have these faults on every connection, present or to come."""
        self.change_new(up=up, down=down)
        self.change_present(up=up, down=down)

    def reset_present(self) -> None:
        """RST on all connections that there are."""
        for link in self._links:
            link.reset()

    def refuse(self, refusal: Refusal) -> None:
        """What becomes of new connections; present ones go on."""
        if refusal is Refusal.CLOSED_PORT and self._refusal is not refusal:
            self._listens = trio.Event()
            trio.lowlevel.notify_closing(self._listener)
            self._listener.close()
            self._listener = self._bound(self.port)  # held, so that nobody else takes it meanwhile
        elif self._refusal is Refusal.CLOSED_PORT and refusal is not self._refusal:
            self._listener.listen(_BACKLOG)
            self._listens.set()
        self._refusal = refusal

    async def link_of(self, client_port: int) -> Link:
        """The connection that came from this port of a client; waits until it is there."""
        while True:
            for link in self._links:
                if link.client_port == client_port:
                    return link
            await self._changed.wait()

    async def accept(self) -> None:
        """Take connections until cancelled."""
        while True:
            await self._listens.wait()
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                with contextlib.suppress(trio.ClosedResourceError):  # by `refuse`
                    await trio.lowlevel.wait_readable(self._listener)
                continue
            except ConnectionAbortedError:
                continue
            self._take(client)

    def close(self) -> None:
        """Listen no more, for good."""
        self._listener.close()

    def _take(self, client: socket.socket) -> None:
        if self._refusal is Refusal.RESET or len(self._links) >= MAX_LINKS:
            _reset(client)
            client.close()
            return
        self.accepted += 1
        client.setblocking(False)
        target = self._tuned(socket.socket())
        _no_delay(client)
        _no_delay(target)
        name = f"{self._seed} {self.accepted}"
        try:
            link = Link(client, target, (Random(f"{name} up"), Random(f"{name} down")))
        except OSError:  # it has gone again
            client.close()
            target.close()
            return
        up, down = self._new
        link.change(up=up, down=down)
        self._links.append(link)
        self._nursery.start_soon(self._run, link, name="fault proxy, link")
        self._tell()

    async def _run(self, link: Link) -> None:
        try:
            await link.run(self._target)
        finally:
            self._links.remove(link)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _bound(self, port: int) -> socket.socket:
        listener = self._tuned(socket.socket())
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
        except BaseException:
            listener.close()
            raise
        return listener

    def _tuned(self, fresh: socket.socket) -> socket.socket:
        fresh.setblocking(False)
        if self._kernel_buffer_bytes is not None:  # what a listener accepts inherits it
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._kernel_buffer_bytes)
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._kernel_buffer_bytes)
        return fresh


@contextlib.asynccontextmanager
async def fault_proxy(
    target_port: int,
    *,
    target_host: str = HOST,
    up: Faults = CLEAN,
    down: Faults = CLEAN,
    seed: int = 0,
    kernel_buffer_bytes: int | None = None,
) -> AsyncIterator[FaultProxy]:
    """A proxy before `target_port`, until the end of the `async with`, which resets what is still connected.

    `up` and `down` hold for new connections. `seed` decides the jitter. With `kernel_buffer_bytes` the kernel holds
    little on both sides, so that pressure is felt early.
    """
    async with trio.open_nursery() as nursery:
        proxy = FaultProxy(nursery, (target_host, target_port), seed, kernel_buffer_bytes)
        proxy.change_new(up=up, down=down)
        try:
            nursery.start_soon(proxy.accept, name="fault proxy, accept")
            yield proxy
        finally:
            nursery.cancel_scope.cancel()
            proxy.close()


async def _connect(target: socket.socket, address: tuple[str, int]) -> bool:
    """Whether the target has answered."""
    code = target.connect_ex(address)
    if code == errno.EINPROGRESS:
        await trio.lowlevel.wait_writable(target)
        code = target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code not in (0, errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT):
        raise OSError(code, os.strerror(code))
    return code == 0


def _no_delay(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the peer was faster
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the peer was faster
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
