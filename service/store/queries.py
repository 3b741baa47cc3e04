"""What users see of their history, and what time takes away. Runs in worker threads; everything is of one user."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, delete, func, or_, select, true, update

from service.store.conversations import Link, assemble, grouped, preview, text_of
from service.store.cursor import Cursor
from service.store.records import Sentence
from service.store.tables import streams, users
from service.store.writing import decode_sentences

EXPIRE_AT_ONCE = 500
"""Rows in one transaction."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A record as a list shows it: one upload, or a stream with its continuations."""

    id: str
    """Of the first stream."""
    kind: str
    started_at_ms: int
    ended_at_ms: int
    outcome: str
    """Of the last stream."""
    engine: str
    audio_ms: int
    """Audio received; what was sent again after a break counts again."""
    audio_bytes: int
    text: str
    """Its beginning; empty where transcripts are not kept."""


@dataclass(frozen=True, slots=True)
class Detail(Summary):
    """A whole record; its text is complete."""

    sentences: tuple[Sentence, ...]
    stream_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Records, the latest first."""

    items: tuple[Summary, ...]
    next: Cursor | None
    """None: there are no more."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of one user's records; the counts are of records that began since then."""

    records: int
    audio_ms: int
    audio_bytes: int
    since: tuple[int, ...]


_SMALL = [column for column in streams.c if column.name != "sentences"]


def page_of(connection: Connection, user_id: str, limit: int, after: Cursor | None) -> Page:
    """At most `limit` records, from the one behind `after` on. Records that come meanwhile shift nothing."""
    shown = _shown_heads(user_id)
    if after is not None:
        # Written out, because MySQL does not use an index for a comparison of tuples.
        same = and_(streams.c.started_at_ms == after.started_at_ms, streams.c.id < after.id)
        shown = and_(shown, streams.c.started_at_ms <= after.started_at_ms)
        shown = and_(shown, or_(streams.c.started_at_ms < after.started_at_ms, same))
    order = (streams.c.started_at_ms.desc(), streams.c.id.desc())
    heads = connection.execute(
        select(streams.c.id, streams.c.root, streams.c.started_at_ms).where(shown).order_by(*order).limit(limit + 1)
    ).all()
    page = heads[:limit]
    rows = connection.execute(
        select(*_SMALL).where(streams.c.user_id == user_id, streams.c.root.in_([head.root for head in page]))
    ).all()
    items = tuple(
        _summary(chain, preview(_assembled(chain, "opening")))
        for chain in _chains([head.root for head in page], rows)
        if chain
    )
    last = Cursor(page[-1].started_at_ms, page[-1].id) if len(heads) > limit else None
    return Page(items, last)


def record_of(connection: Connection, user_id: str, stream_id: str) -> Detail | None:
    """The record that has this stream, by any of its streams' ids; None where the user has none, or deleted it."""
    rows = _chain_rows(connection, user_id, stream_id)
    (chain,) = _chains([rows[0].root], rows) if rows else ([],)
    if stream_id not in {row.id for row in chain}:
        return None
    said = _assembled(chain, "sentences")
    summary = _summary(chain, text_of(said))
    return Detail(
        **{name: getattr(summary, name) for name in Summary.__dataclass_fields__},
        sentences=tuple(said),
        stream_ids=tuple(row.id for row in chain),
    )


def delete_record(connection: Connection, user_id: str, stream_id: str, now_ms: int) -> bool:
    """Take the words away and leave the ids, so that nothing brings the record back; returns whether it was there.

    The user's row is locked, as by whoever writes: a part that is being written at the same time is seen, or sees this.
    """
    connection.execute(select(users.c.id).where(users.c.id == user_id).with_for_update()).all()
    rows = _chain_rows(connection, user_id, stream_id)
    if stream_id not in {row.id for row in rows if row.deleted_at_ms is None}:
        return False
    whole = and_(streams.c.user_id == user_id, streams.c.root == rows[0].root, streams.c.deleted_at_ms.is_(None))
    gone = {"deleted_at_ms": now_ms, "is_head": False, "opening": "[]", "sentences": "[]"}
    return connection.execute(update(streams).where(whole).values(gone)).rowcount > 0


def totals_of(connection: Connection, user_id: str, since_ms: Sequence[int]) -> Totals:
    """Sums over all records, and how many of them began at or after each of these times."""
    is_head = streams.c.is_head.is_(True)
    counts = [_count(and_(is_head, streams.c.started_at_ms >= at)) for at in since_ms]
    row = connection.execute(
        select(
            _count(is_head),
            func.coalesce(func.sum(streams.c.audio_ms), 0),
            func.coalesce(func.sum(streams.c.audio_bytes), 0),
            *counts,
        ).where(streams.c.user_id == user_id, streams.c.deleted_at_ms.is_(None))
    ).one()
    numbers = [int(value) for value in row]  # sums are Decimal on some databases
    return Totals(numbers[0], numbers[1], numbers[2], tuple(numbers[3:]))


def expire(connection: Connection, before_ms: int) -> int:
    """Delete records that ended before then, deleted ones too; a record with a later part stays whole.

    Returns how many rows went; called again until none does.
    """
    later = streams.alias()
    goes_on = select(later.c.id).where(
        later.c.user_id == streams.c.user_id, later.c.root == streams.c.root, later.c.ended_at_ms >= before_ms
    )
    old = select(streams.c.id).where(streams.c.ended_at_ms < before_ms, ~goes_on.exists()).limit(EXPIRE_AT_ONCE)
    ids = connection.scalars(old).all()
    if not ids:
        return 0
    return connection.execute(delete(streams).where(streams.c.id.in_(ids))).rowcount


def _shown_heads(user_id: str) -> ColumnElement[bool]:
    # With `=`, because MySQL and MariaDB do not use an index for IS TRUE.
    return and_(streams.c.user_id == user_id, streams.c.is_head == true())


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _chain_rows(connection: Connection, user_id: str, stream_id: str) -> Sequence[Row[Any]]:
    of_user = streams.c.user_id == user_id
    root = connection.scalar(select(streams.c.root).where(of_user, streams.c.id == stream_id))
    if root is None:
        return ()
    return connection.execute(select(streams).where(of_user, streams.c.root == root)).all()


def _chains(roots: Sequence[str], rows: Sequence[Row[Any]]) -> list[list[Row[Any]]]:
    by_id = {row.id: row for row in rows}
    of_root = defaultdict(list)
    for row in rows:
        link = Link(row.id, row.root, row.resumed_from, row.started_at_ms, row.deleted_at_ms, row.is_head)
        of_root[row.root].append(link)
    return [[by_id[link.id] for link in chain] for chain in grouped(roots, of_root)]


def _assembled(chain: Sequence[Row[Any]], column: str) -> list[Sentence]:
    return assemble((row.first_index, decode_sentences(getattr(row, column))) for row in chain)


def _summary(chain: Sequence[Row[Any]], text: str) -> Summary:
    first, last = chain[0], chain[-1]
    return Summary(
        id=first.id,
        kind=first.kind,
        started_at_ms=first.started_at_ms,
        ended_at_ms=last.ended_at_ms,
        outcome=last.outcome,
        engine=first.engine,
        audio_ms=sum(row.audio_ms for row in chain),
        audio_bytes=sum(row.audio_bytes for row in chain),
        text=text,
    )
