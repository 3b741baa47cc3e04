"""The TCP port: accepts connections, reads the head of each one's first request, and decides who serves it.

Each connection is its own world: whatever escapes while it is served, Hypercorn's errors on malformed frames
included, ends that connection and is one line in the log.
"""

import errno
import logging
import os
from typing import Final

import trio

from service.deps import Deps
from service.edge.answers import Verdict, judge, short_answer
from service.edge.connection import Connection
from service.edge.head import MAX_HEAD_BYTES, Head, HeadReader, NotAHead
from service.edge.http import HttpServer
from service.edge.voice import VoiceServer
from service.groups import leaves
from service.telemetry.logs import get_logger, log_event

BACKLOG: Final = 1024
"""Connections that the kernel completes while the loop is busy. After a restart every phone of an instance comes back
within a second or two: some 400 by default. When the queue is full the kernel drops the attempt, and the phone tries
again only after 1 s (RFC 6298 section 2). The kernel caps it at net.core.somaxconn, 4096 on Linux since 5.4."""
TCP_USER_TIMEOUT_MS: Final = 30_000
"""How long sent bytes may stay unacknowledged before the kernel ends a connection (RFC 5482): it ends stuck writes to
peers that vanished, also those nobody watches. Longer than the 25 s after which a stream gives its client up."""
HEAD_S: Final = 10.0
"""How long the first head may take: two lost packets of a bad mobile network (1 s + 2 s), and then some."""
MAX_HEADS: Final = 1024
"""Connections whose head is being read at a time, at most 16 KiB each; beyond, new ones are reset unread."""
_ANSWER_S: Final = 2.0
_CAPACITY_PAUSE_S: Final = 0.1
_CAPACITY_ERRNOS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_CLIENTS_FAULT: Final = ("h11", "wsproto", "hypercorn")
"""Libraries whose exceptions a client can bring about with the bytes it sends."""

_log = get_logger("edge")

_SENTENCES: Final = {
    NotAHead.GARBAGE: "This is not an HTTP/1.1 request.",
    NotAHead.TOO_LARGE: f"The head of a request may have {MAX_HEAD_BYTES} bytes.",
    NotAHead.HTTP_VERSION: "This port speaks HTTP/1.1.",
}
_NEEDS_HTTP_1_1: Final = (
    "A WebSocket needs HTTP/1.1, and this request came as HTTP/1.0: a proxy on the way may have to be told "
    "(nginx: proxy_http_version 1.1)."
)


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Opens the listening sockets of `host`, all its addresses, with port 0 meaning any free one.

    Raises OSError when one cannot be opened: none is left open then.
    """
    # SO_REUSEADDR is set by Trio, so that a restart does not wait for the old connections' TIME_WAIT.
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
    for listener in listeners:
        # Accepted sockets inherit it. TCP_NODELAY is set on each by trio.SocketStream.
        if hasattr(trio.socket, "TCP_USER_TIMEOUT"):
            listener.socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
    return listeners


class Edge:
    """Accepts and serves the connections of one process."""

    def __init__(self, deps: Deps, http: HttpServer) -> None:
        self._deps = deps
        self._http = http
        self._voice = VoiceServer(deps)
        self._accepting = trio.CancelScope()
        self._connections: set[Connection] = set()
        self._connection_ended = trio.Event()
        self._heads = 0
        self._served = 0

    @property
    def open_connections(self) -> int:
        """Sockets that are open now."""
        return len(self._connections)

    async def serve(
        self,
        listeners: list[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[list[tuple[str, int]]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accepts until `stop_accepting`, then returns when the last connection has ended.

        `task_status` is told the addresses. Cancelled, it closes every connection at once, stuck writes included. The
        listeners are closed in any case.

        Out of file descriptors or memory, it logs that once and goes on trying. Any other error of accept() that says
        something about our own socket is raised.
        """
        try:
            # Handlers outlive the accepting tasks that start them, so these get the nursery of the connections.
            async with trio.open_nursery() as connections:
                connections.start_soon(self._voice.keep_alive, name="keep-alive")
                try:
                    with self._accepting:
                        async with trio.open_nursery() as accepting:
                            for listener in listeners:
                                accepting.start_soon(self._accept, listener, connections, name="accept")
                            task_status.started([listener.socket.getsockname()[:2] for listener in listeners])
                    _close(listeners)
                    while self._connections:
                        self._connection_ended = trio.Event()
                        await self._connection_ended.wait()
                    connections.cancel_scope.cancel()
                finally:
                    # Only a closed socket ends a write that Hypercorn has shielded.
                    for connection in self._connections:
                        connection.close()
        finally:
            _close(listeners)

    def stop_accepting(self) -> None:
        """Closes the listening sockets; open connections go on."""
        self._accepting.cancel()

    async def _accept(self, listener: trio.SocketListener, connections: trio.Nursery) -> None:
        exhausted = False
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _CAPACITY_ERRNOS:
                    raise
                if not exhausted:
                    exhausted = True
                    log_event(_log, logging.ERROR, "accept_exhausted", reason=os.strerror(error.errno or 0))
                await trio.sleep(_CAPACITY_PAUSE_S)
                continue
            exhausted = False
            connection = Connection(stream)
            if self._heads >= MAX_HEADS:
                connection.abort()
                continue
            connections.start_soon(self._guard, connection, name="connection")

    async def _guard(self, connection: Connection) -> None:
        """The world of one connection: what happens here stays here."""
        self._connections.add(connection)
        try:
            with self._deps.metrics.connections_active.track_inprogress():
                await self._converse(connection)
                await connection.linger()
        except* Exception as group:
            level = logging.WARNING if all(map(_is_clients_fault, leaves(group))) else logging.ERROR
            log_event(_log, level, "connection_failed", error=group)
        finally:
            connection.close()
            self._connections.discard(connection)
            self._connection_ended.set()

    async def _converse(self, connection: Connection) -> None:
        reader = HeadReader()
        self._heads += 1
        try:
            head = await _read_head(connection, reader)
        finally:
            self._heads -= 1
        if not isinstance(head, Head):
            if head is not None:
                await _answer(connection, head)
            return
        if head.is_http_1_0 and head.wants_websocket:
            await _answer(connection, short_answer(426, _NEEDS_HTTP_1_1))
            return
        settings = self._deps.settings
        verdict = judge(
            head, phase=self._deps.lifecycle.phase, served=self._served, max_connections=settings.max_connections
        )
        if verdict is Verdict.DRAINING:
            await _answer(connection, short_answer(503, "This instance is being stopped; connect again.", retry=True))
            return
        if verdict is Verdict.FULL:
            sentence = f"All {settings.max_connections} connections of this instance are taken."
            await _answer(connection, short_answer(503, sentence, retry=True))
            return
        self._served += 1
        try:
            if self._voice.takes(head):
                await self._voice.serve(connection, head, reader.data[head.size :])
                return
            connection.replay(reader.data)
            await self._http.serve_connection(
                connection,
                head.target,
                upgrade=head.is_websocket_upgrade,
                single=verdict is Verdict.SERVE_ONCE,
            )
        finally:
            self._served -= 1


async def _read_head(connection: Connection, reader: HeadReader) -> Head | bytes | None:
    """The head, or the answer to what is none, or None when the peer has left. `reader` has what was read."""
    with trio.move_on_after(HEAD_S):
        while True:
            try:
                data = await connection.receive_some()
            except trio.BrokenResourceError:
                return None
            if not data:
                return None
            found = reader.feed(data)
            if isinstance(found, NotAHead):
                return short_answer(found.value, _SENTENCES[found])
            if found is not None:
                return found
    return short_answer(408, f"No complete request came within {HEAD_S:.0f} s.")


async def _answer(connection: Connection, answer: bytes) -> None:
    with trio.move_on_after(_ANSWER_S):
        try:
            await connection.send_all(answer)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # nobody is there to be told


def _close(listeners: list[trio.SocketListener]) -> None:
    for listener in listeners:
        listener.socket.close()


def _is_clients_fault(error: BaseException) -> bool:
    """Whether an exception was raised inside a library that reads what the client sends."""
    trace = error.__traceback__
    if trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in _CLIENTS_FAULT
