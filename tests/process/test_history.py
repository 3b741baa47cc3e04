"""The history of a whole process: its orderly stop, its death, and its start without a database."""

import logging
import signal
from pathlib import Path

import pytest
import trio
from sqlalchemy import create_engine, select

from service import server
from service.deps import Deps
from service.settings import Settings
from service.store.records import encode_line
from service.store.spool import Spool
from service.store.tables import streams
from tests.support.databases import stream
from tests.support.processes import ACCOUNT_SETTINGS, gateway, scripted_recognizer
from tests.support.stream_world import words
from tests.support.wire_phone import connected

AWAY = "postgresql://root@127.0.0.1:1/none"


def ids_in(file: Path) -> list[str]:
    engine = create_engine(f"sqlite+pysqlite:///{file}")
    with engine.connect() as connection:
        found = list(connection.scalars(select(streams.c.id)))
    engine.dispose()
    return found


async def talk(url: str) -> str:
    """One stream to its close; the id under which the history is to have it."""
    async with connected(url) as phone:
        await phone.talk_at_once(words(1))
        await phone.say(type="stop")
        log_id = str((await phone.hear("stopped"))["logId"])
        await phone.closed()
    return log_id


async def test_an_orderly_stop_writes_what_is_pending(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path / 'voice.db'}"
    async with scripted_recognizer() as recognizer:
        settings = {**ACCOUNT_SETTINGS, "TENCENT_ASR_URL": recognizer, "SPOOL_DIR": str(tmp_path / "spool")}
        async with gateway(**settings, DATABASE_URL=database) as (program, url):
            log_id = await talk(url)
            program.process.send_signal(signal.SIGTERM)
            assert await program.process.wait() == 0
        (flushed,) = program.events("history_flushed")
        assert (flushed["on_disk"], flushed["lost"]) == (0, 0)
    assert ids_in(tmp_path / "voice.db") == [log_id]
    assert list((tmp_path / "spool").iterdir()) == []


async def test_whoever_saw_the_close_finds_the_record_whatever_happens(tmp_path: Path) -> None:
    """No database, then SIGKILL right behind the close, then an orderly stop without a database, then all is well."""
    async with scripted_recognizer() as recognizer:
        settings = {**ACCOUNT_SETTINGS, "TENCENT_ASR_URL": recognizer, "SPOOL_DIR": str(tmp_path / "spool")}
        async with gateway(**settings, DATABASE_URL=AWAY) as (killed, url):
            first = await talk(url)
            killed.process.kill()
            await killed.process.wait()
        async with gateway(**settings, DATABASE_URL=AWAY) as (stopped, url):
            second = await talk(url)
            stopped.process.send_signal(signal.SIGTERM)
            assert await stopped.process.wait() == 0
        (left,) = stopped.events("history_left_on_disk")
        assert left["records"] == 2
        async with gateway(**settings, DATABASE_URL=f"sqlite:///{tmp_path / 'voice.db'}") as (well, url):
            third = await talk(url)
            well.process.send_signal(signal.SIGTERM)
            assert await well.process.wait() == 0
    assert sorted(ids_in(tmp_path / "voice.db")) == sorted([first, second, third])
    assert list((tmp_path / "spool").iterdir()) == []


async def test_a_stop_while_starting_does_not_wait_for_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was put yet, and nobody writes any more what an earlier process has left."""
    caplog.set_level(logging.INFO, "voice.history")
    left = Spool(tmp_path)
    left.append([encode_line(stream("a"))])
    left.close()
    settings = Settings(database_url=AWAY.replace("://", "+psycopg://"), spool_dir=str(tmp_path))
    deps, stop = Deps.from_settings(settings), trio.Event()

    async def never_up(*_: object) -> None:
        while not {"history_database_away", "history_adopted"} <= set(caplog.messages):  # noqa: ASYNC110
            await trio.sleep(0.01)
        stop.set()
        await trio.sleep_forever()

    monkeypatch.setattr("service.background._start_recognizer", never_up)
    with trio.fail_after(30):
        await server._serve(deps, stop, lambda _: None)
    assert "history_flushed" not in caplog.messages
    assert Spool(tmp_path).records == 1
