"""The script: what a recognizer does wrong, and when. Pure.

A script is a JSON object, all of it optional::

    {"mode": "coded", "result_delay_ms": 0, "final_delay_ms": 0, "slices": "all",
     "faults": [{"do": "error", "code": 5000, "connection": 1, "at_ms": 1200}, ...]}

``mode``             what the scripted engine hears, ``coded`` or ``clock`` (see ``scripted``)
``result_delay_ms``  each result goes out that much later
``final_delay_ms``   ``final`` goes out that much later, after the results
``slices``           ``all``; ``no_start``: never a slice 0; ``settled``: nothing but slices 2

A fault:

``do``          what happens, see below
``connection``  the number of the stream it happens to, counted from 1 over all requests under /asr/v2/; null: every one
``at_ms``       when that much audio has been received (the audio is cut there exactly, whatever the packets);
                null: before the first message of the stream, in place of it where the fault ends the stream
``at_end``      true: when ``end`` has come, in place of the rest (``at_ms`` is not used)

============================ =====================================================================================
``error`` (``code``)         the error message, then close 1000
``close``                    the transport is closed without a word
``stall`` (``for_ms``)       nothing is read or written for that long, then all goes on
``garbage`` (``text``)       a text message that is not JSON; goes on
``stop_reading``             nothing is read any more; results still go out
``swallow_final``            no ``final`` ever comes, the connection stays open (``at_ms`` is not used)
``silent_handshake``         the upgrade is accepted, the first message never comes (``at_ms`` is not used)
``refuse`` (``status``)      the upgrade gets this HTTP answer (``at_ms`` is not used)
============================ =====================================================================================

A fault of ``POST /`` (SentenceRecognition), once the whole request has been read; ``request`` is the number of the
sentence request it happens to, counted from 1, null: every one. Several for one request happen in the script's order:

============================ =====================================================================================
``api_error`` (``code``)     HTTP 200 with this error code (a text), like ``RequestLimitExceeded``
``api_status`` (``status``)  this HTTP answer, without JSON
``api_cut``                  the connection is closed without an answer
``api_delay`` (``for_ms``)   nothing happens for that long, then all goes on
============================ =====================================================================================

Results that were due before a fault go out before it. A connection that a fault leaves hanging is closed after 10
minutes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=3_600_000)]
Action = Literal[
    "error", "close", "stall", "garbage", "stop_reading", "swallow_final", "silent_handshake", "refuse",
    "api_error", "api_status", "api_cut", "api_delay",
]  # fmt: skip
SLICES_LEFT_OUT: dict[str, tuple[int, ...]] = {"all": (), "no_start": (0,), "settled": (0, 1)}


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that goes wrong; the fields are those of the script."""

    do: Action
    connection: Annotated[int, msgspec.Meta(ge=1)] | None = None
    request: Annotated[int, msgspec.Meta(ge=1)] | None = None
    at_ms: Milliseconds | None = None
    at_end: bool = False
    code: int | str | None = None
    for_ms: Milliseconds = 0
    text: str = "<html>502 Bad Gateway</html>"
    status: Annotated[int, msgspec.Meta(ge=300, le=599)] = 503

    def __post_init__(self) -> None:
        wanted = str if self.is_api else int
        if self.code is not None and not isinstance(self.code, wanted):
            raise ValueError(f"the code of {self.do} must be {'a text' if self.is_api else 'a number'}")

    @property
    def is_api(self) -> bool:
        """Whether it happens to sentences, not to streams."""
        return self.do.startswith("api_")

    @property
    def number(self) -> int:
        """The code for a stream, 5000 when the script names none."""
        return self.code if isinstance(self.code, int) else 5000

    @property
    def name(self) -> str:
        """The code for a sentence, ``InternalError`` when the script names none."""
        return self.code if isinstance(self.code, str) else "InternalError"


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a recognizer behaves; the default is a good one."""

    mode: Literal["coded", "clock"] = "coded"
    result_delay_ms: Milliseconds = 0
    final_delay_ms: Milliseconds = 0
    slices: Literal["all", "no_start", "settled"] = "all"
    faults: tuple[Fault, ...] = ()

    def for_connection(self, number: int) -> FaultPlan:
        """The faults of stream ``number``."""
        return FaultPlan(tuple(f for f in self.faults if not f.is_api and f.connection in (None, number)))

    def for_sentence(self, number: int) -> tuple[Fault, ...]:
        """The faults of sentence request ``number``, in order."""
        return tuple(f for f in self.faults if f.is_api and f.request in (None, number))


class FaultPlan:
    """The faults of one stream, each handed out once, when it is due."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        timed = {"error", "close", "stall", "garbage", "stop_reading"}
        self._standing = {f.do: f for f in faults if f.do not in timed}
        self.at_handshake = tuple(f for f in faults if f.do in timed and f.at_ms is None and not f.at_end)
        self.at_end = tuple(f for f in faults if f.do in timed and f.at_end)
        audio = [(f.at_ms, f) for f in faults if f.do in timed and f.at_ms is not None and not f.at_end]
        self._by_audio = sorted(audio, key=lambda item: item[0])

    def standing(self, do: Action) -> Fault | None:
        """A fault that has no moment of its own: ``refuse``, ``silent_handshake``, ``swallow_final``."""
        return self._standing.get(do)

    def next_at_ms(self) -> int | None:
        """Where on the audio clock the next fault waits."""
        return self._by_audio[0][0] if self._by_audio else None

    def take(self) -> Fault:
        """The fault at ``next_at_ms``, once."""
        return self._by_audio.pop(0)[1]


def parse_script(text: bytes) -> Script:
    """The script in a JSON file. Raises ``msgspec.DecodeError`` (``ValidationError`` names the field)."""
    return msgspec.json.decode(text, type=Script)
