"""What a bench has measured: rows, ratios to a baseline, and the table of them. Pure.

Only ratios mean anything from one machine to another. Figures of CPU time are divided by the yardstick of their own
machine first (`yardstick.py`), memory and latencies are compared as they are.
"""

import contextlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

SCHEMA: Final = 1
FRAME_MS: Final = 40
FULL: Final = 0.95
"""From this share of its CPU on a gateway has no time left: its latencies are those of a queue."""


class BenchError(ValueError):
    """Something that cannot be used or measured; the text says what was expected."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One load, measured."""

    streams: int
    tls: bool
    """Towards the recognizer."""
    frames: int
    """Of 40 ms, relayed in the window that was measured."""
    cpu_us_per_frame: float
    """CPU time of the gateway, user and system, over the frames it relayed in the window. All it did is in it: results
    on their way back, its clocks, its metrics."""
    cpu_share: float
    """Of one CPU, in the window."""
    p50_ms: float | None
    p99_ms: float | None
    """`result_lateness`: from the end of the audio that a result covers to the result, at the phone."""
    live_kib: float
    """Resident memory that a talking stream added."""
    opening_cpu_ms: float
    """CPU time of the gateway from the accept to `ready`, the connection to the recognizer included."""
    loop_lag_p99_ms: float | None
    success: float
    """Streams that got the end they were owed, of all."""
    results_share: float
    """Results that came, of those that the sink owed for the audio that was sent."""
    late_ms: float | None
    """Of the speakers themselves: p99 of send lateness, or of their loop's lag if that is more."""
    problems: tuple[str, ...] = ()
    """Why the row says nothing about the gateway; empty for a valid one."""

    @property
    def openings_per_s(self) -> float:
        """How many streams one CPU could open in a second if it did nothing else."""
        return 1000 / self.opening_cpu_ms if self.opening_cpu_ms > 0 else math.inf

    @property
    def is_full(self) -> bool:
        """Whether the gateway had no CPU time left."""
        return self.cpu_share >= FULL


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Streams that are open and silent."""

    streams: int
    tls: bool
    ready_kib: float
    """Of memory for each, when `ready` has come: both connections are open."""
    idle_kib: float
    """After a pause in which the connection to the recognizer was given back."""
    idle_cpu_us_per_s: float
    """CPU time that each costs in a second."""


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """All of one bench, and its circumstances."""

    schema: int = SCHEMA
    measured_at: str
    """UTC, ISO 8601."""
    command: str
    label: str = ""
    """What was measured, in the operator's words, such as a commit."""
    circumstances: dict[str, str]
    yardstick_us: float
    """What the plainest relaying of a frame costs on this machine: see `yardstick.py`."""
    rows: tuple[Row, ...] = ()
    idle: tuple[Idle, ...] = ()


_SCALED: Final = ("cpu_us_per_frame", "opening_cpu_ms", "idle_cpu_us_per_s")
_OF_ROWS: Final = ("cpu_us_per_frame", "p50_ms", "p99_ms", "live_kib", "opening_cpu_ms")
_OF_IDLE: Final = ("ready_kib", "idle_kib", "idle_cpu_us_per_s")

Ratios = dict[tuple[str, int, bool], dict[str, float]]
"""By kind (`live`, `idle`), streams and TLS; then by figure."""


def ratios(now: Bench, then: Bench) -> Ratios:
    """Each figure of `now` over that of `then`, for the loads that both have: over 1 is worse.

    What was not measured, and rows that are not valid or have a gateway without CPU time left, have no ratio.
    """
    scale = now.yardstick_us / then.yardstick_us
    found: Ratios = {}
    before = {(row.streams, row.tls): row for row in then.rows if _counts(row)}
    for row in now.rows:
        if _counts(row) and (row.streams, row.tls) in before:
            found["live", row.streams, row.tls] = _ratios(row, before[row.streams, row.tls], _OF_ROWS, scale)
    silent = {(idle.streams, idle.tls): idle for idle in then.idle}
    for idle in now.idle:
        if (idle.streams, idle.tls) in silent:
            found["idle", idle.streams, idle.tls] = _ratios(idle, silent[idle.streams, idle.tls], _OF_IDLE, scale)
    return found


def worse(found: Ratios, percent: float) -> list[str]:
    """The figures that are worse than the baseline by more than so many percent, one line for each."""
    return [
        f"{name} of {_load(streams, tls)}, {kind}: {ratio:.2f} times the baseline"
        for (kind, streams, tls), values in found.items()
        for name, ratio in values.items()
        if ratio > 1 + percent / 100
    ]


def table(bench: Bench, found: Ratios) -> list[str]:
    """The figures as a person reads them, each with its ratio to the baseline where there is one."""
    head = ("streams", "TLS", "µs/frame", "CPU", "p50 ms", "p99 ms", "KiB", "opening ms", "openings/s", "lag ms")
    lines = [(*head, "results", "success", "late ms", "")]
    for row in bench.rows:
        of = found.get(("live", row.streams, row.tls), {})
        lines.append(
            (
                str(row.streams),
                _yes(row.tls),
                _with(row.cpu_us_per_frame, of.get("cpu_us_per_frame")),
                f"{row.cpu_share:.0%}",
                _with(row.p50_ms, of.get("p50_ms")),
                _with(row.p99_ms, of.get("p99_ms")),
                _with(row.live_kib, of.get("live_kib")),
                _with(row.opening_cpu_ms, of.get("opening_cpu_ms")),
                _number(row.openings_per_s),
                _number(row.loop_lag_p99_ms),
                f"{row.results_share:.4f}",
                f"{row.success:.2%}",
                _number(row.late_ms),
                "; ".join(row.problems) or ("no CPU time left" if row.is_full else ""),
            )
        )
    shown = _aligned(lines)
    if bench.idle:
        silent = [("silent", "TLS", "KiB, ready", "KiB, idle", "CPU µs/s")]
        for idle in bench.idle:
            of = found.get(("idle", idle.streams, idle.tls), {})
            figures = [_with(getattr(idle, name), of.get(name)) for name in _OF_IDLE]
            silent.append((str(idle.streams), _yes(idle.tls), figures[0], figures[1], figures[2]))
        shown += ["", *_aligned(silent)]
    return shown


def process_cpu_s(stat: str, ticks_per_s: int) -> float:
    """CPU time of a process, user and system, all its threads, from the text of `/proc/PID/stat`."""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold anything
    if len(fields) < 13 or not (fields[11].isdecimal() and fields[12].isdecimal()):
        raise BenchError("/proc/PID/stat: expected user and system time as the 14th and 15th field")
    return (int(fields[11]) + int(fields[12])) / ticks_per_s


def resident_kib(status: str) -> int:
    """Resident memory of a process, from the text of `/proc/PID/status`."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        number, _, unit = value.strip().partition(" ")
        if name == "VmRSS" and unit == "kB" and number.isdecimal():
            return int(number)
    raise BenchError("/proc/PID/status: expected a line `VmRSS: … kB`")


def counter(exposition: str, name: str) -> float:
    """The value of a metric without labels, from the Prometheus text format."""
    for line in exposition.split("\n"):
        found, _, value = line.partition(" ")
        if found == name:
            with contextlib.suppress(ValueError):
                return float(value)
    raise BenchError(f"/metrics: expected a line `{name} …`")


def problems_of(
    *, late_ms: float | None, late_limit_ms: float, exit_code: int, is_invalid: bool, all_open: bool, frames: int
) -> tuple[str, ...]:
    """Why a run says nothing about the gateway; empty when it does."""
    found = []
    if is_invalid:
        found.append(f"the speakers were late ({_number(late_ms)} ms, at most {late_limit_ms:g})")
    elif exit_code not in (0, 1):  # 1: streams failed, which is the gateway's doing
        found.append(f"the speakers ended with {exit_code}")
    if not all_open:
        found.append("not all streams were open in time")
    if frames <= 0:
        found.append("not a frame was relayed")
    return tuple(found)


def results_share(streams: Iterable[tuple[int, float]], result_every_s: float) -> float:
    """Of (results, seconds of audio sent) of each stream: results that came, of one for each whole stretch of audio.

    The sink settles the rest with one result more, which makes good for no other.
    """
    came = owed = 0
    for results, sent_s in streams:
        due = math.floor(round(sent_s / result_every_s, 6))
        came += min(results, due)
        owed += due
    return came / owed if owed else 0.0


def decode(content: bytes) -> Bench:
    """What a file of a bench says. Raises BenchError."""
    try:
        bench = msgspec.json.decode(content, type=Bench)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BenchError(f"not a bench: {error}") from None
    if bench.schema != SCHEMA or not bench.yardstick_us > 0:
        raise BenchError(f"a bench of schema {bench.schema} and yardstick {bench.yardstick_us}: expected {SCHEMA}, > 0")
    return bench


def encode(bench: Bench) -> bytes:
    """As JSON, indented, to be read and compared by people too."""
    return msgspec.json.format(msgspec.json.encode(bench), indent=1) + b"\n"


def merged(then: Bench | None, now: Bench) -> Bench:
    """The new baseline: valid rows of `now`, and of `then` those loads that `now` has not measured.

    Old rows are kept only from the same circumstances, since a baseline has one set of them, and one yardstick.
    """
    rows = {(row.streams, row.tls): row for row in now.rows if not row.problems}
    idle = {(one.streams, one.tls): one for one in now.idle}
    if then is not None and then.circumstances == now.circumstances:
        scale = now.yardstick_us / then.yardstick_us
        if 0.9 <= scale <= 1.1:
            rows = {(row.streams, row.tls): row for row in then.rows} | rows
            idle = {(one.streams, one.tls): one for one in then.idle} | idle
    return msgspec.structs.replace(
        now,
        rows=tuple(rows[key] for key in sorted(rows, key=lambda key: (key[1], key[0]))),
        idle=tuple(idle[key] for key in sorted(idle, key=lambda key: (key[1], key[0]))),
    )


def _counts(row: Row) -> bool:
    return not row.problems and not row.is_full


def _ratios(now: object, then: object, names: Sequence[str], scale: float) -> dict[str, float]:
    found = {}
    for name in names:
        after, before = getattr(now, name), getattr(then, name)
        if after is not None and before is not None and before > 0:
            found[name] = after / before / (scale if name in _SCALED else 1)
    return found


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    last = len(widths) - 1
    return [
        "  ".join(
            cell if column == last and len(widths) > 13 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _with(value: float | None, ratio: float | None) -> str:
    return _number(value) + ("" if ratio is None else f" ({ratio:.2f})")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _load(streams: int, tls: bool) -> str:
    return f"{streams} streams {'with' if tls else 'without'} TLS"


def circumstances_that_differ(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """What keeps two benches from being compared as they are, one line for each."""
    names = sorted({*now, *then})
    return [
        f"{name}: {now.get(name, 'unknown')}, the baseline: {then.get(name, 'unknown')}"
        for name in names
        if now.get(name) != then.get(name)
    ]
