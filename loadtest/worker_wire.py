"""What the conductor and its worker processes say to each other: lines of JSON over pipes. Pure.

To a worker: one `Job`, then `Order`s. From it: `Word`s. A worker makes its part of the plan itself from the scenario,
the seed and the shard, which give the same plan everywhere, so that nothing large goes over a pipe.
"""

from typing import Final

import msgspec

from loadtest.record import StreamRecord
from loadtest.scenario import Scenario


class Job(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one worker is to do."""

    scenario: Scenario
    directory: str | None
    """Of the scenario: where audio files that are not bundled are looked for."""
    seed: int
    shard: tuple[int, int]
    """(i, n): it speaks part i, from 0, of n parts of the plan."""
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    token: str | None = None
    mint_subject: str | None = None
    """Tokens are minted with JWT_SECRET of the environment, for this subject; see `tokens`."""
    keep_text: bool = False
    words: tuple[tuple[str, ...], ...] | None = None
    """What was heard of every clip alone; None: transcripts are not compared."""


class Order(msgspec.Struct, omit_defaults=True):
    """What a worker is told after its job; each field by itself."""

    begin_at_s: float | None = None
    """On CLOCK_MONOTONIC, which all processes of one machine share."""
    token: str | None = None
    """From now on."""
    interrupt: bool = False
    """Drop all streams with `cancel`, report, end."""


class Tick(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of a worker, once a second."""

    at_s: float
    """Since the run began."""
    active: int = 0
    begun: int = 0
    ended: int = 0
    cpu_s: float = 0.0
    """Processor time since the run began."""
    samples: dict[str, dict[int, int]] = msgspec.field(default_factory=dict)
    """What was recorded since the tick before: for each of `figures.SAMPLE_LATENCIES` the counts by bucket, as
    `histograms.Histogram` holds them. That costs a tenth of encoding histograms, and a worker has no time to give away.
    """


class Word(msgspec.Struct, omit_defaults=True):
    """One line of a worker; exactly one field is given."""

    prepared: int | None = None
    """The plan is loaded; so many streams are in this part."""
    stream: StreamRecord | None = None
    tick: Tick | None = None
    last: Tick | None = None
    """The last word: all streams have ended, and their records have been sent."""


MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""A line that is longer is not ours. A record with a long text has some KiB, a job with many words some 100 KiB."""
