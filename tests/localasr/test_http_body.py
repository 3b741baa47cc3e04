import pytest
import trio
import trio.testing

from service.localasr.http_body import BodyTooLargeError, body_length, read_body
from service.localasr.http_head import BadHeadError, RequestHead

Clock = trio.testing.MockClock


def head(**headers: str) -> RequestHead:
    return RequestHead("POST", "/", {name.replace("_", "-"): value for name, value in headers.items()})


async def read(given: RequestHead, *pieces: bytes, ends: bool = False) -> tuple[bytes, bytes]:
    """The body and what the client got meanwhile."""
    client, server = trio.testing.memory_stream_pair()
    body = b""
    async with trio.open_nursery() as nursery:

        async def read_it() -> None:
            nonlocal body
            body = await read_body(server, given, 100)
            await server.aclose()

        await client.send_all(b"POST / HTTP/1.1\r\nA: b\r\n\r\n" + pieces[0])
        nursery.start_soon(read_it)
        for piece in pieces[1:]:
            await trio.testing.wait_all_tasks_blocked()
            await client.send_all(piece)
        if ends:
            await client.send_eof()
    return body, bytes(await client.receive_some())


def status_of(raised: pytest.ExceptionInfo[ExceptionGroup[BadHeadError]]) -> int:
    (error,) = raised.value.exceptions
    assert isinstance(error, BadHeadError)
    return error.status


@pytest.mark.parametrize("pieces", [[b"0123456789"], [b"01234", b"56789more"], [b"", b"0123456789"]])
async def test_a_body(pieces: list[bytes]) -> None:
    assert await read(head(content_length="10"), *pieces) == (b"0123456789", b"")


async def test_a_client_that_waits_is_asked_on() -> None:
    asked = head(content_length="4", expect="100-Continue")
    assert await read(asked, b"", b"body") == (b"body", b"HTTP/1.1 100 Continue\r\n\r\n")
    assert await read(asked, b"body") == (b"body", b"")
    with pytest.RaisesGroup(BodyTooLargeError):
        await read(head(content_length="101", expect="100-continue"), b"")


async def test_a_large_one_is_read_before_it_is_refused(autojump_clock: Clock) -> None:
    with pytest.RaisesGroup(BodyTooLargeError):
        await read(head(content_length="200"), bytes(100), bytes(100))
    with pytest.RaisesGroup(BadHeadError) as slow:
        await read(head(content_length="200"), bytes(100))
    assert status_of(slow) == 408
    assert trio.current_time() == 30


async def test_a_slow_or_short_one(autojump_clock: Clock) -> None:
    with pytest.RaisesGroup(BadHeadError) as slow:
        await read(head(content_length="10"), b"0")
    assert status_of(slow) == 408
    with pytest.RaisesGroup(BadHeadError) as short:
        await read(head(content_length="10"), b"0", ends=True)
    assert status_of(short) == 400


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (head(), 411),
        (head(content_length="3", transfer_encoding="chunked"), 411),
        (head(content_length="-1"), 400),
        (head(content_length="²"), 400),
        (head(content_length="9" * 13), 400),
    ],
)
def test_bad_lengths(given: RequestHead, status: int) -> None:
    with pytest.raises(BadHeadError) as bad:
        body_length(given)
    assert bad.value.status == status
