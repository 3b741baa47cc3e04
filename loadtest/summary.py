"""The summary of a run: what `summary.json` holds, and what the report, `compare` and `merge` read. Pure.

docs/load-testing.md documents it; `loadtest/summary.schema.json` is its JSON schema. Names end in their unit.
"""

import enum
import heapq
import zlib
from collections.abc import Iterable
from typing import Final

import msgspec

from loadtest.record import StreamRecord

SCHEMA: Final = 1
MAX_STREAMS: Final = 300
MAX_FINALS: Final = 200  # of one stream in the sample: enough for a timeline


class SummaryError(ValueError):
    """Bytes that are not a summary this program can read; the text says what is wrong with them."""


class Verdict(enum.StrEnum):
    """What a run says, and the exit code of `run`."""

    MET = "met"
    """Every objective was met, or there were none and every stream ended as it should. 0"""
    MISSED = "missed"
    """1"""
    UNREACHABLE = "unreachable"
    """Nothing answered, or the arguments or the scenario cannot be used. 2"""
    INVALID = "invalid"
    """The load tester could not keep its own plan: its figures say nothing about the service. 3"""
    INTERRUPTED = "interrupted"
    """Ended by Ctrl-C: the report covers what was run. 130"""


EXIT_CODES: Final = {
    Verdict.MET: 0,
    Verdict.MISSED: 1,
    Verdict.UNREACHABLE: 2,
    Verdict.INVALID: 3,
    Verdict.INTERRUPTED: 130,
}


class LatencyFigures(msgspec.Struct, kw_only=True, frozen=True):
    """One latency. The percentiles are of the samples that came, in milliseconds; None without samples."""

    count: int
    missing: int = 0
    """Streams that owed a sample and gave none: failures stay in the denominator of objectives."""
    missing_refused: int = 0
    """Of the missing: streams that were refused. Objectives on `admitted.<latency>` leave these out."""
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    p99_9_ms: float | None = None
    max_ms: float | None = None
    histogram: str = ""
    """HdrHistogram V2, compressed, base64; microseconds. Histograms of several runs add up exactly."""


class ObjectiveResult(msgspec.Struct, kw_only=True, frozen=True):
    """One objective: what was asked for, and what it was."""

    text: str
    met: bool
    actual: str
    """With its unit; `never` when so many streams failed that the percentile is one that never came."""


class Counts(msgspec.Struct, kw_only=True):
    """Streams, by what became of them. The keys of each dictionary that do not occur are left out."""

    planned: int = 0
    """In the plan (of this shard)."""
    dropped: int = 0
    """Planned, and not begun because the run was interrupted."""
    begun: int = 0
    attempts: int = 0
    """Streams to which a transcript is owed, without those that we canceled."""
    succeeded: int = 0
    """Of the attempts."""
    endings: dict[str, int] = msgspec.field(default_factory=dict)
    behaviors: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)
    """By behavior, then by ending."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """By slug, or `http_<status>`."""
    failed: dict[str, int] = msgspec.field(default_factory=dict)
    """By slug."""
    lost: dict[str, int] = msgspec.field(default_factory=dict)
    """By close code; `none` without a close frame."""
    close_codes: dict[str, int] = msgspec.field(default_factory=dict)
    """Of all streams; `none` without a close frame."""
    warnings: dict[str, int] = msgspec.field(default_factory=dict)
    problems: dict[str, int] = msgspec.field(default_factory=dict)
    """The lines about what went wrong, at most 50 different ones."""
    reconnects: int = 0
    resumed: int = 0
    """Streams that broke, and whose phone came back."""
    resumes: int = 0
    """How often phones came back."""
    breaks: dict[str, int] = msgspec.field(default_factory=dict)
    """What they came back from; a second try after one that failed counts again."""


class Words(msgspec.Struct, kw_only=True):
    """Transcripts and finals, added up."""

    compared: int = 0
    complete: int = 0
    truncated: int = 0
    different: int = 0
    missing_words: int = 0
    extra_words: int = 0
    finals: int = 0
    lost_finals: int = 0
    doubled_finals: int = 0


class AudioTotals(msgspec.Struct, kw_only=True):
    """Audio of streams whose `stopped` came. `unaccounted_bytes` is what was sent and not received."""

    streams: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    relayed_bytes: int = 0
    dropped_bytes: int = 0
    unaccounted_bytes: int = 0
    sent_s: float = 0.0
    """Seconds of audio that all streams sent."""
    backpressure_s: float = 0.0


class SeriesPoint(msgspec.Struct, kw_only=True, frozen=True):
    """One interval of the run, for curves over time."""

    at_s: float
    """Its beginning."""
    arrivals: int = 0
    active: int = 0
    """Streams at its end."""
    succeeded: int = 0
    not_succeeded: int = 0
    slugs: dict[str, int] = msgspec.field(default_factory=dict)
    """Ends that were not a success, by slug or else by ending."""
    latencies_ms: dict[str, tuple[float, float, int]] = msgspec.field(default_factory=dict)
    """For `setup`, `first_partial`, `finalization`: (p50, p99, count) of the streams that ended in it."""
    send_lateness_p99_ms: float | None = None


class ServerPoint(msgspec.Struct, kw_only=True, frozen=True):
    """One scrape of the service's `/metrics`."""

    at_s: float
    values: dict[str, float]
    """By name of the curve, such as `cpu_share`, `memory_mib`, `streams`, `loop_lag_p99_ms`."""


class EventResult(msgspec.Struct, kw_only=True, frozen=True):
    """A command of the scenario, and how it ended."""

    at_s: float
    command: str
    exit_code: int | None = None
    """None: it could not be started (`output` says why), or was still running at the end and was ended then."""
    duration_s: float | None = None
    """None: it could not be started, or has not ended yet."""
    output: str = ""
    """The end of what it printed, at most 2000 characters."""


class Worker(msgspec.Struct, kw_only=True, frozen=True):
    """One process of the load tester."""

    streams: int
    cpu_share: float
    """Of one CPU, over the run."""
    send_lateness_p99_ms: float | None = None
    loop_lag_p99_ms: float | None = None


class Environment(msgspec.Struct, kw_only=True):
    """Where the figures were measured."""

    host: str = ""
    system: str = ""
    python: str = ""
    cpu: str = ""
    cpus: int = 0
    """Those that this process may use."""
    memory_gib: float = 0.0
    load_tester: str = ""
    """Version of this project."""
    packages: dict[str, str] = msgspec.field(default_factory=dict)
    server: dict[str, str] = msgspec.field(default_factory=dict)
    """What the service says of itself on `/metrics`."""


class Knee(msgspec.Struct, kw_only=True, frozen=True):
    """The outcome of `--find-knee`."""

    max_streams: int | None
    """The highest load at which every objective held; None: not even the lowest."""
    first_broken: int | None
    """The lowest load at which one broke; None: none did, up to the limit of the search or of the load tester."""
    broke: tuple[ObjectiveResult, ...] = ()
    steps: tuple["KneeStep", ...] = ()


class KneeStep(msgspec.Struct, kw_only=True, frozen=True):
    """One load that was tried."""

    streams: int
    verdict: Verdict
    objectives: tuple[ObjectiveResult, ...] = ()
    peak_active: int = 0


class Summary(msgspec.Struct, kw_only=True):
    """One run, one shard of it, or several shards merged."""

    schema: int = SCHEMA
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """Why it is not `met`, a line for each."""
    notes: tuple[str, ...] = ()
    """What one should know besides, such as why there are no figures of the service; at most 20 lines."""
    scenario: str
    description: str = ""
    scenario_toml: str = ""
    """The scenario as it was run, overrides included."""
    url: str
    seed: int
    shard: tuple[int, int] = (0, 1)
    shards_merged: int = 1
    started_at: str
    """UTC, ISO 8601."""
    duration_s: float
    counts: Counts
    words: Words
    audio: AudioTotals
    latencies: dict[str, LatencyFigures]
    """By the names in `figures.LATENCIES`."""
    objectives: tuple[ObjectiveResult, ...] = ()
    series: tuple[SeriesPoint, ...] = ()
    server: tuple[ServerPoint, ...] = ()
    events: tuple[EventResult, ...] = ()
    streams: tuple[StreamRecord, ...] = ()
    """A sample of at most 300, evenly taken, failures first: for the timeline. All of them are in `streams.jsonl`."""
    workers: tuple[Worker, ...] = ()
    environment: Environment
    knee: Knee | None = None


class StreamSample:
    """Chooses the streams of a summary while a run goes on, however long: failures first, then evenly.

    A stream's place in the order depends on its number alone, so that the same streams are chosen in whatever order
    they end, and that the sample of several shards is the sample of their samples.
    """

    def __init__(self, limit: int = MAX_STREAMS) -> None:
        self._limit = limit
        self._chosen: list[tuple[tuple[bool, int, int], int, StreamRecord]] = []
        self._added = 0

    def add(self, record: StreamRecord) -> None:
        """Consider one stream. The record itself is not kept, but a copy without its text."""
        scattered = zlib.crc32(record.number.to_bytes(8, "big"))
        worth = (not record.is_success, scattered, record.number)
        self._added += 1
        if len(self._chosen) < self._limit:
            heapq.heappush(self._chosen, (worth, self._added, _without_text(record)))
        elif worth > self._chosen[0][0]:
            heapq.heapreplace(self._chosen, (worth, self._added, _without_text(record)))

    def streams(self) -> tuple[StreamRecord, ...]:
        """The sample so far, by arrival."""
        return tuple(
            sorted((item[2] for item in self._chosen), key=lambda record: (record.at_planned_s, record.number))
        )


def sample_streams(records: Iterable[StreamRecord], limit: int = MAX_STREAMS) -> tuple[StreamRecord, ...]:
    """A sample of at most `limit` streams, failures first, by arrival; see `StreamSample`."""
    sample = StreamSample(limit)
    for record in records:
        sample.add(record)
    return sample.streams()


def encode(summary: Summary) -> bytes:
    """As JSON, indented, to be read by people too."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n"


def decode(content: bytes) -> Summary:
    """Read what `encode` gave. Raises `SummaryError`."""
    try:
        found = msgspec.json.decode(content, type=_Schema).schema
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise SummaryError("not a summary of the load tester (JSON with `schema`)") from None
    if found != SCHEMA:
        raise SummaryError(f"a summary of schema {found}; this load tester reads schema {SCHEMA}")
    try:
        return msgspec.json.decode(content, type=Summary)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SummaryError(f"a broken summary: {error}") from None


def json_schema() -> bytes:
    """The JSON schema of `summary.json`, as `loadtest/summary.schema.json` holds it."""
    schema = msgspec.json.schema(Summary)
    schema["title"] = f"summary.json of the load tester, schema {SCHEMA}"
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"


class _Schema(msgspec.Struct):
    schema: int


def _without_text(record: StreamRecord) -> StreamRecord:
    return msgspec.structs.replace(record, text=None, at_finals_s=record.at_finals_s[:MAX_FINALS])
