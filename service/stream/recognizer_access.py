"""How a stream gets a recognizer connection: a slot, the breaker's consent, and the recognizer's."""

import contextlib
from collections.abc import AsyncIterator

from service.deps import Deps
from service.recognizer.connection import RecognizerConnection, open_recognizer
from service.stream.stream_settings import StreamSettings


@contextlib.asynccontextmanager
async def recognizer(
    settings: StreamSettings, deps: Deps, *, slot_wait_s: float
) -> AsyncIterator[RecognizerConnection]:
    """An accepted connection while the `async with` lasts. Raises StreamFailed when there is none to be had."""
    async with deps.admission.recognizer_slot(wait_s=slot_wait_s):
        target = deps.recognizer.required()
        with deps.breaker.attempt() as accepted:
            async with open_recognizer(
                target,
                settings.recognizer_parameters(),
                deps.metrics,
                pump=deps.pump,
                dial=deps.dial,
                wall_clock=deps.wall_clock,
            ) as connection:
                accepted()
                yield connection
