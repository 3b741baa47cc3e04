"""What became of one stream, as the phone saw it. Pure.

One `StreamRecord` is one line of `streams.jsonl`. Names end in their unit; times that begin with `at_` are seconds
since the run began, all others are durations. None stands for what did not happen.

What a latency is counted from (docs/load-testing.md explains why):

* the audio clock begins (`at_audio_s`) when `ready` has come: audio position p is said at `at_audio_s + p`, plus the
  pauses before it. Frame k is due when its last sample has been said, at `t0 + k * frame`, where t0 is one frame later;
* nothing is ever counted from the time when something was really sent, because a sender that was held up would hide
  just the latency that matters (coordinated omission).
"""

import enum

import msgspec

from loadtest.scenario import Behavior


class Ending(enum.StrEnum):
    """How a stream ended. The first that applies."""

    COMPLETED = "completed"
    """`stopped` came after our `stop`."""
    AS_MEANT = "as_meant"
    """The end that a misbehaving phone is owed; see `Behavior`."""
    UNREACHABLE = "unreachable"
    """No connection: DNS, TCP, TLS, or no answer to the upgrade in time."""
    REFUSED = "refused"
    """The upgrade was answered with HTTP (`http_status`), or a fatal error came before `ready` (`slug`)."""
    FAILED = "failed"
    """A fatal error after `ready` (`slug`)."""
    LOST = "lost"
    """The connection ended without the word that was owed (`close_code`, None when there was no close frame)."""
    UNANSWERED = "unanswered"
    """The service did not do in time what it owed: `welcome`, `ready`, reading, `stopped`, or noticing that a phone
    vanished (`problem` says which)."""
    CUT_SHORT = "cut_short"
    """The service ended the stream in order (`stopped`) before the audio was over."""
    PROTOCOL = "protocol"
    """The service said something that is not protocol 1."""
    CANCELED = "canceled"
    """The run was ended by us first. Not an attempt: counted, and in no ratio."""


class Transcript(enum.StrEnum):
    """How the words compare with the same audio spoken alone."""

    COMPLETE = "complete"
    TRUNCATED = "truncated"
    """Words are missing at the end, and nothing else differs."""
    DIFFERENT = "different"


class AudioAccount(msgspec.Struct, frozen=True):
    """Bytes of audio: what the phone sent, and what `stopped` says of it."""

    sent_bytes: int = 0
    received_bytes: int = 0
    relayed_bytes: int = 0
    dropped_bytes: int = 0


class StreamRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One stream from its planned arrival to its end."""

    number: int
    """Of the call in the plan; the same in every shard."""
    behavior: Behavior
    track: int
    """Which of the plan's audio tracks was spoken."""

    at_planned_s: float
    at_dialed_s: float | None = None
    at_audio_s: float | None = None
    at_ended_s: float = 0.0
    at_finals_s: list[float] = msgspec.field(default_factory=list)
    """When final results came."""

    ending: Ending
    slug: str | None = None
    """`code` of the fatal error."""
    http_status: int | None = None
    close_code: int | None = None
    problem: str | None = None
    """One line about what went wrong; never a transcript."""
    warnings: dict[str, int] = msgspec.field(default_factory=dict)
    """Slugs of errors that were not fatal, and how often they came."""

    connect_s: float | None = None
    """TCP and TLS, from dialing."""
    upgrade_s: float | None = None
    """From the connection to the answer of the upgrade."""
    welcome_s: float | None = None
    """From the upgrade to `welcome`."""
    ready_s: float | None = None
    """From `start` to `ready`."""
    setup_s: float | None = None
    """From the planned arrival to `ready`: what a user waits before the first word can be said."""
    first_partial_s: float | None = None
    """From the onset of speech in the audio to the first result with text."""
    finalization_s: float | None = None
    """From the end of the audio to the last `stopped`."""
    results: int = 0
    result_lateness_max_s: float | None = None

    sentences: int = 0
    """Final results that came."""
    lost_finals: int = 0
    """Sentences that the last `stopped` counts, and no final result came for in the whole call."""
    doubled_finals: int = 0
    """Final results of an index that had one already."""
    transcript: Transcript | None = None
    """None: not compared."""
    missing_words: int = 0
    extra_words: int = 0
    text: str | None = None
    """Only with `--keep-text`: what people said does not belong in a report."""

    audio: AudioAccount | None = None
    """None when `stopped` did not come."""
    audio_sent_s: float = 0.0
    frames: int = 0
    lateness_max_s: float = 0.0
    """The latest frame, after it was due and could have been sent: the load tester's own doing."""
    backpressure_s: float = 0.0
    """How long sends waited because the service did not read."""
    connections: int = 0
    resumed: bool = False
    """Whether the last stream was said to go on with the one before (`resume`), not to take the rest as a new one."""
    away_s: list[float] = msgspec.field(default_factory=list)
    """For each time that the phone came back: how long it was away, from the loss or `stopped` to the next `ready`."""
    is_away: bool = False
    """Whether it wanted to come back once more, and could not."""
    breaks: dict[str, int] = msgspec.field(default_factory=dict)
    """What it came back from, and how often: a slug, `http_<status>`, `closed_<code>`, an ending."""
    stream_id: str = ""

    @property
    def is_attempt(self) -> bool:
        """Whether it counts for `success`: a transcript was owed, and we did not end it ourselves."""
        return self.behavior.expects_transcript and self.ending is not Ending.CANCELED

    @property
    def is_success(self) -> bool:
        """Whether the phone got the end that it was owed."""
        return self.ending in (Ending.COMPLETED, Ending.AS_MEANT)
