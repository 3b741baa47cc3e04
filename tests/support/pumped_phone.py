"""A phone in memory whose connection offers messages to a taker and sends without a wait, as the edge's does."""

import contextlib
from typing import Final

import trio

from service.stream.client import TICK_S, ClientGone, Taker
from tests.support.stream_world import Phone

FLUSH_S: Final = 10.0
"""More than a phone is ever deaf, and than `send` waits for one that does not read."""


class PumpedPhone(Phone):
    """What `service.websocket` does with a pump; `tick` has to run beside it."""

    def __init__(self) -> None:
        super().__init__()
        self._taker: Taker | None = None
        self._leading: list[str] = []
        self._lock = trio.Lock()

    def relay_to(self, taker: Taker | None) -> bool:
        self._taker = taker
        return True

    async def tick(self) -> None:
        """The clock of takers, until cancelled."""
        while True:
            await trio.sleep(TICK_S)
            if self._taker is not None and self._is_awaited:
                self._taker([], trio.current_time())

    @property
    def _is_awaited(self) -> bool:
        """Whether a task waits in `receive`, and was not woken yet."""
        return self._from_phone.statistics().tasks_waiting_receive > 0

    def deliver(self, message: bytes | str) -> None:
        if self._taker is not None and self._is_awaited:
            self._last_heard = trio.current_time()
            if self._taker([message], self._last_heard):
                return
        super().deliver(message)

    @property
    def can_send_now(self) -> bool:
        return not (self._leading or self._lock.locked() or self.closed)

    def send_now(self, text: str) -> bool:
        if self.reads and self.may_read.is_set():
            with contextlib.suppress(ClientGone):  # whoever receives finds out
                self.take(text)
            return True
        self._leading.append(text)
        return False

    async def flush(self) -> None:
        if self._leading:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + FLUSH_S):
                async with self._lock:
                    await self._send_leading()

    async def send(self, text: str) -> None:
        async with self._lock:
            await self._send_leading()
            await super().send(text)

    async def _send_leading(self) -> None:
        leading, self._leading = self._leading, []
        for text in leading:
            await super().send(text)
