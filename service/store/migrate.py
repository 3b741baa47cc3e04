"""Bring the database's tables to the form that this release knows, whoever else does so at the same time."""

import hashlib
import logging
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text

from service.store.engine import is_mysql
from service.telemetry.logs import get_logger, log_event

MIGRATIONS: Final = Path(__file__).parent / "migrations"
LOCK_WAIT_S: Final = 5
_LOCK_NUMBER: Final = 0x766F696365  # "voice", for PostgreSQL, whose locks belong to a database and have numbers
_logger: Final = get_logger("history")


class LockedError(Exception):
    """Another instance is bringing the tables up to date: try again."""


def migrate(engine: Engine) -> None:
    """Run what is missing. Of instances that start together, one does, and the others find it done.

    Tables of a later release are left as they are:
    migrations add, and take nothing away. Raises LockedError, and SQLAlchemyError when the database does not do it.
    """
    if is_mysql(engine.dialect.name):
        with engine.connect() as connection:
            name = _lock_name(connection)
            if connection.scalar(text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": LOCK_WAIT_S}) != 1:
                raise LockedError
            try:
                connection.rollback()
                _upgrade(connection)
                connection.commit()
            finally:
                connection.rollback()
                connection.scalar(text("SELECT RELEASE_LOCK(:name)"), {"name": name})
        return
    with engine.begin() as connection:  # in SQLite and PostgreSQL changes of tables are part of the transaction
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_S}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
        _upgrade(connection)


def _lock_name(connection: Connection) -> str:
    """MySQL's locks belong to the server and have names of at most 64 characters."""
    return "voice." + hashlib.sha256(str(connection.scalar(text("SELECT DATABASE()"))).encode()).hexdigest()[:32]


def _upgrade(connection: Connection) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        log_event(_logger, logging.WARNING, "history_tables_newer", error=error)
