"""Twice as many people as there is room for: do those who are in notice, and are the others told at once?

The gateway has `MAX_STREAMS` at the capacity. Arrivals are even and ask for twice that. Besides the speakers, a phone
of the bench asks for a stream ten times a second while the gateway is full, and times what it is told.
"""

import math
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from loadtest.bench.figures import BenchError, problems_of
from loadtest.bench.measure import Places, own_lateness_ms, world
from loadtest.bench.phone import Refusal, ask
from loadtest.bench.programs import Running
from loadtest.bench.speakers import Speakers, scenario, speaking
from loadtest.figures import MAX_OWN_LATENESS_S
from loadtest.record import Ending
from loadtest.summary import Verdict

CALL_S: Final = 12.0
REFUSED_WITHIN_MS: Final = 50.0
OBJECTIVES: Final = (
    "admitted.setup p99 <= 1s",
    "admitted.finalization p95 <= 800ms",
    "result_lateness p99 <= 200ms",
    "lost_finals == 0",
    "doubled_finals == 0",
    "unaccounted_audio == 0%",
    "unanswered == 0",
    "unreachable == 0",
    "failed == 0",
    "lost == 0",
    "refused >= 10%",
    "refused <= 60%",
)
_ASK_EVERY_S: Final = 0.1


class Overload(msgspec.Struct, frozen=True, kw_only=True):
    """What became of them."""

    capacity: int
    tls: bool
    calls: int
    refused: dict[str, int]
    """By slug."""
    peak_active: int
    objectives: tuple[tuple[str, bool, str], ...]
    """(text, met, actual)."""
    asked: int
    """Times the phone of the bench asked."""
    admitted: int
    """Of these, the times there was room."""
    hinted: int
    """Refusals with a hint when to come again."""
    refusal_p50_ms: float | None
    refusal_p99_ms: float | None
    """From `start` to the refusal."""
    refusal_max_ms: float | None
    told_p99_ms: float | None
    """From dialing to the refusal: the connection, the upgrade and `welcome` are in it."""
    resident_kib: tuple[int, ...]
    """Each second while the gateway was full."""
    cpu_share: float
    problems: tuple[str, ...]

    @property
    def is_met(self) -> bool:
        """Whether everybody got what is owed in an overload."""
        refused = self.asked - self.admitted
        return (
            all(met for _, met, _ in self.objectives)
            and refused > 0
            and self.hinted == refused
            and self.refusal_p99_ms is not None
            and self.refusal_p99_ms <= REFUSED_WITHIN_MS
        )


def overload(capacity: int, seconds: float, *, tls: bool, places: Places) -> Overload:
    """Twice the capacity for so many seconds after the gateway is full. Raises BenchError when a program fails."""
    per_s = 2 * capacity / CALL_S
    calls_for_s = CALL_S / 2 + seconds
    text = scenario("overload", per_s=per_s, for_s=calls_for_s, objectives=OBJECTIVES)
    with (
        world(places, max_streams=capacity, tls=tls) as (gateway, directory),
        speaking(gateway.url, text, CALL_S, cpu=places.others, directory=directory) as speakers,
    ):
        if not _wait_full(gateway, speakers, capacity):
            raise BenchError(f"the gateway was never full: is {capacity} over what its CPU can open?")
        refusals, resident_kib, cpu_share = _ask_for(gateway, seconds)
        exit_code, summary, records = speakers.wait()
    refused_ms = [one.asked_ms for one in refusals if one is not None]
    late_ms = own_lateness_ms(summary)
    slugs: dict[str, int] = {}
    for record in records:
        if record.ending is Ending.REFUSED:
            slug = record.slug or f"http_{record.http_status}"
            slugs[slug] = slugs.get(slug, 0) + 1
    return Overload(
        capacity=capacity,
        tls=tls,
        calls=len(records),
        refused=slugs,
        peak_active=max((point.active for point in summary.series), default=0),
        objectives=tuple((one.text, one.met, one.actual) for one in summary.objectives),
        asked=len(refusals),
        admitted=sum(one is None for one in refusals),
        hinted=sum(one is not None and one.retry_after_ms is not None for one in refusals),
        refusal_p50_ms=percentile(refused_ms, 50),
        refusal_p99_ms=percentile(refused_ms, 99),
        refusal_max_ms=percentile(refused_ms, 100),
        told_p99_ms=percentile([one.dialed_ms for one in refusals if one is not None], 99),
        resident_kib=resident_kib,
        cpu_share=cpu_share,
        problems=problems_of(
            late_ms=late_ms,
            late_limit_ms=1000 * MAX_OWN_LATENESS_S,
            exit_code=exit_code,
            is_invalid=summary.verdict is Verdict.INVALID,
            all_open=True,
            frames=len(records),
        ),
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that so many percent of the values do not pass; None without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else None


def overload_lines(found: Overload) -> list[str]:
    """What a person reads."""
    refused = sum(found.refused.values())
    by_slug = ", ".join(f"{count} {slug}" for slug, count in sorted(found.refused.items()))
    memory = found.resident_kib
    lines = [
        f"capacity {found.capacity} {'with' if found.tls else 'without'} TLS, {found.calls} calls, asked for twice it:",
        f"  refused {refused} ({by_slug or 'none'}), CPU {found.cpu_share:.0%} of one",
        f"  asked {found.asked} times while full: {found.admitted} admitted, {found.hinted} refused with a hint",
        f"  refusal after `start`: p50 {_ms(found.refusal_p50_ms)}, p99 {_ms(found.refusal_p99_ms)}, max "
        f"{_ms(found.refusal_max_ms)} (objective {REFUSED_WITHIN_MS:g} ms); from dialing: p99 {_ms(found.told_p99_ms)}",
    ]
    if memory:
        lines.append(
            f"  resident memory while full: {memory[0]} KiB at first, at most {max(memory)}, {memory[-1]} at last"
        )
    lines += [f"  {'met   ' if met else 'MISSED'} {text}: {actual}" for text, met, actual in found.objectives]
    lines += [f"  INVALID: {problem}" for problem in found.problems]
    return lines


def _wait_full(gateway: Running, speakers: Speakers, capacity: int) -> bool:
    """By the gateway's descriptors: two for each stream."""
    quiet = gateway.descriptors()
    while speakers.are_talking:
        if gateway.descriptors() >= quiet + 2 * capacity:
            return True
        time.sleep(0.05)
    return False


def _ask_for(gateway: Running, seconds: float) -> tuple[list[Refusal | None], tuple[int, ...], float]:
    refusals: list[Refusal | None] = []
    memory = [gateway.resident_kib()]
    began_s, cpu_s = time.monotonic(), gateway.cpu_s()
    due_s = began_s
    while (now_s := time.monotonic()) < began_s + seconds:
        refusals.append(ask(gateway.url))
        if now_s - began_s >= len(memory):
            memory.append(gateway.resident_kib())
        due_s = max(due_s + _ASK_EVERY_S, now_s)
        time.sleep(max(0.0, due_s - time.monotonic()))
    return refusals, tuple(memory), (gateway.cpu_s() - cpu_s) / (time.monotonic() - began_s)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
