"""Mp3 in any cut into whole frames: none lost, none made up, every byte accounted for."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stream.mp3 import Frame, Header, Splitter, begins_mp3, header_at
from tests.support.recordings import id3

NOISE = random.Random(3).randbytes(20_000)


def frame(number: int = 0, *, head: bytes = b"\xff\xf3\x48\xc0", begin: int = 0) -> bytes:
    """MPEG 2, 16 kHz, mono, 32 kbit/s: 144 bytes, told apart by a number."""
    header = header_at(head)
    assert header
    return (head + bytes([begin]) + number.to_bytes(2, "big")).ljust(header.length_bytes, b"\x55")


def split(data: bytes, cuts: list[int]) -> tuple[list[bytes], Splitter]:
    splitter = Splitter()
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    frames = [found for start, end in pairwise(places) for found in splitter.feed(data[start:end])]
    return [found.data for found in frames], splitter


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("fffb9064", Header(417, 1152, 44100, 2, False, False)),
        ("fffb9264", Header(418, 1152, 44100, 2, False, False)),
        ("fffa90c4", Header(417, 1152, 44100, 1, False, True)),
        ("fffbe8c0", Header(1440, 1152, 32000, 1, False, False)),
        ("fff348c4", Header(144, 576, 16000, 1, True, False)),
        ("fff36804", Header(216, 576, 16000, 2, True, False)),
        ("ffe348c4", Header(288, 576, 8000, 1, True, False)),
        ("fff248c4", Header(144, 576, 16000, 1, True, True)),
    ],
)
def test_a_header(head: str, expected: Header) -> None:
    assert header_at(b"?" + bytes.fromhex(head), 1) == expected


@pytest.mark.parametrize(
    "head",
    [
        "", "fffb90", "00000000", "ff0b9064", "fffd9064", "ffff9064", "fff99064", "ffeb9064", "fffb0064", "fffbf064",
        "fffb9c64", "fffb9066",
    ],
)  # fmt: skip
def test_no_header(head: str) -> None:
    assert header_at(bytes.fromhex(head)) is None


@pytest.mark.parametrize(
    ("head", "side_info", "main_data", "begin"),
    [
        ("fff348c0", b"\x83\xff", 144 - 4 - 9, 0x83),
        ("fff248c0", b"\x83\xff", 144 - 6 - 9, 0x83),
        ("fff34800", b"\x83\xff", 144 - 4 - 17, 0x83),
        ("fffb90c0", b"\x83\xff", 417 - 4 - 17, 0x107),
        ("fffb9000", b"\x83\x7f", 417 - 4 - 32, 0x106),
    ],
)
def test_what_a_frame_needs_and_carries(head: str, side_info: bytes, main_data: int, begin: int) -> None:
    header = header_at(bytes.fromhex(head))
    assert header
    checksum = b"??" if header.has_checksum else b""
    whole = Frame((bytes.fromhex(head) + checksum + side_info).ljust(header.length_bytes, b"\0"), header)
    assert (whole.main_data_bytes, whole.main_data_begin, whole.is_contents) == (main_data, begin, False)
    cut = Frame(whole.data[:4], header)
    assert (cut.main_data_bytes, cut.main_data_begin) == (0, 0)


def test_two_headers_begin_mp3_and_one_does_not() -> None:
    two = frame(1) + frame(2)
    assert [begins_mp3(two[:length]) for length in (0, 3, 4, 147, 148, 288)] == [None, None, None, None, True, True]
    assert begins_mp3(bytes(4)) is False
    assert begins_mp3(frame() + bytes(4)) is False
    assert begins_mp3(frame() + frame(head=b"\xff\xe3\x48\xc0")) is False  # another rate


TALK = [frame(number) for number in range(12)]
CONTENTS = (b"\xff\xf3\x48\xc0" + bytes(9) + b"Info").ljust(144, b"\0")
STORIES = {
    "frames alone": (b"".join(TALK), TALK, 0),
    "a tag before": (id3(300) + b"".join(TALK), TALK, 310),
    "a tag with a footer": (id3(300, footer=True) + b"".join(TALK), TALK, 320),
    "a trailer": (b"".join(TALK) + b"TAG" + bytes(125), TALK, 128),
    "two recordings": (b"".join(TALK[:6]) + b"TAG" + bytes(125) + id3(9) + b"".join(TALK[6:]), TALK, 147),
    "a table of contents": (CONTENTS + b"".join(TALK), TALK, 144),
    "the end of a frame before": (frame()[50:] + b"".join(TALK), TALK, 94),
    "garbage between": (b"".join(TALK[:6]) + b"\xff\xf3garbage\xff" + b"".join(TALK[6:]), TALK, 10),
    "a tag that is none": (b"ID3\xff" + bytes(20) + b"".join(TALK), TALK, 24),
    "a tag of another recording": (b"ID3\x04\0\0\x7f\0\0\0" + b"".join(TALK), TALK, 10),
    "a header in garbage": (TALK[0] + b"\xff\xf3\x48\xc0" + bytes(200) + b"".join(TALK[1:]), None, None),
}


@pytest.mark.parametrize("story", STORIES)
def test_stories(story: str) -> None:
    data, frames, dropped = STORIES[story]
    found, splitter = split(data, [])
    if frames is None:
        frames, dropped = [TALK[0], b"\xff\xf3\x48\xc0" + bytes(140), *TALK[1:]], 60  # it stood where one may
    assert found == frames
    assert (splitter.dropped_bytes, splitter.held_bytes) == (dropped, 0)
    assert split(data, list(range(len(data))))[0] == found


@given(st.sampled_from([data for data, _, _ in STORIES.values()]), st.lists(st.integers(0, 5000), max_size=20))
def test_any_cut_gives_the_same_frames(data: bytes, cuts: list[int]) -> None:
    whole, splitter = split(data, [])
    pieces, again = split(data, cuts)
    assert pieces == whole
    assert again.held_bytes + again.dropped_bytes == splitter.held_bytes + splitter.dropped_bytes
    assert again.most_garbage_bytes == splitter.most_garbage_bytes


_PARTS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([*TALK[:3], b"ID3", b"TAG", b"\xff\xf3", b"\xff", id3(5), b"\xff\xf3\x48\xc0", TALK[0][:100]]),
)


@given(st.lists(_PARTS, max_size=12), st.lists(st.integers(0, 2000), max_size=8))
def test_any_bytes_are_accounted_for(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    frames, splitter = split(data, cuts)
    assert len(data) == sum(map(len, frames)) + splitter.dropped_bytes + splitter.held_bytes
    frames += [last.data for last in splitter.finish()]
    assert splitter.held_bytes == 0
    assert len(data) == sum(map(len, frames)) + splitter.dropped_bytes
    whole, once = split(data, [])
    assert frames == whole + [last.data for last in once.finish()]


def test_garbage_is_measured_in_a_row() -> None:
    _, splitter = split(NOISE, [])
    assert splitter.most_garbage_bytes > 10_000
    _, splitter = split(bytes(500) + b"".join(TALK) + bytes(300) + b"".join(TALK), [])
    assert (splitter.most_garbage_bytes, splitter.dropped_bytes) == (500, 800)


def test_the_last_frame_needs_no_other_behind_it() -> None:
    alone = Splitter()
    assert alone.feed(TALK[0]) == []
    assert [last.data for last in alone.finish()] == [TALK[0]]
    cut = Splitter()
    assert [found.data for found in cut.feed(TALK[0] + TALK[1] + TALK[2][:143])] == TALK[:2]
    assert cut.finish() == []
    assert cut.dropped_bytes == 143
    # And what comes behind an end begins anew.
    assert [found.data for found in cut.feed(TALK[3] + TALK[4])] == TALK[3:5]
