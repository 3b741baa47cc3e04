"""The wire: any cut of the same bytes says the same, nothing raises, nothing grows over the bound, all comes back."""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Side

from service.websocket.wire import FAST_BYTES, Wire
from tests.support.frames import BINARY, CLOSE, MASK, PING, PONG, TEXT, close_frame, cut, fragments, frame, frames_in

MOST_BYTES = 300
HEAD_BYTES = 14
CONTROL_BYTES = 125


@dataclass
class Story:
    """What a wire made of some bytes."""

    messages: list[bytes | str] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    end: tuple[bool, bool, int | None, bool] = (True, False, None, False)
    most_kept_bytes: int = 0


def tell(side: Side, data: bytes, cuts: list[int], most_bytes: int = MOST_BYTES) -> Story:
    """The bytes are cut at these places."""
    wire, story = Wire(side, most_bytes), Story()
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        story.messages += wire.receive(data[start:stop])
        seen = frames_in(wire.take_outgoing())
        assert {one.is_masked for one in seen} <= {side is Side.CLIENT}
        story.answers += [(one.opcode, one.payload) for one in seen]
        story.most_kept_bytes = max(story.most_kept_bytes, kept_bytes(wire))
    assert not wire.has_outgoing
    story.end = (wire.is_open, wire.is_over, wire.close_code, wire.has_broken_the_protocol)
    wire.receive_eof()
    wire.receive_eof()
    assert wire.is_over
    assert wire.receive(b"\x81\x00") == []
    assert not wire.take_outgoing()
    return story


def kept_bytes(wire: Wire) -> int:
    """All that was received and is still held."""
    return len(wire._rest) + len(wire._protocol.reader.buffer) + len(wire._message)


_sides = st.sampled_from([Side.SERVER, Side.CLIENT])
_masks = st.sampled_from([MASK, None])
_payloads = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=10).map(str.encode),
    st.sampled_from([0, 124, 125, 126, 127, MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1]).map(bytes),
)
_frames = st.builds(
    frame,
    st.sampled_from([0, 0, 1, 1, 2, 2, 8, 9, 10, 3, 11]),
    _payloads,
    fin=st.booleans(),
    reserved=st.sampled_from([0] * 9 + [1, 2, 4]),
    mask=_masks,
)
_closes = st.builds(close_frame, st.integers(990, 5000), st.binary(max_size=10), mask=_masks)
_streams = st.lists(st.one_of(_frames, _frames, _closes, st.binary(max_size=9)), max_size=12).map(b"".join)
_cuts = st.lists(st.integers(0, 100_000), max_size=8)


@given(_sides, _streams, _cuts)
def test_any_cut_of_any_bytes_says_the_same(side: Side, data: bytes, cuts: list[int]) -> None:
    assert without_memory(tell(side, data, cuts)) == without_memory(tell(side, data, []))


@given(_sides, st.one_of(_streams, st.binary(max_size=400)))
def test_byte_by_byte_says_the_same(side: Side, data: bytes) -> None:
    assert without_memory(tell(side, data[:700], list(range(700)))) == without_memory(tell(side, data[:700], []))


def without_memory(story: Story) -> tuple[object, ...]:
    return story.messages, story.answers, story.end


@given(_sides, st.one_of(_streams, st.binary(max_size=2000)), _cuts)
@example(Side.SERVER, frame(TEXT, b"a" * MOST_BYTES, fin=False) * 3, [])
@example(Side.SERVER, frame(TEXT, bytes(MOST_BYTES), fin=False) + frame(PING, bytes(125))[:-1], [])
@example(Side.SERVER, frame(PING, bytes(MOST_BYTES))[:-1], [])
@example(Side.CLIENT, frame(BINARY, bytes(MOST_BYTES), mask=None)[:-1], [])
def test_no_bytes_raise_or_are_kept_over_the_bound(side: Side, data: bytes, cuts: list[int]) -> None:
    story = tell(side, data, cuts)
    assert story.most_kept_bytes <= MOST_BYTES + HEAD_BYTES + CONTROL_BYTES
    assert sum(opcode == CLOSE for opcode, _ in story.answers) <= 1
    assert CLOSE not in [opcode for opcode, _ in story.answers[:-1]]
    for message in story.messages:
        assert len(message.encode() if isinstance(message, str) else message) <= MOST_BYTES


_messages = st.one_of(
    st.text(max_size=70),
    st.binary(max_size=70),
    st.sampled_from([b"\x00\xff" * 63, bytes(65535), bytes(65536), bytes(FAST_BYTES + 1), "ä" * 63, "語" * 30_000]),
)


def payload_of(message: bytes | str) -> bytes:
    return message.encode() if isinstance(message, str) else message


def opcode_of(message: bytes | str) -> Opcode:
    return Opcode.TEXT if isinstance(message, str) else Opcode.BINARY


@given(_sides, st.lists(_messages, max_size=6), _cuts)
def test_frames_of_websockets_are_understood(side: Side, messages: list[bytes | str], cuts: list[int]) -> None:
    data = b"".join(
        Frame(opcode_of(message), payload_of(message)).serialize(mask=side is Side.SERVER) for message in messages
    )
    story = tell(side, data, cuts, 100_000)
    assert (story.messages, story.answers) == (messages, [])


@given(_sides, st.lists(_messages, max_size=6), _cuts)
def test_what_one_side_encodes_the_other_reads(side: Side, messages: list[bytes | str], cuts: list[int]) -> None:
    data = b"".join(map(Wire(other(side), 1).encode, messages))
    assert tell(side, data, cuts, 100_000).messages == messages
    for seen, message in zip(frames_in(data), messages, strict=True):
        assert (seen.opcode, seen.payload, seen.fin, seen.reserved) == (
            opcode_of(message),
            payload_of(message),
            True,
            0,
        )
        assert seen.is_masked is (side is Side.SERVER)


@given(_sides, st.lists(st.binary(max_size=200), max_size=6))
def test_several_are_encoded_as_one_after_the_other(side: Side, messages: list[bytes]) -> None:
    data = Wire(other(side), 1).encode_all(messages)
    assert tell(side, data, []).messages == messages


@given(
    _sides,
    _messages,
    st.lists(st.integers(0, 100_000), max_size=6),
    st.lists(st.binary(max_size=CONTROL_BYTES), max_size=7),
    _cuts,
)
def test_fragments_with_pings_between_are_one_message(
    side: Side, message: bytes | str, seams: list[int], pings: list[bytes], cuts: list[int]
) -> None:
    payload, mask = payload_of(message), MASK if side is Side.SERVER else None
    places = [0, *sorted(seam % (len(payload) + 1) for seam in seams), len(payload)]
    parts = [payload[start:stop] for start, stop in itertools.pairwise(places)]
    between = [frame(PING, ping, mask=mask) for ping in pings]
    together = itertools.zip_longest(fragments(opcode_of(message), parts, mask=mask), between, fillvalue=b"")
    # The bound is the message's own size: pings are no part of it.
    story = tell(side, b"".join(map(b"".join, together)), cuts, max(1, len(payload)))
    assert story.messages == [message]
    assert story.answers == [(PONG, ping) for ping in pings]


def other(side: Side) -> Side:
    return Side.CLIENT if side is Side.SERVER else Side.SERVER


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("message", ["", b"", "ü", b"\xff"])
def test_masks_differ(side: Side, message: bytes | str) -> None:
    wire = Wire(side, 10)
    first, second = (wire.encode(message * 50) for _ in range(2))
    assert (first == second) is (side is Side.SERVER)


@pytest.mark.parametrize("side", list(Side))
def test_ping_is_answered_by_the_other_side_and_the_pong_is_silent(side: Side) -> None:
    asking, answering = Wire(side, 10), Wire(other(side), 10)
    asking.ping()
    assert asking.has_outgoing
    assert answering.receive(asking.take_outgoing()) == []
    pong = answering.take_outgoing()
    assert [(seen.opcode, seen.payload) for seen in frames_in(pong)] == [(PONG, b"")]
    assert asking.receive(pong) == []
    assert not asking.has_outgoing
    assert asking.is_open
    assert not asking.is_over


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("", ""),
        ("done", "done"),
        pytest.param("語" * 60, "語" * 41, id="cut at a character"),
        pytest.param("x" * 124, "x" * 123, id="cut"),
    ],
)
def test_both_sides_close(side: Side, reason: str, said: str) -> None:
    closing, closed = Wire(side, 10), Wire(other(side), 10)
    closing.close(4001, reason)
    assert not closing.is_open
    assert not closing.is_over
    frames = closing.take_outgoing()
    assert frames_in(frames)[0].payload == (4001).to_bytes(2, "big") + said.encode()
    assert closed.receive(frames) == []
    assert (closed.is_open, closed.is_over, closed.close_code) == (False, True, 4001)
    assert closing.receive(closed.take_outgoing()) == []
    assert (closing.is_over, closing.close_code, closing.has_broken_the_protocol) == (True, 4001, False)
    for wire in (closing, closed):
        wire.ping()
        wire.close(1000, "again")
        assert not wire.take_outgoing()


@pytest.mark.parametrize("side", list(Side))
def test_messages_that_were_on_their_way_are_read_behind_our_close(side: Side) -> None:
    wire = Wire(side, 100)
    wire.close(1000, "")
    wire.take_outgoing()
    data = Wire(other(side), 100).encode("late") + Wire(other(side), 100).encode(b"later")
    assert wire.receive(data) == ["late", b"later"]
    mask = MASK if side is Side.SERVER else None
    wire.receive(frame(TEXT, b"\xff", mask=mask))
    assert wire.is_over
    assert wire.has_broken_the_protocol
    assert not wire.take_outgoing()  # there is one close frame on a connection


@pytest.mark.parametrize("side", list(Side))
def test_an_end_without_a_close_frame(side: Side) -> None:
    wire = Wire(side, 100)
    wire.receive(b"\x81")
    wire.receive_eof()
    assert (wire.is_open, wire.is_over, wire.close_code) == (False, True, None)
    assert not wire.has_broken_the_protocol
    wire.ping()
    wire.close(1000, "")
    assert not wire.take_outgoing()


def test_fragments_without_content_take_no_memory() -> None:
    wire = Wire(Side.SERVER, 100)
    wire.receive(frame(TEXT, fin=False))
    for _ in range(1000):
        assert wire.receive(frame(0, fin=False) * 10) == []
        assert kept_bytes(wire) == 0
    held = [value for value in vars(wire).values() if isinstance(value, list | tuple)]
    assert held == []
    assert wire.receive(frame(0, b"end")) == ["end"]


def test_a_drip_of_a_large_frame_is_held_once() -> None:
    wire = Wire(Side.SERVER, 200_000)
    data = frame(BINARY, bytes(200_000))
    for piece in cut(data[:-1], 1000):
        assert wire.receive(piece) == []
        assert kept_bytes(wire) <= len(data)
    assert wire.receive(data[-1:]) == [bytes(200_000)]
    assert kept_bytes(wire) == 0
