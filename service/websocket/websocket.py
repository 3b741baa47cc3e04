"""An open WebSocket over a stream of bytes: batches of messages in, whole frames out.

One task receives; any may send. What is small goes to the kernel in one call, without a lock and without a wait; only
what the kernel does not take at once is waited for. A send that did not come to its end leaves half a frame behind:
nothing is ever sent after it.

Over a socket it can be read by the process's pump: then what came is offered to a *taker* first, in the pump's task,
and only what that does not take wakes the task that receives. While something waits for that task nothing more is read,
so that TCP holds the peer back.
"""

from collections.abc import Callable
from typing import Final, Protocol

import trio

from service.websocket.pump import Pump
from service.websocket.wire import Wire

MAX_LEADING_BYTES: Final = 16 * 1024
"""Answers to pings that a peer does not read: over a hundred of the largest."""


class WebSocketEnded(Exception):
    """The connection is over. `code` is that of the peer's close frame, None without one."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__(code)
        self.code = code


class WriteTooSlow(Exception):
    """The peer did not take what was sent within the deadline: the connection is of no more use."""


class ByteStream(Protocol):
    """What is under a WebSocket: part of `trio.abc.Stream`. Whoever made it closes it."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """The next bytes, none at the end. Raises trio.BrokenResourceError, trio.ClosedResourceError."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Writes everything. Raises as `receive_some`."""


Taker = Callable[[list[bytes | str], float], int]
"""Takes messages at once, without a wait, at a time of Trio's clock; returns how many of them, from the first on."""


class Pumped(ByteStream, Protocol):
    """A byte stream over a socket, which can be read without a wait."""

    def fileno(self) -> int:
        """Of the socket."""

    def read_now(self) -> bytes | None:
        """What is there, b"" at the end, None when there is nothing yet. Raises as `receive_some`."""

    def write_now(self, data: bytes) -> int:
        """Writes what is taken at once; how many bytes that were. Raises as `send_all`."""


class WebSocket:
    """One side of an open connection."""

    def __init__(self, stream: ByteStream, wire: Wire, *, early: bytes = b"", send_s: float) -> None:
        """`early` is what came behind the handshake; a send may take `send_s` seconds."""
        self._stream = stream
        self._wire = wire
        self._early = early
        self._send_s = send_s
        self._write_now: Callable[[bytes], int] | None = getattr(stream, "write_now", None)
        self._read_now: Callable[[], bytes | None] = _nothing
        self._lock = trio.Lock()
        self._leading = b""
        """What has to go out before anything else: the rest of an answer to a ping."""
        self._is_at_end = False
        """Whether the pump has seen the end."""
        self._is_finished = False
        """Whether nothing can be sent any more: half a frame, or a close frame, went out last."""
        self.taker: Taker | None = None
        """Whom messages are offered while the receiving task waits for some. Only with a pump."""
        self._pump: Pump | None = None
        self._descriptor = -1
        self._waiting: list[bytes | str] = []
        self._receiver: trio.lowlevel.Task | None = None
        self._fault: Exception | None = None
        self.last_heard = trio.current_time()
        """When the last byte came, on Trio's clock."""

    def start_pump(self, pump: Pump, stream: Pumped) -> None:
        """Have the pump read from now on; `stop_pump` must be called before the socket is closed."""
        if pump.is_running:
            self._pump, self._descriptor = pump, stream.fileno()
            self._read_now = stream.read_now
            if not self._early:
                pump.register(self._descriptor, self._on_readable)

    def stop_pump(self) -> None:
        """Read no more."""
        if self._pump is not None:
            self._pump.unregister(self._descriptor, self._on_readable)

    def end(self) -> None:
        """Read nothing more, and send nothing more: whoever receives is told that it is over."""
        if self._pump is not None:
            self._is_at_end = self._is_finished = True
            self._leave_to_receiver([])

    @property
    def is_pumped(self) -> bool:
        """Whether a taker is called."""
        return self._pump is not None

    @property
    def is_sendable(self) -> bool:
        """Whether messages can still be sent."""
        return not self._is_finished and self._wire.is_open

    async def receive(self) -> list[bytes | str]:
        """All messages that are there, at least one, after waiting for it. Cancelled, it has taken nothing.

        Raises WebSocketEnded when the peer has closed, vanished or broken the protocol, after everything that came
        before was returned. Pings are answered in here.
        """
        if self._pump is not None and not self._early:
            return await self._receive_pumped()
        while True:
            if self._wire.is_over:
                await trio.lowlevel.checkpoint()
                raise WebSocketEnded(self._wire.close_code)
            data = await self._next_bytes()
            messages = self._take(bytes(data), trio.current_time())
            if self._leading and not self._lock.locked():
                await self._flush()
            if self._pump is not None:
                self._pump.register(self._descriptor, self._on_readable)
                self._waiting = messages
                return await self._receive_pumped()
            if messages:
                return messages

    async def send(self, frames: bytes, *, shield: bool) -> None:
        """Send whole frames, which `wire` encoded; always executes a checkpoint. Several calls go one after the other.

        Raises WebSocketEnded, and WriteTooSlow after `send_s`. Cancelled, it brings what it has begun to its end within
        its deadline when `shield` is set, and else leaves the connection finished.
        """
        if not self.is_sendable:
            await trio.lowlevel.checkpoint()
            raise WebSocketEnded
        if not self._lock.locked():
            frames = self._send_now(frames)
            if self._is_finished:
                await trio.lowlevel.checkpoint()
                raise WebSocketEnded
            if not frames:
                await trio.lowlevel.checkpoint()
                return
            self._lock.acquire_nowait()
            try:
                await self._send_rest(frames, shield=shield)
            finally:
                self._lock.release()
            await trio.lowlevel.checkpoint_if_cancelled()
            return
        async with self._lock:
            if not self.is_sendable:
                raise WebSocketEnded
            await self._send_rest(frames, shield=shield)

    def ping(self) -> None:
        """Send a ping, where that needs no wait."""
        if self.is_sendable and not self._lock.locked():
            self._wire.ping()
            self._send_outgoing()

    async def close(self, code: int, reason: str, within_s: float) -> bool:
        """Send a close frame and wait until the peer has closed, dropping what it still says, both within `within_s`.

        Returns whether the close frame went out, or was not needed: False asks for the transport to be cut off.
        """
        with trio.move_on_after(within_s):
            async with self._lock:
                if self.is_sendable:
                    self._wire.close(code, reason)
                    frames = self._leading + self._wire.take_outgoing()
                    self._leading, self._is_finished = b"", True
                    try:
                        await self._stream.send_all(frames)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        return True
            try:
                while True:
                    await self.receive()
            except WebSocketEnded:
                return True
        return not self._lock.locked() and self._is_finished

    @property
    def can_send_now(self) -> bool:
        """Whether `send_now` may be called: nothing that was sent before is still waiting."""
        if self._is_finished or self._leading or not self._wire.is_open:
            return False
        return self._write_now is not None and not self._lock.locked()

    def send_now(self, frames: bytes) -> bool:
        """Send whole frames without a wait; `can_send_now` was true. Returns whether the kernel has taken them all.

        When it has not, `flush` must follow soon: it waits for the rest, with the deadline.
        """
        self._leading = self._send_now(frames)
        return not self._leading

    async def flush(self) -> None:
        """Send what `send_now` left. Raises as `send`."""
        if self._leading:
            await self.send(b"", shield=True)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def _next_bytes(self) -> bytes | bytearray:
        if self._early:
            await trio.lowlevel.checkpoint()
            data, self._early = self._early, b""
            return data
        try:
            return await self._stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    def _take(self, data: bytes, now: float) -> list[bytes | str]:
        if not data:
            self._wire.receive_eof()
            self._is_finished = True
            raise WebSocketEnded(self._wire.close_code)
        self.last_heard = now
        messages = self._wire.receive(data)
        if self._wire.has_outgoing:
            self._send_outgoing()
        return messages

    async def _receive_pumped(self) -> list[bytes | str]:
        while not self._waiting:
            if self._fault is not None:
                raise self._fault
            if self._leading and not (self._lock.locked() or self._is_finished or self._is_at_end):
                await self._flush()  # the answer to a close, too
                continue
            if self._wire.is_over or self._is_at_end:
                await trio.lowlevel.checkpoint()
                raise WebSocketEnded(self._wire.close_code)
            self._receiver = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        await trio.lowlevel.checkpoint_if_cancelled()
        messages, self._waiting = self._waiting, []
        if self._pump is not None and not self._is_at_end:
            self._pump.register(self._descriptor, self._on_readable)
        return messages

    def _give_up(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._receiver = None
        return trio.lowlevel.Abort.SUCCEEDED

    def tick(self, now: float) -> None:
        """Offer the taker nothing: it may have something to do when nothing comes. Only with a pump."""
        if self.taker is not None and self._receiver is not None:
            try:
                self.taker([], now)
            except Exception as error:
                self._fault = error
                self._leave_to_receiver([])

    def _on_readable(self, now: float) -> None:
        """In the pump's task: read what is there and act on it. Nothing is raised there: the receiving task gets it."""
        messages: list[bytes | str] = []
        try:
            data = self._read_now()
            if data is None:
                return
            messages = self._take(data, now)
            if messages and self.taker is not None and self._receiver is not None:
                taken = self.taker(messages, now)
                messages = messages[taken:]
        except WebSocketEnded:
            self._is_at_end = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_at_end = self._is_finished = True
        except Exception as error:
            self._fault = error
        if messages or self._leading or self._is_at_end or self._wire.is_over or self._fault is not None:
            self._leave_to_receiver(messages)

    def _leave_to_receiver(self, messages: list[bytes | str]) -> None:
        self._waiting += messages
        if self._waiting or self._is_at_end or self._fault is not None or self._wire.is_over:
            self.stop_pump()
        if self._receiver is not None:
            trio.lowlevel.reschedule(self._receiver)
            self._receiver = None

    # -- writing ------------------------------------------------------------------------------------------------------

    def _send_now(self, frames: bytes) -> bytes:
        """Write what is possible without a wait; what has to follow is returned."""
        if self._leading:
            frames, self._leading = self._leading + frames, b""
        if self._write_now is None:
            return frames
        try:
            taken = self._write_now(frames)
            return b"" if taken == len(frames) else frames[taken:]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._is_finished = True
            return b""

    async def _send_rest(self, frames: bytes, *, shield: bool) -> None:
        """Send what could not be sent at once; the lock is held. A send that is cut off ends all sending."""
        is_whole = False
        try:
            with trio.CancelScope(deadline=trio.current_time() + self._send_s, shield=shield) as limit:
                while frames := self._leading + frames:
                    self._leading = b""  # meanwhile answers to pings may come here
                    await self._stream.send_all(frames)
                    frames = b""
                is_whole = True
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise WebSocketEnded from None
        finally:
            self._is_finished = self._is_finished or not is_whole
        if limit.cancelled_caught:
            raise WriteTooSlow

    async def _flush(self) -> None:
        """Send answers that wait. A failure is found by whoever sends or receives next; nothing is raised."""
        async with self._lock:
            try:
                await self._send_rest(b"", shield=True)
            except (WebSocketEnded, WriteTooSlow):
                return

    def _send_outgoing(self) -> None:
        """Write control frames; what is not taken at once goes before the next message."""
        frames = self._wire.take_outgoing()
        if self._is_finished:
            return
        if self._write_now is not None and not self._lock.locked():
            self._leading = self._send_now(frames)
        else:
            self._leading += frames
        if len(self._leading) > MAX_LEADING_BYTES:
            self._is_finished = True


def _nothing() -> None:
    return None
