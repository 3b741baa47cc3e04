"""The examples of docs/asyncapi.yaml: messages of the service's own types, written by its own encoder. Pure."""

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from service.failures import Problem, Slug, problem
from service.stream.protocol import (
    CLIENT_MESSAGES,
    Audio,
    AudioAccount,
    Cancel,
    ClientMessage,
    ErrorMessage,
    Finalize,
    Finalized,
    GoAway,
    Hotword,
    Ping,
    Pong,
    Result,
    Resume,
    ServerMessage,
    Start,
    Stop,
    Stopped,
    Welcome,
    Word,
)
from service.stream.stream_settings import StreamSettings
from service.web.echo import Connected, Echoed

_NOON_MS: Final = 1_767_225_600_000
_STREAM: Final = "5f0c2a34-7d0e-4b86-9c3c-0a5cf2b1d8e7"
_NEXT_STREAM: Final = "8e41b7d2-1f7a-4c55-8a0e-6d9b3c2e4f10"
_VOICE: Final = "91d2e6a0-55c1-4f3e-b6a7-2c8d9e0f1a2b"
_SETTINGS: Final = StreamSettings("16k_zh", hotwords=(Hotword("监理", 10),))


@dataclass(frozen=True, slots=True)
class Example:
    """One message of a type."""

    name: str
    summary: str
    message: ServerMessage | ClientMessage

    @property
    def payload(self) -> dict[str, Any]:
        """The message as it is on the wire, read as JSON."""
        encoded = self.message.encode() if isinstance(self.message, ServerMessage) else _said(self.message)
        decoded: dict[str, Any] = msgspec.json.decode(encoded)
        return decoded


def _said(message: ClientMessage) -> bytes:
    """A client's message as a client writes it: with its type, and without what is left as it is by default."""
    name = next(name for name, kind in CLIENT_MESSAGES.items() if type(message) is kind)
    fields = {
        item.encode_name: getattr(message, item.name)
        for item in msgspec.structs.fields(message)
        if getattr(message, item.name) not in (item.default, [])
    }
    return msgspec.json.encode({"type": name, **fields})


EXAMPLES: Final[tuple[Example, ...]] = (
    # What a client says.
    Example("default", "With the service's settings", Start()),
    Example(
        "chosen",
        "With settings and a token",
        Start(
            engine_type="16k_zh",
            sample_rate=16000,
            token="eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl",  # noqa: S106 - of nobody, signed by nobody
            vad_silence_ms=800,
            word_info=1,
            hotwords=[Hotword("监理", 11)],
        ),
    ),
    Example("resumed", "After a break", Start(engine_type="16k_zh", resume=Resume(_STREAM, 1, 1500))),
    Example("some", "Four samples", Audio(b"\0\0\1\0\2\0\1\0")),
    Example("last", "The end of the audio, without audio", Audio(is_end=True)),
    Example("named", "With an id", Finalize("field-1")),
    Example("plain", "Without one", Finalize()),
    Example("stop", "The user lets go", Stop()),
    Example("cancel", "The user turns away", Cancel()),
    Example("plain", "Heartbeat", Ping()),
    Example("timed", "Heartbeat that measures the round trip", Ping(msgspec.Raw(b"1767225600000"))),
    # What the service says.
    Example("welcome", "At once", Welcome(_NOON_MS, max_stream_ms=600_000, resume=True)),
    Example("default", "Of a new stream", _SETTINGS.ready(_STREAM, _VOICE)),
    Example(
        "resumed",
        "Of one that continues another",
        StreamSettings("16k_zh", resume=Resume(_STREAM, 1, 1500)).ready(_NEXT_STREAM, _VOICE),
    ),
    Example("partial", "A text that will be replaced", Result(_VOICE, 0, "请把", False, 410, 700)),
    Example(
        "final",
        "A sentence that is settled, with its words",
        Result(
            _VOICE,
            0,
            "请把灯关掉。",
            True,
            410,
            1500,
            (Word("请", 410, 560, True), Word("把", 560, 700, True), Word("灯关掉", 700, 1500, True)),
            settled_ms=1500,
        ),
    ),
    Example("finalized", "The answer to `finalize`", Finalized("field-1", 1600, 1)),
    Example(
        "stopped",
        "The last word",
        Stopped("请把灯关掉。", 1, 3350, AudioAccount(2800, 2800, 1500, 0, 89_600, 89_600, 0)),
    ),
    Example(
        "refused",
        "Fatal: close 4503 follows",
        ErrorMessage.of(problem(Slug.OVERLOADED, "All places are taken.", retry_after_ms=1840)),
    ),
    Example(
        "lost",
        "Not fatal: the stream goes on",
        ErrorMessage.of(
            Problem(problem(Slug.AUDIO_LOST, "").failure, "1200 ms could not be recognized.", from_ms=300, to_ms=1500)
        ),
    ),
    Example("restarting", "This instance is being stopped", GoAway(12_000, "restarting")),
    Example("limit", "`maxStreamMs` is nearly over", GoAway(10_000, "time_limit")),
    Example("plain", "To a `ping` without `t`", Pong(msgspec.Raw(b"null"))),
    Example("timed", "To one with a time", Pong(msgspec.Raw(b"1767225600000"))),
    # The echo.
    Example("connected", "At once", Connected(_NOON_MS)),
    Example("echo", "Text, come back", Echoed("hello", _NOON_MS)),
)
"""Grouped by type, in the order of the page."""
