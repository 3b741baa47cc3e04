"""Records on the disk: kept through a crash, in order, and never taken from the living."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.store import spool as module
from service.store.spool import Spool, SpoolDamagedError, SpoolFullError
from tests.support.processes import ROOT


def lines(*numbers: int) -> list[bytes]:
    return [f"line {number}\n".encode() for number in numbers]


def drained(spool: Spool, most: int = 2) -> list[bytes]:
    taken: list[bytes] = []
    while (batch := spool.next(most, 1000)) is not None:
        taken += batch.lines
        spool.remove(batch)
    return taken


def test_lines_come_back_in_order_and_are_gone_then(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new" / "spool", segment_bytes=40)
    for number in range(20):
        spool.append(lines(number))
    assert spool.records == 20
    assert len(list((tmp_path / "new" / "spool").glob("*.jsonl"))) > 3
    assert drained(spool) == lines(*range(20))
    assert spool.records == 0
    spool.append(lines(20))
    assert drained(spool) == lines(20)
    assert sum(path.stat().st_size for path in (tmp_path / "new" / "spool").iterdir()) == 0
    spool.close()
    assert list((tmp_path / "new" / "spool").iterdir()) == []


def test_what_was_not_removed_comes_again(tmp_path: Path) -> None:
    """A crash between the database's commit and the removal: the database knows these already."""
    spool = Spool(tmp_path)
    spool.append(lines(1, 2, 3))
    first = spool.next(2, 1000)
    assert first is not None
    assert first.lines == tuple(lines(1, 2))
    assert spool.next(2, 1000) == first
    spool.remove(first)
    assert spool.records == 1
    spool.close()
    heir = Spool(tmp_path)
    assert heir.records == 3  # the place within a segment is not remembered
    heir.append(lines(4))
    assert drained(heir) == lines(1, 2, 3, 4)


def test_the_living_are_left_alone(tmp_path: Path) -> None:
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.append(lines(1))
    assert other.adopt() == 0
    assert other.next(9, 1000) is None
    one.close()
    third = Spool(tmp_path)
    assert (other.adopt(), third.records) == (0, 1)
    assert drained(third) == lines(1)
    third.close()
    other.close()
    assert list(tmp_path.iterdir()) == []


_WRITES_AND_WAITS = """
import sys
from pathlib import Path
from service.store.spool import Spool
spool = Spool(Path(sys.argv[1]))
spool.append([b"line 1\\n", b"line 2\\n"])
print("there", flush=True)
sys.stdin.read()
"""


def test_a_process_that_was_killed_leaves_its_lines_to_another(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WRITES_AND_WAITS, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"there\n"
        heir = Spool(tmp_path)
        assert heir.records == 0
        (segment,) = tmp_path.glob("*.jsonl")
        with segment.open("ab") as file:
            file.write(b"line 3, which was not fin")
        killed.kill()
        killed.wait()
    heir.append(lines(9))
    assert heir.adopt() == 2
    assert heir.adopt() == 0
    batch = heir.next(9, 1000)
    assert batch is not None
    assert (batch.lines, batch.is_torn) == (tuple(lines(1, 2)), True)
    heir.remove(batch)
    assert drained(heir) == lines(9)
    heir.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_spool_says_so(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=20)
    spool.append(lines(1, 2))
    with pytest.raises(SpoolFullError):
        spool.append(lines(3))
    assert drained(spool) == lines(1, 2)
    spool.append(lines(3))


@pytest.mark.parametrize("can_cut", [True, False])
def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can_cut: bool) -> None:
    spool = Spool(tmp_path)
    spool.append(lines(1))

    def full(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[:4])
        raise OSError(errno.ENOSPC, "no space left")

    def refuses(descriptor: int, length: int) -> None:
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_all", full)
        if not can_cut:
            patched.setattr(os, "ftruncate", refuses)
        with pytest.raises(OSError, match="no space"):
            spool.append(lines(2))
    spool.append(lines(3))
    assert drained(spool) == lines(1, 3)
    spool.append(lines(4))
    assert drained(spool) == lines(4)


def test_a_segment_that_somebody_deleted_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(lines(1, 2))
    (segment,) = tmp_path.glob("*.jsonl")
    segment.unlink()
    with pytest.raises(SpoolDamagedError) as told:
        spool.next(9, 1000)
    assert told.value.records == 2
    spool.append(lines(3))
    assert drained(spool) == lines(3)


def test_a_segment_that_somebody_cut_is_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(lines(1, 2))
    (segment,) = tmp_path.glob("*.jsonl")
    os.truncate(segment, 10)
    with pytest.raises(SpoolDamagedError):
        spool.next(9, 1000)


def test_after_its_end_nothing_is_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.close()
    with pytest.raises(OSError, match="closed"):
        spool.append(lines(1))


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append(lines(1))
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "spool").iterdir()} == {0o600}
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_a_foreign_file_that_cannot_be_opened_costs_nothing(tmp_path: Path) -> None:
    """One of another user's, after a release that runs as a different one: root may open it, so a folder stands in."""
    foreign = tmp_path / f"{'a' * 32}.lock"
    foreign.mkdir()
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    spools = [Spool(tmp_path) for _ in range(3)]
    for number, spool in enumerate(spools):
        spool.append(lines(number))
        with pytest.raises(IsADirectoryError):
            spool.adopt()
        assert drained(spool) == lines(number)
        spool.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    assert list(tmp_path.iterdir()) == [foreign]


def test_what_cannot_be_read_now_is_taken_over_later(tmp_path: Path) -> None:
    (tmp_path / f"{'a' * 32}.lock").touch()
    left = tmp_path / f"{'a' * 32}.00000001.jsonl"
    left.mkdir()
    spool = Spool(tmp_path)
    with pytest.raises(IsADirectoryError):
        spool.adopt()
    left.rmdir()
    left.write_bytes(b"".join(lines(1)))
    assert spool.adopt() == 1
    assert drained(spool) == lines(1)
