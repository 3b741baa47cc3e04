"""The opening handshake, both sides: what is asked, what is answered, and what is refused."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import accept_key

from service.stream.upgrade import chosen_subprotocol
from service.websocket.handshake import MAX_ANSWER_BYTES, Answer, ClientHandshake, UpgradeFailed, answer_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Both are RFC 6455's own example, section 1.3."""
ASKED = {
    "host": "a",
    "connection": "keep-alive, Upgrade",
    "upgrade": "WebSocket",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
}


def no_subprotocol(_offered: Sequence[str]) -> str | None:
    return None


def answered(*more: tuple[str, str], without: str = "", **changed: str) -> Answer:
    """The answer to a proper upgrade with headers more, one less, or others."""
    fields = {name: value for name, value in ASKED.items() if name != without}
    fields |= {name.replace("_", "-"): value for name, value in changed.items()}
    headers = [(name.encode(), value.encode("latin-1")) for name, value in [*fields.items(), *more]]
    return answer_upgrade("/test-ws?raw=1", headers, chosen_subprotocol)


def status_and_headers(answer: Answer) -> tuple[int, dict[str, str]]:
    head, _, _ = answer.data.partition(b"\r\n\r\n")
    line, *lines = head.decode("ascii").split("\r\n")
    return int(line.split()[1]), {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }


def test_an_upgrade_is_accepted() -> None:
    answer = answered()
    status, headers = status_and_headers(answer)
    assert (status, answer.is_accepted) == (101, True)
    assert headers["sec-websocket-accept"] == ACCEPT
    assert (headers["connection"].lower(), headers["upgrade"].lower()) == ("upgrade", "websocket")
    assert not {"sec-websocket-protocol", "sec-websocket-extensions", "content-length"} & set(headers)
    assert answer.data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"sec_websocket_key": ""}, 400),
        ({"sec_websocket_key": "AAAA"}, 400),
        ({"sec_websocket_key": KEY + KEY}, 400),
        ({"sec_websocket_key": KEY[:-1]}, 400),
        ({"sec_websocket_key": "\xff" * 24}, 400),
        ({"sec_websocket_key": "!" + KEY}, 400),
        ({"sec_websocket_version": "12"}, 400),
        ({"sec_websocket_version": "8"}, 400),
        ({"sec_websocket_version": "13, 8"}, 400),
        ({"sec_websocket_version": ""}, 400),
        ({"upgrade": "h2c"}, 426),
        ({"upgrade": "websocket, h2c"}, 426),
        ({"connection": "close"}, 426),
        ({"connection": ";;"}, 400),
        ({"sec_websocket_protocol": "\xff"}, 400),
        ({"sec_websocket_protocol": "two words"}, 400),
    ],
)
def test_what_is_no_proper_upgrade(changed: dict[str, str], status: int) -> None:
    check_refused(answered(**changed), status)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("host", 400),
        ("connection", 426),
        ("upgrade", 426),
        ("sec-websocket-key", 400),
        ("sec-websocket-version", 400),
    ],
)
def test_each_header_is_needed(name: str, status: int) -> None:
    check_refused(answered(without=name), status)


@pytest.mark.parametrize("name", ["host", "sec-websocket-key", "sec-websocket-version", "upgrade"])
def test_headers_that_may_come_once(name: str) -> None:
    answer = answered((name, ASKED[name]))
    check_refused(answer, 426 if name == "upgrade" else 400)


def check_refused(answer: Answer, status: int) -> None:
    found, headers = status_and_headers(answer)
    assert (found, answer.is_accepted) == (status, False)
    assert headers["sec-websocket-version"] == "13"  # RFC 6455 section 4.4
    assert headers["connection"] == "close"
    assert "sec-websocket-accept" not in headers
    assert int(headers["content-length"]) == len(answer.data.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["voice.v1"], "voice.v1"),
        (["bearer.abc, voice.v1"], "voice.v1"),
        (["other", "bearer.abc", "voice.v1"], "voice.v1"),
        (["bearer.abc, other"], "other"),
        (["bearer.abc"], None),
        ([], None),
    ],
)
def test_the_subprotocol_that_is_chosen(offered: list[str], chosen: str | None) -> None:
    answer = answered(*[("sec-websocket-protocol", value) for value in offered])
    assert answer.is_accepted
    assert status_and_headers(answer)[1].get("sec-websocket-protocol") == chosen


@pytest.mark.parametrize(
    "offer", ["permessage-deflate", "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame", "?;=", ""]
)
def test_no_extension_is_agreed(offer: str) -> None:
    answer = answered(("sec-websocket-extensions", offer))
    assert answer.is_accepted
    assert b"extensions" not in answer.data.lower()


_values = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=40)


@given(st.lists(st.tuples(st.sampled_from([*ASKED, "origin", "sec-websocket-protocol", "x"]), _values), max_size=9))
def test_any_headers_have_an_answer(fields: list[tuple[str, str]]) -> None:
    headers = [(name.encode(), value.encode("latin-1")) for name, value in fields]
    status, _ = status_and_headers(answer_upgrade("/", headers, no_subprotocol))
    assert status in (101, 400, 426)


# -- the client -------------------------------------------------------------------------------------------------------


def asking(url: str = "ws://recognizer.test:8080", resource: str = "/asr/v2?a=1&b=%2F") -> ClientHandshake:
    return ClientHandshake(url, resource, [(b"x-token", b"secret")])


def asked(handshake: ClientHandshake) -> tuple[str, dict[str, str]]:
    head, end, rest = handshake.request.partition(b"\r\n\r\n")
    assert end
    assert not rest
    line, *lines = head.decode("ascii").split("\r\n")
    return line, {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)}


def accepting(handshake: ClientHandshake, *more: str, without: str = "", accept: str | None = None) -> bytes:
    """What a server answers that accepts."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_key(asked(handshake)[1]["sec-websocket-key"]) if accept is None else accept,
    }
    lines = [f"{name}: {value}" for name, value in fields.items() if name != without]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, *more, "", ""]).encode()


def test_what_is_asked() -> None:
    line, headers = asked(asking())
    assert line == "GET /asr/v2?a=1&b=%2F HTTP/1.1"
    assert headers["host"] == "recognizer.test:8080"
    assert (headers["connection"].lower(), headers["upgrade"].lower()) == ("upgrade", "websocket")
    assert headers["sec-websocket-version"] == "13"
    assert headers["x-token"] == "secret"
    assert not {"sec-websocket-extensions", "sec-websocket-protocol"} & set(headers)
    assert asked(asking())[1]["sec-websocket-key"] != headers["sec-websocket-key"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("wss://a.test", "a.test"),
        ("ws://a.test:80", "a.test"),
        ("wss://a.test:8443", "a.test:8443"),
        ("ws://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_host_that_is_named(url: str, host: str) -> None:
    assert asked(asking(url, "/"))[1]["host"] == host


def test_both_sides_agree() -> None:
    handshake = asking()
    line, headers = asked(handshake)
    fields = [(name.encode(), value.encode()) for name, value in headers.items()]
    answer = answer_upgrade(line.split()[1], fields, no_subprotocol)
    assert handshake.feed(answer.data + b"\x81\x00") == b"\x81\x00"


@given(st.lists(st.integers(0, 1000), max_size=6), st.binary(max_size=50))
def test_an_answer_may_be_cut_anywhere(cuts: list[int], behind: bytes) -> None:
    handshake = asking()
    head = accepting(handshake, "X-More: a")
    places = [0, *sorted(place % len(head) for place in cuts), len(head)]
    for start, stop in itertools.pairwise(places[:-1]):
        assert handshake.feed(head[start:stop]) is None
    assert handshake.feed(head[places[-2] :] + behind) == behind


def status_of(handshake: ClientHandshake, data: bytes) -> int | None:
    with pytest.raises(UpgradeFailed) as failed:
        handshake.feed(data)
    return failed.value.status


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 426, 429, 500, 503])
def test_the_status_is_told_byte_by_byte_too(status: int) -> None:
    data = f"HTTP/1.1 {status} Whatever\r\nContent-Length: 5\r\n\r\n".encode()
    assert status_of(asking(), data + b"hello") == status
    handshake = asking()
    for byte in data[:-1]:
        assert handshake.feed(bytes([byte])) is None
    assert status_of(handshake, data[-1:]) == status


@pytest.mark.parametrize(
    "data", [b"\r\n\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/2 101\r\n\r\n", b"HTTP/1.1 1010 x\r\n\r\n", b"\xff\xfe\r\n\r\n"]
)
def test_what_is_no_answer_has_no_status(data: bytes) -> None:
    assert status_of(asking(), data) is None


@pytest.mark.parametrize("accept", [ACCEPT, "", "x"])
def test_a_wrong_accept(accept: str) -> None:
    handshake = asking()
    assert status_of(handshake, accepting(handshake, accept=accept)) is None


@pytest.mark.parametrize("name", ["Upgrade", "Connection", "Sec-WebSocket-Accept"])
def test_each_header_of_the_answer_is_needed(name: str) -> None:
    handshake = asking()
    assert status_of(handshake, accepting(handshake, without=name)) is None


@pytest.mark.parametrize(
    "more",
    [
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Protocol: voice.v1",
        f"Sec-WebSocket-Accept: {ACCEPT}",
        "Upgrade: h2c",
        "no colon",
    ],
)
def test_what_was_not_asked_for_is_not_taken(more: str) -> None:
    handshake = asking()
    assert status_of(handshake, accepting(handshake, more)) is None


@pytest.mark.parametrize("piece_bytes", [1000, MAX_ANSWER_BYTES * 2])
@pytest.mark.parametrize("excess_bytes", [0, 1])
def test_an_answer_has_a_largest_size_however_it_is_cut(piece_bytes: int, excess_bytes: int) -> None:
    handshake = asking()
    pads = [f"X-Pad-{number}: {'a' * 4000}" for number in range(3)]
    missing = MAX_ANSWER_BYTES - len(accepting(handshake, *pads, "X: "))
    data = accepting(handshake, *pads, "X: " + "a" * (missing + excess_bytes))
    assert len(data) == MAX_ANSWER_BYTES + excess_bytes
    *before, last = [data[start : start + piece_bytes] for start in range(0, len(data), piece_bytes)]
    for piece in before:
        assert handshake.feed(piece) is None
    if excess_bytes:
        assert status_of(handshake, last) is None
    else:
        assert handshake.feed(last) == b""


def test_an_answer_without_end_is_given_up() -> None:
    handshake = asking()
    assert handshake.feed(b"HTTP/1.1 101 " + b"a" * (MAX_ANSWER_BYTES - 14)) is None
    assert status_of(handshake, b"a") is None


@given(st.binary(max_size=300))
def test_any_bytes_are_no_answer(data: bytes) -> None:
    handshake = asking()
    if b"\r\n\r\n" in data:
        assert status_of(handshake, data) is None
    else:
        assert handshake.feed(data) is None
