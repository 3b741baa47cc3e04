"""The tables, as the migrations leave them.

Ids are compared byte by byte on every database (MariaDB's and MySQL's usual collations take `a` and `A` for the same);
`records.owner_of` sees to it that there is no trailing space for them to pass over. Text is utf8mb4, and of any length.
Times are Unix milliseconds: no database's idea of time zones comes in.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import LONGTEXT

from service.store.records import MAX_ID

_OUTCOME_CHARACTERS: Final = 40
_MYSQL: Final[dict[str, Any]] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}

metadata = MetaData()
_long_text = Text().with_variant(LONGTEXT(), "mysql", "mariadb")

users = Table(
    "users",
    metadata,
    Column("id", String(MAX_ID), primary_key=True),  # the empty one is nobody's: AUTH_MODE=off
    Column("openid", String(128)),
    Column("unionid", String(128)),
    Column("seen_at_ms", BigInteger, nullable=False),
    **_MYSQL,
)
"""Whoever has a row in `streams`, and whoever logged in. Its row is locked while a user's streams are written."""

streams = Table(
    "streams",
    metadata,
    Column("id", String(MAX_ID), primary_key=True),
    Column("user_id", String(MAX_ID), ForeignKey("users.id"), nullable=False),
    Column("root", String(MAX_ID), nullable=False),
    Column("is_head", Boolean, nullable=False),
    Column("resumed_from", String(MAX_ID)),
    Column("kind", String(16), nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("ended_at_ms", BigInteger, nullable=False),
    Column("deleted_at_ms", BigInteger),
    Column("outcome", String(_OUTCOME_CHARACTERS), nullable=False),
    Column("engine", String(MAX_ID), nullable=False),
    Column("first_index", Integer, nullable=False),
    Column("sentence_count", Integer, nullable=False),
    Column("audio_ms", BigInteger, nullable=False),
    Column("audio_bytes", BigInteger, nullable=False),
    Column("opening", _long_text, nullable=False),
    Column("sentences", _long_text, nullable=False),
    Index("streams_of_user", "user_id", "is_head", "started_at_ms", "id"),
    Index("streams_of_root", "user_id", "root"),
    Index("streams_by_end", "ended_at_ms", "id"),
    **_MYSQL,
)
"""One row for each stream and upload. A deleted one stays, without its words, until HISTORY_DAYS are over: so nothing
that is written again later brings it back. `opening` and `sentences` are JSON arrays of [index, text, start, end]."""
