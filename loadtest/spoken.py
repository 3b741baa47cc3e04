"""What `loadtest speak` tells of one stream. Pure."""

import enum
from dataclasses import dataclass, field
from typing import Final

from loadtest.messages import AudioAccount, Finalized, Result, ServerError, ServerMessage, Stopped, Welcome
from loadtest.record import Ending, StreamRecord


class Outcome(enum.StrEnum):
    """How a stream ended."""

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CANCELED = "canceled"


_OUTCOMES: Final = {
    Ending.COMPLETED: Outcome.OK,
    Ending.UNREACHABLE: Outcome.UNREACHABLE,
    Ending.CANCELED: Outcome.CANCELED,
}


@dataclass(slots=True)
class Settled:
    """One `finalized`, and how long it took."""

    id: str
    after_s: float
    audio_ms: int
    sentences: int


@dataclass(slots=True)
class Report:
    """What one stream was like. Times are in seconds; None stands for what did not happen."""

    url: str
    outcome: Outcome | None = None
    problem: str | None = None
    """One line about what went wrong."""
    error: ServerError | None = None
    """The fatal error of the server, where it gave one."""
    close_code: int | None = None
    stream_id: str = ""
    text: str | None = None
    connect_s: float | None = None
    """TCP, TLS and upgrade."""
    welcome_s: float | None = None
    """From the upgrade to `welcome`."""
    ready_s: float | None = None
    """From `start` to `ready`."""
    first_partial_s: float | None = None
    """From the beginning of the audio to the first words."""
    first_partial_before_end: bool | None = None
    """Whether the first words came while audio was still to be sent."""
    finalization_s: float | None = None
    """From the end of the audio to `stopped`."""
    latest_frame_s: float = 0.0
    """How late the latest frame was sent: a figure of this machine, which taints the others when it is large."""
    results: int = 0
    sentences: int = 0
    settled: list[Settled] = field(default_factory=list)
    warnings: list[ServerError] = field(default_factory=list)
    """Errors after which the stream went on."""
    audio: AudioAccount | None = None
    """Of the last stream."""
    away_s: list[float] = field(default_factory=list)
    """For each time that the stream broke and another one went on with it: how long that took."""


@dataclass(slots=True)
class Heard:
    """What came besides the figures of the record."""

    error: ServerError | None = None
    warnings: list[ServerError] = field(default_factory=list)
    settled: list[Settled] = field(default_factory=list)
    stopped: Stopped | None = None
    finalize_sent_s: dict[str, float] = field(default_factory=dict)
    is_audio_sent: bool = False
    first_partial_before_end: bool | None = None

    def take(self, message: ServerMessage, now_s: float) -> None:
        """Note one message of the server."""
        match message:
            case Welcome():  # of another stream, perhaps: what ended the one before was not the end
                self.error = self.stopped = None
            case Result():
                if message.text and self.first_partial_before_end is None:
                    self.first_partial_before_end = not self.is_audio_sent
            case Finalized():
                id_ = str(message.id)
                after_s = now_s - self.finalize_sent_s.get(id_, now_s)
                self.settled.append(Settled(id_, after_s, message.audio_ms, message.sentences))
            case Stopped():
                self.stopped = message
            case ServerError(fatal=False):
                self.warnings.append(message)
            case ServerError():
                self.error = self.error or message
            case _:
                pass


def report_of(url: str, record: StreamRecord, heard: Heard) -> Report:
    """The report on a stream, from its record and what else was heard."""
    error = heard.error if record.slug is not None else None
    stopped = heard.stopped
    return Report(
        url=url,
        outcome=_OUTCOMES.get(record.ending, Outcome.FAILED),
        problem=record.problem if error is None else describe(error),
        error=error,
        close_code=record.close_code,
        stream_id=record.stream_id,
        text=None if stopped is None else record.text,
        connect_s=None if record.connect_s is None else record.connect_s + (record.upgrade_s or 0.0),
        welcome_s=record.welcome_s,
        ready_s=record.ready_s,
        first_partial_s=record.first_partial_s,
        first_partial_before_end=heard.first_partial_before_end,
        finalization_s=record.finalization_s,
        latest_frame_s=record.lateness_max_s,
        results=record.results,
        sentences=0 if stopped is None else stopped.sentences,
        settled=heard.settled,
        warnings=heard.warnings,
        audio=None if stopped is None else stopped.audio,
        away_s=record.away_s,
    )


def describe(error: ServerError) -> str:
    """One line that has everything of an error."""
    retry = "retryable" if error.retryable else "not retryable"
    if error.retry_after_ms is not None:
        retry += f", retryAfterMs {error.retry_after_ms}"
    return f"{error.code}: {error.message} ({retry})"
