"""What the HTTP routes take and answer, as types. Pure.

/openapi.json is made from these, so a field that is added to an answer is added here. Names on the wire are in
camelCase; times of day are in Unix milliseconds, audio in milliseconds.
"""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from service.failures import Slug
from service.lifecycle import Phase

DataT = TypeVar("DataT")
MAX_PAGE_SIZE = 100

Count = Annotated[int, Meta(ge=0)]
RecordId = Annotated[str, Meta(min_length=1, max_length=64)]


class _Contract(msgspec.Struct, rename="camel", kw_only=True):
    """Base of all: camelCase on the wire."""


class Envelope(msgspec.Struct, Generic[DataT], kw_only=True):
    """Around every answer."""

    code: Annotated[int, Meta(ge=0, description="0 is success, else the HTTP status")]
    message: Annotated[str, Meta(description="for people; programs read `code` and `data.error`")]
    data: DataT
    timestamp: Annotated[int, Meta(ge=0, description="the service's clock, in Unix milliseconds")]


class ErrorData(_Contract):
    """`data` of a refusal that is in the catalogue."""

    error: Annotated[Slug, Meta(description="for programs: docs/failures.md has them all")]
    retryable: Annotated[bool, Meta(description="the same request may succeed later")]
    retry_after_ms: Annotated[Count | None, Meta(description="when to come back; the header Retry-After has it in s")]


class About(_Contract):
    """Which program this is."""

    name: str
    version: str
    console: str
    """The page to try it with."""


class Health(_Contract):
    """Said only by an event loop that runs."""

    status: Literal["ok"]


class Slots(_Contract):
    """Places at the recognizer."""

    used: Count
    total: Count


class HistoryState(_Contract):
    """How the history is. It never decides about traffic."""

    database: Annotated[
        Literal["none", "starting", "up", "away"],
        Meta(description="`none`: nothing is kept; `away`: it does not answer, and records wait on the disk"),
    ]
    pending: Annotated[Count, Meta(description="records that are not in the database yet")]


class Readiness(_Contract):
    """How this instance is."""

    phase: Phase
    recognizer: Literal["up", "down", "open", "half_open"]
    slots: Slots
    streams: Count
    shedding: Annotated[bool, Meta(description="new streams are refused, since the event loop is late")]
    history: HistoryState


class LoginRequest(_Contract):
    """What `wx.login` has given."""

    code: Annotated[str, Meta(pattern="^[!-~]{1,256}$", description="of wx.login: good once, within five minutes")]


class LoginUser(_Contract):
    """The one who logged in."""

    id: Annotated[str, Meta(description="in this service; not the openid")]


class LoginAnswer(_Contract):
    """A token for every other route, and for streams."""

    token: str
    expires_in: Annotated[int, Meta(ge=1, description="seconds")]
    user: LoginUser


class Word(_Contract):
    """A word with its place in the audio."""

    word: str
    start_ms: Count
    end_ms: Count


class RecognizeForm(_Contract):
    """A recording, and what is wanted of it: strings, as forms have them."""

    audio: Annotated[
        str,
        Meta(
            description="the file, at most 10 MiB; its name and type do not matter",
            extra_json_schema={"format": "binary"},
        ),
    ]
    engine_type: (
        Annotated[str, Meta(pattern="^[0-9A-Za-z_.-]{1,64}$", description="such as `16k_zh`; else DEFAULT_ENGINE")]
        | UnsetType
    ) = UNSET
    voice_format: Annotated[
        Literal["pcm", "wav", "mp3", "m4a", "aac", "amr", "silk", "speex", "ogg-opus", "webm", "flac", "auto"],
        Meta(description="`pcm` for bare PCM, the one format without a mark; the bytes tell all others"),
    ] = "auto"
    sample_rate: Annotated[Literal["8000", "16000"], Meta(description="of bare PCM")] = "16000"
    word_info: Annotated[Literal["0", "1", "2"], Meta(description="0 no words, 1 words, 2 with punctuation")] = "2"
    filter_dirty: Annotated[Literal["0", "1", "2"], Meta(description="profanity: 0 keep, 1 remove, 2 mask with *")] = (
        "0"
    )
    filter_modal: Annotated[Literal["0", "1", "2"], Meta(description="fillers: 0 keep, 1 remove some, 2 more")] = "0"
    filter_punc: Annotated[
        Literal["0", "1", "2"], Meta(description="1 removes the full stop at the end, 2 all punctuation")
    ] = "0"
    convert_num_mode: Annotated[Literal["0", "1"], Meta(description="1: Arabic numerals where fitting")] = "1"
    hotwords: Annotated[str, Meta(description='JSON: `[{"word": "监理", "weight": 10}]`')] = "[]"


class RecognizeAnswer(_Contract):
    """The words of one recording."""

    id: Annotated[str, Meta(description="quote it in a support request")]
    text: Annotated[str, Meta(description="empty when nothing was said")]
    audio_time: Annotated[Count, Meta(description="length of the recording, in milliseconds")]
    word_list: list[Word]


class Sentence(_Contract):
    """A sentence of a stream."""

    index: Count
    text: str
    start_ms: Count
    end_ms: Count


class HistoryItem(_Contract):
    """One recognition, in a list."""

    id: Annotated[
        str, Meta(description="`logId` of `stopped`; any stream id of a resumed stream finds the same record")
    ]
    recognition_type: Annotated[
        Literal["stream", "realtime"], Meta(description="`stream`: spoken into a WebSocket; `realtime`: an upload")
    ]
    created_at: Annotated[Count, Meta(description="when it began, in Unix milliseconds")]
    outcome: Annotated[str, Meta(description="`completed`, or how it ended")]
    recognized_text: Annotated[
        str, Meta(description="in a page its first 200 characters; empty when transcripts are not kept")
    ]
    audio_time: Annotated[Count, Meta(description="length of the audio, in milliseconds")]
    audio_size: Annotated[Count, Meta(description="bytes of audio received")]


class HistoryRecord(HistoryItem, kw_only=True):
    """One recognition with all that is kept of it."""

    engine_type: str
    sentences: list[Sentence]
    stream_ids: Annotated[list[str], Meta(description="of one stream and its continuations, the first one first")]


class HistoryPage(_Contract):
    """Recognitions of one user, the latest first."""

    items: list[HistoryItem]
    next_cursor: Annotated[str | None, Meta(description="asks for the page behind this one; null: there is none")]


class HistoryQuery(_Contract):
    """Which page."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE)] = 20
    cursor: Annotated[str, Meta(description="`nextCursor` of the page before; without it: the latest")] = ""


class Deleted(_Contract):
    """What is gone."""

    id: str


class Stats(_Contract):
    """All that one user has had recognized."""

    total_count: Count
    total_audio_size: Annotated[Count, Meta(description="bytes")]
    total_audio_time: Annotated[Count, Meta(description="milliseconds")]
    today_count: Count
    week_count: Count
    month_count: Count
