"""What recognizes: the words and events every engine speaks in, and the interface a conversation uses. Pure.

All times are milliseconds on the audio clock of the connection: the position in the audio received, not a wall clock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from service.localasr.codes import Code


class Word(msgspec.Struct, frozen=True, array_like=True):
    """One word and where it was said; an unstable one may still change."""

    text: str
    start_ms: int
    end_ms: int
    stable: bool = True


class SentenceOpened(msgspec.Struct, frozen=True, array_like=True, tag="opened"):
    """Speech began."""

    start_ms: int


class SentenceHeard(msgspec.Struct, frozen=True, array_like=True, tag="heard"):
    """What the open sentence says so far; replaces what was said before."""

    words: tuple[Word, ...]


class SentenceClosed(msgspec.Struct, frozen=True, array_like=True, tag="closed"):
    """The open sentence is settled; it may turn out to hold no word."""

    words: tuple[Word, ...]


class StreamFinished(msgspec.Struct, frozen=True, array_like=True, tag="finished"):
    """After ``finish``: everything was recognized. The last event of a stream."""


class StreamFailed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """The engine gave up on this stream. The last event of a stream."""

    code: int = Code.ENGINE_FAILED


Event = SentenceOpened | SentenceHeard | SentenceClosed | StreamFinished | StreamFailed


class StreamSettings(msgspec.Struct, frozen=True, array_like=True):
    """What an engine needs to know of a request.

    ``silence_ms`` None: silence does not end a sentence. ``max_backlog_s`` is how much audio may wait for a decoder.
    """

    sample_rate_hz: int = 16000
    silence_ms: int | None = None
    max_sentence_ms: int = 60000
    # What a client sends while it makes up for a break, at 16 kHz 960 kB.
    max_backlog_s: int = 30


class EngineUnavailableError(Exception):
    """No decoder could be had for a new stream in time. The client is told 5001."""


class EngineOverloadedError(Exception):
    """More audio waits for the engine than it may hold. The client is told 5001."""


class EngineStream(Protocol):
    """One stream in an engine. Neither method blocks."""

    def feed(self, pcm: bytes) -> None:
        """Take whole 16-bit samples. Raises ``EngineOverloadedError`` when the engine's bounded backlog is full."""

    def finish(self) -> None:
        """No more audio: settle the rest, then emit ``StreamFinished``. Call once."""


class Engine(Protocol):
    """A recognizer behind the protocol."""

    @property
    def name(self) -> str:
        """For the ready line and messages."""

    @property
    def engines(self) -> tuple[str, ...]:
        """The ``engine_model_type`` values it accepts."""

    @property
    def capacity(self) -> int:
        """How many streams at once."""

    @property
    def exact(self) -> bool:
        """Whether it needs the very samples that were recorded, which most formats do not keep."""

    def open(
        self, settings: StreamSettings, emit: Callable[[Event], None]
    ) -> AbstractAsyncContextManager[EngineStream]:
        """A stream, until the context ends; ``emit`` is called in the Trio thread and must not block.

        Entering raises ``EngineUnavailableError``. Leaving is quick, early leaving included: what the decoder still
        has to put away happens in the engine's own time.
        """
