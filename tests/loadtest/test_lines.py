"""Lines out of a stream, however it was cut."""

from itertools import pairwise

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from loadtest.lines import Lines, LineTooLong


class Pieces(trio.abc.ReceiveStream):
    """A stream that gives its pieces one by one, then its end."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._pieces.pop(0) if self._pieces else b""

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def all_of(pieces: list[bytes], max_bytes: int = 100) -> list[bytes]:
    lines = Lines(Pieces(pieces), max_bytes)
    found = []
    while (line := await lines.next()) is not None:
        found.append(line)
    return found


@given(
    lines=st.lists(st.binary(max_size=20).map(lambda line: line.replace(b"\n", b""))),
    cuts=st.lists(st.integers(0, 200)),
)
def test_every_line_comes_once(lines: list[bytes], cuts: list[int]) -> None:
    wire = b"".join(line + b"\n" for line in lines)
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[begin:end] for begin, end in pairwise(places)]
    assert trio.run(all_of, pieces) == lines


async def test_a_piece_of_a_line_at_the_end_is_none() -> None:
    assert await all_of([b"one\ntw", b"o"]) == [b"one"]


async def test_a_line_without_end_is_not_kept() -> None:
    with pytest.raises(LineTooLong):
        await all_of([b"x" * 60, b"x" * 60, b"\n"])
