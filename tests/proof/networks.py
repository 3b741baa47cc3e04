"""What goes wrong on the ways to the phone and to the recognizer, drawn by number. Pure."""

import enum
import random
from dataclasses import dataclass
from typing import Final

from tests.support.fault_proxy import CLEAN, Faults

FAMILIES: Final = ("gentle", "recognizer", "phone", "both")
"""Which side breaks; what is only slow or cut in pieces may be on both sides of each."""


class Break(enum.Enum):
    """How connections stop working, all that there are on one side at that moment."""

    RESET = "RST at once"
    RESET_IN_FRAME = "RST behind some more bytes to the gateway or the recognizer"
    CLOSE_IN_FRAME = "FIN behind some more bytes"
    LOSS_UP = "what is sent is swallowed"
    LOSS_DOWN = "what is answered is swallowed"
    HALF_OPEN = "nothing gets through any more, and nobody is told"

    @property
    def is_silent(self) -> bool:
        """Whether neither side is told."""
        return self in (Break.LOSS_UP, Break.LOSS_DOWN, Break.HALF_OPEN)


@dataclass(frozen=True, slots=True)
class Blow:
    """One break."""

    at_s: float
    """Since the phone began to talk; it waits for a connection if there is none."""
    how: Break
    after_bytes: int


@dataclass(frozen=True, slots=True)
class Slicing:
    """For a while everything goes in small pieces."""

    at_s: float
    for_s: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Side:
    """One way, in both directions."""

    up: Faults
    down: Faults
    slicing: Slicing | None
    blows: tuple[Blow, ...]


@dataclass(frozen=True, slots=True)
class Network:
    """Both ways, and how long somebody talks over them."""

    number: int
    family: str
    talk_ms: int
    phone: Side
    recognizer: Side
    forgets: bool
    """What is left half-open in the end is reset, as by a router that was started again; else nobody ever hears."""

    @property
    def patience_s(self) -> float:
        """How long the phone bears a silence. Where its side breaks without a word it has to find out; elsewhere it
        would only give up a link that is slow because the machine is."""
        return 6.0 if any(blow.how.is_silent for blow in self.phone.blows) else 40.0

    @property
    def is_quick(self) -> bool:
        """Whether it is over within seconds. A recognizer that says nothing is waited for 10 s (clocks.FINISH_S), a
        phone 25 s (clocks.IDLE_S)."""
        waits = any(blow.how.is_silent for blow in self.recognizer.blows)
        return not waits and (self.forgets or not any(blow.how.is_silent for blow in self.phone.blows))


def network(seed: int, number: int) -> Network:
    """The network of this number; always the same."""
    chance = random.Random(f"{seed} network {number}")
    family = FAMILIES[number % len(FAMILIES)]
    talk_ms = chance.randrange(2700, 7000)
    return Network(
        number,
        family,
        talk_ms,
        _side(chance, talk_ms, breaks=family in ("phone", "both"), least_bytes_per_s=40_000),
        _side(chance, talk_ms, breaks=family in ("recognizer", "both"), least_bytes_per_s=70_000),
        forgets=chance.random() < 0.5,
    )


def _side(chance: random.Random, talk_ms: int, *, breaks: bool, least_bytes_per_s: int) -> Side:
    """A way that carries speech, but for its blows: catching up on the recognizer's needs twice the rate of PCM."""
    up, down = (_direction(chance, least) for least in (least_bytes_per_s, 6000))
    slicing = None
    if chance.random() < 0.6:
        at_s = chance.uniform(0, talk_ms / 1000)
        slicing = Slicing(at_s, chance.uniform(0.2, 0.8), chance.choice([1, 1, 2, 7, 60]))
    blows: list[Blow] = []
    if breaks:
        blows += [_blow(chance, talk_ms) for _ in range(chance.choice([1, 1, 2]))]
    return Side(up, down, slicing, tuple(sorted(blows, key=lambda blow: blow.at_s)))


def _blow(chance: random.Random, talk_ms: int) -> Blow:
    return Blow(chance.uniform(0, talk_ms / 1000 - 0.3), chance.choice(list(Break)), chance.randrange(1, 3000))


def _direction(chance: random.Random, least_bytes_per_s: int) -> Faults:
    if chance.random() < 0.25:
        return CLEAN
    return Faults(
        latency_s=chance.choice([0.0, 0.02, 0.1, 0.3]),
        jitter_s=chance.choice([0.0, 0.0, 0.05, 0.2]),
        bytes_per_s=chance.choice([None, chance.uniform(1, 4) * least_bytes_per_s]),
    )
