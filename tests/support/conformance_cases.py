"""The cases of the conformance tests, generated, in the classes of the Autobahn suite."""

import itertools
from collections.abc import Iterable, Iterator

from tests.support.conformance import Case
from tests.support.frames import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    close_frame,
    cut,
    fragments,
    frame,
)

MOST_BYTES = 16 * 1024 * 1024
PROTOCOL_ERROR, BAD_TEXT, TOO_BIG = 1002, 1007, 1009
HELLO = frame(TEXT, b"Hello")
KIND = {TEXT: "text", BINARY: "binary", CONT: "continuation", CLOSE: "close", PING: "ping", PONG: "pong"}


def whole_and_chopped(case: Case, *sizes: int) -> Iterator[Case]:
    """The case as it is, in one write, and in writes of so many bytes."""
    yield case
    data = b"".join(case.writes)
    for size in sizes:
        yield Case(
            f"{case.name}, {size} B at a time", cut(data, size), case.messages, case.pongs, case.close, case.may_omit
        )


def echo(opcode: int, payload: bytes) -> bytes | str:
    return payload.decode() if opcode == TEXT else payload


def framing() -> Iterator[Case]:
    for opcode in (TEXT, BINARY):
        for size in (0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 131072):
            payload = b"*" * size if opcode == TEXT else bytes(place & 0xFF for place in range(size))
            case = Case(f"{KIND[opcode]} of {size} B", [frame(opcode, payload)], [echo(opcode, payload)])
            yield from whole_and_chopped(case, 997 if size > 997 else 1)
    for opcode in KIND:
        for payload in (b"", b"ab"):
            name = f"{KIND[opcode]} of {len(payload)} B without a mask"
            yield Case(name, [frame(opcode, payload, mask=None)], ["Hello"], [], PROTOCOL_ERROR, first=HELLO)


def pings() -> Iterator[Case]:
    for name, payload in {
        "empty": b"",
        "with text": b"Hello, world!",
        "with bytes": b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",
        "with what is no UTF-8": b"\xc3\x28",
        "of 125 B": b"\xfe" * 125,
    }.items():
        yield from whole_and_chopped(Case(f"ping {name}", [frame(PING, payload)], [], [payload]), 1)
        yield Case(f"pong {name}, not asked for", [frame(PONG, payload), frame(PING, b"p")], [], [b"p"])
    for opcode, size in itertools.product((PING, PONG), (126, 127, 1000, 65536)):
        yield Case(f"{KIND[opcode]} of {size} B", [frame(opcode, bytes(size))], [], [], PROTOCOL_ERROR)
    ten = [b"payload-%d" % number for number in range(10)]
    yield from whole_and_chopped(Case("ten pings", [frame(PING, ping) for ping in ten], [], ten), 1, 7, 1000)
    yield Case("ping around a message", [frame(PING, b"1"), HELLO, frame(PING, b"2")], ["Hello"], [b"1", b"2"])


def reserved_bits() -> Iterator[Case]:
    for reserved in range(1, 8):
        for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
            name = f"bits {reserved:03b} in a {KIND[opcode]}"
            yield Case(name, [frame(opcode, b"\x03\xe8", reserved=reserved)], [], [], PROTOCOL_ERROR)
        broken = frame(TEXT, b"wrong", reserved=reserved)
        case = Case(
            f"bits {reserved:03b} behind a message", [HELLO + broken + frame(PING)], ["Hello"], [], PROTOCOL_ERROR, True
        )
        yield from whole_and_chopped(case, 1)
        name = f"bits {reserved:03b} in a continuation"
        yield Case(name, [frame(TEXT, b"a", fin=False) + frame(CONT, b"b", reserved=reserved)], [], [], PROTOCOL_ERROR)


def opcodes() -> Iterator[Case]:
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"reserved"):
            name = f"opcode {opcode} with {len(payload)} B"
            yield Case(name, [frame(opcode, payload)], [], [], PROTOCOL_ERROR)
            behind = HELLO + frame(opcode, payload) + frame(PING)
            yield from whole_and_chopped(
                Case(f"{name} behind a message", [behind], ["Hello"], [], PROTOCOL_ERROR, True), 1
            )
            yield Case(f"{name} behind an echo", [behind[len(HELLO) :]], ["Hello"], [], PROTOCOL_ERROR, first=HELLO)
        inside = frame(TEXT, b"a", fin=False) + frame(opcode)
        yield Case(f"opcode {opcode} in a message", [inside], [], [], PROTOCOL_ERROR)


def fragmentation() -> Iterator[Case]:
    for opcode in (PING, PONG, CLOSE):
        two = frame(opcode, b"\x03", fin=False) + frame(CONT, b"\xe8")
        yield Case(f"{KIND[opcode]} in two fragments", [two], [], [], PROTOCOL_ERROR)
    for opcode in (TEXT, BINARY):
        kind = KIND[opcode]
        for number in (2, 3, 5, 50):
            parts = [b"fragment%d" % place for place in range(number)]
            whole = [echo(opcode, b"".join(parts))]
            pieces = fragments(opcode, parts)
            yield from whole_and_chopped(Case(f"{kind} in {number} fragments", pieces, whole), 1, 1000)
            between = [part + frame(PING, b"%d" % place) for place, part in enumerate(pieces)]
            pongs = [b"%d" % place for place in range(number)]
            yield from whole_and_chopped(Case(f"{kind} in {number} with pings", between, whole, pongs), 1, 1000)
        yield Case(f"{kind} in empty fragments", fragments(opcode, [b""] * 4), [echo(opcode, b"")])
        yield Case(
            f"{kind} with an empty middle", [b"".join(fragments(opcode, [b"a", b"", b"b"]))], [echo(opcode, b"ab")]
        )
        for fin in (True, False):
            started = frame(opcode, b"a", fin=False)
            for other in (TEXT, BINARY):
                name = f"{KIND[other]} (FIN {fin:d}) in a fragmented {kind}"
                yield Case(name, [started + frame(other, b"b", fin=fin)], [], [], PROTOCOL_ERROR)
    for fin, payload in itertools.product((True, False), (b"", b"lost")):
        lost = frame(CONT, payload, fin=fin)
        yield from whole_and_chopped(
            Case(f"continuation (FIN {fin:d}, {len(payload)} B) of nothing", [lost, HELLO], [], [], PROTOCOL_ERROR), 1
        )
        name = f"continuation (FIN {fin:d}, {len(payload)} B) behind a fragmented message"
        done = b"".join(fragments(TEXT, [b"a", b"b"]))
        yield Case(name, [done + lost], ["ab"], [], PROTOCOL_ERROR, True)
    both = [b"".join(fragments(TEXT, [b"a", b"b"])), b"".join(fragments(BINARY, [b"c", b"d"]))]
    yield Case("two fragmented messages", both, ["ab", b"cd"])


GOOD_TEXTS = {
    "Latin, Greek, Chinese": "Hello-µ@ßöäüàá-UTF-8!! κόσμε 語音",
    "first of one byte": "\x00",
    "first of two bytes": "\x80",
    "first of three bytes": "ࠀ",
    "first of four bytes": "\U00010000",
    "last of one byte": "\x7f",
    "last of two bytes": "߿",
    "last of three bytes": "\uffff",
    "last of four bytes": "\U0010ffff",
    "around the surrogates": "\ud7ff\ue000",
    "replacement": "\ufffd",
    "no characters": "\ufffe\U0001fffe\U0001ffff\U000ffffe\ufdd0",
    "faces": "\U0001f600\U0001f469\u200d\U0001f4bb",
}
BAD_TEXTS = {
    "lone continuation 80": "80",
    "lone continuation bf": "bf",
    "six continuations": "80bf80bf80bf",
    "continuation behind a character": "ce80ce80bf",
    **{f"start {lead} before a space": f"{lead}20" for lead in ("c2", "df", "e0", "ef", "f0", "f4")},
    **{f"cut short {data}": data for data in ("c2", "df", "e0a0", "efbf", "f09080", "f48fbf", "cebae1bdb9cf83cebcce")},
    **{f"impossible {data}": data for data in ("fe", "ff", "fefeffff", "f5808080", "f8888080", "fc8480808080")},
    **{f"too long {data}": data for data in ("c0af", "e080af", "f08080af", "f8808080af", "c1bf", "e09fbf", "f08fbfbf")},
    **{f"too long NUL {data}": data for data in ("c080", "e08080", "f0808080")},
    **{f"surrogate {data}": data for data in ("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbfbf")},
    **{f"surrogates {data}": data for data in ("eda080edb080", "edafbfedbfbf")},
    **{f"over U+10FFFF {data}": data for data in ("f4908080", "f7bfbfbf", "fbbfbfbfbf")},
}


def utf_8() -> Iterator[Case]:
    for name, text in GOOD_TEXTS.items():
        data = text.encode()
        yield from whole_and_chopped(Case(name, [frame(TEXT, data)], [text]), 1)
        yield Case(f"{name}, byte by byte", fragments(TEXT, cut(data, 1)), [text])
    for name, digits in BAD_TEXTS.items():
        data = b"good" + bytes.fromhex(digits)
        yield Case(name, [frame(TEXT, data)], ["Hello"], [], BAD_TEXT, first=HELLO)
        yield Case(f"{name}, byte by byte", [b"".join(fragments(TEXT, cut(data, 1)))], [], [], BAD_TEXT)
        if not name.startswith("cut short"):
            # Fail-fast: the message does not end, and what is still to come never does.
            open_end = [frame(TEXT, b"good", fin=False), frame(CONT, data[4:] + b" ", fin=False)]
            yield Case(f"{name}, fail-fast", open_end, [], [], BAD_TEXT)
    yield Case("binary is not looked into", [frame(BINARY, b"\xff\xfe\xed\xa0\x80")], [b"\xff\xfe\xed\xa0\x80"])


GOOD_CODES = (1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999)
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535)


def closing() -> Iterator[Case]:
    yield from whole_and_chopped(Case("without a code", [frame(CLOSE)], close=b""), 1)
    yield Case("behind a message", [close_frame(1000)], ["Hello"], [], b"\x03\xe8", first=HELLO)
    yield Case("in one piece with a message", [HELLO + close_frame(1000)], ["Hello"], [], b"\x03\xe8", True)
    for name, more in {
        "text": HELLO,
        "ping": frame(PING, b"late"),
        "another close": close_frame(1001),
        "rubbish": b"\xff" * 100,
        "a large message": frame(BINARY, bytes(300_000)),
    }.items():
        yield Case(f"{name} behind it", [close_frame(1000) + more], [], [], b"\x03\xe8")
        yield Case(f"{name} behind it, later", [close_frame(1000), more], [], [], b"\x03\xe8")
    for opcode in (TEXT, BINARY):
        inside = [frame(opcode, b"begun", fin=False) + close_frame(1000), frame(CONT, b"late")]
        yield Case(f"in a fragmented {KIND[opcode]}", inside, [], [], b"\x03\xe8")
    yield Case("with a byte", [frame(CLOSE, b"\x03")], [], [], PROTOCOL_ERROR)
    for code in GOOD_CODES:
        for reason in (b"", b"reason given"):
            sent = close_frame(code, reason)
            yield Case(f"{code} {reason.decode()}".strip(), [sent], [], [], code.to_bytes(2, "big") + reason)
    for code in BAD_CODES:
        for reason in (b"", b"reason given"):
            yield Case(f"{code} {reason.decode()}".strip(), [close_frame(code, reason)], [], [], PROTOCOL_ERROR)
    longest = "ä".encode() * 61 + b"!"
    yield from whole_and_chopped(
        Case("reason of 123 B", [close_frame(1000, longest)], [], [], b"\x03\xe8" + longest), 1
    )
    yield Case("reason of 124 B", [close_frame(1000, b"x" * 124)], [], [], PROTOCOL_ERROR)
    for digits in ("ff", "cebae1bdb9cf83cebcceb5eda080656469746564", "f4908080", "c3"):
        yield Case(f"reason {digits}", [close_frame(1000, bytes.fromhex(digits))], [], [], BAD_TEXT)


def _large(opcode: int, size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size] if opcode == TEXT else bytes(range(256)) * (size // 256)


def limits() -> Iterator[Case]:
    kib, mib = 1024, 1024 * 1024
    for opcode, size in itertools.product((TEXT, BINARY), (64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, MOST_BYTES)):
        payload = _large(opcode, size)
        yield Case(f"{KIND[opcode]} of {size // kib} KiB", [frame(opcode, payload)], [echo(opcode, payload)])
    for opcode, size in itertools.product((TEXT, BINARY), (256, 4 * kib, 64 * kib, mib)):
        payload = _large(opcode, mib)
        name = f"{KIND[opcode]} of 1 MiB in fragments of {size} B"
        yield Case(name, [b"".join(fragments(opcode, cut(payload, size)))], [echo(opcode, payload)])
    for opcode, size in itertools.product((TEXT, BINARY), (128, 1024, 65536)):
        payload = _large(opcode, 512 * kib)
        name = f"{KIND[opcode]} of 512 KiB, {size} B at a time"
        yield Case(name, cut(frame(opcode, payload), size), [echo(opcode, payload)])
    for opcode in (TEXT, BINARY):
        payload = _large(opcode, MOST_BYTES)
        name = f"{KIND[opcode]} of 16 MiB in fragments, with pings"
        pieces = [part + frame(PING, b"?") for part in fragments(opcode, cut(payload, 4 * mib))]
        yield Case(name, pieces, [echo(opcode, payload)], [b"?"] * 4)
        for size in (MOST_BYTES + 1, 2**31, 2**63 - 1):
            yield Case(f"{KIND[opcode]} of {size} B", [frame(opcode, says_bytes=size)], [], [], TOO_BIG)
        over = [frame(opcode, payload, fin=False), frame(CONT, b"x")]
        yield Case(f"{KIND[opcode]} over 16 MiB in fragments", over, [], [], TOO_BIG)
    for size in (0, 16, 64, 256, 1024):
        for opcode in (TEXT, BINARY):
            payload = _large(opcode, size)
            many = frame(opcode, payload) * 200
            yield Case(f"200 of {size} B {KIND[opcode]}", [many], [echo(opcode, payload)] * 200)


def auto_fragmentation() -> Iterator[Case]:
    for opcode in (TEXT, BINARY):
        payload = _large(opcode, 65536)
        for size in (1, 1300, 16384, 65535):
            part = 64 if size == 1 else size
            pieces = b"".join(fragments(opcode, cut(payload, part)))
            case = Case(f"{KIND[opcode]} of 64 KiB by {part}", [pieces], [echo(opcode, payload)])
            yield from whole_and_chopped(case, 1460)


def named(kinds: Iterable[tuple[str, Iterable[Case]]]) -> list[tuple[str, Case]]:
    """The cases of all classes, each with its name in full; no two have the same."""
    found = [(f"{kind}: {case.name}", case) for kind, cases in kinds for case in cases]
    assert len({name for name, _ in found}) == len(found)
    return found
