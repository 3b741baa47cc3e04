"""The database as the event loop sees it: every question costs a bounded wait in a worker thread, or says why not."""

import enum
import logging
from collections.abc import Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

import trio
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from service.store.away import DatabaseAwayError
from service.store.engine import READING, open_engine
from service.store.migrate import LockedError, migrate
from service.telemetry.logs import get_logger, log_event

WRITERS: Final = 1
READERS: Final = 4
"""Threads. They are of their own: a database that does not answer takes none from uploads."""
READ_S: Final = 4.0
"""For a question of a client, its wait for a thread included: a page of 100 records takes a few milliseconds."""

P = ParamSpec("P")
T = TypeVar("T")
_logger: Final = get_logger("history")


class State(enum.StrEnum):
    """Whether the database answers, as the writer sees it."""

    STARTING = "starting"
    """Its tables have not been looked at yet."""
    UP = "up"
    AWAY = "away"
    """Records wait on the disk."""


class Database:
    """One database, opened when it is used for the first time. `close` is the caller's."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: Engine | None = None
        self._writers = trio.CapacityLimiter(WRITERS)
        self._readers = trio.CapacityLimiter(READERS)
        self._is_migrated = False
        self.state = State.STARTING

    @property
    def is_ready(self) -> bool:
        """Whether the tables were brought up to date."""
        return self._is_migrated

    async def write(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """Run `work` in a transaction, after the tables were brought up to date; one at a time.

        Raises DatabaseAwayError, and SQLAlchemy's DataError and IntegrityError as they are. Cancelled, it leaves the
        thread to end by itself, within the limits of `engine`.
        """

        def in_thread() -> T:
            engine = self._opened()
            if not self._is_migrated:
                migrate(engine)
                self._is_migrated = True
            with engine.begin() as connection:
                return work(connection, *arguments, **options)

        try:
            result = await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True, limiter=self._writers)
        except Exception as error:  # whatever it is, records wait on the disk for a better time
            if self._is_migrated and _is_about_data(error):
                raise
            self._note_away(error)
            raise DatabaseAwayError from error
        if self.state is not State.UP:
            log_event(_logger, logging.INFO, "history_database_up", was=self.state)
            self.state = State.UP
        return result

    async def read(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """Run `work` in a transaction within READ_S. Raises DatabaseAwayError. Cancelled as `write`."""

        def in_thread() -> T:
            engine = self._opened()
            for is_last in (False, True):  # a connection from before a restart of the database is found dead once
                try:
                    with engine.connect().execution_options(**{READING: True}) as connection:
                        return work(connection, *arguments, **options)
                except DBAPIError as error:
                    if is_last or not error.connection_invalidated:
                        raise
            raise AssertionError("returned or raised")

        if not self._is_migrated:
            raise DatabaseAwayError
        return await self._answered(in_thread)

    async def change(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """As `read`, for a client's request that changes something."""

        def in_thread() -> T:
            with self._opened().begin() as connection:
                return work(connection, *arguments, **options)

        if not self._is_migrated:
            raise DatabaseAwayError
        return await self._answered(in_thread)

    async def _answered(self, in_thread: Callable[[], T]) -> T:
        try:
            with trio.fail_after(READ_S):
                return await trio.to_thread.run_sync(in_thread, abandon_on_cancel=True, limiter=self._readers)
        except (SQLAlchemyError, OSError, trio.TooSlowError) as error:
            log_event(_logger, logging.WARNING, "history_not_answered", error=error)
            raise DatabaseAwayError from error

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = open_engine(self._url)
        return self._engine

    def _note_away(self, error: Exception) -> None:
        if self.state is not State.AWAY:
            is_expected = isinstance(error, SQLAlchemyError | LockedError | OSError)
            level = logging.WARNING if is_expected else logging.ERROR
            log_event(_logger, level, "history_database_away", error=_cause(error))
            self.state = State.AWAY

    def close(self) -> None:
        """Close the connections that are not in use; the others are closed when their threads are done."""
        if self._engine is not None:
            self._engine.dispose(close=True)


def _is_about_data(error: Exception) -> bool:
    """Whether it would be the same again: a value that the database does not take."""
    return isinstance(error, DataError | IntegrityError) and not error.connection_invalidated


def _cause(error: Exception) -> BaseException:
    """The driver's own error, where there is one: SQLAlchemy's kinds say less."""
    return getattr(error, "orig", None) or error
