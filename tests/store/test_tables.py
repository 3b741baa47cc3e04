"""The migrations, from nothing: on each kind of server they leave what `tables` says."""

import threading

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from service.store.engine import open_engine
from service.store.migrate import migrate
from service.store.tables import metadata


def test_they_leave_what_the_tables_say(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == "0001"


def test_a_second_time_does_nothing(engine: Engine) -> None:
    migrate(engine)
    assert set(inspect(engine).get_table_names()) == {"alembic_version", "streams", "users"}


def test_instances_that_start_together_do_it_once(url: str) -> None:
    engines = [open_engine(url) for _ in range(6)]
    failures: list[Exception] = []
    together = threading.Barrier(len(engines))

    def start(engine: Engine) -> None:
        together.wait()
        try:
            migrate(engine)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with engines[0].connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).all() == [("0001",)]
    for engine in engines:
        engine.dispose()


def test_an_instance_that_was_killed_in_between_is_no_harm(url: str) -> None:
    """MariaDB commits each table by itself: the first is there, and nothing says so."""
    engine = open_engine(url)
    with engine.begin() as connection:
        metadata.tables["users"].create(connection)
    migrate(engine)
    assert "streams" in inspect(engine).get_table_names()
    engine.dispose()


def test_tables_of_a_later_release_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"
