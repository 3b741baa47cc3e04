"""How many streams this machine can decode at once. Pure."""

from __future__ import annotations

import math

# The rest is for the gateway, which shares the machine, and for speech that costs more than the measured clip.
DECODER_SHARE = 0.75
MAX_CAPACITY = 16


def usable_cpus(affinity: int, cpu_max: str) -> float:
    """CPUs this process may use: its affinity, lowered by a cgroup's ``cpu.max`` (``"<quota> <period>"`` or ``"max
    ..."``).
    """
    fields = cpu_max.split()
    if len(fields) != 2 or not (fields[0].isdecimal() and fields[1].isdecimal()) or int(fields[1]) == 0:
        return float(affinity)
    return min(float(affinity), int(fields[0]) / int(fields[1]))


def stream_capacity(cpus: float, cost: float) -> int:
    """Streams at once, 1 to 16, when a second of speech costs ``cost`` seconds of CPU."""
    return max(1, min(MAX_CAPACITY, math.floor(DECODER_SHARE * cpus / max(cost, 0.001))))
