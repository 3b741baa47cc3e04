"""Malformed frames and messages behind an upgrade that was right. Pure."""

import json
import random
from typing import Any, Final

from tests.proof.attack import (
    ECHOES,
    REPLY_S,
    UPGRADE_LINES,
    VOICE,
    Kind,
    Piece,
    Talk,
    dripped,
    frame,
    frame_head,
    head,
    upgraded,
)

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_START: Final = json.dumps({"type": "start"}).encode()


def _route(chance: random.Random) -> bytes:
    return chance.choice([VOICE, VOICE, *ECHOES])


def _broken(chance: random.Random, *bad: bytes, fatal: bool = True) -> Talk:
    """The bytes behind an upgrade, some good messages before them, some noise after them."""
    before = [frame(chance, _TEXT, b'{"type":"ping"}') for _ in range(chance.choice([0, 0, 0, 1, 5]))]
    if chance.random() < 0.1:
        before.append(frame(chance, _TEXT, _START))
    after = [chance.randbytes(chance.randrange(1, 200))] if fatal and chance.random() < 0.3 else []
    return upgraded(chance, _route(chance), [*before, *bad, *after], fatal=fatal)


def reserved_bits(chance: random.Random) -> Talk:
    """RSV1, RSV2 or RSV3, which nothing was agreed for."""
    return _broken(chance, frame(chance, chance.choice([1, 2, 8, 9]), b"hello", reserved=chance.randrange(1, 8)))


def bad_opcodes(chance: random.Random) -> Talk:
    """Opcodes that RFC 6455 keeps for later."""
    return _broken(
        chance, frame(chance, chance.choice([3, 4, 5, 6, 7, 11, 12, 13, 14, 15]), b"x" * chance.randrange(9))
    )


def unmasked(chance: random.Random) -> Talk:
    """Frames without a mask."""
    return _broken(chance, frame(chance, chance.choice([1, 2, 8, 9, 10]), b"hello", is_masked=False))


def oversize_lengths(chance: random.Random) -> Talk:
    """A header that announces more than is taken, 2 to the 63 and more included; hardly anything follows."""
    size = chance.choice([262_145, 1 << 20, 1 << 31, 1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
    first = chance.choice([0x81, 0x82, 0x01, 0x02])
    return _broken(chance, frame_head(first, size) + chance.randbytes(4 + chance.randrange(100)))


def oversize_messages(chance: random.Random) -> Talk:
    """A message over the limit that really comes, in one frame or in fragments."""
    part = bytes([chance.randrange(256)]) * 65_536
    if chance.random() < 0.5:
        return _broken(chance, frame(chance, _BINARY, part * 5))
    more = [frame(chance, _CONTINUATION, part, fin=False) for _ in range(5)]
    return _broken(chance, frame(chance, _BINARY, part, fin=False), *more)


def truncated(chance: random.Random) -> Talk:
    """A frame that stops in its header, its mask or its payload."""
    whole = frame(chance, chance.choice([1, 2, 8, 9]), b"x" * chance.choice([5, 100, 125]))
    if chance.random() < 0.5:
        whole = frame(chance, chance.choice([1, 2]), b"x" * chance.choice([126, 300, 65_535, 65_536]))
    return _broken(chance, whole[: chance.choice([1, 2, 3, 5, 9, chance.randrange(1, len(whole))])], fatal=False)


def wrong_fragments(chance: random.Random) -> Talk:
    """A continuation of nothing, a message within a message, a control frame in fragments."""
    opened = frame(chance, chance.choice([1, 2]), b"one", fin=False)
    bad = chance.choice(
        [
            [frame(chance, _CONTINUATION, b"x")],
            [frame(chance, _CONTINUATION, b"x", fin=False)],
            [opened, frame(chance, chance.choice([1, 2]), b"two")],
            [opened, frame(chance, _CONTINUATION, b"end"), frame(chance, _CONTINUATION, b"again")],
            [opened, frame(chance, chance.choice([8, 9, 10]), b"", fin=False)],
            [frame(chance, chance.choice([8, 9, 10]), b"", fin=False)],
        ]
    )
    return _broken(chance, *bad)


def bad_utf8(chance: random.Random) -> Talk:
    """Text that is not UTF-8: overlong, surrogates, beyond Unicode, cut, split over fragments."""
    bad = chance.choice(
        [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\x80", b"\xe4\xbd", b"\xfe\xfe\xff\xff"]
    )
    good = "语音".encode() * chance.randrange(20)
    if chance.random() < 0.5:
        return _broken(chance, frame(chance, _TEXT, good + bad))
    cut = chance.randrange(len(good) + 1)
    pieces = [frame(chance, _TEXT, good[:cut], fin=False), frame(chance, _CONTINUATION, good[cut:] + bad)]
    return _broken(chance, *pieces)


def long_controls(chance: random.Random) -> Talk:
    """Control frames over 125 bytes."""
    return _broken(chance, frame(chance, chance.choice([8, 9, 10]), b"x" * chance.choice([126, 127, 200, 65_536])))


def floods(chance: random.Random) -> Talk:
    """Pings, pongs, empty messages and empty fragments by the hundred; nobody reads the answers."""
    count = chance.randrange(100, 1500)
    one = chance.choice(
        [
            frame(chance, _PING, b"x" * chance.choice([0, 125])), frame(chance, _PONG, b"y"), frame(chance, _BINARY),
            frame(chance, _TEXT, b'{"type":"ping"}'), frame(chance, _TEXT, b'{"type":"ping","t":1}'),
        ]
    )  # fmt: skip
    flood = one * count
    if chance.random() < 0.3:
        flood = frame(chance, _TEXT, b"", fin=False) + frame(chance, _CONTINUATION, b"", fin=False) * count
    return upgraded(chance, _route(chance), [flood], fatal=False)


def bad_closes(chance: random.Random) -> Talk:
    """Close frames with codes that must not be sent, with half a code, with a reason that is not UTF-8."""
    code = chance.choice([0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65_535]).to_bytes(2, "big")
    payload = chance.choice([code, code + b"why", b"\x03", b"\x03\xe8\xff\xfe", b"\x03\xe8" + b"\xed\xa0\x80"])
    return _broken(chance, frame(chance, _CLOSE, payload))


def bytes_after_close(chance: random.Random) -> Talk:
    """A proper close, and more behind it: frames, another close, noise."""
    code = chance.choice([b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0b\xb8"])
    more = chance.choice(
        [frame(chance, _TEXT, b"hello") * 50, frame(chance, _CLOSE, b"\x03\xe8"), frame(chance, _PING), b"\x00" * 3000,
         chance.randbytes(500)]
    )  # fmt: skip
    return upgraded(chance, _route(chance), [frame(chance, _CLOSE, code), more], fatal=True)


def frame_noise(chance: random.Random) -> Talk:
    """Noise where frames are expected."""
    return upgraded(chance, _route(chance), [chance.randbytes(chance.randrange(1, 2000))], fatal=False)


def frame_drip(chance: random.Random) -> Talk:
    """A good message, byte by byte, which does not come to its end."""
    request = Piece(head(b"GET", _route(chance), *UPGRADE_LINES), REPLY_S)
    message = frame(chance, _TEXT, b'{"type":"start","engineType":"16k_zh"}')
    return Talk((request, *dripped(chance, message[:-1], most=25)), False)


_VALUES: Final[tuple[Any, ...]] = (
    None, True, -1, 1e400, 10**400, 0.5, "", "x" * 3000, [], {}, [[]], {"a": {}}, "\ud800", "\x00", "16k_zh",
    [None] * 300,
)  # fmt: skip
_FIELDS: Final = (
    "type", "engineType", "voiceFormat", "sampleRate", "token", "needVad", "vadSilenceMs", "wordInfo",
    "hotwords", "data",
    "isEnd", "id", "t", "resume", "userId", "constructor", "",
)  # fmt: skip
_TYPES: Final = ("start", "audio", "finalize", "stop", "cancel", "ping", "START", "result", "", None, 7)
_NOT_JSON: Final = (
    b"", b"{", b"}", b"[" * 20_000, b'{"a":' * 5000, b"nonsense", b'{"type":"start"', b'"start"', b"null",
    b"[]", b"1e999",
    b"NaN", b'{"type":"start"}{"type":"start"}', b'{"type":"\\ud800"}', b'{"type":"\\u00"}', b"\xef\xbb\xbf{}",
    b"{}" * 9000,
    b'{"type":"audio","data":"****"}', b'{"type":"audio","data":"AAA"}', b'{"type":"start","type":"stop"}',
)  # fmt: skip


def _nonsense(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return chance.choice(_NOT_JSON)
    fields: dict[str, Any] = {name: chance.choice(_VALUES) for name in chance.sample(_FIELDS, chance.randrange(4))}
    return json.dumps({"type": chance.choice(_TYPES), **fields}).encode()


def json_nonsense(chance: random.Random) -> Talk:
    """Messages of protocol 1 that are none, to the voice route and to the echo."""
    messages = [frame(chance, _TEXT, _nonsense(chance)) for _ in range(chance.randrange(1, 20))]
    return upgraded(chance, _route(chance), messages, fatal=False)


def ten_bad_messages(chance: random.Random) -> Talk:
    """As many refused messages as end a connection."""
    bad = (b"{", b"nonsense", b"null", b"[]", b'{"type":7}', b'{"type":"audio","data":"****"}')
    messages = [frame(chance, _TEXT, chance.choice(bad)) for _ in range(chance.randrange(10, 15))]
    return upgraded(chance, VOICE, messages, fatal=True)


def wrong_streams(chance: random.Random) -> Talk:
    """Streams that begin well: audio that is none, a second start, settings that cannot be; left in the middle."""
    start: dict[str, Any] = chance.choice(
        [
            {}, {"voiceFormat": "mp3"}, {"voiceFormat": "wav"}, {"voiceFormat": 4}, {"sampleRate": 8000},
            {"engineType": "?"},
            {"hotwords": [{"word": "a b"}]}, {"resume": "x"}, {"engineType": "8k_zh", "sampleRate": 16000},
        ]
    )  # fmt: skip
    audio = chance.choice(
        [chance.randbytes(1281), b"RIFF" + b"\xff" * 400, b"\xff\xfb\x90\x00" * 300, b"\x1aE\xdf\xa3" * 99]
    )
    after = [frame(chance, _BINARY, audio) for _ in range(chance.randrange(1, 12))]
    if chance.random() < 0.5:
        after.append(frame(chance, _TEXT, _nonsense(chance)))
    if chance.random() < 0.3:
        after.append(frame(chance, _TEXT, chance.choice([_START, b'{"type":"finalize","id":"x"}', b'{"type":"stop"}'])))
    opening = (
        Piece(head(b"GET", VOICE, *UPGRADE_LINES), REPLY_S),
        Piece(frame(chance, _TEXT, json.dumps({"type": "start", **start}).encode()), chance.choice([0.0, 0.1])),
    )
    return Talk((*opening, *(Piece(data) for data in after)), False)


FRAMES: Final[dict[str, Kind]] = {
    "reserved_bits": reserved_bits,
    "bad_opcodes": bad_opcodes,
    "unmasked": unmasked,
    "oversize_lengths": oversize_lengths,
    "oversize_messages": oversize_messages,
    "truncated": truncated,
    "wrong_fragments": wrong_fragments,
    "bad_utf8": bad_utf8,
    "long_controls": long_controls,
    "floods": floods,
    "bad_closes": bad_closes,
    "bytes_after_close": bytes_after_close,
    "frame_noise": frame_noise,
    "frame_drip": frame_drip,
    "json_nonsense": json_nonsense,
    "ten_bad_messages": ten_bad_messages,
    "wrong_streams": wrong_streams,
}
