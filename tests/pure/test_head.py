"""The request head: any bytes, in any pieces, have one answer."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.edge.head import MAX_HEAD_BYTES, Head, HeadReader, NotAHead, is_target

UPGRADE = (
    b"GET /test-ws?raw=1 HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def answer(data: bytes) -> Head | NotAHead | None:
    return HeadReader().feed(data)


def head(data: bytes) -> Head:
    given_answer = answer(data)
    assert isinstance(given_answer, Head)
    return given_answer


def in_pieces(data: bytes, cuts: list[int]) -> Head | NotAHead | None:
    """The answer when the bytes come cut at these places; an answer must not change afterwards."""
    reader = HeadReader()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    last: Head | NotAHead | None = None
    for start, stop in itertools.pairwise(places):
        now = reader.feed(data[start:stop])
        assert last is None or now == last
        last = now
    assert reader.data == data
    return last


def test_upgrade_is_recognized() -> None:
    found = head(UPGRADE + b"\x81\x80")
    assert (found.method, found.target, found.path) == ("GET", "/test-ws?raw=1", "/test-ws")
    assert found.is_websocket_upgrade
    assert found.size == len(UPGRADE)
    assert (b"host", b"a") in found.headers


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.0\n\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        UPGRADE.replace(b"GET", b"POST"),
    ],
)
def test_other_requests_are_no_upgrade(data: bytes) -> None:
    assert not head(data).is_websocket_upgrade


def test_two_connection_headers_count_together() -> None:
    assert head(
        b"GET / HTTP/1.1\r\nConnection: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    ).is_websocket_upgrade


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (b"GE", None),
        (b"GET / HTTP/1.1\r\nHost: a\r\n", None),
        (b"\x16\x03\x01\x02\x00", NotAHead.GARBAGE),  # a TLS greeting
        (b"\r\nGET / HTTP/1.1\r\n\r\n", NotAHead.GARBAGE),
        (b"A" * 25, NotAHead.GARBAGE),
        (b"GET /\r\n", NotAHead.GARBAGE),
        (b"GET /\x00 HTTP/1.1\r\n", NotAHead.GARBAGE),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", NotAHead.GARBAGE),
        (b"GET / HTTP/1.1\r\nfolded: a\r\n b\r\n\r\n", NotAHead.GARBAGE),
        (b"GET / HTTP/1.1\r\nspace : a\r\n\r\n", NotAHead.GARBAGE),
        (b"GET / HTTP/1.1\r\nnul: \x00\r\n\r\n", NotAHead.GARBAGE),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", NotAHead.HTTP_VERSION),
        (b"GET / HTTP/3.0\r\n", NotAHead.HTTP_VERSION),
        (b"GET /" + b"a" * MAX_HEAD_BYTES, NotAHead.TOO_LARGE),
        (b"GET / HTTP/1.1\r\na: " + b"b" * MAX_HEAD_BYTES, NotAHead.TOO_LARGE),
    ],
)
def test_what_is_not_a_head(data: bytes, expected: NotAHead | None) -> None:
    assert answer(data) == expected


def test_the_largest_head_is_taken() -> None:
    start, end = b"GET / HTTP/1.1\r\na: ", b"\r\n\r\n"
    largest = start + b"b" * (MAX_HEAD_BYTES - len(start) - len(end)) + end
    assert head(largest + b"body" * 10000).size == MAX_HEAD_BYTES
    assert answer(largest.replace(b"a: ", b"ab: ")) is NotAHead.TOO_LARGE


_texts = st.sampled_from(
    [b"GET ", b"/x", b" HTTP/1.1", b" HTTP/2.0", b"\r\n", b"\n", b"\r", b"Host: a", b": ", b" ", b"\xff", b"\x00",
     b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n", b"a" * 9000, UPGRADE]
)  # fmt: skip
_bytes = st.one_of(st.binary(max_size=200), st.lists(_texts, max_size=12).map(b"".join))


@given(_bytes, st.lists(st.integers(0, 100_000), max_size=6))
def test_any_bytes_have_one_answer_however_cut(data: bytes, cuts: list[int]) -> None:
    assert in_pieces(data, cuts) == answer(data)


@given(_bytes)
def test_byte_by_byte_is_the_same(data: bytes) -> None:
    short = data[:400]
    assert in_pieces(short, list(range(len(short)))) == answer(short)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/path?query=1", True),
        (b"*", True),
        (b"http://host:80/path", True),
        (b"http://[::1]:80/", True),
        (b"http://[", False),
        (b"http://host:port/", False),
        (b"//host:99999/", False),
    ],
)
def test_a_target_can_be_taken_apart(target: bytes, expected: bool) -> None:
    assert is_target(target) is expected
    head = answer(b"GET " + target + b" HTTP/1.1\r\nHost: test\r\n\r\n")
    assert isinstance(head, Head) is expected
