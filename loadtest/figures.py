"""The catalogue of what is measured: one name for each, the same in objectives, summaries, reports and docs. Pure."""

import enum
from dataclasses import dataclass
from typing import Final


class Scope(enum.Enum):
    """What one sample of a latency belongs to."""

    STREAM = "stream"
    """One per stream that owes it; a stream that failed counts as one that never came (`missing`)."""
    SAMPLE = "sample"
    """As many as there are results, words or frames."""
    BREAK = "break"
    """One for each time that a stream broke and its phone wanted to go on; one that could not is `missing`."""


@dataclass(frozen=True, slots=True)
class Latency:
    """One latency that is measured into a histogram."""

    name: str
    scope: Scope
    title: str
    meaning: str


LATENCIES: Final = {
    latency.name: latency
    for latency in (
        Latency("connect", Scope.STREAM, "Connect", "TCP and TLS, from dialing"),
        Latency("upgrade", Scope.STREAM, "Upgrade", "from the connection to the answer of the WebSocket upgrade"),
        Latency("welcome", Scope.STREAM, "Welcome", "from the upgrade to `welcome`"),
        Latency("ready", Scope.STREAM, "Ready", "from `start` to `ready`: the recognizer has accepted"),
        Latency("setup", Scope.STREAM, "Setup", "from the planned arrival to `ready`"),
        Latency("first_partial", Scope.STREAM, "First partial", "from the onset of speech to the first words"),
        Latency("word_final", Scope.SAMPLE, "Word final", "from the end of a word to the final result that has it"),
        Latency("finalization", Scope.STREAM, "Finalization", "from the end of the audio to `stopped`"),
        Latency(
            "resume", Scope.BREAK, "Resume", "from the loss of a stream, or its early `stopped`, to the next `ready`"
        ),
        Latency("result_lateness", Scope.SAMPLE, "Result lateness", "from the end of the audio a result covers to it"),
        Latency("send_lateness", Scope.SAMPLE, "Send lateness", "how late the load tester itself sent a frame"),
        Latency("loop_lag", Scope.SAMPLE, "Loop lag", "how late the load tester's event loop ran a task that was due"),
    )
}
STREAM_LATENCIES: Final = tuple(name for name, latency in LATENCIES.items() if latency.scope is Scope.STREAM)
SAMPLE_LATENCIES: Final = tuple(name for name, latency in LATENCIES.items() if latency.scope is Scope.SAMPLE)

# A run in which the load tester itself was later than this, at p99, measured the load tester.
MAX_OWN_LATENESS_S: Final = 0.010
OWN_LATENCIES: Final = ("send_lateness", "loop_lag")
