"""The sink as a process, and what its messages hold."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from tests.support.processes import Program, program


def sound(audio_bytes: int) -> bytes:
    """So much audio that is loud all the time, wherever it is cut: a word in each stretch of it."""
    return b"@" * audio_bytes


def lines(messages: Iterable[bytes]) -> list[dict[str, Any]]:
    """The messages as objects."""
    return [json.loads(message) for message in messages]


@contextlib.asynccontextmanager
async def sink(*options: str) -> AsyncIterator[tuple[Program, str]]:
    """`python -m loadtest sink` on a free port; its address."""
    async with program("loadtest", "sink", *options) as running:
        yield running, (await running.first_line()).removeprefix("Serving on ")
