"""Records into the database: each of them once, however often it is written. Runs in worker threads."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, and_, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from service.store.conversations import Link, join, opening
from service.store.engine import is_mysql
from service.store.records import Record, Sentence, StreamRecord, UserRecord
from service.store.tables import streams, users

_LINK: Final = (
    streams.c.id,
    streams.c.root,
    streams.c.resumed_from,
    streams.c.started_at_ms,
    streams.c.deleted_at_ms,
    streams.c.is_head,
)


def write_records(connection: Connection, records: Sequence[Record]) -> int:
    """Write what is not there yet, in this transaction; returns how many streams that were.

    The rows of their users are locked until its end, so that two replicas do not put streams of one chain side by side
    without seeing each other's. Raises SQLAlchemyError; the caller rolls back then.
    """
    logins = {record.id: record for record in records if isinstance(record, UserRecord)}
    given = {record.id: record for record in records if isinstance(record, StreamRecord)}
    _lock_users(connection, sorted(logins.keys() | {record.user_id for record in given.values()}), logins)
    if not given:
        return 0
    there = set(connection.scalars(select(streams.c.id).where(streams.c.id.in_(given))))
    new = [record for record in given.values() if record.id not in there]
    linked = _linked(connection, new)
    alone = [_row(record, record.id, True, None) for record in new if record.id not in linked]
    if alone:
        connection.execute(streams.insert(), alone)
    for record in new:
        if record.id in linked:
            _insert_linked(connection, record)
    return len(new)


def _lock_users(connection: Connection, ids: Sequence[str], logins: dict[str, UserRecord]) -> None:
    """In the order of their ids, as every writer does: two that wait for each other would be one too many."""
    if not ids:
        return
    fresh = [{"id": id_, "seen_at_ms": 0} for id_ in ids]
    connection.execute(_insert_absent(connection.dialect.name), fresh)
    connection.execute(select(users.c.id).where(users.c.id.in_(ids)).order_by(users.c.id).with_for_update()).all()
    for login in logins.values():
        changes = {"openid": login.openid, "seen_at_ms": login.seen_at_ms}
        if login.unionid:
            changes["unionid"] = login.unionid
        row = and_(users.c.id == login.id, users.c.seen_at_ms < login.seen_at_ms)
        connection.execute(update(users).where(row).values(changes))


def _insert_absent(dialect: str) -> Insert:
    if is_mysql(dialect):
        into_mysql = mysql.insert(users)
        return into_mysql.on_duplicate_key_update(id=into_mysql.inserted.id)
    if dialect == "postgresql":
        return postgresql.insert(users).on_conflict_do_nothing(index_elements=["id"])
    return sqlite.insert(users).on_conflict_do_nothing(index_elements=["id"])


def _linked(connection: Connection, new: Sequence[StreamRecord]) -> set[str]:
    """The new ones that have to do with others: they resume one, or are resumed."""
    ids = {record.id for record in new}
    parents = {record.resumed_from for record in new if record.resumed_from}
    resuming = {record.id for record in new if record.resumed_from}
    of_users = streams.c.user_id.in_({record.user_id for record in new})
    awaited = connection.scalars(select(streams.c.root).distinct().where(of_users, streams.c.root.in_(ids)))
    return resuming | (ids & parents) | set(awaited)


def _insert_linked(connection: Connection, record: StreamRecord) -> None:
    of_user = streams.c.user_id == record.user_id
    parent_root = connection.scalar(select(streams.c.root).where(of_user, streams.c.id == record.resumed_from))
    roots = [root for root in (record.id, record.resumed_from, parent_root) if root]
    found = connection.execute(select(*_LINK).where(of_user, streams.c.root.in_(roots))).all()
    related = [Link(*row) for row in found]
    new = Link(record.id, record.id, record.resumed_from, record.started_at_ms)
    place = join(new, related)
    row = _row(record, place.root, place.head == record.id, place.deleted_at_ms)
    connection.execute(streams.insert(), [row])
    if place.root != record.id:
        connection.execute(update(streams).where(of_user, streams.c.root == record.id).values(root=place.root))
    chain = [link for link in related if link.root in (record.id, place.root)]
    wrong_heads = [link.id for link in chain if link.is_head != (link.id == place.head)]
    if wrong_heads:
        turned = and_(of_user, streams.c.id.in_(wrong_heads))
        connection.execute(update(streams).where(turned).values(is_head=streams.c.id == place.head))


def _row(record: StreamRecord, root: str, is_head: bool, deleted_at_ms: int | None) -> dict[str, Any]:
    sentences = () if deleted_at_ms is not None else record.sentences
    return {
        "id": record.id,
        "user_id": record.user_id,
        "root": root,
        "is_head": is_head,
        "resumed_from": record.resumed_from,
        "kind": record.kind,
        "started_at_ms": record.started_at_ms,
        "ended_at_ms": record.ended_at_ms,
        "deleted_at_ms": deleted_at_ms,
        "outcome": record.outcome,
        "engine": record.engine,
        "first_index": record.first_index,
        "sentence_count": record.sentence_count,
        "audio_ms": record.audio_ms,
        "audio_bytes": record.audio_bytes,
        "opening": encode_sentences(opening(sentences)),
        "sentences": encode_sentences(sentences),
    }


def encode_sentences(sentences: Sequence[Sentence]) -> str:
    """Sentences as a column has them."""
    return msgspec.json.encode(sentences).decode()


def decode_sentences(column: str) -> list[Sentence]:
    """Sentences of a column. Raises msgspec.DecodeError for what is none."""
    return msgspec.json.decode(column, type=list[Sentence])
