"""What a number of users needs: streams at the peak, recognizer connections, replicas, cores, memory, traffic. Pure.

`python -m ops.capacity --help` computes a plan. docs/capacity.md explains it; its tables are printed by this module.
The measured figures are those of docs/performance.md; a test holds both equal. No price is known here.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

US_PER_FRAME: Final = 70.0
"""CPU of the gateway for a relayed frame, with TLS, at 200 streams: what docs/performance.md sizes with."""
FRAMES_PER_S: Final = 25
OPENING_CPU_MS: Final = 5.9
"""CPU for one stream from the accept to `ready`, with TLS, at 400 streams."""
CPU_USE: Final = 0.6
"""How busy a process may be: the rest is for openings, bursts and neighbors."""
PROCESS_KIB: Final = 72_012 - 200 * 58
"""Resident memory without streams: what 200 places had at most under overload, less their streams."""
LIVE_KIB: Final = 76 + 40
"""A stream that talks, with TLS, at few streams, and the audio of a sentence that is not finished."""
STALLED_KIB: Final = 0.85e6 / 1024
"""What a stream holds on top when its recognizer stalls."""
AUDIO_BYTES_PER_S: Final = 32_000  # 16 kHz, 16 bits, mono
PACKET_AUDIO_BYTES: Final = 3200  # UPSTREAM_PACKET_MS of 100
PACKET_WIRE_BYTES: Final = PACKET_AUDIO_BYTES + 8 + 22 + 3 * 52
"""With the header and mask of a WebSocket, a TLS 1.3 record, and three segments of TCP over IPv4 with timestamps."""
DAYS_PER_MONTH: Final = 30
ACCOUNT_SLOTS: Final = 200
"""Recognizer connections at a time of a Tencent account that has not bought more."""
MAX_PEAK_STREAMS: Final = 5_000_000
"""What the command line computes with: the time that it takes grows with it, to some seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is not measured but supposed about people. Every one can be an option of the command line."""

    users: int = 1_000_000
    """People who have the mini-program."""
    daily_share: float = 0.10
    """Part of them who speak on a day."""
    minutes_per_day: float = 3.0
    """How long one of these streams on that day."""
    peak_hour_share: float = 0.12
    """Part of a day's minutes that falls into its busiest hour; 1/24 would be an even day."""
    burst: float = 1.3
    """The busiest minutes of that hour, over its mean."""
    stream_s: float = 60.0
    """Mean length of a stream."""
    blocked: float = 0.001
    """Part of the streams that may find all connections taken at the peak; they are told when to come again."""
    spare: int = 1
    """Replicas beyond those that the CPU needs, so that one may be missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the assumptions come to."""

    speech_h_per_day: float
    speech_h_per_month: float
    peak_streams: float
    """Mean number at a time in the busiest minutes: the offered load in erlangs."""
    openings_per_s: float
    streams_per_core: int
    replicas: int
    slots_per_replica: int
    """`UPSTREAM_CONCURRENCY` of each."""
    slots: int
    """What the account must have: replicas times slots of each, since each counts its own."""
    shared_slots: int
    """What it would need if the replicas counted together: what the division costs is the difference."""
    blocked_one_missing: float
    """Part of the streams refused at the peak while one replica is missing."""
    cpu_use: float
    """Of one core at the peak, in each replica, openings included."""
    memory_mib: float
    """Of one replica at the peak."""
    memory_stalled_mib: float
    """The same with every stream's recognizer stalled."""
    uplink_mbit_per_s: float
    """From the gateways to the recognizer at the peak, overhead included; as much comes in from the phones."""
    uplink_tb_per_month: float
    core_h_per_month: float
    core_s_per_speech_h: float
    """Paid core-seconds for an hour of speech; idle nights are in it."""
    gb_per_speech_h: float


def streams_per_core(us_per_frame: float = US_PER_FRAME) -> int:
    """Streams that one process carries on a whole core, by the formula of docs/performance.md."""
    return int(CPU_USE * 1_000_000 / (FRAMES_PER_S * us_per_frame))


def blocking(erlangs: float, slots: int) -> float:
    """Erlang B: the part of arrivals that finds all slots taken, for a mean of `erlangs` streams at a time."""
    blocked = 1.0
    for number in range(1, slots + 1):
        blocked = erlangs * blocked / (number + erlangs * blocked)
    return blocked


def slots_for(erlangs: float, blocked: float) -> int:
    """The fewest slots with which no more than this part is blocked. `blocked` is over 0."""
    slots, part = 0, 1.0
    while part > blocked:
        slots += 1
        part = erlangs * part / (slots + erlangs * part)
    return slots


def speech_h_per_day(given: Assumptions) -> float:
    """Hours of streams in a day."""
    return given.users * given.daily_share * given.minutes_per_day / 60


def peak_streams(given: Assumptions) -> float:
    """The mean of streams at a time in the busiest minutes: hours of streams in an hour."""
    return speech_h_per_day(given) * given.peak_hour_share * given.burst


def plan(given: Assumptions) -> Plan:
    """The plan for these assumptions."""
    speech_h = speech_h_per_day(given)
    peak = peak_streams(given)
    openings = peak / given.stream_s
    per_core = streams_per_core()
    replicas = max(2, _replicas_by_cpu(peak, given.blocked, per_core) + given.spare)
    each = peak / replicas
    own_slots = slots_for(each, given.blocked)
    wire = AUDIO_BYTES_PER_S * PACKET_WIRE_BYTES / PACKET_AUDIO_BYTES
    month_h = speech_h * DAYS_PER_MONTH
    core_h = replicas * 24.0 * DAYS_PER_MONTH
    return Plan(
        speech_h_per_day=speech_h,
        speech_h_per_month=month_h,
        peak_streams=peak,
        openings_per_s=openings,
        streams_per_core=per_core,
        replicas=replicas,
        slots_per_replica=own_slots,
        slots=replicas * own_slots,
        shared_slots=slots_for(peak, given.blocked),
        blocked_one_missing=blocking(peak / (replicas - 1), own_slots),
        cpu_use=each * FRAMES_PER_S * US_PER_FRAME / 1e6 + openings / replicas * OPENING_CPU_MS / 1000,
        memory_mib=memory_mib(own_slots),
        memory_stalled_mib=memory_mib(own_slots, stalled=True),
        uplink_mbit_per_s=peak * wire * 8 / 1e6,
        uplink_tb_per_month=month_h * 3600 * wire / 1e12,
        core_h_per_month=core_h,
        core_s_per_speech_h=core_h * 3600 / month_h,
        gb_per_speech_h=3600 * wire / 1e9,
    )


def _replicas_by_cpu(peak: float, blocked: float, per_core: int) -> int:
    """The fewest replicas of which none has more slots than its core carries."""
    # What is served cannot be more than the slots: fewer than this cannot be enough.
    replicas = max(1, int(peak * (1 - blocked) / per_core))
    while slots_for(peak / replicas, blocked) > per_core:
        replicas += 1
    return replicas


def memory_mib(streams: int, *, stalled: bool = False) -> float:
    """Resident memory of a process with that many streams that talk; uploads come on top."""
    return (PROCESS_KIB + streams * (LIVE_KIB + (STALLED_KIB if stalled else 0))) / 1024


_ROWS: Final[tuple[tuple[str, str, Callable[[Plan], str]], ...]] = (
    ("speech in a day", "每天语音时长", lambda p: f"{p.speech_h_per_day:,.0f} h"),
    ("speech in a month of 30 days", "每月（30 天）语音时长", lambda p: f"{p.speech_h_per_month:,.0f} h"),
    ("streams at a time at the peak", "高峰同时在线路数", lambda p: f"{p.peak_streams:,.0f}"),
    ("streams that open per second", "每秒新开路数", lambda p: f"{p.openings_per_s:.1f}"),
    ("streams per core", "每核路数", lambda p: f"{p.streams_per_core}"),
    ("replicas of 1 CPU", "实例数（每个 1 CPU）", lambda p: f"{p.replicas}"),
    ("`UPSTREAM_CONCURRENCY` of each", "每个实例的 `UPSTREAM_CONCURRENCY`", lambda p: f"{p.slots_per_replica}"),
    ("concurrency of the account", "账号需要的并发数", lambda p: f"{p.slots:,}"),
    ("the same, if replicas shared it", "若实例之间共享，则为", lambda p: f"{p.shared_slots:,}"),
    ("refused while one replica is missing", "缺一个实例时被拒绝的比例", lambda p: f"{p.blocked_one_missing:.1%}"),
    ("CPU of a replica at the peak", "高峰时每个实例的 CPU", lambda p: f"{p.cpu_use:.0%}"),
    ("memory of a replica, full", "每个实例满载时的内存", lambda p: f"{p.memory_mib:.0f} MiB"),
    ("the same, recognizer stalled", "同上，识别服务停滞时", lambda p: f"{p.memory_stalled_mib:.0f} MiB"),
    ("audio to the recognizer at the peak", "高峰时发往识别服务的流量", lambda p: f"{p.uplink_mbit_per_s:.0f} Mbit/s"),
    ("the same in a month", "同上，每月", lambda p: f"{p.uplink_tb_per_month:.1f} TB"),
    ("core-hours in a month", "每月核时", lambda p: f"{p.core_h_per_month:,.0f}"),
    ("core-seconds per hour of speech", "每小时语音的核秒数", lambda p: f"{p.core_s_per_speech_h:.0f}"),
    ("egress per hour of speech", "每小时语音的出流量", lambda p: f"{p.gb_per_speech_h:.3f} GB"),
)
SHARES: Final = (0.01, 0.05, 0.10, 0.20, 0.30)
"""Daily shares that the second table compares."""


def plan_table(made: Plan, *, chinese: bool = False) -> str:
    """The plan as a Markdown table."""
    head = "| 项目 | 数值 |" if chinese else "| what | how much |"
    rows = [f"| {zh if chinese else en} | {show(made)} |" for en, zh, show in _ROWS]
    return "\n".join([head, "| --- | --- |", *rows])


def shares_table(given: Assumptions, *, chinese: bool = False) -> str:
    """What becomes of the plan with other daily shares, as a Markdown table."""
    head = (
        "| 日活比例 | 高峰路数 | 账号并发数 | 实例数 | Mbit/s | 每月语音时长 |"
        if chinese
        else "| daily share | streams at the peak | concurrency of the account | replicas | Mbit/s | speech a month |"
    )
    rows = []
    for share in SHARES:
        made = plan(replace(given, daily_share=share))
        rows.append(
            f"| {share:.0%} | {made.peak_streams:,.0f} | {made.slots:,} | {made.replicas} "
            f"| {made.uplink_mbit_per_s:.0f} | {made.speech_h_per_month:,.0f} h |"
        )
    return "\n".join([head, "| --- | --- | --- | --- | --- | --- |", *rows])


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the plan for the assumptions of a command line. Returns 0; bad usage exits with 2."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.capacity", description="What a number of users needs; see docs/capacity.md."
    )
    default = Assumptions()
    for item in fields(Assumptions):
        value = getattr(default, item.name)
        parser.add_argument(f"--{item.name.replace('_', '-')}", type=type(value), default=value, help=f"({value})")
    given = Assumptions(**vars(parser.parse_args(argv)))
    problem = _problem(given)
    if problem:
        parser.error(problem)
    print(plan_table(plan(given)))
    return 0


def _problem(given: Assumptions) -> str:
    """What is wrong with assumptions of a command line, or nothing."""
    numbers = [getattr(given, item.name) for item in fields(Assumptions)]
    if not all(math.isfinite(number) and number >= 0 for number in numbers):
        return "expected numbers of 0 or more"
    if min(given.users, given.daily_share, given.minutes_per_day, given.peak_hour_share, given.stream_s) <= 0:
        return "users, daily-share, minutes-per-day, peak-hour-share and stream-s must be over 0"
    if given.daily_share > 1 or given.peak_hour_share > 1:
        return "a share is at most 1"
    if given.burst < 1:
        return "burst is at least 1: the busiest minutes are not below the mean"
    if not 0.000001 <= given.blocked < 1:
        return "blocked is a part from 0.000001 to less than 1"
    if given.minutes_per_day > 24 * 60:
        return "a day has 1440 minutes"
    if peak_streams(given) > MAX_PEAK_STREAMS:
        return f"that is over {MAX_PEAK_STREAMS:,} streams at a time"
    return ""


if __name__ == "__main__":
    sys.exit(main())
