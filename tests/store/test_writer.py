"""The way of records into the database, with its outages: real servers, real disks, real time."""

import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import Engine, create_engine, make_url, select
from sqlalchemy.exc import IntegrityError

from service.store import engine as engine_module
from service.store import spool as spool_module
from service.store import writer as writer_module
from service.store.away import LOST, DatabaseAwayError
from service.store.database import Database, State
from service.store.migrate import migrate
from service.store.queries import page_of
from service.store.records import UserRecord
from service.store.spool import Spool
from service.store.tables import streams
from service.store.writer import Writer
from service.telemetry.metrics import Metrics
from tests.support.databases import SERVERS, database, stream
from tests.support.fault_proxy import CLEAN, FaultProxy, Faults, Refusal, fault_proxy

GUARD_S = 60
FROZEN = Faults(is_frozen=True)


class World:
    """A writer with its database and its disk."""

    def __init__(self, url: str, directory: Path) -> None:
        self.metrics = Metrics()
        self.directory = directory
        self.database = Database(url)
        self.writer = Writer(self.database, directory, self.metrics)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with trio.fail_after(GUARD_S):
            async with trio.open_nursery() as nursery:
                await nursery.start(self.writer.run)
                yield
                nursery.cancel_scope.cancel()

    async def wait_written(self, pending: int = 0) -> None:
        while self.writer.pending > pending:  # noqa: ASYNC110 - what a person would do
            await trio.sleep(0.01)

    async def wait_state(self, state: State) -> None:
        while self.database.state is not state:  # noqa: ASYNC110 - what a person would do
            await trio.sleep(0.01)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"voice_history_{name}", labels) or 0.0

    def lost(self) -> float:
        return sum(self.count("lost_total", reason=reason) for reason in LOST)

    def bytes_on_disk(self) -> int:
        return sum(path.stat().st_size for path in self.directory.glob("*.jsonl"))


def ids_in(url: str) -> list[str]:
    engine: Engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.scalars(select(streams.c.id)))
    engine.dispose()
    return sorted(found)


def names(count: int, prefix: str = "s") -> list[str]:
    return [f"{prefix}{number:04}" for number in range(count)]


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite+pysqlite:///{tmp_path / 'made' / 'voice.db'}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines and pauses of tenths of a second."""
    monkeypatch.setattr(engine_module, "ANSWER_S", 1)
    monkeypatch.setattr(engine_module, "CONNECT_S", 2)
    monkeypatch.setattr(writer_module, "BACKOFF_S", (0.05, 0.2))
    monkeypatch.setattr(writer_module, "DISK_RETRY_S", 0.05)


async def test_everything_arrives_and_nothing_stays_behind(url: str, tmp_path: Path) -> None:
    world = World(url, tmp_path / "spool")
    async with world.running():
        for name in names(250):
            world.writer.put(stream(name))
        world.writer.put(UserRecord("u9", "openid", 5))
        await world.writer.kept(5)
        assert world.count("spooled_total") == 251
        await world.wait_written()
        assert world.bytes_on_disk() == 0
        await world.writer.flush(1)
    assert ids_in(url) == names(250)
    assert world.count("written_total") == 250
    assert world.count("pending") == 0
    assert world.count("seconds_count") >= 3
    assert list((tmp_path / "spool").iterdir()) == []


@contextlib.asynccontextmanager
async def behind_proxy(kind: str, directory: Path) -> AsyncIterator[tuple[FaultProxy, str, str]]:
    """A proxy before a server's port, the database's URL through it, and its own."""
    with database(kind, directory) as direct:
        address = make_url(direct)
        async with fault_proxy(address.port or 0) as proxy:
            through = address.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)
            yield proxy, through, direct


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("fault", ["closed", "silent"])
@pytest.mark.usefixtures("quick")
async def test_an_outage_delays_and_loses_nothing(kind: str, fault: str, tmp_path: Path) -> None:
    """`closed`: connections are reset and nobody listens. `silent`: all stand, and nothing comes back."""
    async with behind_proxy(kind, tmp_path) as (proxy, through, direct):
        world = World(through, tmp_path / "spool")
        async with world.running():
            await world.wait_state(State.UP)
            world.writer.put(stream("before"))
            await world.wait_written()
            if fault == "closed":
                proxy.refuse(Refusal.CLOSED_PORT)
                proxy.reset_present()
            else:
                proxy.change_all(up=FROZEN, down=FROZEN)
            for name in names(30):
                world.writer.put(stream(name))
                began = trio.current_time()
                await world.writer.kept(5)
                assert trio.current_time() - began < 2  # the disk's time, not the database's
            await world.wait_state(State.AWAY)
            assert world.writer.pending == 30
            with pytest.raises(DatabaseAwayError), trio.fail_after(8):
                await world.database.read(page_of, "u1", 10, None)
            if fault == "closed":
                proxy.refuse(Refusal.NONE)
            else:
                proxy.change_all(up=CLEAN, down=CLEAN)
            await world.wait_written()
            assert world.database.state is State.UP
        assert ids_in(direct) == sorted([*names(30), "before"])
        assert world.count("written_total") == 31
        assert world.lost() == 0


@pytest.mark.usefixtures("quick")
async def test_a_database_that_was_never_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A start without it is a start; an orderly stop leaves the records to the next process."""
    away = World("postgresql+psycopg://root@127.0.0.1:1/none", tmp_path / "spool")
    with caplog.at_level(logging.INFO, "voice.history"):
        async with away.running():
            for name in names(5):
                away.writer.put(stream(name))
            await away.wait_state(State.AWAY)
            with pytest.raises(DatabaseAwayError):
                await away.database.read(page_of, "u1", 10, None)
            await away.writer.flush(0.5)
    events = {record.msg: record.__dict__["voice_fields"] for record in caplog.records}
    assert events["history_left_on_disk"] == {"records": 5}
    assert (events["history_flushed"]["on_disk"], events["history_flushed"]["lost"]) == (5, 0)
    assert away.lost() == 0
    url = f"sqlite+pysqlite:///{tmp_path / 'voice.db'}"
    heir = World(url, tmp_path / "spool")
    async with heir.running():
        await heir.wait_state(State.UP)
        await heir.wait_written()
    assert ids_in(url) == names(5)


async def test_a_death_between_commit_and_removal_doubles_nothing(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(self: Spool, batch: object) -> None:
        raise OSError("the process is dead")

    world = World(sqlite_url, tmp_path / "spool")
    with monkeypatch.context() as patched:
        patched.setattr(spool_module.Spool, "remove", dies)
        async with world.running():
            for name in names(10):
                world.writer.put(stream(name))
            await world.writer.kept(5)
            while world.count("written_total") < 10:  # noqa: ASYNC110 - what a person would do
                await trio.sleep(0.01)
    assert world.bytes_on_disk() > 0
    heir = World(sqlite_url, tmp_path / "spool")
    async with heir.running():
        while world.bytes_on_disk():  # noqa: ASYNC110 - what a person would do
            await trio.sleep(0.01)
    assert heir.count("written_total") == 0
    assert ids_in(sqlite_url) == names(10)


async def test_gateways_that_share_a_directory(sqlite_url: str, tmp_path: Path) -> None:
    """Each writes its own; together they write each record once."""
    worlds = [World(sqlite_url, tmp_path / "spool") for _ in range(3)]
    async with worlds[0].running(), worlds[1].running(), worlds[2].running():
        for name in names(60):
            worlds[int(name[1:]) % 3].writer.put(stream(name))
        for world in worlds:
            await world.wait_written()
    assert ids_in(sqlite_url) == names(60)
    assert [world.count("written_total") for world in worlds] == [20, 20, 20]


@pytest.mark.usefixtures("quick")
async def test_a_disk_that_cannot_be_used(sqlite_url: str, tmp_path: Path, expected_errors: list[Any]) -> None:
    """Records go to the database at once, and to the disk when it is there again."""
    place = tmp_path / "spool"
    place.write_text("not a directory")
    world = World(sqlite_url, place)
    async with world.running():
        for name in names(5):
            world.writer.put(stream(name))
        await world.writer.kept(5)
        await world.wait_written()
        assert ids_in(sqlite_url) == names(5)
        place.unlink()
        world.writer.put(stream("later"))
        await world.wait_written()
        assert world.count("spooled_total") <= 1
    assert [record.msg for record in expected_errors] == ["history_disk_unusable"]
    expected_errors.clear()
    assert ids_in(sqlite_url) == ["later", *names(5)]
    assert world.lost() == 0


@pytest.mark.usefixtures("quick")
async def test_no_disk_and_no_database_is_a_loss_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_errors: list[Any]
) -> None:
    monkeypatch.setattr(writer_module, "MAX_QUEUE_BYTES", 2_000)
    (tmp_path / "spool").write_text("not a directory")
    world = World("postgresql+psycopg://root@127.0.0.1:1/none", tmp_path / "spool")
    async with world.running():
        for name in names(100):
            world.writer.put(stream(name))
        kept = world.writer.pending
        assert 1 < kept < 20
        assert world.count("lost_total", reason="full") == 100 - kept
        await world.writer.kept(0.2)
        await world.wait_state(State.AWAY)
        await world.writer.flush(0.3)
        assert world.count("lost_total", reason="stopped") == kept
    lost = [record.voice_fields for record in expected_errors if record.msg == "history_lost"]
    assert sorted(fields["stream"] for fields in lost) == names(100)
    assert {record.msg for record in expected_errors} == {"history_lost", "history_disk_unusable"}
    expected_errors.clear()


@pytest.mark.parametrize("kind", SERVERS)
async def test_what_a_database_refuses_does_not_stop_the_others(
    kind: str, tmp_path: Path, expected_errors: list[Any]
) -> None:
    with database(kind, tmp_path) as url:
        world = World(url, tmp_path / "spool")
        for name in names(6):
            world.writer.put(stream(name, outcome="x" * 99 if name == "s0003" else "completed"))
        async with world.running():
            await world.wait_written()
            while world.count("written_total") < 5:  # noqa: ASYNC110 - what a person would do
                await trio.sleep(0.01)
        assert ids_in(url) == [name for name in names(6) if name != "s0003"]
    (told,) = expected_errors
    fields = told.voice_fields
    assert (told.msg, fields["reason"], fields["stream"]) == ("history_lost", "refused", "s0003")
    expected_errors.clear()


async def test_a_damaged_line_does_not_stop_the_others(
    sqlite_url: str, tmp_path: Path, expected_errors: list[Any]
) -> None:
    spool = Spool(tmp_path / "spool")
    spool.append([b"{no json}\n"])
    spool.close()
    world = World(sqlite_url, tmp_path / "spool")
    async with world.running():
        world.writer.put(stream("a"))
        while not world.count("written_total"):  # noqa: ASYNC110 - what a person would do
            await trio.sleep(0.01)
    assert [record.voice_fields["reason"] for record in expected_errors] == ["damaged"]
    expected_errors.clear()
    assert ids_in(sqlite_url) == ["a"]


async def test_a_text_beyond_all_measure_is_left_out(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_errors: list[Any]
) -> None:
    monkeypatch.setattr(writer_module, "MAX_RECORD_BYTES", 150)
    world = World(sqlite_url, tmp_path / "spool")
    async with world.running():
        world.writer.put(stream("a"))
        await world.wait_written()
        page = await world.database.read(page_of, "u1", 10, None)
    assert [(item.id, item.text) for item in page.items] == [("a", "")]
    assert [record.msg for record in expected_errors] == ["history_too_long"]
    expected_errors.clear()


@pytest.mark.usefixtures("quick")
async def test_a_sudden_end_leaves_what_was_put_on_the_disk(sqlite_url: str, tmp_path: Path) -> None:
    """The second signal, or an error elsewhere: nobody has flushed."""
    dying = World(sqlite_url, tmp_path / "spool")
    async with dying.running():
        await trio.sleep(0.1)
        for name in names(300):
            dying.writer.put(stream(name))
    spool = Spool(tmp_path / "spool")
    assert spool.records == 300
    spool.close()


@pytest.mark.usefixtures("quick")
async def test_a_disk_that_hangs_keeps_nothing_from_the_database(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected_errors: list[Any]
) -> None:
    """As one over the network does whose server is gone."""
    monkeypatch.setattr(writer_module, "DISK_S", 0.2)
    may_go_on = threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda _: may_go_on.wait(20))
    world = World(sqlite_url, tmp_path / "spool")
    try:
        async with world.running():
            for name in names(5):
                world.writer.put(stream(name))
            with trio.fail_after(5):
                while not (tmp_path / "made" / "voice.db").exists() or ids_in(sqlite_url) != names(5):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            may_go_on.set()
            world.writer.put(stream("later"))
            await world.wait_written()
            await world.writer.flush(5)
    finally:
        may_go_on.set()
    assert {record.msg for record in expected_errors} <= {"history_disk_unusable", "history_disk_unreadable"}
    assert "history_disk_unusable" in {record.msg for record in expected_errors}
    expected_errors.clear()
    assert ids_in(sqlite_url) == ["later", *names(5)]
    assert world.lost() == 0


@pytest.mark.usefixtures("quick")
async def test_tables_that_cannot_be_made_are_no_fault_of_a_record(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two instances without a common lock, such as on two nodes of a cluster: the later one's first row is refused."""
    failures = [IntegrityError("INSERT INTO alembic_version", {}, Exception("duplicate")) for _ in range(2)]

    def clash(engine: Engine) -> None:
        if failures:
            raise failures.pop()
        migrate(engine)

    monkeypatch.setattr("service.store.database.migrate", clash)
    world = World(sqlite_url, tmp_path / "spool")
    async with world.running():
        world.writer.put(stream("a"))
        await world.wait_state(State.UP)
        await world.wait_written()
    assert ids_in(sqlite_url) == ["a"]
    assert world.lost() == 0
