"""What is known of a run while it goes on: the conductor writes it, the live view and the metrics port read it. Pure.

Everything here is a number that has been added up already, so that a reader does no work for each stream. Percentiles
are of the whole run so far, in milliseconds; None stands for what has not been measured yet.
"""

import enum
from dataclasses import dataclass, field
from typing import Final

from loadtest.summary import EventResult, ObjectiveResult, ServerPoint

MAX_NOTES: Final = 20


class Phase(enum.StrEnum):
    """Where the run is."""

    PREPARING = "preparing"
    """The service was reached; the worker processes load their plan."""
    REFERENCES = "references"
    """Every clip is spoken alone, for the words that are to be heard."""
    RUNNING = "running"
    """Calls arrive."""
    DRAINING = "draining"
    """The last arrival has been; calls are spoken to their end."""
    ENDING = "ending"
    """Interrupted: streams are dropped."""
    DONE = "done"


@dataclass(slots=True)
class Percentiles:
    """One latency so far."""

    count: int = 0
    missing: int = 0
    """Streams that owed a sample and gave none."""
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


@dataclass(slots=True)
class WorkerState:
    """One process of the load tester, as its last word told."""

    pid: int = 0
    active: int = 0
    begun: int = 0
    ended: int = 0
    cpu_share: float = 0.0
    """Of one CPU, over the run so far."""
    send_lateness_p99_ms: float | None = None
    loop_lag_p99_ms: float | None = None
    has_ended: bool = False


@dataclass(slots=True)
class RunState:
    """The run so far."""

    scenario: str = ""
    url: str = ""
    """Without user and password."""
    phase: Phase = Phase.PREPARING
    step: str = ""
    """Of a search for the knee: what is tried now, such as `80 streams`; else empty."""
    elapsed_s: float = 0.0
    """Since the run began; 0 before."""
    duration_s: float = 0.0
    """Until the last arrival; calls that have begun then are spoken to their end."""
    planned: int = 0
    begun: int = 0
    ended: int = 0
    active: int = 0
    opens_per_s: float = 0.0
    """Over the last seconds."""
    attempts: int = 0
    """Streams that ended and to which a transcript was owed."""
    succeeded: int = 0
    """Of the attempts."""
    endings: dict[str, int] = field(default_factory=dict)
    """By `Ending`."""
    refused: dict[str, int] = field(default_factory=dict)
    """By slug, or `http_<status>`."""
    failed: dict[str, int] = field(default_factory=dict)
    """By slug."""
    lost: dict[str, int] = field(default_factory=dict)
    """By close code; `none` without a close frame."""
    latencies: dict[str, Percentiles] = field(default_factory=dict)
    """By the names of `figures.LATENCIES`; those that have a sample or a missing one."""
    send_lateness_p99_ms: float | None = None
    """The load tester's own, over all processes."""
    loop_lag_p99_ms: float | None = None
    workers: list[WorkerState] = field(default_factory=list)
    objectives: list[ObjectiveResult] = field(default_factory=list)
    """As the figures are so far."""
    server: ServerPoint | None = None
    """The last scrape of the service's `/metrics`."""
    events: list[EventResult] = field(default_factory=list)
    """Commands of the scenario that were begun; `duration_s` is None while one runs."""
    notes: list[str] = field(default_factory=list)
    """What an operator should know besides, such as why there are no figures of the service. See `note`."""

    def note(self, text: str) -> None:
        """Keep a line of `notes`: each once, at most MAX_NOTES of them."""
        if text not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(text)

    @property
    def success(self) -> float | None:
        """Succeeded, as a share of the attempts; None before the first."""
        return self.succeeded / self.attempts if self.attempts else None
