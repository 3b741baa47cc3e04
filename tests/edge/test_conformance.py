"""RFC 6455 against the echo over real sockets, in the classes of the Autobahn suite.

Each case sends exact bytes and knows the exact answer: echoes, pongs, the close frame, and that the server ends the
connection. One server runs for all of them, and one more that reads without the pump.
"""

from collections.abc import Iterator

import pytest
import trio

from tests.support import conformance_cases as cases
from tests.support.conformance import CASE_S, Case, check, edge_in_a_thread, upgraded
from tests.support.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, Seen, close_frame, frame

CASES = cases.named(
    [
        ("1 framing", cases.framing()),
        ("2 ping and pong", cases.pings()),
        ("3 reserved bits", cases.reserved_bits()),
        ("4 opcodes", cases.opcodes()),
        ("5 fragmentation", cases.fragmentation()),
        ("6 UTF-8", cases.utf_8()),
        ("7 closing", cases.closing()),
        ("9 limits", cases.limits()),
        ("10 auto-fragmentation", cases.auto_fragmentation()),
    ]
)


@pytest.fixture(scope="module", params=[True, False], ids=["pump", "tasks"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    with edge_in_a_thread(is_pumped=request.param, test_ws_max_bytes=cases.MOST_BYTES) as number:
        yield number


def test_there_are_as_many_as_are_promised() -> None:
    assert len(CASES) >= 250


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES])
async def test_rfc_6455(port: int, case: Case) -> None:
    await check(port, case)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (frame(PING, b"now"), Seen(PONG, b"now")),
        (close_frame(1000), Seen(CLOSE, b"\x03\xe8")),
        (frame(TEXT, b"\xff"), Seen(CLOSE, b"\x03\xeftext that is not UTF-8")),
    ],
    ids=["ping", "close", "broken"],
)
async def test_what_comes_while_an_echo_waits_to_be_read_is_answered_behind_it(
    port: int, sent: bytes, answer: Seen
) -> None:
    payload = bytes(cases.MOST_BYTES)
    with trio.fail_after(CASE_S):
        async with await upgraded(port) as stream:
            await stream.send_all(frame(BINARY, payload))
            await stream.receive_some(1)  # the echo has begun: the rest fills the kernel's buffers
            await stream.send_all(sent)
            await trio.sleep(0.05)  # until the server has had the occasion to read it
            reader, seen = FrameReader(), list[Seen]()
            assert not list(reader.feed(b"\x82"))
            while len(seen) < 2:
                data = await stream.receive_some()
                assert data, "the server has ended the connection without an answer"
                seen += reader.feed(data)
    assert seen[1] == answer
    assert seen[0].payload == payload
