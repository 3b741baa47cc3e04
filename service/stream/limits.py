"""How much one user, and one address, may have: the limits, and what is said when one is reached. Pure.

They bound what one person can cost, and are no secret. Who is not known by name is exempt from those for each user.
"""

import enum
from dataclasses import dataclass
from typing import Final

from service.failures import Problem, Slug, problem
from service.settings import Settings

WINDOW_MS: Final = 60_000
"""Of `MAX_NEW_STREAMS_PER_MINUTE`. It slides: no 60 s hold more than that."""
RESUME_GRACE_MS: Final = 120_000
"""How long after its end a stream can be resumed without counting as a new one. Phones give up sooner."""
DAY_MS: Final = 86_400_000
_MIDNIGHT_SPREAD: Final = 15
"""Those whose day is used up all wait for the same moment; they come back over a minute behind it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Each is for the whole of what counts together; 0 is no limit."""

    streams_per_user: int = 0
    streams_per_address: int = 0
    new_streams_per_minute: int = 0
    """Of each user. As many again may resume a stream: a flapping network is no new stream, and no open door."""
    audio_ms_per_day: int = 0
    """Of each user; a day begins at midnight UTC."""

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """Those of the settings."""
        return cls(
            settings.max_streams_per_user,
            settings.max_streams_per_address,
            settings.max_new_streams_per_minute,
            settings.max_audio_s_per_day * 1000,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """What one stream, or one upload, takes for as long as it lasts."""

    id: str
    user_id: str = ""
    """Empty: nobody is known by name."""
    address: str = ""
    """As it counts; empty where none is known."""
    resumes: str = ""
    """The stream that it says it continues."""
    is_stream: bool = True
    """An upload is none: it does not count as a new stream."""


class Excess(enum.Enum):
    """Which limit is reached."""

    AUDIO = 1
    ADDRESS = 2
    USER = 3
    RATE = 4


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a place can be had."""

    excess: Excess | None = None
    wait_ms: int = 0
    """When the limit leaves room again at the earliest, where that is known."""
    replaced: str = ""
    """The stream whose place was taken over; empty where there was none."""


def day_of(unix_ms: int) -> int:
    """The number of a day, since 1970."""
    return unix_ms // DAY_MS


def until_tomorrow_ms(unix_ms: int) -> int:
    """How long this day lasts still."""
    return DAY_MS - unix_ms % DAY_MS


def refusal(answer: Answer, limits: Limits, wait_ms: int, spread_ms: int) -> Problem:
    """What a client is told that has reached a limit. `spread_ms` is random, so that not all come back at once."""
    again_ms = wait_ms + spread_ms
    match answer.excess:
        case Excess.AUDIO:
            return used_up(limits, wait_ms, spread_ms)
        case Excess.RATE:
            message = f"This user has opened {limits.new_streams_per_minute} streams within the last minute."
            return problem(Slug.TOO_MANY_NEW_STREAMS, message, retry_after_ms=again_ms)
        case Excess.ADDRESS:
            message = f"There are {limits.streams_per_address} streams from this address already."
        case _:
            message = f"This user has {limits.streams_per_user} streams already."
    return problem(Slug.TOO_MANY_STREAMS, message, retry_after_ms=again_ms)


def used_up(limits: Limits, wait_ms: int, spread_ms: int) -> Problem:
    """The audio of this day is used up, for `wait_ms` until midnight UTC."""
    return problem(
        Slug.QUOTA_EXCEEDED,
        f"This user's {limits.audio_ms_per_day // 1000} s of audio for today are used up; the day ends at 00:00 UTC.",
        retry_after_ms=wait_ms + _MIDNIGHT_SPREAD * spread_ms,
    )
