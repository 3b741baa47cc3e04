"""One case of the conformance tests: exact bytes to `/test-ws?raw=1` over a socket, and the exact answer to them.

It takes each answer apart by hand (`tests.support.frames`), so that no library's leniency stands between.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from tests.support.edge import UPGRADE_HEAD, make_deps, running_edge
from tests.support.frames import BINARY, CLOSE, PONG, TEXT, FrameReader, Seen, close_frame

CASE_S = 20
"""A guard against hanging, for one case: the largest takes a second."""
ALL_S = 600
"""The same for the server of all cases."""


@dataclass(frozen=True)
class Case:
    """What is sent, and what has to come."""

    name: str
    writes: list[bytes]
    """Each goes out in a write of its own."""
    messages: list[bytes | str] = field(default_factory=list)
    """The echoes, in order."""
    pongs: list[bytes] = field(default_factory=list)
    close: bytes | int | None = None
    """The payload of the server's close frame, or its code alone; None where the connection has to go on."""
    may_omit: bool = False
    """Whether echoes may be missing: of messages that came in one piece with what ends the connection."""
    first: bytes = b""
    """Goes out before; all the echoes are waited for then."""


@contextlib.contextmanager
def edge_in_a_thread(*, is_pumped: bool, **settings: Any) -> Iterator[int]:
    """The port of an edge that runs in a thread of its own until the end of the `with`."""
    ready = threading.Event()
    port = 0
    stop: Callable[[], None] = ready.clear

    async def serve() -> None:
        nonlocal port, stop
        stopped = trio.Event()
        token = trio.lowlevel.current_trio_token()
        stop = lambda: token.run_sync_soon(stopped.set)  # noqa: E731
        deps = make_deps(**settings)
        async with trio.open_nursery() as nursery:
            if is_pumped:
                await nursery.start(deps.pump.run)
            async with running_edge(deps, hang_s=ALL_S) as running:
                port = running.port
                ready.set()
                await stopped.wait()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=(serve,), name="edge")
    thread.start()
    try:
        assert ready.wait(CASE_S)
        yield port
    finally:
        stop()
        thread.join()


class _Conversation:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._reader = FrameReader()
        self.messages: list[bytes | str] = []
        self.pongs: list[bytes] = []
        self.closes: list[Seen] = []

    async def read(self, until: Callable[[], bool]) -> None:
        """Reads until then, or to the end of the connection, which must be an orderly one."""
        while not until():
            data = await self._stream.receive_some()
            if not data:
                assert not self._reader.rest
                return
            for seen in self._reader.feed(data):
                self._take(seen)

    def _take(self, seen: Seen) -> None:
        assert not self.closes, "nothing comes behind a close frame"
        assert (seen.fin, seen.reserved, seen.is_masked) == (True, 0, False)
        if seen.opcode == TEXT:
            self.messages.append(seen.payload.decode())
        elif seen.opcode == BINARY:
            self.messages.append(seen.payload)
        elif seen.opcode == PONG:
            self.pongs.append(seen.payload)
        else:
            assert seen.opcode == CLOSE
            self.closes.append(seen)


async def upgraded(port: int, target: bytes = b"/test-ws?raw=1") -> trio.SocketStream:
    """A WebSocket to the echo, of which nothing beyond the handshake was read."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(UPGRADE_HEAD % target)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += await stream.receive_some(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return stream


async def check(port: int, case: Case) -> None:
    """Runs a case; an assertion fails where the answer is another one."""
    with trio.fail_after(CASE_S):
        stream = await upgraded(port)
        async with stream:
            talk = _Conversation(stream)
            if case.first:
                await stream.send_all(case.first)
                await talk.read(lambda: len(talk.messages) >= len(case.messages))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_write, stream, case)
                if case.close is None:
                    await talk.read(
                        lambda: len(talk.messages) >= len(case.messages) and len(talk.pongs) >= len(case.pongs)
                    )
                else:
                    await talk.read(lambda: False)
            if case.close is None:
                assert not talk.closes
                await stream.send_all(close_frame(1000, b"the case's own end"))
                await talk.read(lambda: False)
    close = b"\x03\xe8the case's own end" if case.close is None else case.close
    assert len(talk.closes) == 1
    assert close == (talk.closes[0].payload if isinstance(close, bytes) else talk.closes[0].close_code)
    assert talk.pongs == case.pongs
    assert talk.messages == (case.messages[: len(talk.messages)] if case.may_omit else case.messages)


async def _write(stream: trio.SocketStream, case: Case) -> None:
    # The server may be through with the connection before all is written.
    with contextlib.suppress(trio.BrokenResourceError):
        for data in case.writes:
            await stream.send_all(data)
