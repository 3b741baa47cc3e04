"""Connections to the database in which nothing waits for ever.

All of this runs in worker threads. A server that is gone, or that is there and does not answer (stopped, out of disk,
behind a network that drops packets), costs a thread CONNECT_S or ANSWER_S and no more.
"""

import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.pool import ConnectionPoolEntry

CONNECT_S: Final = 5
ANSWER_S: Final = 10
"""For one statement. A transaction with a batch of records takes some 10 ms on a database that is well."""
POOL_WAIT_S: Final = 5
POOL_SIZE: Final = 5
"""The writer, and the reading threads."""
RECYCLE_S: Final = 1800  # below every server's and proxy's idle limit that is in use (MySQL's default is 8 h)
READING: Final = "voice_reading"
"""Execution option: the transaction only reads, so that SQLite need not wait for its one writer."""


class _Bounded(psycopg.Connection[Any]):
    """A connection that is given up when the server does not answer: libpq has no such limit of its own."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """As its base, within ANSWER_S. Raises psycopg.OperationalError, and the connection is closed."""
        limit_s = ANSWER_S if timeout is None else timeout
        give_up_at = time.monotonic() + limit_s
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.Error:
            if time.monotonic() >= give_up_at:
                self.pgconn.finish()  # what was asked may still be answered: nothing can be asked on it any more
            raise


def open_engine(url: str) -> Engine:
    """An engine for an URL of the settings. Connects to nothing yet; a directory for SQLite's file is made.

    Raises OSError when that cannot be made. The caller disposes of it.
    """
    address = make_url(url)
    backend = address.get_backend_name()
    options: Mapping[str, Any] = {"pool_size": POOL_SIZE, "max_overflow": 0, "pool_timeout": POOL_WAIT_S}
    if backend == "sqlite":
        if address.database:
            Path(address.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(address, connect_args={"timeout": ANSWER_S}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    options = {**options, "pool_recycle": RECYCLE_S, "isolation_level": "READ COMMITTED", "hide_parameters": True}
    if backend == "postgresql":
        engine = create_engine(address, connect_args={"connect_timeout": CONNECT_S}, **options)
        event.listen(engine, "do_connect", _connect_bounded)
        return engine
    timeouts = {"connect_timeout": CONNECT_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
    return create_engine(address.update_query_dict({"charset": "utf8mb4"}), connect_args=timeouts, **options)


def _connect_bounded(
    _dialect: object, _record: ConnectionPoolEntry, arguments: list[Any], options: dict[str, Any]
) -> psycopg.Connection[Any]:
    return _Bounded.connect(*arguments, **options)


def _prepare_sqlite(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: `_begin_sqlite` does
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    """A transaction that writes says so at once: one that finds out in the middle may not be able to."""
    is_reading = connection.get_execution_options().get(READING, False)
    connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")


def is_mysql(name: str) -> bool:
    """Whether a dialect is that of MySQL or MariaDB."""
    return name in ("mysql", "mariadb")
