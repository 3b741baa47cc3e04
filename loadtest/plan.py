"""The plan: every call of a run, fixed before it begins. Pure; the same scenario and seed give the same plan.

A plan does not know how the service answers, so it cannot wait for it: arrivals are an open model.
"""

import bisect
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from loadtest.arrivals import arrival_times
from loadtest.call_lengths import target_lengths_s
from loadtest.scenario import Behavior, Scenario, ScenarioError
from loadtest.seeds import seed_of, shares_of

DEFAULT_SEED: Final = 1
MAX_TRACKS_S: Final = 7200.0  # of audio in all tracks together: every process keeps it, 220 MiB at 16 kHz
MAX_TRACK_CLIPS: Final = 20_000  # over two hours of words of a third of a second
_TURN: Final = (0.2, 0.8)


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """One call. Its audio is `plan.tracks[track]`."""

    number: int
    """From 0, in order of arrival, over the whole plan: a shard keeps the numbers."""
    at_s: float
    """When the phone dials, in seconds since the run began."""
    track: int
    behavior: Behavior
    seed: int
    """For what is random inside the call, so that it does not depend on anything else."""
    turn_at: float
    """Where a behavior acts (pauses, freezes, hangs up …), as a share of the audio: 0.2 to 0.8."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All calls of a run, or of one shard of it."""

    scenario: Scenario
    seed: int
    duration_s: float
    """Until the last stage of arrivals is over; calls that have begun then are spoken to their end."""
    tracks: tuple[tuple[int, ...], ...]
    """What a call can say: clips in order, each an index into `scenario.audio.files`."""
    calls: tuple[PlannedCall, ...]
    shard: tuple[int, int] = (0, 1)
    """(i, n): this is part i, from 0, of n parts."""


def make_plan(scenario: Scenario, durations_s: Sequence[float], seed: int = DEFAULT_SEED) -> Plan:
    """The whole plan. `durations_s` are the lengths of `scenario.audio.files`, which must have passed the rules.

    What a call is depends on the seed and its number alone: a longer run begins as a shorter one of the same stages.
    Raises ScenarioError when no call arrives, more arrive than a plan can hold, or the tracks are too long to be kept.
    """
    tracks = make_tracks(scenario, durations_s, seed)
    mean_s = mean_call_s(tracks, durations_s, scenario.audio.gap_s)
    times_s = arrival_times(scenario.arrivals, mean_s, seed)
    duration_s = math.fsum(stage.for_s for stage in scenario.arrivals)
    if not times_s:
        raise ScenarioError(f"`arrivals`: no call arrives in {duration_s:g} s; raise the rate or the duration")
    behaviors = tuple((behavior, scenario.behaviors.get(behavior, 0.0)) for behavior in Behavior)
    calls = tuple(_call(number, at_s, len(tracks), behaviors, seed) for number, at_s in enumerate(times_s))
    return Plan(scenario=scenario, seed=seed, duration_s=duration_s, tracks=tracks, calls=calls)


def shard(plan: Plan, index: int, count: int) -> Plan:
    """Part `index`, from 0, of `count` parts: every count-th call. All parts together are exactly the plan.

    A shard can be sharded again, for the processes of one machine; it then is a shard of the whole plan all the same.
    """
    if not 0 <= index < count:
        raise ValueError(f"shard {index} of {count}: expected 0 to {count - 1}")
    whole_index, whole_count = plan.shard
    part = (whole_index + whole_count * index, whole_count * count)
    return replace(plan, calls=tuple(call for call in plan.calls if call.number % part[1] == part[0]), shard=part)


def make_tracks(scenario: Scenario, durations_s: Sequence[float], seed: int) -> tuple[tuple[int, ...], ...]:
    """What calls can say; every file is in at least one. Raises ScenarioError when they are too long to be kept."""
    tracks: list[tuple[int, ...]]
    if scenario.call.length == "clip":
        tracks = [(clip,) for clip in range(len(durations_s))]
    else:
        clips = _shuffled_again_and_again(len(durations_s), seed)
        variants = max(scenario.call.variants, len(durations_s))
        lengths_s = target_lengths_s(scenario.call, variants)
        tracks = [_track(clips, durations_s, scenario.audio.gap_s, length_s) for length_s in lengths_s]
    total_s = math.fsum(call_s(track, durations_s, scenario.audio.gap_s) for track in tracks)
    if total_s > MAX_TRACKS_S:
        raise ScenarioError(
            f"`call`: the {len(tracks)} different calls have {total_s:.0f} s of audio, over the {MAX_TRACKS_S:g} s "
            "that are kept in memory; lower `call.variants`, the length of calls, or that of the files"
        )
    return tuple(tracks)


def _track(clips: Iterator[int], durations_s: Sequence[float], gap_s: float, length_s: float) -> tuple[int, ...]:
    """Clips until the length is reached, to the microsecond: the last bits of a float are not the same everywhere."""
    track = [next(clips)]
    spoken_s = durations_s[track[0]]
    while round(spoken_s, 6) < round(length_s, 6):
        if len(track) == MAX_TRACK_CLIPS:
            raise ScenarioError(f"`call`: {length_s:g} s need over {MAX_TRACK_CLIPS} of these files; use longer ones")
        track.append(next(clips))
        spoken_s += gap_s + durations_s[track[-1]]
    return tuple(track)


def call_s(track: Sequence[int], durations_s: Sequence[float], gap_s: float) -> float:
    """Seconds of audio in a call: its clips and the gaps between them."""
    return math.fsum(durations_s[clip] for clip in track) + gap_s * (len(track) - 1)


def mean_call_s(tracks: Sequence[Sequence[int]], durations_s: Sequence[float], gap_s: float) -> float:
    """The mean length of a call, for Little's law: the audio alone, since all else depends on the service."""
    return math.fsum(call_s(track, durations_s, gap_s) for track in tracks) / len(tracks)


def planned_peak(plan: Plan, durations_s: Sequence[float]) -> int:
    """The most calls that speak at once, if the service answers at once."""
    lengths_s = [call_s(track, durations_s, plan.scenario.audio.gap_s) for track in plan.tracks]
    changes = sorted(  # at the same instant a call ends (-1) before the next begins (1)
        change for call in plan.calls for change in ((call.at_s, 1), (call.at_s + lengths_s[call.track], -1))
    )
    peak = active = 0
    for _, change in changes:
        active += change
        peak = max(peak, active)
    return peak


def _call(number: int, at_s: float, tracks: int, behaviors: Sequence[tuple[Behavior, float]], seed: int) -> PlannedCall:
    track, behavior, turn, _ = shares_of(seed, "call", number)
    low, high = _TURN
    return PlannedCall(
        number=number,
        at_s=at_s,
        track=int(track * tracks),
        behavior=_drawn(behaviors, behavior),
        seed=seed_of(seed, "inside of call", number),
        turn_at=low + (high - low) * turn,
    )


def _drawn(behaviors: Sequence[tuple[Behavior, float]], share: float) -> Behavior:
    """By weight, in the order of `Behavior`: that of the keys in the file must not matter."""
    possible = [(behavior, weight) for behavior, weight in behaviors if weight > 0]
    sums = list(accumulate(weight for _, weight in possible))
    place = bisect.bisect_right(sums, share * sums[-1])
    return possible[min(place, len(possible) - 1)][0]  # a share next to 1 may be rounded up


def _shuffled_again_and_again(files: int, seed: int) -> Iterator[int]:
    """All files in a random order, then all in another: each has its turn before one comes again."""
    source = random.Random(seed_of(seed, "tracks"))  # noqa: S311 - a plan has to be repeatable
    while True:
        deck = list(range(files))
        while deck:
            yield deck.pop(int(source.random() * len(deck)))
