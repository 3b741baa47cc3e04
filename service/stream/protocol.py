"""The client's contract, protocol 1: text messages into typed events, typed messages into text. Pure.

docs/protocol.md says what the messages mean. JSON uses camelCase keys, the structs below snake_case. Unknown fields
are ignored, so that newer clients can talk to older servers.
"""

from typing import Final

import msgspec

from service.failures import Problem, Slug, problem
from service.settings import MAX_MESSAGE_BYTES

PROTOCOL_VERSION: Final = 1
HEARTBEAT_MS: Final = 10_000  # CloudBase's own advice against its gateway's idle limit
_MAX_ECHO_BYTES: Final = 128  # what comes back in `pong.t` and `finalized.id`


class Hotword(msgspec.Struct, frozen=True):
    """A word that the recognizer should expect. `weight` is 1 to 11, or 100 (see Tencent's document 1093/48982)."""

    word: str
    weight: int = 10


class Resume(msgspec.Struct, frozen=True, rename="camel"):
    """Where a stream goes on that lost its connection; `stream_settings.settle` refuses what is out of bounds.

    The numbers are the client's word. They set where indexes and times begin, and nothing else is believed of them.
    """

    stream_id: str
    sentences: int
    """How many finals the client has; the next one gets this index."""
    settled_ms: int
    """Where the audio that follows begins, on the clock of the client's audio."""


class Start(msgspec.Struct, frozen=True, rename="camel"):
    """The request for a stream as the client wrote it; `stream_settings.settle` turns it into what is in force."""

    engine_type: str | None = None
    voice_format: int | str | None = None
    sample_rate: int | None = None
    token: str | None = None
    need_vad: bool | None = None
    vad_silence_ms: int | None = None
    max_sentence_ms: int | None = None
    word_info: bool | int | None = None
    hotwords: list[Hotword] = []
    filter_dirty: bool | int | None = None
    filter_modal: bool | int | None = None
    filter_punc: bool | int | None = None
    convert_num_mode: bool | int | None = None
    resume: Resume | None = None
    # Spellings of the service being replaced.
    old_need_vad: bool | None = msgspec.field(default=None, name="needvad")
    old_vad_silence_ms: int | None = msgspec.field(default=None, name="vadSilenceTime")


class Audio(msgspec.Struct, frozen=True, rename="camel"):
    """Audio as base64 text, for clients that cannot send binary frames."""

    data: bytes | None = None
    is_end: bool = False


class Finalize(msgspec.Struct, frozen=True):
    """Settle what was said so far."""

    id: int | str | None = None


class Stop(msgspec.Struct, frozen=True):
    """The end of the audio."""


class Cancel(msgspec.Struct, frozen=True):
    """Drop the stream."""


class Ping(msgspec.Struct, frozen=True):
    """A sign of life; `t` comes back as it is."""

    t: msgspec.Raw = msgspec.Raw(b"null")


ClientMessage = Start | Audio | Finalize | Stop | Cancel | Ping

_TYPES: Final[dict[str, type[ClientMessage]]] = {
    "start": Start,
    "audio": Audio,
    "finalize": Finalize,
    "stop": Stop,
    "cancel": Cancel,
    "ping": Ping,
}


class _Envelope(msgspec.Struct):
    type: str


_read_envelope: Final = msgspec.json.Decoder(_Envelope)
_LENIENT: Final = (Start, Audio)
"""Their booleans may be 0 or 1, and their numbers text: what old clients send."""


def parse(text: str) -> ClientMessage | Problem:
    """One text message of the client, or the problem with it."""
    try:
        name = _read_envelope.decode(text).type
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        return problem(Slug.BAD_MESSAGE, f'Expected a JSON object with a "type": {error}')
    kind = _TYPES.get(name)
    if kind is None:
        return problem(Slug.BAD_MESSAGE, f"Unknown type: expected one of {', '.join(_TYPES)}")
    try:
        message = msgspec.json.decode(text, type=kind, strict=kind not in _LENIENT)
    except msgspec.DecodeError as error:
        slug = Slug.BAD_START if kind is Start else Slug.BAD_MESSAGE
        return problem(slug, f"Wrong field in {name}: {error}")
    if isinstance(message, Ping) and len(bytes(message.t)) > _MAX_ECHO_BYTES:
        return problem(Slug.BAD_MESSAGE, f"ping.t is longer than {_MAX_ECHO_BYTES} bytes")
    if isinstance(message, Finalize) and len(str(message.id)) > _MAX_ECHO_BYTES:
        return problem(Slug.BAD_MESSAGE, f"finalize.id is longer than {_MAX_ECHO_BYTES} characters")
    return message


class _ServerMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    def encode(self) -> str:
        """The message as the text of one WebSocket frame."""
        return msgspec.json.encode(self).decode()


class Welcome(_ServerMessage, frozen=True, tag="welcome"):
    """The first message. `timestamp` is wall-clock milliseconds."""

    timestamp: int
    max_stream_ms: int
    protocol: int = PROTOCOL_VERSION
    heartbeat_ms: int = HEARTBEAT_MS
    max_message_bytes: int = MAX_MESSAGE_BYTES
    resume: bool | msgspec.UnsetType = msgspec.UNSET
    """True: `start` may have a `resume`. A service that does not say so refuses it, or does not know it."""


class Ready(_ServerMessage, frozen=True, tag="ready"):
    """The recognizer has accepted the stream; these settings are in force."""

    stream_id: str
    voice_id: str
    engine_type: str
    voice_format: str
    sample_rate: int
    need_vad: bool
    vad_silence_ms: int
    max_sentence_ms: int
    word_info: int
    hotwords: tuple[Hotword, ...]
    filter_dirty: int
    filter_modal: int
    filter_punc: int
    convert_num_mode: int
    resumed_from: str | msgspec.UnsetType = msgspec.UNSET
    """The stream that this one continues."""


class Word(msgspec.Struct, frozen=True, rename="camel"):
    """A word with its times on the clock of the client's audio."""

    word: str
    start_ms: int
    end_ms: int
    stable: bool


class Result(_ServerMessage, frozen=True, tag="result"):
    """What the recognizer heard; a text that is not final replaces the previous one of its index."""

    voice_id: str
    index: int
    text: str
    is_final: bool
    start_ms: int
    end_ms: int
    word_list: tuple[Word, ...] = ()
    settled_ms: int | msgspec.UnsetType = msgspec.UNSET
    """With a final: the client may forget audio before it."""


class Finalized(_ServerMessage, frozen=True, tag="finalized"):
    """Everything before `audio_ms` is settled."""

    id: int | str | None
    audio_ms: int
    sentences: int


class AudioAccount(msgspec.Struct, frozen=True, rename="camel"):
    """What became of the client's audio: received = relayed + dropped, in bytes and in milliseconds."""

    received_ms: int
    relayed_ms: int
    recognized_ms: int
    dropped_ms: int
    received_bytes: int
    relayed_bytes: int
    dropped_bytes: int


class Stopped(_ServerMessage, frozen=True, tag="stopped"):
    """Everything is settled; the close follows. `log_id` names the record in the history."""

    text: str
    sentences: int
    duration_ms: int
    audio: AudioAccount
    log_id: str | None = None


class ErrorMessage(_ServerMessage, frozen=True, tag="error"):
    """A problem; a fatal one is followed by the close."""

    code: str
    message: str
    retryable: bool
    retry_after_ms: int | None
    fatal: bool
    from_ms: int | msgspec.UnsetType = msgspec.UNSET
    to_ms: int | msgspec.UnsetType = msgspec.UNSET
    """With `audio_lost`: the stretch of the client's audio that is concerned, its end exclusive."""

    @classmethod
    def of(cls, occurred: Problem) -> "ErrorMessage":
        """The message that tells a client of a problem."""
        return cls(
            occurred.slug,
            occurred.message,
            occurred.failure.retryable,
            occurred.retry_after_ms,
            occurred.fatal,
            msgspec.UNSET if occurred.from_ms is None else occurred.from_ms,
            msgspec.UNSET if occurred.to_ms is None else occurred.to_ms,
        )


class GoAway(_ServerMessage, frozen=True, tag="goaway"):
    """The stream will be settled and ended by the server: as after `stop`, when the time left is over at the latest."""

    time_left_ms: int
    reason: str
    """Why: `restarting` or `time_limit`."""


class Pong(_ServerMessage, frozen=True, tag="pong"):
    """The answer to `ping`."""

    t: msgspec.Raw
