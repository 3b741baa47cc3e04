"""What is kept of users and of streams, and the lines in which it waits for the database. Pure.

A line is one JSON object with its kind in `t`. Lines of an older release are read as long as fields are only added,
with defaults.
"""

import hashlib
import re
from typing import Final

import msgspec

STREAM: Final = "stream"
SENTENCE: Final = "sentence"
MAX_ID: Final = 64
"""Characters of an id, of streams and of users."""
_PLAIN_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")


class Sentence(msgspec.Struct, frozen=True, array_like=True):
    """A settled sentence, with its place on the clock of the client's audio."""

    index: int
    text: str
    start_ms: int
    end_ms: int


class StreamRecord(msgspec.Struct, frozen=True, tag="stream", tag_field="t", omit_defaults=True):
    """One stream or one upload, as it ended. Its id makes it one: written twice, it is there once."""

    id: str
    user_id: str
    """As `owner_of` writes it."""
    started_at_ms: int
    ended_at_ms: int
    outcome: str
    engine: str
    kind: str = STREAM
    resumed_from: str | None = None
    """The stream that the client said this one continues. Believed only where that one is the same user's."""
    first_index: int = 0
    """How many sentences the client had before this stream: sentences from there on supersede earlier ones."""
    sentence_count: int = 0
    """Settled in this stream."""
    audio_ms: int = 0
    """Audio that came."""
    audio_bytes: int = 0
    sentences: tuple[Sentence, ...] = ()
    """Empty where transcripts are not kept."""


class UserRecord(msgspec.Struct, frozen=True, tag="user", tag_field="t", omit_defaults=True):
    """A user who logged in."""

    id: str
    openid: str
    seen_at_ms: int
    unionid: str = ""


Record = StreamRecord | UserRecord

_decoder: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)


def encode_line(record: Record) -> bytes:
    """The record as a line, its end included. No byte of the JSON is a line's end."""
    return msgspec.json.encode(record) + b"\n"


def decode_line(line: bytes) -> Record:
    """The record of a line. Raises msgspec.DecodeError or UnicodeDecodeError for what is none."""
    return _decoder.decode(line)


def owner_of(user_id: str) -> str:
    """A user id as the database has it; empty for nobody.

    Whoever signs tokens chooses their `sub`. One that is long or holds other characters than ours is kept as its hash,
    so that no database's idea of length, case or trailing spaces can make two users one.
    """
    if not user_id or _PLAIN_ID.fullmatch(user_id):
        return user_id
    return "h_" + hashlib.sha256(user_id.encode()).hexdigest()[:60]
