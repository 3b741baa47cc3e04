"""What a stream of a sink has to say, and the interface that both kinds of stream have. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Close:
    """The close frame."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Messages to send, in order, and what comes behind them."""

    messages: tuple[bytes, ...] = ()
    close: Close | None = None
    """The connection ends with it."""
    finish: bool = False
    """The audio is over: `Stream.finish` is due after the delay of finals."""


NOTHING = Answer()


class Stream(Protocol):
    """One stream of a sink. Messages are JSON in UTF-8. After an answer with a close, nothing more is asked of it."""

    def opened(self, unix_ms: int) -> Answer:
        """The connection stands."""

    def audio(self, pcm: bytes) -> Sequence[bytes]:
        """Audio came: the messages that it gives rise to."""

    def said(self, text: str, now_s: float) -> Answer:
        """A text message came; `now_s` is of any monotonic clock."""

    def alive(self) -> None:
        """The peer gave another sign of life."""

    def tick(self) -> Answer:
        """Another second has passed: for the clocks that end a silent stream, which are that precise."""

    def finish(self, now_s: float) -> Answer:
        """Say what is owed for the end of the audio."""
