"""What every clip sounds like to this service when nothing else is going on: the words that calls are compared with.

Each clip is spoken once, alone, one after the other, by a talker of the same kind as in the run. So a transcript counts
as truncated or different only when load, and not the recognizer's taste, made it so.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import trio

from loadtest.advice import hint
from loadtest.audio import Clip, frames, load_clips, make_track
from loadtest.plan import PlannedCall
from loadtest.record import Ending, StreamRecord
from loadtest.scenario import Behavior, Scenario
from loadtest.scenario_files import LoadedScenario
from loadtest.speaker import Call, Target, place_call
from loadtest.tokens import TokenSource
from loadtest.transcripts import words

_FIRST_NUMBER = -1
"""Numbers below those of the plan, so that minted tokens have subjects of their own."""


class NothingSpoken(Exception):
    """Not one clip could be spoken alone: there is nothing to measure. The text says why."""


@dataclass(frozen=True, slots=True)
class References:
    """What was heard."""

    words: tuple[tuple[str, ...], ...] | None
    """Of every clip of the scenario, in order; None when one failed: nothing can be compared then."""
    problem: str = ""
    """Why there are no words."""


async def speak_alone(
    loaded: LoadedScenario,
    url: str,
    headers: tuple[tuple[bytes, bytes], ...],
    tokens: TokenSource,
    begun: Callable[[str], None],
    interrupted: trio.Event,
) -> References:
    """Speak every clip alone and return its words; `begun` hears the name of each.

    When `interrupted` is set it stops, with the problem `interrupted`. Raises NothingSpoken when all clips failed,
    ScenarioError for clips that cannot be read, and TokenError.
    """
    scenario = loaded.scenario
    clips = await trio.to_thread.run_sync(load_clips, scenario.audio.files, loaded.directory)
    heard: list[tuple[str, ...]] = []
    problems: list[str] = []
    for index, clip in enumerate(clips):
        begun(clip.name)
        token = await tokens.token(_FIRST_NUMBER - index)
        target = Target(url=url, headers=headers, get_token=lambda token=token: token)  # type: ignore[misc]
        record = await _speak(clips, index, scenario, target, interrupted)
        if interrupted.is_set():
            return References(None, "interrupted")
        if record.ending is Ending.COMPLETED:
            heard.append(tuple(words(record.text or "")))
        else:
            problems.append(f"{clip.name} alone: {describe(record)}")
    if not heard:
        raise NothingSpoken(f"no clip could be spoken, even alone. {problems[0]}")
    if problems:
        return References(None, problems[0])
    return References(tuple(heard))


def describe(record: StreamRecord) -> str:
    """How a stream that should have completed ended, in one line. Pure."""
    problem = record.problem or ""
    details = (
        None if record.slug is None or record.slug in problem else record.slug,
        None if record.http_status is None else f"HTTP {record.http_status}",
        None if record.close_code is None else f"close code {record.close_code}",
        problem,
    )
    advice = hint(record.slug) and f" ({hint(record.slug)})"
    return ", ".join([record.ending.replace("_", " "), *filter(None, details)]) + advice


async def _speak(
    clips: tuple[Clip, ...], index: int, scenario: Scenario, target: Target, interrupted: trio.Event
) -> StreamRecord:
    track = make_track(clips, [index], scenario.audio.gap_s)
    planned = PlannedCall(
        number=_FIRST_NUMBER - index,
        at_s=0.0,
        track=0,
        behavior=Behavior.TALKER,
        seed=zlib.crc32(clips[index].name.encode()),
        turn_at=0.5,
    )
    call = Call(
        planned=planned,
        track=track,
        frames=frames(track, scenario.audio),
        scenario=scenario,
        begins_at_s=trio.current_time(),
        expected_words=None,
        keep_text=True,
    )
    return await place_call(call, target, lambda name, value_s: None, interrupted=interrupted)
