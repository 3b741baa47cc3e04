"""What was recognized for a user: pages, one record, its deletion, and sums. The contract is in docs/history.md."""

import datetime
import re
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from quart import Response, request
from quart_trio import QuartTrio

from service.deps import Deps
from service.failures import Slug, StreamFailed, problem
from service.retry_hint import retry_hint_ms
from service.store import cursor
from service.store.away import DatabaseAwayError
from service.store.records import SENTENCE
from service.web.answer import answer
from service.web.contract import (
    MAX_PAGE_SIZE,
    Deleted,
    HistoryItem,
    HistoryPage,
    HistoryQuery,
    HistoryRecord,
    Sentence,
    Stats,
)
from service.web.identity import identify
from service.web.openapi import describe

if TYPE_CHECKING:  # they bring SQLAlchemy, which is not there where no history is kept
    from service.store.history import History
    from service.store.queries import Detail, Summary

PATH: Final = "/api/realtime-voice/history"
STATS_PATH: Final = "/api/realtime-voice/stats"
PAGE_SIZE: Final = 20
DAYS_BEGIN: Final = datetime.timezone(datetime.timedelta(hours=8))
"""Days, weeks and months of the sums begin at midnight in China, where the users are."""
_RECORD_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_REFUSALS: Final = (Slug.FORBIDDEN, Slug.NOT_CONFIGURED, Slug.HISTORY_UNAVAILABLE)

T = TypeVar("T")


def register_history(app: QuartTrio, deps: Deps) -> None:
    """Adds the routes to the application. Without a database they answer not_configured."""

    @app.get(PATH)
    @describe(
        "Recognitions, the latest first",
        HistoryPage,
        section="history",
        query=HistoryQuery,
        refusals=(*_REFUSALS, Slug.BAD_REQUEST),
        needs_token=True,
    )
    async def history_page() -> Response:
        """One page; `nextCursor` asks for the one behind it."""
        history, user_id = _history_of_caller(deps)
        limit, after = _page_wanted()
        page = await _asked(history.page(user_id, limit, after))
        following = page.next.encode() if page.next is not None else None
        return answer(HistoryPage(items=[_item(summary) for summary in page.items], next_cursor=following))

    @app.get(f"{PATH}/<record_id>")
    @describe(
        "One recognition",
        HistoryRecord,
        section="history",
        refusals=(*_REFUSALS, Slug.NOT_FOUND),
        needs_token=True,
    )
    async def history_record(record_id: str) -> Response:
        """By the id of any stream that is part of it."""
        history, user_id = _history_of_caller(deps)
        found = await _asked(history.record(user_id, record_id)) if _RECORD_ID.fullmatch(record_id) else None
        if found is None:
            raise _no_such_record()
        return answer(_record(found))

    @app.delete(f"{PATH}/<record_id>")
    @describe(
        "Delete a recognition",
        Deleted,
        section="history",
        refusals=(*_REFUSALS, Slug.NOT_FOUND),
        needs_token=True,
    )
    async def delete_history_record(record_id: str) -> Response:
        """All of it, by the id of any stream that is part of it."""
        history, user_id = _history_of_caller(deps)
        if not _RECORD_ID.fullmatch(record_id) or not await _asked(history.delete(user_id, record_id)):
            raise _no_such_record()
        return answer(Deleted(id=record_id))

    @app.get(STATS_PATH)
    @describe("Sums over all recognitions", Stats, section="history", refusals=_REFUSALS, needs_token=True)
    async def stats() -> Response:
        """How many, and how much audio."""
        history, user_id = _history_of_caller(deps)
        totals = await _asked(history.totals(user_id, *beginnings(deps.wall_clock())))
        today, week, month = totals.since
        return answer(
            Stats(
                total_count=totals.records,
                total_audio_size=totals.audio_bytes,
                total_audio_time=totals.audio_ms,
                today_count=today,
                week_count=week,
                month_count=month,
            )
        )


def beginnings(now_s: float) -> tuple[int, int, int]:
    """When the day, the week (on Monday) and the month of a Unix time began, in Unix milliseconds."""
    now = datetime.datetime.fromtimestamp(now_s, DAYS_BEGIN)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week = day - datetime.timedelta(days=day.weekday())
    return _ms(day), _ms(week), _ms(day.replace(day=1))


def _ms(time: datetime.datetime) -> int:
    return round(time.timestamp()) * 1000


def _history_of_caller(deps: Deps) -> "tuple[History, str]":
    """The history, and whose part of it is meant. Raises StreamFailed where there is none for the present request."""
    identity = identify(deps)
    if deps.history is None:
        raise StreamFailed(problem(Slug.NOT_CONFIGURED, "The service was started with DATABASE_URL=none."))
    if not deps.history.has(identity.user_id):
        raise StreamFailed(problem(Slug.FORBIDDEN, "The token names no user (sub), so it has no history."))
    return deps.history, identity.user_id


def _page_wanted() -> tuple[int, cursor.Cursor | None]:
    given = request.args.get("limit", str(PAGE_SIZE))
    limit = int(given) if given.isascii() and given.isdecimal() and len(given) < 4 else 0
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise StreamFailed(problem(Slug.BAD_REQUEST, f"limit: expected a number from 1 to {MAX_PAGE_SIZE}."))
    place = request.args.get("cursor", "")
    after = cursor.decode(place) if place else None
    if place and after is None:
        raise StreamFailed(problem(Slug.BAD_REQUEST, "cursor: expected the nextCursor of a page, as it was."))
    return limit, after


async def _asked(question: Awaitable[T]) -> T:
    """The database's answer. Raises StreamFailed when there is none."""
    try:
        return await question
    except DatabaseAwayError:
        raise StreamFailed(
            problem(
                Slug.HISTORY_UNAVAILABLE, "The database does not answer; try again.", retry_after_ms=retry_hint_ms()
            )
        ) from None


def _no_such_record() -> StreamFailed:
    return StreamFailed(problem(Slug.NOT_FOUND, "There is no such record of yours."))


def _item(summary: "Summary") -> HistoryItem:
    return HistoryItem(
        id=summary.id,
        recognition_type="realtime" if summary.kind == SENTENCE else "stream",
        created_at=summary.started_at_ms,
        outcome=summary.outcome,
        recognized_text=summary.text,
        audio_time=summary.audio_ms,
        audio_size=summary.audio_bytes,
    )


def _record(detail: "Detail") -> HistoryRecord:
    said = [
        Sentence(index=one.index, text=one.text, start_ms=one.start_ms, end_ms=one.end_ms) for one in detail.sentences
    ]
    return HistoryRecord(
        **msgspec.structs.asdict(_item(detail)),
        engine_type=detail.engine,
        sentences=said,
        stream_ids=list(detail.stream_ids),
    )
