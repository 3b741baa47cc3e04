"""One direction of a connection through the fault proxy: what is read on one side, when and whether it is written.

A reader and a writer with a bounded queue between them. Every wait of theirs ends when a fault changes, and what is to
be done is decided anew: so a fault holds for bytes that are under way already.
"""

import collections
import dataclasses
import enum
import functools
import math
import socket
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import trio

MAX_QUEUE_BYTES: Final = 256 * 1024
"""What one direction holds at most: 8 s of 16 kHz PCM. Behind it the sender feels the pressure."""
_CHUNK_BYTES: Final = 64 * 1024
_RATE_PIECE_S: Final = 0.02
"""With a limited rate this much time's worth is written at once."""


@dataclasses.dataclass(frozen=True, slots=True)
class Faults:
    """What is wrong with one direction. The default is nothing."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """On top of the latency, drawn for each piece that was read. Bytes stay in order, as TCP has it."""
    bytes_per_s: float | None = None
    slice_bytes: int | None = None
    """Written in pieces of this size."""
    slice_gap_s: float = 0.0
    """Between two pieces, so that the receiver can see them apart."""
    is_lost: bool = False
    """One-way loss: everything is taken and swallowed, an end too. What is swallowed does not come back."""
    is_frozen: bool = False
    """Nothing is read, written or ended. When it is over, it goes on where it was: as after a loss that TCP repairs."""
    cut_at_bytes: int | None = None
    """The connection is reset when this many bytes have passed since its beginning."""
    is_soft_cut: bool = False
    """The cut is an orderly close in the middle of what was being said."""

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be meant."""
        if min(self.latency_s, self.jitter_s, self.slice_gap_s, self.cut_at_bytes or 0) < 0:
            raise ValueError("a time or a count below zero")
        if any(most is not None and most <= 0 for most in (self.bytes_per_s, self.slice_bytes)):
            raise ValueError("a rate or a size of nothing: that would be is_frozen")


CLEAN: Final = Faults()


class _End(enum.Enum):
    EOF = "the sender has no more"
    RESET = "the sender is gone"


@dataclasses.dataclass(slots=True)
class _Piece:
    what: memoryview | _End
    read_at: float
    chance: float
    """From 0 to 1: its share of the jitter."""


class Way:
    """One direction. Reads and writes until cancelled, by whoever is told that it has ended."""

    def __init__(
        self,
        source: socket.socket,
        sink: socket.socket,
        random: Random,
        faults: Faults,
        *,
        end: Callable[[bool], None],
        finished: Callable[[], None],
    ) -> None:
        """Neither socket blocks, and neither is closed here.

        `end` is called to end the whole connection, softly or not; `finished` when the sender's own end was dealt with.
        """
        self._source = source
        self._sink = sink
        self._random = random
        self._faults = faults
        self._end = end
        self._finished = finished
        self._queue: collections.deque[_Piece] = collections.deque()
        self._waits: set[trio.CancelScope] = set()
        self._free_at = -math.inf
        self._sink_is_gone = False
        self.back: Way | None = None
        """The other direction of the connection."""
        self.is_finished = False
        """An end of the sender was passed on or swallowed."""
        self.queued_bytes = 0
        self.delivered_bytes = 0
        self.lost_bytes = 0
        self.writes = 0

    @property
    def faults(self) -> Faults:
        """What is in force."""
        return self._faults

    def change(self, faults: Faults) -> None:
        """Have other faults from now on, for what is queued too."""
        self._faults = faults
        self._free_at = -math.inf
        self._tell()

    async def read(self) -> None:
        """Queue what comes, until it ends."""
        while not self._has_end:
            room_bytes = MAX_QUEUE_BYTES - self.queued_bytes
            if self._faults.is_frozen or room_bytes <= 0:
                await self._wait()
                continue
            try:
                data = self._source.recv(min(room_bytes, _CHUNK_BYTES))
            except BlockingIOError:
                await self._wait(functools.partial(trio.lowlevel.wait_readable, self._source))
                continue
            except OSError:
                self.source_is_gone()
                return
            self._queue_up(memoryview(data) if data else _End.EOF)
            await trio.lowlevel.checkpoint()

    async def write(self) -> None:
        """Pass on what is queued, as the faults have it. Runs until cancelled."""
        while True:
            faults = self._faults
            if faults.cut_at_bytes is not None and self.delivered_bytes >= faults.cut_at_bytes:
                self._end(faults.is_soft_cut)
                await trio.sleep_forever()
            if faults.is_frozen or not self._queue:
                await self._wait()
                continue
            piece = self._queue[0]
            if faults.is_lost or self._sink_is_gone:
                self._swallow(piece)
                continue
            due_at = max(self._free_at, piece.read_at + faults.latency_s + faults.jitter_s * piece.chance)
            if due_at > trio.current_time():
                await self._wait(until=due_at)
            elif isinstance(piece.what, _End):
                self._pass_end(piece.what)
            else:
                await self._pass(piece, piece.what[: self._most_bytes(faults)])

    def source_is_gone(self) -> None:
        """The sender was reset: that is passed on behind what it has sent."""
        if not (self._queue and self._queue[-1].what is _End.RESET):
            self._queue_up(_End.RESET)

    @property
    def _has_end(self) -> bool:
        return self.is_finished or bool(self._queue and isinstance(self._queue[-1].what, _End))

    def _queue_up(self, what: memoryview | _End) -> None:
        self._queue.append(_Piece(what, trio.current_time(), self._random.random()))
        if not isinstance(what, _End):
            self.queued_bytes += len(what)
        self._tell()

    async def _pass(self, piece: _Piece, data: memoryview) -> None:
        try:
            count = self._sink.send(data)
        except BlockingIOError:
            await self._wait(functools.partial(trio.lowlevel.wait_writable, self._sink))
            return
        except OSError:
            self._lose_sink()
            return
        self.writes += 1
        self.delivered_bytes += count
        self._drop_front(piece, count)
        faults, now = self._faults, trio.current_time()
        self._free_at = max(self._free_at, now)
        if faults.bytes_per_s is not None:
            self._free_at += count / faults.bytes_per_s
        if faults.slice_bytes is not None:
            self._free_at += faults.slice_gap_s
        await trio.lowlevel.checkpoint()

    def _pass_end(self, end: _End) -> None:
        self._queue.popleft()
        if end is _End.RESET:
            self._end(False)
            return
        try:
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:
            self._lose_sink()
        self._finish()

    def _swallow(self, piece: _Piece) -> None:
        if isinstance(piece.what, _End):
            self._queue.popleft()
            self._finish()
        else:
            count = len(piece.what)
            self.lost_bytes += count
            self._drop_front(piece, count)

    def _drop_front(self, piece: _Piece, count: int) -> None:
        assert isinstance(piece.what, memoryview)
        self.queued_bytes -= count
        if count == len(piece.what):
            self._queue.popleft()
        else:
            piece.what = piece.what[count:]
        self._tell()

    def _most_bytes(self, faults: Faults) -> int:
        most = [_CHUNK_BYTES]
        if faults.slice_bytes is not None:
            most.append(faults.slice_bytes)
        if faults.bytes_per_s is not None:
            most.append(max(1, int(faults.bytes_per_s * _RATE_PIECE_S)))
        if faults.cut_at_bytes is not None:
            most.append(faults.cut_at_bytes - self.delivered_bytes)
        return min(most)

    def _lose_sink(self) -> None:
        """The receiver was reset: its own direction tells the sender, if it gets through."""
        self._sink_is_gone = True
        if self.back is not None:
            self.back.source_is_gone()

    def _finish(self) -> None:
        self.is_finished = True
        self._finished()

    async def _wait(
        self, event: Callable[[], Awaitable[None]] = trio.sleep_forever, *, until: float = math.inf
    ) -> None:
        """Until the event, the time, or any change: the caller looks again at everything."""
        with trio.CancelScope(deadline=until) as scope:
            self._waits.add(scope)
            try:
                await event()
            finally:
                self._waits.discard(scope)

    def _tell(self) -> None:
        for scope in self._waits:
            scope.cancel()
