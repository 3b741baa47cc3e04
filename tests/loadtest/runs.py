"""Summaries of runs, made from records by the parts that make them in earnest."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from loadtest.histograms import Histograms
from loadtest.objectives import evaluate_all, parse_objective
from loadtest.record import StreamRecord
from loadtest.series import Series
from loadtest.summary import Environment, Summary, Worker, sample_streams
from loadtest.tally import Tally
from loadtest.verdict import judge

OBJECTIVES = ("success >= 90%", "finalization p90 <= 500ms")


def run_of(
    records: Sequence[StreamRecord],
    *,
    shard: tuple[int, int] = (0, 1),
    send_lateness_s: Sequence[float] = (0.001,),
    objectives: Iterable[str] = OBJECTIVES,
    **fields: Any,
) -> Summary:
    """The summary of a run in which these streams were spoken."""
    tally, series = Tally(planned=len(records)), Series(1.0)
    for record in records:
        tally.add(record)
        series.add(record)
    own = Histograms()
    for value_s in send_lateness_s:
        own.record("send_lateness", value_s)
        own.record("loop_lag", 0.001)
    tally.add_samples(own.encode())
    measured = tally.measured()
    results = evaluate_all(map(parse_objective, objectives), measured)
    late_ms = measured.latencies["send_lateness"].p99_ms
    workers = (Worker(streams=len(records), cpu_share=0.1, send_lateness_p99_ms=late_ms, loop_lag_p99_ms=1.0),)
    verdict, reasons = judge(
        counts=tally.counts, audio=tally.audio, latencies=measured.latencies, workers=workers, objectives=results
    )
    summary = Summary(
        verdict=verdict,
        reasons=reasons,
        scenario="steady",
        scenario_toml='name = "steady"\n',
        url="ws://10.0.0.1:8000/api",
        seed=7,
        shard=shard,
        started_at=f"2026-01-01T00:00:0{shard[0]}Z",
        duration_s=10.0 + shard[0],
        counts=tally.counts,
        words=tally.words,
        audio=tally.audio,
        latencies=measured.latencies,
        objectives=results,
        series=series.points(),
        streams=sample_streams(records),
        workers=workers,
        environment=Environment(host=f"pod-{shard[0]}", cpu="a processor", cpus=2),
    )
    return msgspec.structs.replace(summary, **fields)


def shards_of(records: Sequence[StreamRecord], total: int) -> list[Summary]:
    """The same streams as spoken by so many load testers."""
    return [run_of(records[index::total], shard=(index, total)) for index in range(total)]
