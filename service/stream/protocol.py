"""The client's contract, protocol 1: text messages into typed events, typed messages into text. Pure.

docs/protocol.md says what the messages mean. JSON uses camelCase keys, the structs below snake_case. Unknown fields
are ignored, so that newer clients can talk to older servers.

docs/asyncapi.yaml is written from here, its descriptions from the docstrings: `python -m ops.asyncapi_doc`.
"""

from typing import Annotated, Final

import msgspec

from service.failures import Problem, Slug, problem
from service.settings import MAX_MESSAGE_BYTES

PROTOCOL_VERSION: Final = 1
HEARTBEAT_MS: Final = 10_000  # CloudBase's own advice against its gateway's idle limit
MAX_ECHO_BYTES: Final = 128  # what comes back in `pong.t` and `finalized.id`

Amount = Annotated[int, msgspec.Meta(ge=0)]
"""A number that is never negative. The encoder does not check it; the tests check every message that is sent."""


class Hotword(msgspec.Struct, frozen=True):
    """A word that the recognizer should expect. `weight` is 1 to 11, or 100 (see Tencent's document 1093/48982)."""

    word: str
    """Without spaces, commas and bars."""
    weight: int = 10
    """How much it is preferred; 100 replaces what sounds alike, with some engines only."""


class Resume(msgspec.Struct, frozen=True, rename="camel"):
    """Where a stream goes on that lost its connection.

    `stream_settings.settle` refuses what is out of bounds. The numbers are the client's word: they set where indexes
    and times begin, and nothing else is believed of them.
    """

    stream_id: str
    """From the `ready` of the stream that broke; it comes back as `resumedFrom`."""
    sentences: int
    """How many finals the client has; the next one gets this index."""
    settled_ms: int
    """Where the audio that follows begins, on the clock of the client's audio."""


class Start(msgspec.Struct, frozen=True, rename="camel"):
    """The request for a stream, as the client wrote it.

    `stream_settings.settle` turns it into what is in force.
    """

    engine_type: str | None = None
    """Such as `16k_zh` or `16k_en`; the service has a default."""
    voice_format: int | str | None = None
    """`pcm` or 1, `wav` or 12, `mp3` or 8; with 4 and 6 the bytes decide."""
    sample_rate: int | None = None
    """In Hz; engines that begin with `8k_` take 8000 only, and it is their default."""
    token: str | None = None
    """The token, where the upgrade request has none."""
    need_vad: bool | None = None
    """Whether sentences are cut at silence."""
    vad_silence_ms: int | None = None
    """The silence that ends a sentence; beyond the range the nearest value is taken."""
    max_sentence_ms: int | None = None
    """After this time a sentence is cut; beyond the range the nearest value is taken."""
    word_info: bool | int | None = None
    """Words with times: 0 none, 1 words, 2 with punctuation, 100 by character (some engines)."""
    hotwords: list[Hotword] = []
    """Words that the recognizer should expect."""
    filter_dirty: bool | int | None = None
    """Profanity: 0 is kept, 1 removed, 2 masked."""
    filter_modal: bool | int | None = None
    """Filler words: 0 are kept, 1 some removed, 2 all removed."""
    filter_punc: bool | int | None = None
    """1 removes the full stop at the end of a sentence."""
    convert_num_mode: bool | int | None = None
    """Numerals: 0 Chinese, 1 Arabic where fitting, 3 with mathematics."""
    resume: Resume | None = None
    """Go on where a broken stream was."""
    # Spellings of the service being replaced.
    old_need_vad: bool | None = msgspec.field(default=None, name="needvad")
    """The old name of `needVad`, which goes first."""
    old_vad_silence_ms: int | None = msgspec.field(default=None, name="vadSilenceTime")
    """The old name of `vadSilenceMs`, which goes first."""


class Audio(msgspec.Struct, frozen=True, rename="camel"):
    """Audio as base64 text, for clients that cannot send binary frames."""

    data: bytes | None = None
    """Base64 with padding."""
    is_end: bool = False
    """Whether this is the end, as `stop`."""


class Finalize(msgspec.Struct, frozen=True):
    """Settle what was said so far."""

    id: int | str | None = None
    """Comes back in `finalized`; at most 128 characters."""


class Stop(msgspec.Struct, frozen=True):
    """The end of the audio."""


class Cancel(msgspec.Struct, frozen=True):
    """Drop the stream."""


class Ping(msgspec.Struct, frozen=True):
    """A sign of life; `t` comes back as it is."""

    t: msgspec.Raw = msgspec.Raw(b"null")
    """Any JSON value of at most 128 bytes."""


ClientMessage = Start | Audio | Finalize | Stop | Cancel | Ping

CLIENT_MESSAGES: Final[dict[str, type[ClientMessage]]] = {
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
    kind = CLIENT_MESSAGES.get(name)
    if kind is None:
        return problem(Slug.BAD_MESSAGE, f"Unknown type: expected one of {', '.join(CLIENT_MESSAGES)}")
    try:
        message = msgspec.json.decode(text, type=kind, strict=kind not in _LENIENT)
    except msgspec.DecodeError as error:
        slug = Slug.BAD_START if kind is Start else Slug.BAD_MESSAGE
        return problem(slug, f"Wrong field in {name}: {error}")
    if isinstance(message, Ping) and len(bytes(message.t)) > MAX_ECHO_BYTES:
        return problem(Slug.BAD_MESSAGE, f"ping.t is longer than {MAX_ECHO_BYTES} bytes")
    if isinstance(message, Finalize) and len(str(message.id)) > MAX_ECHO_BYTES:
        return problem(Slug.BAD_MESSAGE, f"finalize.id is longer than {MAX_ECHO_BYTES} characters")
    return message


class ServerMessage(msgspec.Struct, frozen=True, rename="camel", tag_field="type"):
    """What the service says. `encode` is its only way out."""

    def encode(self) -> str:
        """The message as the text of one WebSocket frame."""
        return msgspec.json.encode(self).decode()


class Welcome(ServerMessage, frozen=True, tag="welcome"):
    """The first message. `timestamp` is wall-clock milliseconds."""

    timestamp: Amount
    """The server's clock, in milliseconds since 1970."""
    max_stream_ms: Amount
    """How long a stream may last."""
    protocol: int = PROTOCOL_VERSION
    """The version of this contract."""
    heartbeat_ms: Amount = HEARTBEAT_MS
    """Send something at least this often."""
    max_message_bytes: Amount = MAX_MESSAGE_BYTES
    """The largest message that is taken."""
    resume: bool | msgspec.UnsetType = msgspec.UNSET
    """True: `start` may have a `resume`. A service that does not say so refuses it, or does not know it."""


class Ready(ServerMessage, frozen=True, tag="ready"):
    """The recognizer has accepted the stream; these settings are in force."""

    stream_id: str
    """Of this stream: for `resume`, and for support."""
    voice_id: str
    """Of the recognizer connection."""
    engine_type: str
    """As in force, like all that follow: see `start`."""
    voice_format: str
    """`auto` where the bytes will decide."""
    sample_rate: int
    """In Hz."""
    need_vad: bool
    """Whether sentences are cut at silence."""
    vad_silence_ms: int
    """The silence that ends a sentence."""
    max_sentence_ms: int
    """After this time a sentence is cut."""
    word_info: int
    """Which words have times."""
    hotwords: tuple[Hotword, ...]
    """Words that the recognizer was told to expect."""
    filter_dirty: int
    """What becomes of profanity."""
    filter_modal: int
    """What becomes of filler words."""
    filter_punc: int
    """1: no full stop at the end of a sentence."""
    convert_num_mode: int
    """How numerals are written."""
    resumed_from: str | msgspec.UnsetType = msgspec.UNSET
    """The stream that this one continues."""


class Word(msgspec.Struct, frozen=True, rename="camel"):
    """A word with its times on the clock of the client's audio."""

    word: str
    """As it is written in the text."""
    start_ms: Amount
    """Where it begins."""
    end_ms: Amount
    """Where it ends."""
    stable: bool
    """Whether it will stay as it is."""


class Result(ServerMessage, frozen=True, tag="result"):
    """What the recognizer heard; a text that is not final replaces the previous one of its index."""

    voice_id: str
    """The recognizer connection it came from; it changes within a stream."""
    index: Amount
    """The sentence, from 0, continuous through a stream and those that resume it."""
    text: str
    """The sentence so far."""
    is_final: bool
    """Whether the sentence is settled, and will not change."""
    start_ms: Amount
    """Where the sentence begins, on the clock of the client's audio."""
    end_ms: Amount
    """Where it ends."""
    word_list: tuple[Word, ...] = ()
    """Filled when `wordInfo` is not 0."""
    settled_ms: Amount | msgspec.UnsetType = msgspec.UNSET
    """With a final: the client may forget audio before it."""


class Finalized(ServerMessage, frozen=True, tag="finalized"):
    """Everything before `audio_ms` is settled."""

    id: int | str | None
    """As it was sent."""
    audio_ms: Amount
    """On the clock of the client's audio."""
    sentences: Amount
    """Finals so far."""


class AudioAccount(msgspec.Struct, frozen=True, rename="camel"):
    """What became of the client's audio: received = relayed + dropped, in bytes and in milliseconds."""

    received_ms: Amount
    """Rounded down."""
    relayed_ms: Amount
    """Received without dropped."""
    recognized_ms: Amount
    """The end of the last final."""
    dropped_ms: Amount
    """Rounded down."""
    received_bytes: Amount
    """What came from the client."""
    relayed_bytes: Amount
    """What the recognizer was sent; what was sent twice counts once."""
    dropped_bytes: Amount
    """What was not: behind `stop`, or not audio."""


class Stopped(ServerMessage, frozen=True, tag="stopped"):
    """Everything is settled; the close follows. `log_id` names the record in the history."""

    text: str
    """All sentences of this stream."""
    sentences: Amount
    """How many, in the whole chain of streams that resumed each other."""
    duration_ms: Amount
    """How long the stream lasted on the wall."""
    audio: AudioAccount
    """What became of the audio."""
    log_id: str | None = None
    """The record in the history."""


class ErrorMessage(ServerMessage, frozen=True, tag="error"):
    """A problem; a fatal one is followed by the close."""

    code: Slug
    """The name of the failure, for programs. One that a client does not know is handled by the fields below."""
    message: str
    """For developers; its words may change."""
    retryable: bool
    """Whether the same may succeed later without a change."""
    retry_after_ms: Amount | None
    """Wait this long first; it has jitter already."""
    fatal: bool
    """Whether the stream is over, and the close follows."""
    from_ms: Amount | msgspec.UnsetType = msgspec.UNSET
    """With `audio_lost`: where the audio that is missing begins."""
    to_ms: Amount | msgspec.UnsetType = msgspec.UNSET
    """With `audio_lost`: its end, exclusive."""

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


class GoAway(ServerMessage, frozen=True, tag="goaway"):
    """The stream will be settled and ended by the server: as after `stop`, when the time left is over at the latest."""

    time_left_ms: Amount
    """How long it still goes on; 0: it ends now."""
    reason: str
    """Why: `restarting` or `time_limit`."""


class Pong(ServerMessage, frozen=True, tag="pong"):
    """The answer to `ping`."""

    t: msgspec.Raw
    """As it was sent."""


SERVER_MESSAGES: Final[tuple[type[ServerMessage], ...]] = (
    Welcome, Ready, Result, Finalized, Stopped, ErrorMessage, GoAway, Pong,
)  # fmt: skip
"""All that a voice stream says."""
