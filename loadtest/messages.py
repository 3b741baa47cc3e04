"""What a client says and hears in protocol 1.

Pure. Unknown message types and unknown fields are ignored, so that a newer server can be spoken to; a message of a
known type with wrong fields is an error, because a client that guesses measures nothing.
"""

from typing import Annotated, Any, Final

import msgspec

PROTOCOL: Final = 1
MAX_NUMBER: Final = 2**53 - 1
"""Of what a server says: beyond it JSON is not exact, and arithmetic with it can take the memory of a machine."""

Milliseconds = Annotated[int, msgspec.Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)]
Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]


class ServerMessageError(ValueError):
    """The server sent something that is not a message of protocol 1."""


class Welcome(msgspec.Struct, rename="camel", frozen=True, tag="welcome"):
    """The first message of a connection."""

    protocol: Count
    heartbeat_ms: Milliseconds = 10_000
    max_message_bytes: Count = 65536
    resume: bool = False
    """Whether `start` may name a stream to go on with."""


class Ready(msgspec.Struct, rename="camel", frozen=True, tag="ready"):
    """The recognizer has accepted the stream."""

    stream_id: str = ""
    voice_id: str = ""


class Word(msgspec.Struct, rename="camel", frozen=True):
    """One word of a result. Its text is not looked at."""

    end_ms: Milliseconds


class Result(msgspec.Struct, rename="camel", frozen=True, tag="result"):
    """Words of one sentence: a text that is not final is replaced by the next one of its index."""

    text: str
    is_final: bool
    index: Count = 0
    start_ms: Milliseconds = 0
    end_ms: Milliseconds = 0
    word_list: tuple[Word, ...] = ()
    settled_ms: Milliseconds | None = None
    """With a final: audio before it may be forgotten."""


class Finalized(msgspec.Struct, rename="camel", frozen=True, tag="finalized"):
    """Everything said before the `finalize` of this id is settled."""

    id: str | int | None = None
    audio_ms: Milliseconds = 0
    sentences: Count = 0


class AudioAccount(msgspec.Struct, rename="camel", frozen=True):
    """What became of the audio, as the server counted it."""

    received_ms: Milliseconds = 0
    relayed_ms: Milliseconds = 0
    recognized_ms: Milliseconds = 0
    dropped_ms: Milliseconds = 0
    received_bytes: Count = 0
    relayed_bytes: Count = 0
    dropped_bytes: Count = 0


class Stopped(msgspec.Struct, rename="camel", frozen=True, tag="stopped"):
    """The last word of a stream that ended well."""

    text: str
    sentences: Count = 0
    duration_ms: Milliseconds = 0
    log_id: str | int | None = None
    audio: AudioAccount = AudioAccount()


class ServerError(msgspec.Struct, rename="camel", frozen=True, tag="error"):
    """A failure: a fatal one is followed by the close."""

    code: str
    message: str = ""
    retryable: bool = False
    retry_after_ms: Milliseconds | None = None
    fatal: bool = True


class GoAway(msgspec.Struct, rename="camel", frozen=True, tag="goaway"):
    """The stream will end soon."""

    time_left_ms: Milliseconds = 0


ServerMessage = Welcome | Ready | Result | Finalized | Stopped | ServerError | GoAway

_TYPES: Final = frozenset(("welcome", "ready", "result", "finalized", "stopped", "error", "goaway"))
_DECODER: Final[msgspec.json.Decoder[ServerMessage]] = msgspec.json.Decoder(ServerMessage)


def decode(message: str | bytes) -> ServerMessage | None:
    """The message of the server, or None when its type is not one that this client acts on (`pong`, or a newer one).

    Raises ServerMessageError for what is not a JSON object with a `type`, and for wrong fields in a known type.
    """
    if isinstance(message, bytes):
        raise ServerMessageError(f"the server sent {len(message)} bytes of binary data: expected JSON text")
    try:
        return _DECODER.decode(message)
    except RecursionError:
        raise ServerMessageError("the server sent a message that is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        if not isinstance(error, msgspec.ValidationError) or not _is_of_another_type(message):
            raise ServerMessageError(f"the server sent a message that is not of protocol 1: {error}") from None
        return None


def _is_of_another_type(message: str) -> bool:
    """Whether this is an object whose `type` is not one of those that are known."""
    try:
        fields = msgspec.json.decode(message, type=dict[str, Any])
        return fields.get("type") not in _TYPES
    except (msgspec.DecodeError, RecursionError, TypeError):  # TypeError: a `type` that cannot be a key
        return False


def encode(type_: str, **fields: Any) -> str:  # any JSON value: the fields are those of the protocol's table
    """A client message; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode({"type": type_, **given}).decode()
