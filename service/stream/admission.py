"""May one more stream run, and may it have a recognizer connection now.

The decision is a pure function. What was admitted is given back by the `with` that took it, so that it cannot leak.
"""

import contextlib
import math
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

import trio

from service.failures import Problem, Slug, StreamFailed, problem
from service.lifecycle import Lifecycle, Phase
from service.retry_hint import retry_hint_ms
from service.shared.slots import Slots
from service.telemetry.metrics import Metrics
from service.telemetry.overload import Overload

SLOT_WAIT_S: Final = 5.0
"""How long a stream that goes on after a pause waits for a recognizer slot: half of what the finishing may take."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the decision looks at."""

    phase: Phase
    streams: int
    max_streams: int
    shed_for_ms: int | None = None
    """How long new streams are refused at least because the event loop is late; None when it is not."""


def refusal(load: Load, retry_after_ms: int) -> Problem | None:
    """Why a new stream cannot be admitted, or None when it can. `retry_after_ms` is the hint for the client."""
    if load.phase is not Phase.SERVING:
        return problem(
            Slug.RESTARTING,
            f"This instance is {load.phase}; connect again.",
            retry_after_ms=retry_after_ms,
        )
    if load.shed_for_ms is not None:
        return problem(
            Slug.OVERLOADED,
            "This instance has more to do than it can; try again after the hint.",
            retry_after_ms=load.shed_for_ms + retry_after_ms,
        )
    if load.streams >= load.max_streams:
        return problem(
            Slug.OVERLOADED,
            f"All {load.max_streams} places for streams are taken; try again after the hint.",
            retry_after_ms=retry_after_ms,
        )
    return None


class Admission:
    """The places of one process: for streams, and for recognizer connections."""

    def __init__(
        self,
        *,
        max_streams: int,
        slots: Slots,
        lifecycle: Lifecycle,
        metrics: Metrics,
        overload: Overload | None = None,
    ) -> None:
        self._max_streams = max_streams
        self._lifecycle = lifecycle
        self._metrics = metrics
        self.overload = overload or Overload(math.inf)
        """Refuses new streams while it says so; whoever watches the event loop tells it the lag."""
        self.slots = slots
        """Where recognizer connections come from."""
        self.streams = 0
        """Streams that are admitted and have not ended."""
        self._sentences = 0
        self._idle = trio.Event()
        metrics.shedding.set_function(lambda: self.overload.is_shedding)
        metrics.recognizer_slots.labels("used").set_function(lambda: slots.used)
        metrics.recognizer_slots.labels("free").set_function(lambda: max(0, slots.limit - slots.used))
        metrics.recognizer_slots.labels("waited_for").set_function(lambda: slots.waiting)
        metrics.recognizer_pool_slots.labels("used").set_function(lambda: slots.pool.used)
        metrics.recognizer_pool_slots.labels("free").set_function(lambda: slots.pool.free)
        metrics.recognizer_pool_slots.labels("waited_for").set_function(lambda: slots.pool.waited_for)

    @property
    def slots_used(self) -> int:
        """Recognizer connections of this process, those being dialed or closed included."""
        return self.slots.used

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        """A place for one stream while the `with` lasts. Raises StreamFailed when there is none."""
        load = Load(self._lifecycle.phase, self.streams, self._max_streams, self._shed_for_ms())
        refused = refusal(load, retry_hint_ms())
        if refused is not None:
            if refused.slug is Slug.OVERLOADED and self.overload.is_shedding:
                self._metrics.streams_shed.inc()
            raise StreamFailed(refused)
        self.streams += 1
        self._metrics.streams_active.inc()
        try:
            yield
        finally:
            self.streams -= 1
            self._metrics.streams_active.dec()
            self._note_idle()

    def _shed_for_ms(self) -> int | None:
        if not self.overload.is_shedding:
            return None
        return round(1000 * self.overload.wait_s(trio.current_time()))

    @contextlib.contextmanager
    def sentence(self) -> Iterator[None]:
        """An upload that is being recognized while the `with` lasts: an orderly stop waits for it."""
        self._sentences += 1
        try:
            yield
        finally:
            self._sentences -= 1
            self._note_idle()

    async def wait_idle(self) -> None:
        """Return when no stream is admitted and no upload is being recognized."""
        while self.streams or self._sentences:
            self._idle = trio.Event()
            await self._idle.wait()

    def _note_idle(self) -> None:
        if not self.streams and not self._sentences:
            self._idle.set()

    @contextlib.asynccontextmanager
    async def recognizer_slot(self, *, wait_s: float) -> AsyncIterator[None]:
        """A recognizer slot while the `async with` lasts.

        Waits at most `wait_s` (0: not at all), then raises StreamFailed with `recognizer_busy`. Cancelled while
        waiting, it holds nothing.
        """
        owner = object()
        asked_at = trio.current_time()
        if not await self.slots.take(owner, wait_s):
            raise StreamFailed(
                problem(
                    Slug.RECOGNIZER_BUSY,
                    "All recognizer connections that this service may have are in use.",
                    retry_after_ms=retry_hint_ms(),
                )
            )
        try:
            self._metrics.recognizer_slot_wait.observe(trio.current_time() - asked_at)
            yield
        finally:
            self.slots.give_back(owner)
