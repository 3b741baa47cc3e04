"""Malformed heads and requests: everything that can go wrong before there is a WebSocket. Pure."""

import random
from typing import Final

from tests.proof.attack import (
    END,
    PAGES,
    RECOGNIZE,
    UPGRADE_LINES,
    VOICE,
    Kind,
    Piece,
    Talk,
    dripped,
    frame,
    head,
    said,
)

_NOT_A_METHOD: Final = bytes([*range(32), *range(127, 256)])
_UPGRADE: Final = head(b"GET", VOICE, *UPGRADE_LINES)


def garbage(chance: random.Random) -> Talk:
    """Bytes that cannot begin a request: a TLS hello, a bare NUL, noise."""
    first = bytes([chance.choice(_NOT_A_METHOD)])
    tls = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    return said(chance.choice([first, tls]) + chance.randbytes(chance.randrange(600)), fatal=True)


def oversize(chance: random.Random) -> Talk:
    """Heads over 16 KiB: one line, many lines, a target without an end, a method without one."""
    filler = bytes([chance.randrange(97, 123)])
    long = filler * chance.randrange(17_000, 60_000)
    data = chance.choice(
        [
            b"GET / HTTP/1.1\r\nX: " + long + END,
            b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(2500)) + b"\r\n",
            b"GET /" + long,
            long,
            b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 4000,
        ]
    )
    cut = chance.randrange(1, len(data))
    return said(data[:cut], data[cut:], fatal=True) if chance.random() < 0.5 else said(data, fatal=True)


def slow_drip(chance: random.Random) -> Talk:
    """A good head in small pieces, which does not come to its end."""
    return Talk(tuple(dripped(chance, chance.choice([_UPGRADE, head(b"GET", b"/health")])[:-3], most=40)), False)


def half_lines(chance: random.Random) -> Talk:
    """A head that stops in the middle of a line, after nothing at all, or before the empty line."""
    whole = chance.choice([_UPGRADE, head(b"POST", RECOGNIZE, b"Content-Length: 100")])
    return said(whole[: chance.choice([0, 1, 3, 5, 14, chance.randrange(len(whole)), len(whole) - 1])], fatal=False)


def nuls(chance: random.Random) -> Talk:
    """A NUL or another control character somewhere in a head that would be good."""
    place = chance.randrange(len(_UPGRADE) - 4)
    bad = bytes([chance.choice([0, 1, 8, 11, 12, 27, 127])])
    return said(_UPGRADE[:place] + bad * chance.randrange(1, 4) + _UPGRADE[place:], fatal=True)


def broken_lines(chance: random.Random) -> Talk:
    """A request line or a header line that is not one."""
    lines = chance.choice(
        [
            b"GET  / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET /", b"GET / HTTP/11", b"GET / http/1.1", b" GET / HTTP/1.1",
            b"GET\t/\tHTTP/1.1", b"GET /\xff HTTP/1.1", b"G\xc3\x8bT / HTTP/1.1", b"/ GET HTTP/1.1", b"\r", b":",
            b"GET / HTTP/1.1\r\nno colon", b"GET / HTTP/1.1\r\n: no name", b"GET / HTTP/1.1\r\nspace : before",
            b"GET / HTTP/1.1\r\nA: b\r\n folded: c", b"GET / HTTP/1.1\r\nA: b\rC: d", b"GET / HTTP/1.1\r\n\tA: b",
        ]
    )  # fmt: skip
    return said(lines + chance.choice([END, b"\n\n", b"\r\n\n"]), fatal=True)


def versions(chance: random.Random) -> Talk:
    """HTTP/2 by prior knowledge, and numbers that nobody speaks."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    settings = b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
    odd = head(b"GET", b"/health", version=chance.choice([b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9"]))
    return said(chance.choice([preface, preface + settings * chance.randrange(1, 50), odd]), fatal=True)


def targets(chance: random.Random) -> Talk:
    """Absolute, authority, asterisk and nonsense targets."""
    target = chance.choice(
        [
            b"http://[", b"http://test/health", b"https://other:443/test-ws", b"*", b"test:80", b"//", b"/%00",
            b"/%ff%fe", b"/..%2f..%2fetc/passwd", b"/;/", b"/?" + b"a=b&" * 2000, b"/#fragment", b"/%", b"\\", b"a",
            VOICE + b"/", VOICE + b"?" + b"%00" * 500, b"/test-ws/../health", b"http://test:99999/",
            b"ws://test/test-ws",
        ]
    )  # fmt: skip
    lines = UPGRADE_LINES if chance.random() < 0.4 else ()
    return said(head(chance.choice([b"GET", b"OPTIONS", b"CONNECT", b"HEAD"]), target, *lines), fatal=False)


def methods(chance: random.Random) -> Talk:
    """Methods that a route does not have."""
    method = chance.choice([b"DELETE", b"TRACE", b"CONNECT", b"PATCH", b"BREW", b"get", b"PUT", b"QUERY", b"!"])
    return said(head(method, chance.choice([*PAGES, VOICE, RECOGNIZE])), listen_s=0.5, fatal=False)


def bodies(chance: random.Random) -> Talk:
    """Lengths and codings of a body that contradict each other or what comes."""
    lines = chance.choice(
        [
            [b"Content-Length: -1"], [b"Content-Length: 5", b"Content-Length: 6"], [b"Content-Length: abc"],
            [b"Content-Length: 5", b"Transfer-Encoding: chunked"], [b"Transfer-Encoding: gzip"],
            [b"Content-Length: 99999999999999999999"], [b"Content-Length: 100"], [b"Transfer-Encoding: chunked"],
            [b"Transfer-Encoding: chunked", b"Expect: 100-continue"], [b"Content-Length: +5"], [b"Content-Length: "],
        ]
    )  # fmt: skip
    chunks = chance.choice(
        [
            b"zz\r\nabc",
            b"5\r\nabc",
            b"-1\r\n",
            b"ffffffffffffffff\r\nabc",
            b"5\r\nabcdeXX",
            b"3;x=" + b"y" * 9000,
            b"abc",
        ]
    )
    start = head(b"POST", chance.choice([RECOGNIZE, b"/health", b"/nothing"]), *lines)
    return said(start, chunks, listen_s=chance.choice([0.0, 0.05]), fatal=False)


def hosts(chance: random.Random) -> Talk:
    """No Host, two of them, a bad one; odd header values beside it."""
    lines = chance.choice([[], [b"Host: a", b"Host: b"], [b"Host: a b"], [b"Host: \xff"], [b"Host: :"], [b"Host: ["]])
    extra = chance.choice(
        [b"Cookie: \xff=\xfe;;", b"Authorization: Bearer", b"Forwarded: for=[", b"token: \x80", b"A: "]
    )
    return said(head(b"GET", chance.choice(PAGES), *lines, extra, host=False), listen_s=0.5, fatal=False)


def pipelined_garbage(chance: random.Random) -> Talk:
    """Good requests, and behind them what is none."""
    good = head(b"GET", chance.choice([b"/health", b"/", b"/nothing"])) * chance.randrange(1, 5)
    bad = chance.choice(
        [chance.randbytes(200), b"\x00" * 50, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"x" * 20_000,
         _UPGRADE[:60], _UPGRADE,
         frame(chance, 1, b"hello"), b"GET / HTTP/9.9\r\n\r\n"]
    )  # fmt: skip
    return said(good + bad, fatal=False) if chance.random() < 0.5 else said(good, bad, listen_s=0.1, fatal=False)


def uploads(chance: random.Random) -> Talk:
    """Broken forms on the route that takes one."""
    kind = chance.choice(
        [b"multipart/form-data; boundary=x", b"multipart/form-data", b"multipart/form-data; boundary=" + b"x" * 300,
         b"application/json", b"application/x-www-form-urlencoded", b"\xff/\xfe"]
    )  # fmt: skip
    part = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a"\r\n\r\n'
    body = chance.choice(
        [b"--x\r\n", b"--x--", part, part + chance.randbytes(3000) + b"\r\n--x--\r\n", b'{"audio": [', b"a=b&" * 500,
         part.replace(b"audio", b"engineType") + b"\xff\r\n--x--\r\n", (part + b"y\r\n") * 60 + b"--x--\r\n",
         b"\x00" * 900]
    )  # fmt: skip
    size = chance.choice([len(body), len(body), len(body) + 1000, max(1, len(body) - 3), 20 * 1024 * 1024])
    start = head(b"POST", RECOGNIZE, b"Content-Type: " + kind, b"Content-Length: %d" % size)
    return said(start, body, listen_s=chance.choice([0.0, 0.3]), fatal=False)


def nothing(_chance: random.Random) -> Talk:
    """Connect and leave."""
    return Talk((), False)


def not_upgrades(chance: random.Random) -> Talk:
    """Upgrades of our routes that are not proper: they are answered, and the connection is ended."""
    key, version = UPGRADE_LINES[3], UPGRADE_LINES[2]
    good = [line for line in UPGRADE_LINES if line not in (key, version)]
    lines = chance.choice(
        [
            [version], [version, b"Sec-WebSocket-Key: "], [version, b"Sec-WebSocket-Key: short"], [version, key, key],
            [version, b"Sec-WebSocket-Key: \xff\xff"], [version, key.replace(b"=", b"")], [key], [key, version,
            version],
            [key, b"Sec-WebSocket-Version: 12"], [key, b"Sec-WebSocket-Version: "], [key,
            b"Sec-WebSocket-Version: 13, 8"],
        ]
    )  # fmt: skip
    return said(head(b"GET", chance.choice([VOICE, b"/test-ws"]), *good, *lines), listen_s=0.2, fatal=True)


def odd_upgrades(chance: random.Random) -> Talk:
    """Upgrades with the wrong method, a body, other protocols, strange offers, or on routes that have none."""
    request = head(b"GET", chance.choice([VOICE, b"/test-ws"]), *UPGRADE_LINES)[:-2]
    elsewhere = head(b"GET", chance.choice(PAGES), *UPGRADE_LINES)[:-2]
    data = chance.choice(
        [
            request.replace(b"GET", chance.choice([b"POST", b"PUT", b"HEAD", b"OPTIONS"])) + b"\r\n",
            request + b"Content-Length: 5\r\n\r\nhello",
            request + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            request.replace(b"websocket", b"h2c") + b"HTTP2-Settings: AAMAAABk\r\n\r\n",
            request.replace(b"websocket", b"websocket, h2c") + b"\r\n",
            request.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n",
            request + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            request + b"Sec-WebSocket-Protocol: " + chance.choice([b"\xff", b",,,", b"bearer.", b"a b"]) + END,
            request + b"Sec-WebSocket-Extensions: " + chance.choice([b";;;", b"permessage-deflate", b"\x80",
            b"="]) + END,
            request.replace(b"Host: localhost\r\n", b"") + b"\r\n",
            elsewhere + b"\r\n",
        ]
    )  # fmt: skip
    return Talk((Piece(data, 0.2), Piece(chance.randbytes(chance.randrange(1, 40)), 0.05)), False)


HEADS: Final[dict[str, Kind]] = {
    "garbage": garbage,
    "oversize": oversize,
    "slow_drip": slow_drip,
    "half_lines": half_lines,
    "nuls": nuls,
    "broken_lines": broken_lines,
    "versions": versions,
    "targets": targets,
    "methods": methods,
    "bodies": bodies,
    "hosts": hosts,
    "pipelined_garbage": pipelined_garbage,
    "uploads": uploads,
    "nothing": nothing,
    "not_upgrades": not_upgrades,
    "odd_upgrades": odd_upgrades,
}
