"""Records on their way to the database, in files: what is there survives a database's outage and our own death.

Each process has segments of its own in the directory, `<name>.<number>.jsonl`, and holds a lock on `<name>.lock` for as
long as it lives. What a dead process has left is taken over, by whoever gets its lock first. A line is in a segment
until its record is in the database; after a crash some may be written a second time, which changes nothing there.

All of this blocks, and is for worker threads. One thread may append while another reads and removes.
"""

import contextlib
import errno
import fcntl
import os
import re
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SEGMENT_BYTES: Final = 4 * 1024 * 1024
"""What is written again at most after a crash, for each process."""
MAX_SPOOL_BYTES: Final = 256 * 1024 * 1024
"""Of one process; 50,000 streams of ten minutes, or a million of a few sentences."""
_NAMES: Final = re.compile(r"([0-9a-f]{32})\.(\d{8})\.jsonl")


class SpoolFullError(Exception):
    """MAX_SPOOL_BYTES of records wait for the database."""


class SpoolDamagedError(Exception):
    """A segment is gone, or shorter than it was: `records` of ours are lost with it."""

    def __init__(self, records: int) -> None:
        super().__init__(records)
        self.records = records


@dataclass(eq=False)
class _Segment:
    path: Path
    size_bytes: int
    """What is known to be on the disk."""
    records: int
    read_to: int = 0
    is_own: bool = True

    @property
    def is_done(self) -> bool:
        return self.read_to >= self.size_bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to be written next, and where they end."""

    lines: tuple[bytes, ...]
    path: Path
    end: int
    is_torn: bool = False
    """A dead process's last line follows, which it did not finish, and never said to have; it is passed over."""


class Spool:
    """The segments of this process, and those that it has taken over."""

    def __init__(
        self, directory: Path, *, max_bytes: int = MAX_SPOOL_BYTES, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Makes the directory where it is not there, and takes what others have left. Raises OSError.

        What cannot be taken is told by `adopt` when it is called again: it is no reason to do without this directory.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._name = uuid.uuid4().hex
        self._number = 0
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._writing: int | None = None
        self._is_closed = False
        self._locks = {self._name: _new_lock(directory, self._name)}
        with contextlib.suppress(OSError):
            self.adopt()

    @property
    def records(self) -> int:
        """How many wait."""
        return sum(segment.records for segment in self._segments)

    def adopt(self) -> int:
        """Take over what dead processes have left; returns how many records that are.

        Raises OSError after all others, where something cannot be opened: another user's, for example.
        """
        found = 0
        failure: OSError | None = None
        for lock in sorted(self._directory.glob("*.lock")):
            if lock.stem in self._locks or not re.fullmatch("[0-9a-f]{32}", lock.stem):
                continue
            try:
                descriptor = _lock_of_the_dead(lock)
                if descriptor is None:
                    continue
                left = self._left_of(lock.stem, descriptor)
            except OSError as error:
                failure = error
                continue
            self._locks[lock.stem] = descriptor
            with self._lock:
                foreign = [one for one in self._segments if not one.is_own]
                own = [one for one in self._segments if one.is_own]
                self._segments = [*foreign, *left, *own]  # before our own: they are older
            found += sum(segment.records for segment in left)
            if not left:
                self._give_back(lock.stem)
        if failure is not None:
            raise failure
        return found

    def _left_of(self, name: str, descriptor: int) -> list[_Segment]:
        """Its segments; when they cannot be read now, its lock is let go."""
        try:
            return [_left_behind(path) for path in self._paths(name)]
        except OSError:
            os.close(descriptor)
            raise

    def append(self, lines: Sequence[bytes]) -> None:
        """Put these lines on the disk; when it returns they are there. Raises OSError and SpoolFullError."""
        data = b"".join(lines)
        with self._lock:
            if self._is_closed:
                raise OSError(errno.EBADF, "the spool is closed")
            if sum(segment.size_bytes for segment in self._segments) + len(data) > self._max_bytes:
                raise SpoolFullError
            segment, descriptor = self._own_segment(len(data))
            try:
                _write_all(descriptor, data)
                os.fdatasync(descriptor)
            except OSError:
                try:
                    os.ftruncate(descriptor, segment.size_bytes)  # half a line may be there
                except OSError:
                    self._seal()  # nothing comes behind it: what is read ends at `size_bytes`
                raise
            segment.size_bytes += len(data)
            segment.records += len(lines)

    def next(self, most_lines: int, most_bytes: int) -> Batch | None:
        """The oldest lines, at least one and otherwise no more than this; None when there are none.

        Raises OSError, and SpoolDamagedError for a segment that is then given up.
        """
        with self._lock:
            segment = next((one for one in self._segments if not one.is_done), None)
            if segment is None:
                return None
            place, end = segment.read_to, segment.size_bytes
        lines: list[bytes] = []
        try:
            with segment.path.open("rb") as file:
                file.seek(place)
                while place < end and len(lines) < most_lines and (not lines or place - segment.read_to < most_bytes):
                    line = file.readline(end - place)
                    if not line.endswith(b"\n"):
                        if segment.is_own:
                            raise self._gave_up(segment)
                        return Batch(tuple(lines), segment.path, end, is_torn=True)
                    lines.append(line)
                    place += len(line)
        except FileNotFoundError:
            raise self._gave_up(segment) from None
        return Batch(tuple(lines), segment.path, place)

    def _gave_up(self, segment: _Segment) -> SpoolDamagedError:
        with self._lock:
            if self._segments[-1] is segment:
                self._seal()
            self._segments.remove(segment)
        return SpoolDamagedError(segment.records)

    def remove(self, batch: Batch) -> None:
        """These are in the database: take them off the disk. Raises OSError."""
        with self._lock:
            for segment in self._segments:
                if segment.path == batch.path:
                    segment.read_to = batch.end
                    segment.records = 0 if segment.is_done else segment.records - len(batch.lines)
            self._forget_done()

    def close(self) -> None:
        """Give the locks back, so that others can take what is left. Raises OSError."""
        with self._lock:
            self._is_closed = True
            self._seal()
            self._forget_done()
            for name in tuple(self._locks):
                self._give_back(name, is_last=True)

    def _forget_done(self) -> None:
        done = [one for one in self._segments if one.is_done]
        for segment in done:
            if self._writing is not None and segment is self._segments[-1] and segment.is_own:
                os.ftruncate(self._writing, 0)  # words do not stay on this disk
                segment.size_bytes = segment.read_to = 0
                continue
            segment.path.unlink(missing_ok=True)
            self._segments.remove(segment)
            self._give_back(segment.path.name.partition(".")[0])

    def _own_segment(self, more_bytes: int) -> tuple[_Segment, int]:
        """The one that has room, or a new one; and its descriptor."""
        if self._writing is not None and self._segments[-1].size_bytes + more_bytes <= self._segment_bytes:
            return self._segments[-1], self._writing
        self._seal()
        self._number += 1
        path = self._directory / f"{self._name}.{self._number:08d}.jsonl"
        self._writing = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        segment = _Segment(path, 0, 0)
        self._segments.append(segment)
        _sync_directory(self._directory)
        return segment, self._writing

    def _seal(self) -> None:
        descriptor, self._writing = self._writing, None
        if descriptor is not None:
            os.close(descriptor)

    def _paths(self, name: str) -> Iterable[Path]:
        return sorted(path for path in self._directory.glob(f"{name}.*.jsonl") if _NAMES.fullmatch(path.name))

    def _give_back(self, name: str, *, is_last: bool = False) -> None:
        """Let a lock go. Its file goes first, and only with the last segment: nobody may find these without it."""
        if not is_last and (name == self._name or any(self._paths(name))):
            return
        if not any(self._paths(name)):
            (self._directory / f"{name}.lock").unlink(missing_ok=True)
        descriptor = self._locks.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)


def _new_lock(directory: Path, name: str) -> int:
    """A lock file that nobody has seen unlocked, and a descriptor that holds its lock."""
    hidden = directory / f"{name}.new"
    descriptor = os.open(hidden, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(directory / f"{name}.lock")
    except OSError:  # it is tried again every few seconds
        os.close(descriptor)
        hidden.unlink(missing_ok=True)
        raise
    return descriptor


def _lock_of_the_dead(path: Path) -> int | None:
    """A descriptor that holds the lock; None when a living process has it, or another one was faster."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _left_behind(path: Path) -> _Segment:
    with path.open("rb") as file:
        records = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1024 * 1024), b""))
    return _Segment(path, path.stat().st_size, records, is_own=False)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_directory(directory: Path) -> None:
    """A new file's name is on the disk only with its directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
