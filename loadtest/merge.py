"""Adds the summaries of the shards of one run up to the summary of the whole. Pure.

Histograms, counts, words and audio add up exactly: the figures are those that one run would have given. Objectives are
evaluated again on them, and the verdict is judged again. Curves over time add up by interval, each shard from its own
begin; their percentiles do not add up: p99 is that of the worst shard, p50 the median of the shards weighted by count.
The command makes them anew when the records of all streams are at hand.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Final
from urllib.parse import urlsplit

import msgspec

from loadtest.bounded import MAX_PROBLEM_CHARACTERS, MAX_PROBLEMS, MAX_SLUGS, count
from loadtest.figures import LATENCIES
from loadtest.histograms import Histogram, HistogramError, Histograms
from loadtest.objectives import Measured, ObjectiveError, evaluate_all, parse_objective
from loadtest.summary import (
    AudioTotals,
    Counts,
    Environment,
    LatencyFigures,
    ObjectiveResult,
    SeriesPoint,
    Summary,
    Verdict,
    Words,
    sample_streams,
)
from loadtest.verdict import judge

MAX_SHARDS: Final = 10_000
_BOUNDED: Final = {"problems": (MAX_PROBLEMS, MAX_PROBLEM_CHARACTERS)}
_MAX_NAMED: Final = 10


class MergeError(ValueError):
    """Summaries that are not the shards of one run; the text says why."""


def merge(summaries: Sequence[Summary], *, partial: bool = False) -> Summary:
    """The summary of all shards. Raises `MergeError` when they are not the shards of one run.

    With `partial`, some may be missing: the verdict is INVALID then, because the load was not the one that was planned.
    """
    shards = _checked(summaries)
    missing = _missing_shards(shards)
    if missing and not partial:
        raise MergeError(f"{_named(missing, shards[0].shard[1])}; merge what there is with --partial")
    first = shards[0]
    counts, words, audio = _counts(shards), _words(shards), _audio(shards)
    latencies = _latencies(shards)
    objectives = _objectives(shards, Measured(counts, words, audio, latencies))
    workers = tuple(worker for shard in shards for worker in shard.workers)
    problems = [*_own_problems(shards), *([_named(missing, first.shard[1])] if missing else ())]
    verdict, reasons = judge(
        counts=counts,
        audio=audio,
        latencies=latencies,
        workers=workers,
        objectives=objectives,
        interrupted=any(shard.verdict is Verdict.INTERRUPTED for shard in shards),
        problems=problems,
    )
    return msgspec.structs.replace(
        first,
        verdict=verdict,
        reasons=reasons,
        shard=(0, 1),
        shards_merged=len(shards),
        started_at=min(shard.started_at for shard in shards),
        duration_s=max(shard.duration_s for shard in shards),
        counts=counts,
        words=words,
        audio=audio,
        latencies=latencies,
        objectives=objectives,
        series=_series([shard.series for shard in shards]),
        server=next((shard.server for shard in shards if shard.server), ()),
        events=tuple(sorted((event for shard in shards for event in shard.events), key=lambda event: event.at_s)),
        streams=sample_streams(record for shard in shards for record in shard.streams),
        workers=workers,
        environment=_environment([shard.environment for shard in shards]),
    )


def _checked(summaries: Sequence[Summary]) -> list[Summary]:
    """The shards in order."""
    if not summaries:
        raise MergeError("nothing to merge")
    first = summaries[0]
    for summary in summaries:
        if summary.shards_merged != 1:
            raise MergeError("a summary of several shards is among them: merge the shards themselves")
        if summary.knee is not None:
            raise MergeError("a search for the knee cannot be merged: its steps had different loads")
        _same("scenario", first.scenario, summary.scenario)
        if first.scenario_toml != summary.scenario_toml:
            raise MergeError(f"the scenario '{first.scenario}' differs between the shards: see their `scenario_toml`")
        _same("seed", first.seed, summary.seed)
        _same("path of the URL", _path(first.url), _path(summary.url))
        _same("number of shards", first.shard[1], summary.shard[1])
        index, total = summary.shard
        if not 0 <= index < total <= MAX_SHARDS:
            raise MergeError(f"no such shard: {index}/{total}")
    shards = sorted(summaries, key=lambda summary: summary.shard[0])
    for one, other in pairwise(shards):
        if one.shard == other.shard:
            raise MergeError(f"shard {one.shard[0]}/{one.shard[1]} is there twice")
    return shards


def _same(name: str, one: object, other: object) -> None:
    if one != other:
        raise MergeError(f"the {name} differs between the shards: {one} and {other}")


def _path(url: str) -> str:
    parts = urlsplit(url)
    return re.sub(r"/+$", "", parts.path) or "/"


def _missing_shards(shards: Sequence[Summary]) -> list[int]:
    found = {shard.shard[0] for shard in shards}
    return [index for index in range(shards[0].shard[1]) if index not in found]


def _named(missing: Sequence[int], total: int) -> str:
    """As `--shard` counts them, from 0."""
    names = ", ".join(f"{index}/{total}" for index in missing[:_MAX_NAMED])
    more = f" and {len(missing) - _MAX_NAMED} more" if len(missing) > _MAX_NAMED else ""
    return f"missing: shard {names}{more}" if len(missing) == 1 else f"missing: shards {names}{more}"


def _own_problems(shards: Iterable[Summary]) -> Iterable[str]:
    """What made a shard invalid, and cannot be seen in its figures: a worker that died, say."""
    for shard in shards:
        verdict, seen = judge(counts=shard.counts, audio=shard.audio, latencies=shard.latencies, workers=shard.workers)
        if shard.verdict is Verdict.INVALID and verdict is not Verdict.INVALID:
            missed = {f"missed: {result.text} (was {result.actual})" for result in shard.objectives}
            own = [reason for reason in shard.reasons if reason not in missed and reason not in seen]
            yield from (f"shard {shard.shard[0]}/{shard.shard[1]}: {reason}" for reason in own or ("invalid",))


def _counts(shards: Sequence[Summary]) -> Counts:
    total = Counts()
    for shard in shards:
        for field in msgspec.structs.fields(Counts):
            value = getattr(shard.counts, field.name)
            if field.name == "behaviors":
                for behavior, endings in value.items():
                    _add(total.behaviors.setdefault(behavior, {}), endings, MAX_SLUGS)
            elif isinstance(value, dict):
                _add(getattr(total, field.name), value, *_BOUNDED.get(field.name, (MAX_SLUGS,)))
            else:
                setattr(total, field.name, getattr(total, field.name) + value)
    return total


def _add(table: dict[str, int], more: Mapping[str, int], limit: int, characters: int = MAX_PROBLEM_CHARACTERS) -> None:
    for key, times in more.items():
        count(table, key, times, limit=limit, characters=characters)


def _words(shards: Sequence[Summary]) -> Words:
    names = Words.__struct_fields__
    return Words(**{name: sum(getattr(shard.words, name) for shard in shards) for name in names})


def _audio(shards: Sequence[Summary]) -> AudioTotals:
    names = AudioTotals.__struct_fields__
    return AudioTotals(**{name: sum(getattr(shard.audio, name) for shard in shards) for name in names})


def _latencies(shards: Sequence[Summary]) -> dict[str, LatencyFigures]:
    histograms = Histograms()
    missing: dict[str, int] = {}
    refused: dict[str, int] = {}
    for shard in shards:
        for name, figures in shard.latencies.items():
            if figures.count:
                histograms[name].add(_decoded(shard, name, figures))
            missing[name] = missing.get(name, 0) + figures.missing
            refused[name] = refused.get(name, 0) + figures.missing_refused
    ordered = sorted(missing, key=_place)
    return {name: histograms.figures(name, missing[name], refused[name]) for name in ordered}


def _place(latency: str) -> int:
    """As in the catalogue; what it does not have comes last."""
    return list(LATENCIES).index(latency) if latency in LATENCIES else len(LATENCIES)


def _decoded(shard: Summary, name: str, figures: LatencyFigures) -> Histogram:
    where = f"shard {shard.shard[0]}/{shard.shard[1]}: the histogram of '{name}'"
    try:
        histogram = Histogram.decode(figures.histogram)
    except HistogramError as error:
        raise MergeError(f"{where}: {error}") from None
    if histogram.count != figures.count:
        raise MergeError(f"{where} has {histogram.count} samples, and `count` says {figures.count}")
    return histogram


def _objectives(shards: Sequence[Summary], measured: Measured) -> tuple[ObjectiveResult, ...]:
    texts = dict.fromkeys(objective.text for shard in shards for objective in shard.objectives)
    try:
        return evaluate_all([parse_objective(text) for text in texts], measured)
    except ObjectiveError as error:
        raise MergeError(str(error)) from None


def _series(curves: Sequence[tuple[SeriesPoint, ...]]) -> tuple[SeriesPoint, ...]:
    """By the longest interval of all. Shards coarsen by doubling, so that one is a multiple of the other."""
    interval_s = max((_interval_s(points) for points in curves), default=1.0)
    columns: dict[int, list[list[SeriesPoint]]] = {}
    for number, points in enumerate(curves):
        for point in points:
            index = int(point.at_s / interval_s + 1e-9)
            columns.setdefault(index, [[] for _ in curves])[number].append(point)
    active = [0] * len(curves)
    merged = []
    for index in sorted(columns):
        for number, column in enumerate(columns[index]):
            active[number] = column[-1].active if column else 0  # after its last point a shard has no streams
        found = [point for column in columns[index] for point in column]
        merged.append(_point(index * interval_s, found, sum(active)))
    return tuple(merged)


def _interval_s(points: Sequence[SeriesPoint]) -> float:
    return points[1].at_s - points[0].at_s if len(points) > 1 else 0.001


def _point(at_s: float, points: Sequence[SeriesPoint], active: int) -> SeriesPoint:
    slugs: dict[str, int] = {}
    latencies: dict[str, list[tuple[float, float, int]]] = {}
    for point in points:
        _add(slugs, point.slugs, MAX_SLUGS)
        for name, value in point.latencies_ms.items():
            latencies.setdefault(name, []).append(value)
    return SeriesPoint(
        at_s=round(at_s, 6),
        arrivals=sum(point.arrivals for point in points),
        active=active,
        succeeded=sum(point.succeeded for point in points),
        not_succeeded=sum(point.not_succeeded for point in points),
        slugs=slugs,
        latencies_ms={name: _percentiles(values) for name, values in latencies.items()},
        send_lateness_p99_ms=max(
            (point.send_lateness_p99_ms for point in points if point.send_lateness_p99_ms is not None), default=None
        ),
    )


def _percentiles(values: Sequence[tuple[float, float, int]]) -> tuple[float, float, int]:
    total = sum(number for _, _, number in values)
    ordered = sorted(values)
    passed = accumulate(number for _, _, number in ordered)
    p50 = next(value[0] for value, number in zip(ordered, passed, strict=True) if number * 2 >= total)
    return p50, max(p99 for _, p99, _ in values), total


def _environment(environments: Sequence[Environment]) -> Environment:
    hosts = list(dict.fromkeys(environment.host for environment in environments if environment.host))
    more = f" and {len(hosts) - _MAX_NAMED} more" if len(hosts) > _MAX_NAMED else ""
    server = next((environment.server for environment in environments if environment.server), {})
    return msgspec.structs.replace(environments[0], host=", ".join(hosts[:_MAX_NAMED]) + more, server=server)
