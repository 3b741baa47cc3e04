"""A history: what goes wrong around one conversation, as a literal; and the generator of them. Pure."""

import dataclasses
import random
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from service.localasr.faults import Fault
from service.stream.failover import MAX_IN_VAIN

Do = Literal[
    "talk", "burst", "wait", "finalize", "deaf", "block", "drop", "nonsense", "start_again", "no_slot", "drain",
    "give_up",
]  # fmt: skip
End = Literal["stop", "cancel", "hang_up"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the phone or the gateway does, after the one before.

    ============== ================================================================================================
    ``talk``       the next `ms` of audio, in real time, in frames of `count` bytes
    ``burst``      the same at once
    ``wait``       no audio for `ms`
    ``finalize``   everything so far is to be settled
    ``deaf``       the phone takes nothing for `ms`, and goes on with its steps
    ``block``      the phone takes nothing any more, until the transport gives up on it
    ``drop``       the link breaks, with the last `count` messages on it; `ms` later the stream is resumed
    ``nonsense``   a message that is none
    ``start_again`` a second `start`
    ``no_slot``    somebody else wants a recognizer slot, and has it for `ms`
    ``drain``      the process is told to stop: streams have `ms` to settle. Who comes again gets another process
    ``give_up``    the process is at the end of its orderly stop
    ============== ================================================================================================
    """

    do: Do
    ms: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Everything that decides how a conversation goes."""

    steps: tuple[Step, ...]
    faults: tuple[Fault, ...] = ()
    """Of the recognizer of the first process; its connections are counted over all streams."""
    end: End = "stop"
    replay_s: int = 15
    slots: int = 100
    result_delay_ms: int = 0
    final_delay_ms: int = 0
    chance: int = 0
    """Decides the order in which tasks run, and the length of the pauses between attempts."""
    is_pumped: bool = False
    """Whether audio and results pass in the pump's task, as between the edge's sockets on Linux."""

    @property
    def must_complete(self) -> bool:
        """Whether nothing in it may be noticed: the failover and the resuming can deal with all of it."""
        is_gentle = self.end == "stop" and self.replay_s >= 15 and self.slots > 1
        is_gentle = is_gentle and {step.do for step in self.steps} <= set(GENTLE_STEPS)
        return is_gentle and all(fault in GENTLE_FAULTS for fault in map(_kind, self.faults)) and not self._in_a_row()

    def _in_a_row(self) -> bool:
        """Whether so many connections fail in a row that a stream may give up."""
        if any(fault.connection is None for fault in self.faults):
            return True
        bad = {fault.connection or 0 for fault in self.faults}
        return any(all(first + more in bad for more in range(MAX_IN_VAIN)) for first in bad)


GENTLE_STEPS: Final[tuple[Do, ...]] = (
    "talk", "talk", "talk", "talk", "burst", "wait", "finalize", "finalize", "deaf", "drop", "nonsense", "start_again",
)  # fmt: skip
HARD_STEPS: Final[tuple[Do, ...]] = (*GENTLE_STEPS, "drop", "block", "no_slot", "drain", "give_up")
GENTLE_FAULTS: Final = (("close", 0), ("error", 5000), ("error", 5002), ("error", 4008), ("garbage", 0), ("refuse", 0))
HARD_FAULTS: Final = (
    *GENTLE_FAULTS,
    ("error", 4006),
    ("error", 4001),
    ("error", 6001),
    ("stall", 0),
    ("stop_reading", 0),
    ("swallow_final", 0),
    ("silent_handshake", 0),
)
MAX_STEPS: Final = 8


def _kind(fault: Fault) -> tuple[str, int]:
    return fault.do, fault.number if fault.do == "error" else 0


def history(seed: int) -> History:
    """The history with this number: always the same."""
    rng = random.Random(seed)
    is_gentle = rng.random() < 0.6
    kinds = GENTLE_STEPS if is_gentle else HARD_STEPS
    steps = [Step("talk", rng.randrange(100, 3000), _cut(rng))] if rng.random() < 0.7 else []
    steps += [_step(rng, rng.choice(kinds)) for _ in range(rng.randrange(MAX_STEPS))]
    faults = tuple(_fault(rng, GENTLE_FAULTS if is_gentle else HARD_FAULTS) for _ in range(rng.randrange(5)))
    is_delayed = rng.random() < 0.3
    return History(
        tuple(steps),
        faults,
        end="stop" if is_gentle else rng.choice(("stop", "stop", "cancel", "hang_up")),
        replay_s=15 if is_gentle else rng.choice((15, 2, 1, 1)),
        slots=100 if is_gentle else rng.choice((100, 1)),
        result_delay_ms=rng.choice((50, 400)) if is_delayed else 0,
        final_delay_ms=rng.choice((50, 2000)) if is_delayed else 0,
        chance=rng.randrange(1 << 30),
        is_pumped=rng.random() < 0.5,
    )


def _cut(rng: random.Random) -> int:
    """How many bytes a frame has: also half samples, and more than a packet."""
    return rng.choice((1280, 3200, 6400, 9600, rng.randrange(641, 12_000)))


def _step(rng: random.Random, do: Do) -> Step:
    match do:
        case "talk" | "burst":
            return Step(do, rng.choice((rng.randrange(1, 500), rng.randrange(500, 4500))), _cut(rng))
        case "wait":
            return Step(do, rng.choice((rng.randrange(1, 1000), rng.randrange(4900, 5200), rng.randrange(8000))))
        case "deaf":
            return Step(do, rng.randrange(1, 4000))
        case "drop":
            return Step(do, rng.choice((0, rng.randrange(3000))), rng.choice((0, 0, 1, 2, 5)))
        case "no_slot":
            return Step(do, rng.randrange(1, 12_000))
        case "drain":
            return Step(do, rng.choice((0, rng.randrange(6000))))
        case _:
            return Step(do)


def _fault(rng: random.Random, kinds: tuple[tuple[str, int], ...]) -> Fault:
    do, code = rng.choice(kinds)
    fields: dict[str, Any] = {"do": do, "connection": rng.choice((1, 1, 1, 2, 2, 3, 4, 5))}
    if kinds is HARD_FAULTS and rng.random() < 0.1:
        fields["connection"] = None  # it happens to all of them
    if code:
        fields["code"] = code
    if do == "stall":
        fields["for_ms"] = rng.choice((300, 3000, 60_000))
    where = rng.random()
    if where < (0.9 if kinds is HARD_FAULTS else 0.65):
        fields["at_ms"] = rng.choice((rng.randrange(1, 600), rng.randrange(1, 6000)))
    elif (
        where < (0.95 if kinds is HARD_FAULTS else 0.85) and do != "garbage"
    ):  # behind `end` the recognizer does not read any more: garbage is not noticed
        fields["at_end"] = True
    return Fault(**fields)


def literal(value: object) -> str:
    """A history as Python text, without what is as by default."""
    if isinstance(value, tuple):
        return "(" + "".join(f"{literal(one)}, " for one in value).rstrip(" ") + ")"
    if dataclasses.is_dataclass(value):
        fields = [(field.name, field.default) for field in dataclasses.fields(value)]
    elif isinstance(value, msgspec.Struct):
        fields = [(field.name, field.default) for field in msgspec.structs.fields(value)]
    else:
        return repr(value)
    given = [(name, getattr(value, name)) for name, default in fields if getattr(value, name) != default]
    return f"{type(value).__name__}({', '.join(f'{name}={literal(one)}' for name, one in given)})"
