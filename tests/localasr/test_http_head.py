import contextlib

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.http_head import BadHeadError, HttpAnswer, RequestHead, TappedStream, parse_head, read_head


def test_a_head() -> None:
    head = parse_head(b"GET /asr/v2/1?a=b HTTP/1.1\r\nHost: x\r\nUpgrade:  WebSocket \r\nX-TC-Token: t")
    assert (head.method, head.path, head.target) == ("GET", "/asr/v2/1", "/asr/v2/1?a=b")
    assert head.headers == {"host": "x", "upgrade": "WebSocket", "x-tc-token": "t"}
    assert head.wants_websocket
    assert not parse_head(b"POST / HTTP/1.1\r\nUpgrade: websocket").wants_websocket
    assert not parse_head(b"GET / HTTP/1.0\r\n").wants_websocket


@pytest.mark.parametrize(
    "head",
    [b"", b"GET /", b"GET x HTTP/1.1", b"GET / HTTP/2", b"GET / HTTP/1.1\r\nno colon", b"GET / HTTP/1.1\r\nA : b"],
)
def test_a_bad_head(head: bytes) -> None:
    with pytest.raises(BadHeadError):
        parse_head(head)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadHeadError):
        assert isinstance(parse_head(data), RequestHead)


def test_answers() -> None:
    assert HttpAnswer(200, "17").encode() == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: close\r\n\r\n17"
    )
    assert HttpAnswer(399).encode().startswith(b"HTTP/1.1 399 Unknown\r\n")


async def test_reading_is_bounded_in_time_and_size(autojump_clock: trio.testing.MockClock) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(b"GET / HTTP/1.1\r\n")
    with pytest.raises(BadHeadError) as slow:
        await read_head(server)
    assert slow.value.status == 408
    assert trio.current_time() == 10

    await client.send_all(b"A: b\r\n" * 3000)
    with pytest.raises(BadHeadError) as long:
        await read_head(server)
    assert long.value.status == 431

    await client.send_all(b"GET / HTTP/1.1\r\n\r\nbody")
    head, received = await read_head(server)
    assert head.path == "/"
    assert received.endswith(b"body")

    await client.aclose()
    with pytest.raises(BadHeadError) as ended:
        await read_head(server)
    assert ended.value.status == 400


async def test_a_tapped_stream_is_a_stream() -> None:
    async def pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        await trio.lowlevel.checkpoint()
        left, right = trio.testing.memory_stream_pair()
        return TappedStream(left, b""), TappedStream(right, b"")

    await trio.testing.check_two_way_stream(pair, None)


async def test_a_tapped_stream_replays_and_holds(autojump_clock: trio.testing.MockClock) -> None:
    left, right = trio.testing.memory_stream_pair()
    tap = TappedStream(right, b"already ")
    await left.send_all(b"read")
    assert await tap.receive_some() + await tap.receive_some() == b"already read"
    tap.hold_reading()
    await left.send_all(b"later")
    with trio.move_on_after(5) as held:
        await tap.receive_some()
    assert held.cancelled_caught
    tap.resume_reading()
    await left.send_all(b"!")
    assert await tap.receive_some() == b"!"
