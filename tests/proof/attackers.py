"""Malformed connections on real sockets, so many at a time."""

import enum
import re
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import trio

from tests.proof.attack import Attack, Leave
from tests.proof.generator import attack

AT_A_TIME: Final = 200
DEADLINE_S: Final = 30.0
"""For one connection, all waits included. The gateway's own longest is 10 s for a head; the rest is a guard."""
LOITER_S: Final = 0.1
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) ")


class Ended(enum.Enum):
    """How a connection ended."""

    BY_GATEWAY = "by the gateway"
    BY_US = "by us"
    OVERDUE = "overdue"
    """The gateway should have ended it and did not within DEADLINE_S."""


@dataclass
class Tally:
    """What became of the connections."""

    ends: Counter[tuple[str, Ended]] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    """The first HTTP status of each connection that was answered."""
    internal_errors: list[int] = field(default_factory=list)
    """The numbers of the connections that were answered with 500."""

    @property
    def connections(self) -> int:
        """How many there were."""
        return self.ends.total()

    @property
    def overdue(self) -> list[str]:
        """The kinds of connections that were not ended in time."""
        return sorted(kind for kind, ended in self.ends if ended is Ended.OVERDUE)

    def by_end(self, ended: Ended) -> int:
        """How many ended so."""
        return sum(count for (_, found), count in self.ends.items() if found is ended)


async def assault(port: int, seed: int, numbers: range, tally: Tally) -> None:
    """Make the connections of these numbers, AT_A_TIME at once, and count what becomes of them."""
    waiting = iter(numbers)
    async with trio.open_nursery() as nursery:
        for _ in range(min(AT_A_TIME, len(numbers))):
            nursery.start_soon(_make_some, port, seed, waiting, tally)


async def _make_some(port: int, seed: int, numbers: Iterator[int], tally: Tally) -> None:
    for number in numbers:
        await _Connection(number, attack(seed, number), tally).make(port)


class _Connection:
    def __init__(self, number: int, plan: Attack, tally: Tally) -> None:
        self._number = number
        self._plan = plan
        self._tally = tally
        self._socket = trio.socket.socket()
        self._was_answered = False

    async def make(self, port: int) -> None:
        """The whole connection. Raises OSError when the gateway does not accept it."""
        ended = Ended.OVERDUE
        with self._socket, trio.move_on_after(DEADLINE_S):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._socket.connect(("127.0.0.1", port))
            try:
                ended = await self._converse()
            except (ConnectionResetError, BrokenPipeError):
                ended = Ended.BY_GATEWAY
        self._tally.ends[self._plan.kind, ended] += 1

    async def _converse(self) -> Ended:
        for piece in self._plan.pieces:
            await self._send(piece.data)
            if piece.listen_s:
                with trio.move_on_after(piece.listen_s):
                    if not await self._listen():
                        return Ended.BY_GATEWAY
        match self._plan.leave:
            case Leave.CLOSE:
                return Ended.BY_US
            case Leave.RESET:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                return Ended.BY_US
            case Leave.LOITER:
                with trio.move_on_after(LOITER_S):
                    await self._listen_to_the_end()
                    return Ended.BY_GATEWAY
                return Ended.BY_US
            case Leave.HALF_CLOSE:
                try:
                    self._socket.shutdown(socket.SHUT_WR)
                except OSError:  # ENOTCONN: the gateway was faster
                    return Ended.BY_GATEWAY
        await self._listen_to_the_end()
        return Ended.BY_GATEWAY

    async def _send(self, data: bytes) -> None:
        with memoryview(data) as left:
            sent = 0
            while sent < len(left):
                sent += await self._socket.send(left[sent:])

    async def _listen_to_the_end(self) -> None:
        while await self._listen():
            pass

    async def _listen(self) -> bytes:
        data = await self._socket.recv(65_536)
        if data and not self._was_answered:
            self._was_answered = True
            status = _STATUS.match(data)
            assert status is not None, (self._plan.kind, data[:80])
            self._tally.statuses[int(status[1])] += 1
            if status[1] == b"500":
                self._tally.internal_errors.append(self._number)
        return data
