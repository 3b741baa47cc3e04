"""How a stream ended. Pure.

Every stream that was admitted has exactly one outcome: one of the expected ends, or a row of the failure catalogue.
"""

import enum
from dataclasses import dataclass
from typing import Final

from service.failures import CATALOGUE, NORMAL_CLOSE, Problem, Slug


class End(enum.StrEnum):
    """The expected ends."""

    COMPLETED = "completed"
    """The client said `stop`, and everything was settled."""
    TIME_LIMIT = "time_limit"
    """`MAX_STREAM_S` was reached, and everything was settled."""
    DRAINED = "drained"
    """This process was told to stop, and everything was settled."""
    CANCELED = "canceled"
    """The client said `cancel`."""
    CLIENT_LEFT = "client_left"
    """The client closed or vanished before it had what it was owed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An end, and the problem where the end is a failure."""

    end: End | Slug
    problem: Problem | None = None

    @property
    def is_owed_stopped(self) -> bool:
        """Whether the client is told `stopped`: everything was settled, and nothing else ends the stream."""
        return self.problem is None and self.end in _SETTLED

    @property
    def close_code(self) -> int:
        """The code of the WebSocket's close."""
        if self.problem is not None:
            return self.problem.failure.close_code
        return CATALOGUE[Slug.RESTARTING].close_code if self.end is End.DRAINED else NORMAL_CLOSE

    @property
    def close_reason(self) -> str:
        """The reason of the WebSocket's close, and of the `goaway` that comes before it where one does."""
        return Slug.RESTARTING if self.end is End.DRAINED else self.end

    @classmethod
    def failed(cls, problem: Problem) -> "Outcome":
        """The outcome of a stream that a problem ended."""
        return cls(problem.slug, problem)


_SETTLED: Final = (End.COMPLETED, End.TIME_LIMIT, End.DRAINED)
DRAINED: Final = Outcome(End.DRAINED)
OUTCOME_LABELS: Final[tuple[str, ...]] = (*End, *(slug for slug in CATALOGUE))
"""Every value of the `outcome` label."""
