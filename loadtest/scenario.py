"""What a load test does, as a person writes it down: a TOML file, read into one frozen `Scenario`. Pure.

docs/load-testing.md documents every key. A key that is not known, a value of the wrong type or outside its range is a
`ScenarioError` that names it.
"""

import enum
from typing import Annotated, Any, Literal

import msgspec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=7 * 86400)]
PositiveSeconds = Annotated[float, msgspec.Meta(gt=0, le=7 * 86400)]
PerSecond = Annotated[float, msgspec.Meta(ge=0, le=10_000)]
Share = Annotated[float, msgspec.Meta(ge=0)]


class ScenarioError(ValueError):
    """A scenario that cannot be run; the text names the key and what was expected."""


class Behavior(enum.StrEnum):
    """What a simulated phone does. The comments say which end is the one that is meant."""

    TALKER = "talker"  # speaks, sends `stop`, waits for `stopped`
    PAUSER = "pauser"  # silent for `pause_s` in the middle, with heartbeats; then as a talker
    FROZEN = "frozen"  # for `freeze_s` neither sends nor reads, as a suspended app; then as a talker
    SLOW_READER = "slow_reader"  # reads one message in `slow_read_s`; `stopped`, or `client_too_slow`
    RECONNECTOR = "reconnector"  # loses its connection in mid-word, opens a stream for the rest; `stopped`
    HANG_UP = "hang_up"  # closes in mid-word, without `stop`
    VANISH = "vanish"  # goes silent and keeps the socket, as a phone without network; the service ends the stream
    NONSENSE = "nonsense"  # sends what no client should; the service answers with an error or a close

    @property
    def expects_transcript(self) -> bool:
        """Whether `stopped` with the whole text is owed to it. Only these count for `success`."""
        return self not in (Behavior.SLOW_READER, Behavior.HANG_UP, Behavior.VANISH, Behavior.NONSENSE)


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Audio(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is said."""

    files: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("goforward.wav", "something.wav")
    """WAV files of one sample rate: names of bundled samples, or paths relative to the scenario file."""
    gap_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 1.2
    """Silence (digital) between two clips of one call; over a second, so that the recognizer ends the sentence."""
    frame_ms: Annotated[float, msgspec.Meta(ge=5, le=2000)] = 40.0
    frame_bytes: Annotated[int, msgspec.Meta(ge=1, le=65536)] | None = None
    """Instead of `frame_ms`: the sizes that phones deliver (1024, 1310, 2048 …) are seldom whole milliseconds."""


class Call(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How long people talk. A call is whole clips with gaps, so that its words are known: the length is rounded up."""

    length: Literal["clip", "constant", "uniform", "exponential"] = "clip"
    """`clip`: one clip. Otherwise the distribution of the length before rounding."""
    mean_s: PositiveSeconds = 10.0
    """Of `constant` and `exponential` (cut at `max_s`)."""
    min_s: Seconds = 0.0
    max_s: PositiveSeconds = 60.0
    variants: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    """How many different calls there are; each caller has one of them. At least one for each file."""


class Stage(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stretch of arrivals; the stages of a scenario follow each other.

    The rate goes from `per_s` (`constant`, `poisson`), from `from_per_s` to `to_per_s` (`ramp`), by `step_per_s` every
    `every_s` (`step`, beginning at `per_s`), or is `per_s` with `peak_per_s` from `peak_at_s` for `peak_for_s`
    (`spike`). `streams` in place of `per_s` is the number of concurrent streams that is meant: divided by the mean
    length of a call it is the rate (Little's law).
    """

    pattern: Literal["constant", "poisson", "ramp", "step", "spike"] = "poisson"
    for_s: PositiveSeconds
    per_s: PerSecond | None = None
    streams: Annotated[float, msgspec.Meta(gt=0, le=100_000)] | None = None
    from_per_s: PerSecond = 0.0
    to_per_s: PerSecond | None = None
    step_per_s: PerSecond | None = None
    every_s: PositiveSeconds | None = None
    peak_per_s: PerSecond | None = None
    peak_at_s: Seconds | None = None
    peak_for_s: PositiveSeconds | None = None
    random: bool = True
    """Whether `ramp`, `step` and `spike` arrive at random times of that rate (Poisson), or evenly spaced."""


class Phone(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How phones behave; see `Behavior`."""

    pause_s: PositiveSeconds = 8.0
    freeze_s: PositiveSeconds = 8.0
    slow_read_s: PositiveSeconds = 2.0
    vanish_s: PositiveSeconds = 60.0
    """How long a vanished phone waits for the service to notice, before that counts as `unanswered`."""
    heartbeat_s: PositiveSeconds | None = None
    """Default: what `welcome` asks for."""
    connect_limit_s: PositiveSeconds = 10.0
    welcome_limit_s: PositiveSeconds = 15.0
    ready_limit_s: PositiveSeconds = 20.0
    send_limit_s: PositiveSeconds = 10.0
    stopped_limit_s: PositiveSeconds = 30.0
    resumes: bool = False
    """Whether a phone that is owed a transcript obeys `goaway`, and comes back when its stream breaks."""
    resume_limit_s: PositiveSeconds = 30.0
    """How long it may be away, in all, without a final result in between."""


class Event(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A command that is started in mid-run, `at_s` after its beginning: a restart, a failover. No shell is involved."""

    at_s: Seconds
    run: Annotated[str, msgspec.Meta(min_length=1)]
    times: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    """How often; each time only when the time before has ended."""
    every_s: PositiveSeconds | None = None
    """From one beginning to the next."""


class Knee(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How `--find-knee` raises the load: concurrent streams, doubled until an objective breaks, then halved between."""

    from_streams: Annotated[int, msgspec.Meta(ge=1)] = 10
    to_streams: Annotated[int, msgspec.Meta(ge=1)] = 2000
    hold_s: PositiveSeconds = 30.0
    precision: Annotated[float, msgspec.Meta(ge=0.01, le=0.5)] = 0.1
    """Ends when the highest load that held and the lowest that broke differ by less than this share."""


class Scenario(_Part, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A load test. Everything but `name` and `arrivals` has a default."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    description: str = ""
    audio: Audio = Audio()
    call: Call = Call()
    arrivals: Annotated[tuple[Stage, ...], msgspec.Meta(min_length=1)]
    behaviors: dict[Behavior, Share] = msgspec.field(default_factory=lambda: {Behavior.TALKER: 1.0})
    """Weights; they need not add up to 1."""
    phone: Phone = Phone()
    start: dict[str, Any] = msgspec.field(default_factory=dict)
    """Further fields of the `start` message, such as `engineType` or `wordInfo`."""
    objectives: tuple[str, ...] = ()
    warm_up_s: Seconds = 0.0
    """Streams that arrive before this are spoken and counted, but are not in the latencies."""
    compare_transcripts: bool = True
    """Speak every clip alone first, and compare the words of every call with what was heard then."""
    events: tuple[Event, ...] = ()
    knee: Knee = Knee()
