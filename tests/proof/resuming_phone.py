"""A phone as docs/protocol.md tells it to be: records, keeps what is not settled, and goes on where a link broke."""

from dataclasses import dataclass, field
from typing import Any, Final

import trio
from trio_websocket import ConnectionClosed

from tests.proof.histories.oracle import TRACK, Listener, check
from tests.support.phone_line import phone_line
from tests.support.wire_phone import BYTES_PER_MS, WirePhone

HEARTBEAT_S: Final = 1.0
BACKOFF_S: Final = 0.3
MAX_STREAMS: Final = 12
FRAME_MS: Final = 40
_BACKLOG_BYTES: Final = 32_000
_ALL: Final = ("ready", "result", "finalized", "stopped", "error", "goaway", "pong")


@dataclass
class Attempt:
    """One connection of the phone, and what it has heard on it."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    closed: tuple[int, str] | None = None
    """Code and reason of the gateway's close, where one came."""
    why: str = ""
    """What ended it, where it was not the gateway's close."""

    def __str__(self) -> str:
        """For whoever looks into a failure: the types of the messages, and the end."""
        return f"[{' '.join(message['type'] for message in self.seen)}; {self.ending} {self.closed} {self.why}]"

    @property
    def stream_id(self) -> str | None:
        """None when the gateway was not heard to accept."""
        return next((str(message["streamId"]) for message in self.seen if message["type"] == "ready"), None)

    @property
    def ending(self) -> dict[str, Any] | None:
        """`stopped`, or the fatal error."""
        last = self.seen[-1] if self.seen else None
        return last if last and (last["type"] == "stopped" or last.get("fatal")) else None


class ResumingPhone:
    """Says so much of the oracle's track in real time, from the first `talk` on, whatever becomes of its links."""

    def __init__(self, port: int, talk_ms: int, *, patience_s: float) -> None:
        """Without a message for `patience_s`, a link is given up."""
        self._port = port
        self._patience_s = patience_s
        self._track = TRACK[: talk_ms * BYTES_PER_MS]
        self._began = trio.current_time()
        self.listener = Listener()
        self.attempts: list[Attempt] = []

    async def talk(self) -> None:
        """Until everything is settled. Raises FoundError where something is lost, doubled, or refused for good."""
        self._began = trio.current_time()
        while not (self.attempts and self.attempts[-1].closed == (1000, "completed")):
            check(len(self.attempts) < MAX_STREAMS, "no stream comes to its end")
            self.attempts.append(Attempt())
            try:
                await self._attempt(self.attempts[-1])
            except* (ConnectionClosed, OSError, trio.BrokenResourceError) as broken:
                self.attempts[-1].why = repr(broken.exceptions)
            ending = self.attempts[-1].ending
            check(not (ending and ending["type"] == "error" and not ending["retryable"]), "refused for good", ending)
            if ending is not None and ending["type"] == "stopped":
                return  # a close that was lost behind it tells nothing new
            await trio.sleep(BACKOFF_S)

    async def _attempt(self, attempt: Attempt) -> None:
        """One stream, to its end or the end of the link."""
        with trio.CancelScope(deadline=trio.current_time() + self._patience_s) as patience:
            async with phone_line(self._port) as (phone, _), trio.open_nursery() as nursery:
                await phone.say(type="start", wordInfo=1, resume=self.listener.resume)
                nursery.start_soon(self._send, phone, self.listener.settled_ms * BYTES_PER_MS)
                nursery.start_soon(self._keep_alive, phone)
                try:
                    while True:
                        message = await phone.hear(*_ALL)
                        patience.deadline = trio.current_time() + self._patience_s
                        if message["type"] != "pong":
                            check(attempt.ending is None, "something behind the ending", message)
                            attempt.seen.append(message)
                            self.listener.hear([message], self._said_bytes // BYTES_PER_MS)
                except ConnectionClosed as closed:
                    if closed.reason is not None and closed.reason.code != 1006:
                        attempt.closed = closed.reason.code, closed.reason.reason or ""
                nursery.cancel_scope.cancel()
        if patience.cancelled_caught:
            attempt.why = f"nothing heard for {self._patience_s:g} s"

    @property
    def _said_bytes(self) -> int:
        """What the recorder has delivered by now, in whole frames."""
        frames = int((trio.current_time() - self._began) * 1000 / FRAME_MS)
        return min(len(self._track), frames * FRAME_MS * BYTES_PER_MS)

    async def _send(self, phone: WirePhone, place: int) -> None:
        """What was said and is not settled, at once; then what is being said; then `stop`."""
        while place < len(self._track):
            end = min(self._said_bytes, place + _BACKLOG_BYTES)
            if end > place:
                await phone.talk_at_once(self._track[place:end])
                place = end
            else:
                await trio.sleep(FRAME_MS / 1000)
        await phone.say(type="stop")

    async def _keep_alive(self, phone: WirePhone) -> None:
        while True:
            await phone.say(type="ping")
            await trio.sleep(HEARTBEAT_S)
