"""The way of a record from a stream's end into the database: memory → disk → database, each with its bound.

`put` never waits and never fails. A record is on the disk within milliseconds, whatever the database does, and it stays
there until the database has it: so an outage, an orderly stop and a crash are the same thing, and what was written
twice is there once (`writing.write_records`). Where the disk cannot be used, records go from memory to the database.

Bounds, and what happens there: MAX_QUEUE_BYTES in memory and `spool.MAX_SPOOL_BYTES` on the disk. With both full, or
with no disk and no database, a record is lost: voice_history_lost counts it, and a line at ERROR names it.
"""

import logging
import math
import random
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio
from sqlalchemy.exc import DataError, IntegrityError

from service.store.away import DatabaseAwayError
from service.store.database import Database
from service.store.records import Record, StreamRecord, UserRecord, decode_line, encode_line
from service.store.spool import Batch, Spool, SpoolDamagedError, SpoolFullError
from service.store.writing import write_records
from service.telemetry.logs import get_logger, log_event
from service.telemetry.metrics import Metrics

MAX_QUEUE_BYTES: Final = 16 * 1024 * 1024
"""In memory: 3000 streams of ten minutes that end within the time of a write to the disk."""
MAX_RECORD_BYTES: Final = 3 * 1024 * 1024
"""Of one record: MySQL 5.7 takes statements of 4 MiB by default. A day of speech has two thirds of it."""
BATCH_RECORDS: Final = 100
BATCH_BYTES: Final = 1024 * 1024
BACKOFF_S: Final = (0.5, 5.0)
"""Between attempts while the database is away: the first pause, which doubles, and the longest."""
DISK_S: Final = 5.0
"""For a disk to take or to give some records; one that hangs for longer counts as one that cannot be used."""
DISK_RETRY_S: Final = 2.0
ADOPT_EVERY_S: Final = 30.0
"""How soon what a dead neighbor on the same disk has left is taken over."""
CLOSE_S: Final = 2.0

_logger: Final = get_logger("history")


class Writer:
    """Takes records, and writes them while `run` runs."""

    def __init__(self, database: Database, directory: Path, metrics: Metrics) -> None:
        self._database = database
        self._directory = directory
        self._metrics = metrics
        self._spool: Spool | None = None
        self._opening = threading.Lock()
        """Two threads may want the spool first."""
        self._disk_is_bad = False
        self._queue: deque[bytes] = deque()
        self._queue_bytes = 0
        self._given = self._kept = 0
        """Records that were put, and that have left the queue, since the beginning."""
        self._front = trio.Lock()
        """Held by whoever takes from the queue what stays there until it is safe elsewhere."""
        self._disk = trio.CapacityLimiter(2)
        self._filled, self._moved, self._work = trio.Event(), trio.Event(), trio.Event()
        self._in_hurry = trio.Event()
        metrics.history_pending.set_function(lambda: self.pending)

    @property
    def pending(self) -> int:
        """Records that are not in the database yet."""
        return len(self._queue) + (self._spool.records if self._spool is not None else 0)

    def put(self, record: Record) -> None:
        """Take a record. Never waits, never raises."""
        line = encode_line(record)
        if len(line) > MAX_RECORD_BYTES and isinstance(record, StreamRecord):
            log_event(_logger, logging.ERROR, "history_too_long", stream=record.id, bytes=len(line))
            line = encode_line(msgspec.structs.replace(record, sentences=()))
        if self._queue_bytes + len(line) > MAX_QUEUE_BYTES:
            self._lost("full", record)
            return
        self._queue.append(line)
        self._queue_bytes += len(line)
        self._given += 1
        self._filled.set()

    async def kept(self, within_s: float) -> None:
        """Return when what was put so far is on the disk or in the database, or when the time is over.

        A disk that is known to be bad is not waited for.
        """
        aim = self._given
        with trio.move_on_after(within_s):
            while self._kept < aim and not self._disk_is_bad:
                await self._moved.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until cancelled; then what is left stays on the disk. Reports started at once."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_spooling, name="history to disk")
                nursery.start_soon(self._keep_writing, name="history to database")
                nursery.start_soon(self._keep_adopting, name="history of dead neighbors")
                task_status.started()
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await trio.to_thread.run_sync(self._close, tuple(self._queue), abandon_on_cancel=True)

    async def flush(self, within_s: float) -> None:
        """Wait for what is pending, and tell what could not be written. Nothing may be put meanwhile or later."""
        self._in_hurry.set()
        began = trio.current_time()
        with trio.move_on_after(within_s):
            while self.pending:
                await self._moved.wait()
        for line in self._queue:  # neither the disk nor the database took it
            self._lost("stopped", decode_line(line))
        waiting = self._spool.records if self._spool is not None else 0
        if waiting:
            log_event(_logger, logging.WARNING, "history_left_on_disk", records=waiting)
        log_event(
            _logger,
            logging.INFO,
            "history_flushed",
            on_disk=waiting,
            lost=len(self._queue),
            lasted_ms=round((trio.current_time() - began) * 1000),
        )

    # -- to the disk --------------------------------------------------------------------------------------------------

    async def _keep_spooling(self) -> None:
        while True:
            await self._filled.wait()
            self._filled = trio.Event()
            while self._queue:
                async with self._front:
                    lines = self._first_lines()
                    is_spooled = not lines or await self._append(lines)
                    if lines and is_spooled:
                        self._drop(len(lines))
                if not is_spooled:
                    await trio.sleep(DISK_RETRY_S)

    async def _append(self, lines: Sequence[bytes]) -> bool:
        try:
            with trio.fail_after(DISK_S):  # it may still be done later: what is there twice is written once
                await trio.to_thread.run_sync(self._opened_append, lines, abandon_on_cancel=True, limiter=self._disk)
        except (OSError, SpoolFullError, trio.TooSlowError) as error:
            if not self._disk_is_bad:
                log_event(_logger, logging.ERROR, "history_disk_unusable", error=error)
            self._disk_is_bad = True
            self._note_moved()
            return False
        if self._disk_is_bad:
            log_event(_logger, logging.WARNING, "history_disk_usable")
        self._disk_is_bad = False
        self._metrics.history_spooled.inc(len(lines))
        return True

    def _opened_append(self, lines: Sequence[bytes]) -> None:
        self._opened().append(lines)

    def _opened(self) -> Spool:
        with self._opening:
            if self._spool is None:
                self._spool = Spool(self._directory)
            return self._spool

    def _first_lines(self) -> list[bytes]:
        lines: list[bytes] = []
        size = 0
        for line in self._queue:
            if lines and (size + len(line) > BATCH_BYTES or len(lines) >= BATCH_RECORDS):
                break
            lines.append(line)
            size += len(line)
        return lines

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._queue_bytes -= len(self._queue.popleft())
        self._kept += count
        self._note_moved()

    def _note_moved(self) -> None:
        self._moved.set()
        self._moved = trio.Event()
        self._work.set()

    async def _keep_adopting(self) -> None:
        while True:
            try:
                adopted = await trio.to_thread.run_sync(self._adopt, abandon_on_cancel=True, limiter=self._disk)
            except OSError as error:
                log_event(_logger, logging.WARNING, "history_not_adopted", error=error)
            else:
                if adopted:
                    log_event(_logger, logging.INFO, "history_adopted", records=adopted)
            self._work.set()  # some may have been taken over, and others not
            await trio.sleep(ADOPT_EVERY_S)

    def _adopt(self) -> int:
        if self._spool is None:
            return self._opened().records
        return self._spool.adopt()

    # -- to the database ----------------------------------------------------------------------------------------------

    async def _keep_writing(self) -> None:
        pause_s = BACKOFF_S[0]
        while True:
            self._work = trio.Event()
            try:
                if not await self._write_some():
                    with trio.move_on_after(DISK_RETRY_S if self.pending else math.inf):
                        await self._work.wait()
                pause_s = BACKOFF_S[0]
            except DatabaseAwayError:
                with trio.move_on_after(pause_s * random.uniform(0.7, 1.3)):  # noqa: S311 - spreads load
                    await self._in_hurry.wait()
                    await trio.sleep(BACKOFF_S[0])
                pause_s = min(2 * pause_s, BACKOFF_S[1])

    async def _write_some(self) -> bool:
        """Write the oldest records; returns whether there were any. Raises DatabaseAwayError."""
        spool = self._spool
        batch = None if spool is None else await self._next_batch(spool)
        if spool is not None and batch is not None:
            if batch.is_torn:
                log_event(_logger, logging.WARNING, "history_torn_line")
            await self._write_lines(batch.lines)
            await self._remove(spool, batch)
            return True
        if not (self._disk_is_bad and self._queue):
            return await self._is_greeted()
        async with self._front:
            lines = self._first_lines()
            await self._write_lines(lines)
            self._drop(len(lines))
        return True

    async def _is_greeted(self) -> bool:
        """Nothing is to be written: bring the tables up to date where that was not done. Raises DatabaseAwayError."""
        if not self._database.is_ready:
            await self._database.write(write_records, [])
        return False

    async def _next_batch(self, spool: Spool) -> Batch | None:
        try:
            with trio.fail_after(DISK_S):
                return await trio.to_thread.run_sync(
                    spool.next, BATCH_RECORDS, BATCH_BYTES, abandon_on_cancel=True, limiter=self._disk
                )
        except SpoolDamagedError as damage:
            self._lost("damaged", count=damage.records)
        except (OSError, trio.TooSlowError) as error:
            log_event(_logger, logging.ERROR, "history_disk_unreadable", error=error)
        return None

    async def _remove(self, spool: Spool, batch: Batch) -> None:
        try:
            await trio.to_thread.run_sync(spool.remove, batch, abandon_on_cancel=True, limiter=self._disk)
        except OSError as error:  # it is passed over here, and harmless to whoever finds it
            log_event(_logger, logging.WARNING, "history_not_removed", error=error)
        self._note_moved()

    async def _write_lines(self, lines: Sequence[bytes]) -> None:
        records = []
        for line in lines:
            try:
                records.append(decode_line(line))
            except (msgspec.DecodeError, UnicodeDecodeError):
                self._lost("damaged")
        began = trio.current_time()
        try:
            written = await self._database.write(write_records, records)
        except (DataError, IntegrityError):
            written = await self._write_singly(records)
        self._metrics.history_seconds.observe(trio.current_time() - began)
        self._metrics.history_written.inc(written)

    async def _write_singly(self, records: Sequence[Record]) -> int:
        """So that one record that the database does not take does not keep the others out."""
        written = 0
        for record in records:
            try:
                written += await self._database.write(write_records, [record])
            except (DataError, IntegrityError) as error:
                self._lost("refused", record, error=error)
        return written

    def _lost(self, reason: str, record: Record | None = None, count: int = 1, error: Exception | None = None) -> None:
        self._metrics.history_lost.labels(reason).inc(count)
        kind = "user" if isinstance(record, UserRecord) else "stream"
        named = {kind: record.id} if record is not None else {}
        log_event(_logger, logging.ERROR, "history_lost", error=error, reason=reason, records=count, **named)

    def _close(self, left: Sequence[bytes]) -> None:
        """In a thread, with what is left in the queue: nothing where there was time for `flush`."""
        try:
            if left:
                self._opened().append(left)
        except (OSError, SpoolFullError) as error:
            if not self._in_hurry.is_set():  # else `flush` has told it
                self._lost("stopped", count=len(left), error=error)
        if self._spool is not None:
            self._spool.close()
        self._database.close()
