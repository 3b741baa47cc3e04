"""Records into the database and out of it again, on each kind of server."""

import itertools
import threading
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select

from service.store.conversations import PREVIEW_CHARACTERS
from service.store.cursor import Cursor
from service.store.queries import (
    Detail,
    Page,
    Totals,
    delete_record,
    expire,
    page_of,
    record_of,
    totals_of,
)
from service.store.records import Record, Sentence, UserRecord
from service.store.tables import streams, users
from service.store.writing import write_records
from tests.support.databases import stream


def write(engine: Engine, *records: Record) -> int:
    with engine.begin() as connection:
        return write_records(connection, records)


def page(engine: Engine, user_id: str = "u1", limit: int = 100, after: Cursor | None = None) -> Page:
    with engine.connect() as connection:
        return page_of(connection, user_id, limit, after)


def record(engine: Engine, id_: str, user_id: str = "u1") -> Detail | None:
    with engine.connect() as connection:
        return record_of(connection, user_id, id_)


def delete(engine: Engine, id_: str, user_id: str = "u1", now_ms: int = 10_000) -> bool:
    with engine.begin() as connection:
        return delete_record(connection, user_id, id_, now_ms)


def rows(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(streams)) or 0


CHAIN = (stream("a", at=1_000), stream("b", "a", at=2_000, first_index=1), stream("c", "b", at=3_000, first_index=3))


def test_a_record_comes_back_as_it_was(engine: Engine) -> None:
    said = (Sentence(0, "你好，世界 😀\x00 ‘quoted’ \\ %s :name", 10, 900),)
    assert write(engine, stream("a", sentences=said)) == 1
    found = record(engine, "a")
    assert found is not None
    assert found.sentences == said
    assert found.text == said[0].text
    assert (found.kind, found.outcome, found.engine, found.audio_ms) == ("stream", "completed", "16k_zh", 500)
    assert (found.started_at_ms, found.ended_at_ms, found.stream_ids) == (1_000, 1_500, ("a",))


def test_text_of_a_long_day_has_room(engine: Engine) -> None:
    """MySQL's TEXT ends at 64 KiB, and cuts or refuses what is longer."""
    said = tuple(Sentence(number, "说" * 1000, number, number) for number in range(300))
    write(engine, stream("a", sentences=said))
    found = record(engine, "a")
    assert found is not None
    assert found.sentences == said
    assert page(engine).items[0].text == "说" * PREVIEW_CHARACTERS


def test_written_twice_it_is_there_once(engine: Engine) -> None:
    assert write(engine, *CHAIN, *CHAIN) == 3
    assert write(engine, *CHAIN) == 0
    assert rows(engine) == 3


@pytest.mark.parametrize("is_together", [True, False])
def test_resumed_streams_are_one_record_in_whatever_order_they_come(engine: Engine, is_together: bool) -> None:
    for number, order in enumerate(itertools.permutations("abc")):
        user = f"u{number}"
        of_user = {
            "a": stream(f"a{user}", at=1_000, user_id=user),
            "b": stream(f"b{user}", f"a{user}", at=2_000, first_index=1, user_id=user),
            "c": stream(f"c{user}", f"b{user}", at=3_000, first_index=3, user_id=user),
        }
        given = [of_user[letter] for letter in order]
        for batch in [given] if is_together else [[one] for one in given]:
            write(engine, *batch)
        (item,) = page(engine, user).items
        assert item.id == f"a{user}"
        ids = tuple(f"{letter}{user}" for letter in "abc")
        for id_ in ids:
            found = record(engine, id_, user)
            assert found is not None
            assert found.stream_ids == ids
            assert found.text == f"a{user}0 b{user}0 b{user}1 c{user}0 c{user}1"
            assert item.text == found.text
        assert (item.started_at_ms, item.ended_at_ms, item.audio_ms) == (1_000, 3_500, 1_500)


def test_two_writers_of_one_chain_do_not_miss_each_other(engine: Engine) -> None:
    """Every stream of a chain by a thread of its own, as replicas that replay at the same time."""
    chain = [stream(f"s{number}", f"s{number - 1}" if number else None, at=number) for number in range(8)]
    together = threading.Barrier(len(chain))
    failures: list[Exception] = []

    def one(place: int) -> None:
        together.wait()
        try:
            while True:
                try:
                    write(engine, chain[place])
                    return
                except Exception as error:  # the pool is smaller than this crowd
                    if "QueuePool" not in str(error):
                        raise
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(place,)) for place in range(len(chain))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [item.id for item in page(engine).items] == ["s0"]
    found = record(engine, "s5")
    assert found is not None
    assert found.stream_ids == tuple(one.id for one in chain)


def test_a_user_has_only_his_own(engine: Engine) -> None:
    """Ids that differ in case are different users, also where the server's own collation does not say so."""
    write(engine, stream("a"), stream("b", user_id="U1"), stream("c", user_id=""))
    assert [item.id for item in page(engine).items] == ["a"]
    assert [item.id for item in page(engine, "U1").items] == ["b"]
    assert [item.id for item in page(engine, "").items] == ["c"]
    assert record(engine, "a", "U1") is None
    assert record(engine, "A") is None
    assert not delete(engine, "a", "U1")
    assert record(engine, "a") is not None


def test_nobody_can_resume_into_another_users_record(engine: Engine) -> None:
    write(engine, stream("a"))
    write(engine, stream("b", "a", user_id="u2", at=2_000, first_index=1))
    theirs, mine = record(engine, "b", "u2"), record(engine, "a")
    assert theirs is not None
    assert mine is not None
    assert (theirs.stream_ids, mine.stream_ids) == (("b",), ("a",))
    assert [item.id for item in page(engine, "u2").items] == ["b"]


def test_pages_go_on_where_they_ended_whatever_comes_meanwhile(engine: Engine) -> None:
    write(engine, *(stream(f"s{number:02}", at=1_000 + number // 3) for number in range(20)))
    seen: list[str] = []
    after = None
    while True:
        got = page(engine, limit=7, after=after)
        seen += [item.id for item in got.items]
        write(engine, stream(f"new{len(seen)}", at=9_000))
        if got.next is None:
            break
        after = got.next
    assert seen == sorted((f"s{number:02}" for number in range(20)), key=lambda id_: (int(id_[1:]) // 3, id_))[::-1]


def test_a_deleted_record_stays_deleted_when_it_is_replayed(engine: Engine) -> None:
    write(engine, *CHAIN[:2])
    assert delete(engine, "b")
    assert not delete(engine, "a")
    write(engine, *CHAIN)  # `c` began before the deletion and comes late
    assert page(engine).items == ()
    assert all(record(engine, id_) is None for id_ in "abc")
    with engine.connect() as connection:
        assert set(connection.scalars(select(streams.c.sentences))) == {"[]"}
        assert set(connection.scalars(select(streams.c.opening))) == {"[]"}


def test_what_is_said_after_a_deletion_is_kept(engine: Engine) -> None:
    write(engine, *CHAIN[:2])
    delete(engine, "a", now_ms=2_900)
    write(engine, CHAIN[2])
    (item,) = page(engine).items
    assert (item.id, item.text) == ("c", "c0 c1")


def test_sums(engine: Engine) -> None:
    write(engine, *CHAIN, stream("d", at=5_000), stream("e", at=6_000), stream("f", user_id="u2"))
    delete(engine, "e")
    with engine.connect() as connection:
        assert totals_of(connection, "u1", [2_000, 0]) == Totals(2, 2_000, 64_000, (1, 2))
        assert totals_of(connection, "nobody", [0]) == Totals(0, 0, 0, (0,))


def test_old_records_go_and_a_record_goes_as_a_whole(engine: Engine) -> None:
    write(engine, *CHAIN, stream("old", at=100), stream("gone", at=200))
    delete(engine, "gone")
    with engine.begin() as connection:
        assert expire(connection, 3_000) == 2
        assert expire(connection, 3_000) == 0
    assert [item.id for item in page(engine).items] == ["a"]
    assert rows(engine) == 3


def test_a_deletion_waits_for_a_part_that_is_being_written(engine: Engine) -> None:
    """Else that part, which another replica has just brought, would stay with its words."""
    write(engine, CHAIN[0])
    began, ended = threading.Event(), threading.Event()

    def delete_meanwhile() -> None:
        began.set()
        assert delete(engine, "a")
        ended.set()

    deleting = threading.Thread(target=delete_meanwhile)
    with engine.begin() as connection:
        write_records(connection, [CHAIN[1]])
        deleting.start()
        began.wait()
        assert not ended.wait(0.5)
    deleting.join()
    assert record(engine, "b") is None
    with engine.connect() as connection:
        assert set(connection.scalars(select(streams.c.sentences))) == {"[]"}


@pytest.mark.parametrize("after", [None, Cursor(150_000, "zz")])
def test_a_page_reads_no_more_than_it_shows(engine: Engine, after: Cursor | None) -> None:
    """However long the history is: the index has the order, and nothing has to be sorted."""
    write(engine, *(stream(f"s{number:04}", at=1_000 * number) for number in range(300)))
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    page(engine, limit=10, after=after)
    event.remove(engine, "before_cursor_execute", note)
    (heads,) = [(statement, parameters) for statement, parameters in asked if "ORDER BY" in statement]
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE streams")
        plan = str(connection.exec_driver_sql(explain + heads[0], heads[1]).all())
    assert "streams_of_user" in plan
    assert "sort" not in plan.lower().replace("temp b-tree for order by", "sort")


def test_users_are_kept_and_noted_again(engine: Engine) -> None:
    write(engine, UserRecord("u1", "o-1", 100, "union"), stream("a"))
    write(engine, UserRecord("u1", "o-1", 300))
    write(engine, UserRecord("u1", "o-1", 200, "late"))
    with engine.connect() as connection:
        assert connection.execute(select(users)).all() == [("u1", "o-1", "union", 300)]
