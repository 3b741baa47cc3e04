"""What a client says and hears in protocol 1.

Pure. Unknown message types and unknown fields are ignored, so that a newer server can be spoken to; a message of a
known type with wrong fields is an error, because a client that guesses measures nothing.
"""

from typing import Any, Final

import msgspec

PROTOCOL: Final = 1


class ServerMessageError(ValueError):
    """The server sent something that is not a message of protocol 1."""


class Welcome(msgspec.Struct, rename="camel", frozen=True):
    """The first message of a connection."""

    protocol: int
    heartbeat_ms: int = 10_000


class Ready(msgspec.Struct, rename="camel", frozen=True):
    """The recognizer has accepted the stream."""

    stream_id: str = ""
    voice_id: str = ""


class Result(msgspec.Struct, rename="camel", frozen=True):
    """Words of one sentence: a text that is not final is replaced by the next one of its index."""

    text: str
    is_final: bool
    index: int = 0
    start_ms: int = 0
    end_ms: int = 0


class Finalized(msgspec.Struct, rename="camel", frozen=True):
    """Everything said before the `finalize` of this id is settled."""

    id: str | int | None = None
    audio_ms: int = 0
    sentences: int = 0


class AudioAccount(msgspec.Struct, rename="camel", frozen=True):
    """What became of the audio, as the server counted it."""

    received_ms: int = 0
    relayed_ms: int = 0
    recognized_ms: int = 0
    dropped_ms: int = 0
    received_bytes: int = 0
    relayed_bytes: int = 0
    dropped_bytes: int = 0


class Stopped(msgspec.Struct, rename="camel", frozen=True):
    """The last word of a stream that ended well."""

    text: str
    sentences: int = 0
    duration_ms: int = 0
    log_id: str | int | None = None
    audio: AudioAccount = AudioAccount()


class ServerError(msgspec.Struct, rename="camel", frozen=True):
    """A failure: a fatal one is followed by the close."""

    code: str
    message: str = ""
    retryable: bool = False
    retry_after_ms: int | None = None
    fatal: bool = True


ServerMessage = Welcome | Ready | Result | Finalized | Stopped | ServerError

_TYPES: Final[dict[str, type[ServerMessage]]] = {
    "welcome": Welcome,
    "ready": Ready,
    "result": Result,
    "finalized": Finalized,
    "stopped": Stopped,
    "error": ServerError,
}


def decode(message: str | bytes) -> ServerMessage | None:
    """The message of the server, or None when its type is not one that this client acts on (`pong`, or a newer one).

    Raises ServerMessageError for what is not a JSON object with a `type`, and for wrong fields in a known type.
    """
    if isinstance(message, bytes):
        raise ServerMessageError(f"the server sent {len(message)} bytes of binary data: expected JSON text")
    try:
        fields = msgspec.json.decode(message, type=dict[str, Any])
        known = _TYPES.get(fields.get("type", ""))
        return None if known is None else msgspec.convert(fields, type=known)
    except (msgspec.DecodeError, TypeError, UnicodeError) as error:  # TypeError: a `type` that cannot be a key
        raise ServerMessageError(f"the server sent a message that is not of protocol 1: {error}") from None


def encode(type_: str, **fields: Any) -> str:  # any JSON value: the fields are those of the protocol's table
    """A client message; fields that are None are left out."""
    given = {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode({"type": type_, **given}).decode()
