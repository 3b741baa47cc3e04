"""The wire: each rule of RFC 6455 section 5, 7 and 8.1, for both sides where both are asked."""

import pytest
from websockets.protocol import Side

from service.websocket.wire import FAST_BYTES, Wire
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONT,
    MASK,
    PING,
    PONG,
    TEXT,
    Seen,
    close_frame,
    fragments,
    frame,
    frames_in,
)

PROTOCOL_ERROR, BAD_TEXT, TOO_BIG = 1002, 1007, 1009
SIDES = list(Side)
MOST_BYTES = 1000


def mask_towards(side: Side) -> bytes | None:
    return MASK if side is Side.SERVER else None


def answers(wire: Wire) -> list[Seen]:
    return frames_in(wire.take_outgoing())


def check_refused(wire: Wire, code: int) -> None:
    """It has said why, and reads nothing more."""
    assert [(seen.opcode, seen.close_code) for seen in answers(wire)] == [(CLOSE, code)]
    assert (wire.is_open, wire.is_over, wire.close_code, wire.has_broken_the_protocol) == (False, True, None, True)
    for more in (frame(TEXT, b"more"), frame(PING), frame(TEXT, b"more", mask=None), close_frame(1000)):
        assert wire.receive(more) == []
        assert not wire.take_outgoing()
    assert wire._rest == b""
    assert not wire._protocol.reader.buffer


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, FAST_BYTES + 1])
@pytest.mark.parametrize("side", SIDES)
def test_sizes(side: Side, size: int) -> None:
    wire = Wire(side, 100_000)
    payload = b"a" * size
    assert wire.receive(frame(BINARY, payload, mask=mask_towards(side))) == [payload]
    assert wire.receive(frame(TEXT, payload, mask=mask_towards(side))) == [payload.decode()]
    assert wire.is_open


@pytest.mark.parametrize("opcode", [CONT, TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [0, 3])
@pytest.mark.parametrize("side", SIDES)
def test_frames_with_the_wrong_masking(side: Side, size: int, opcode: int) -> None:
    wire = Wire(side, MOST_BYTES)
    assert wire.receive(frame(opcode, bytes(size), mask=None if side is Side.SERVER else MASK)) == []
    check_refused(wire, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("reserved", range(1, 8))
@pytest.mark.parametrize("side", SIDES)
def test_reserved_bits(side: Side, reserved: int, opcode: int) -> None:
    wire = Wire(side, MOST_BYTES)
    assert wire.receive(frame(opcode, reserved=reserved, mask=mask_towards(side))) == []
    check_refused(wire, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("side", SIDES)
def test_opcodes_that_mean_nothing(side: Side, opcode: int) -> None:
    wire = Wire(side, MOST_BYTES)
    # At the header: nothing of the content is waited for.
    assert wire.receive(frame(opcode, bytes(100), mask=mask_towards(side))[:6]) == []
    check_refused(wire, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 65535, 65536, 2**40])
@pytest.mark.parametrize("side", SIDES)
def test_control_frames_too_long_are_refused_at_the_header(side: Side, size: int, opcode: int) -> None:
    wire = Wire(side, MOST_BYTES)
    assert wire.receive(frame(opcode, says_bytes=size, mask=mask_towards(side))) == []
    check_refused(wire, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_in_fragments(opcode: int) -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(frame(opcode, fin=False)) == []
    check_refused(wire, PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(CONT, b"a")],
        [frame(CONT, b"a", fin=False)],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"b")],
        [frame(TEXT, b"a", fin=False), frame(TEXT, b"b", fin=False)],
        [frame(BINARY, b"a", fin=False), frame(TEXT, b"b")],
        [frame(TEXT, fin=False), frame(BINARY)],
        [*fragments(TEXT, [b"a", b"b"])[:1], frame(PING), frame(BINARY)],
    ],
)
def test_fragments_out_of_order(frames: list[bytes]) -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    for data in frames:
        assert not wire.is_over
        assert wire.receive(data) == []
    assert [seen.close_code for seen in answers(wire) if seen.opcode == CLOSE] == [PROTOCOL_ERROR]


def test_a_message_behind_a_fragmented_one_goes_on() -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(b"".join(fragments(TEXT, [b"a", b"", b"b"])) + frame(BINARY, b"c")) == ["ab", b"c"]
    assert wire.receive(frame(CONT)) == []
    check_refused(wire, PROTOCOL_ERROR)


def test_control_frames_between_fragments_are_answered_at_once() -> None:
    wire = Wire(Side.SERVER, 2)
    first, second, last = fragments(TEXT, [b"a", b"b", b""])
    assert wire.receive(first + frame(PING, b"1" * 125)) == []
    assert answers(wire) == [Seen(PONG, b"1" * 125)]
    assert wire.receive(second + frame(PONG, b"2") + frame(PING)) == []  # the message has reached its bound
    assert answers(wire) == [Seen(PONG, b"")]
    assert wire.receive(last) == ["ab"]
    assert wire.receive(first + close_frame(1001, b"tired of it")) == []
    assert answers(wire) == [Seen(CLOSE, b"\x03\xe9tired of it")]
    assert (wire.close_code, wire.has_broken_the_protocol) == (1001, False)


def test_a_message_takes_up_the_bound_again_behind_a_ping() -> None:
    wire = Wire(Side.SERVER, 2)
    assert wire.receive(frame(TEXT, b"ab", fin=False) + frame(PING)) == []
    assert answers(wire) == [Seen(PONG, b"")]
    assert wire.receive(frame(CONT, b"c")) == []
    check_refused(wire, TOO_BIG)


GOOD_TEXTS = ["", "\x00", "κόσμε", "\x7f\x80߿ࠀ", "\ud7ff\ue000\ufffd\uffff", "\U00010000\U0010ffff", "語" * 300]


@pytest.mark.parametrize("text", GOOD_TEXTS)
def test_text_is_whole_whatever_its_seams(text: str) -> None:
    data = text.encode()
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(frame(TEXT, data)) == [text]
    for seam in range(len(data) + 1):
        assert wire.receive(b"".join(fragments(TEXT, [data[:seam], data[seam:]]))) == [text]
    assert wire.receive(b"".join(fragments(TEXT, [data[place : place + 1] for place in range(len(data))] or [b""])))
    assert wire.is_open


BAD_TEXTS = [
    b"\x80",
    b"\xbf",
    b"\xfe",
    b"\xff",
    b"a\xc3",  # cut short
    b"\xc3(",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\xc0\xaf",  # longer than it need be
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",  # surrogates
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",  # over U+10FFFF
    b"\xf8\x88\x80\x80\x80",
]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("data", BAD_TEXTS)
def test_what_is_no_utf_8(data: bytes, side: Side) -> None:
    mask = mask_towards(side)
    whole, parts = Wire(side, MOST_BYTES), Wire(side, MOST_BYTES)
    assert whole.receive(frame(TEXT, b"good", mask=mask) + frame(TEXT, b"x" + data, mask=mask)) == ["good"]
    check_refused(whole, BAD_TEXT)
    single = [data[place : place + 1] for place in range(len(data))]
    assert parts.receive(b"".join(fragments(TEXT, [b"x", *single], mask=mask))) == []
    check_refused(parts, BAD_TEXT)


@pytest.mark.parametrize("data", [b"\xff", b"\xc0", b"\xed\xa0\x80", b"\xf4\x90", b"\xe0\x80"])
def test_bad_text_is_refused_in_the_fragment_where_it_stands(data: bytes) -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(frame(TEXT, "zu früh".encode(), fin=False)) == []
    assert wire.receive(frame(CONT, data[:-1], fin=False)) == []
    assert not wire.is_over
    assert wire.receive(frame(CONT, data[-1:], fin=False)) == []
    check_refused(wire, BAD_TEXT)


def test_binary_is_not_looked_into() -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert (
        wire.receive(frame(BINARY, b"\xff\xc0") + b"".join(fragments(BINARY, [b"\xff", b"\xc0"]))) == [b"\xff\xc0"] * 2
    )


@pytest.mark.parametrize("most_bytes", [1, 125, 126, 65535, 65536, FAST_BYTES + 10])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("side", SIDES)
def test_too_large_is_refused_at_the_header(side: Side, opcode: int, most_bytes: int) -> None:
    mask = mask_towards(side)
    wire = Wire(side, most_bytes)
    assert len(wire.receive(frame(opcode, b"a" * most_bytes, mask=mask))) == 1
    head = frame(opcode, says_bytes=most_bytes + 1, mask=mask)
    for byte in head[:-4] if mask else head:
        assert not wire.is_over
        assert wire.receive(bytes([byte])) == []
    check_refused(wire, TOO_BIG)


@pytest.mark.parametrize("says_bytes", [2**31, 2**32, 2**62, 2**63, 2**64 - 1])
def test_absurd_sizes(says_bytes: int) -> None:
    wire = Wire(Side.SERVER, 2**24)
    assert wire.receive(frame(BINARY, says_bytes=says_bytes)) == []
    check_refused(wire, TOO_BIG)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_that_are_too_large_together(opcode: int) -> None:
    wire = Wire(Side.SERVER, 10)
    first, second, last = fragments(opcode, [b"1234", b"5678", b"90"])
    assert wire.receive(first + second + last) != []
    assert wire.receive(first + second) == []
    assert wire.receive(frame(CONT, b"901", fin=False)[:-3]) == []  # at the header
    check_refused(wire, TOO_BIG)


GOOD_CODES = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
BAD_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 10000, 65535]


@pytest.mark.parametrize("code", GOOD_CODES)
@pytest.mark.parametrize("side", SIDES)
def test_close_codes(side: Side, code: int) -> None:
    wire = Wire(side, 1)
    sent = close_frame(code, "größer als die Grenze".encode(), mask=mask_towards(side))
    behind = frame(TEXT, b"x", mask=mask_towards(side)) + frame(PING, mask=mask_towards(side))
    assert wire.receive(sent + behind + sent + b"\xff\xff") == []
    assert [seen.payload for seen in answers(wire)] == [frames_in(sent)[0].payload]
    assert (wire.is_open, wire.is_over, wire.close_code, wire.has_broken_the_protocol) == (False, True, code, False)


@pytest.mark.parametrize("code", BAD_CODES)
@pytest.mark.parametrize("side", SIDES)
def test_close_codes_that_may_not_be_sent(side: Side, code: int) -> None:
    wire = Wire(side, MOST_BYTES)
    assert wire.receive(close_frame(code, mask=mask_towards(side))) == []
    check_refused(wire, PROTOCOL_ERROR)


def test_close_without_a_code() -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(frame(CLOSE)) == []
    assert answers(wire) == [Seen(CLOSE, b"")]
    assert wire.close_code == 1005
    assert not wire.has_broken_the_protocol


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"\x03", PROTOCOL_ERROR),
        (b"\x03\xe8" + b"\xff", BAD_TEXT),
        (b"\x03\xe8" + b"x\xc3", BAD_TEXT),
        (b"\x03\xe8" + b"x" * 124, PROTOCOL_ERROR),
    ],
)
def test_close_frames_that_are_none(payload: bytes, code: int) -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(frame(CLOSE, payload)) == []
    check_refused(wire, code)


def test_the_longest_reason() -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(close_frame(1000, b"x" * 123)) == []
    assert answers(wire) == [Seen(CLOSE, b"\x03\xe8" + b"x" * 123)]


def test_messages_before_a_broken_frame_are_returned() -> None:
    wire = Wire(Side.SERVER, MOST_BYTES)
    assert wire.receive(frame(TEXT, b"a") + frame(BINARY, b"b") + frame(3) + frame(TEXT, b"c")) == ["a", b"b"]
    check_refused(wire, PROTOCOL_ERROR)


def test_pongs_in_order_and_none_for_pongs() -> None:
    wire = Wire(Side.CLIENT, MOST_BYTES)
    pings = [bytes([number]) * number for number in range(126)]
    assert wire.receive(b"".join(frame(PING, ping, mask=None) + frame(PONG, b"x", mask=None) for ping in pings)) == []
    assert answers(wire) == [Seen(PONG, ping, is_masked=True) for ping in pings]
