"""The history of a service, as streams, routes and the process use it."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio

from service.settings import AuthMode, Settings
from service.store.away import DatabaseAwayError
from service.store.cursor import Cursor
from service.store.database import Database, State
from service.store.queries import Detail, Page, Totals, delete_record, expire, page_of, record_of, totals_of
from service.store.records import StreamRecord, UserRecord, owner_of
from service.store.writer import Writer
from service.telemetry.logs import get_logger, log_event
from service.telemetry.metrics import Metrics
from service.users import user_id_of

KEPT_S: Final = 0.5
"""How long the close of a stream waits for its record to be on the disk: a healthy one takes milliseconds."""
FLUSH_S: Final = 3.0
"""How long an orderly stop waits for the database: within the 30 s that Kubernetes gives, after DRAIN_S."""
EXPIRE_EVERY_S: Final = 3600.0
_DAY_MS: Final = 86_400_000
_logger: Final = get_logger("history")


class History:
    """Records of users' streams. What asks the database raises DatabaseAwayError when it does not answer."""

    def __init__(self, settings: Settings, metrics: Metrics, wall_clock: Callable[[], float]) -> None:
        self._settings = settings
        self._wall_clock = wall_clock
        self._database = Database(settings.database_url)
        self._writer = Writer(self._database, Path(settings.spool_dir), metrics)

    @property
    def database(self) -> State:
        """Whether the database answers."""
        return self._database.state

    @property
    def pending(self) -> int:
        """Records that are not in the database yet."""
        return self._writer.pending

    def has(self, user_id: str) -> bool:
        """Whether this user's streams are kept. Nobody's are where nobody has a name: AUTH_MODE=off."""
        return bool(user_id) or self._settings.auth_mode is AuthMode.OFF

    def put(self, record: StreamRecord) -> None:
        """Keep what became of a stream. Never waits, never raises."""
        self._writer.put(record)

    async def kept(self) -> None:
        """Return when what was put is safe from this process's death, after KEPT_S at the latest."""
        await self._writer.kept(KEPT_S)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write records and delete old ones until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._writer.run, name="history writer")
            if self._settings.history_days:
                nursery.start_soon(self._keep_expiring, name="history expiry")
            task_status.started()

    async def flush(self) -> None:
        """Write what is pending, within FLUSH_S. While `run` runs; nothing is put any more."""
        await self._writer.flush(FLUSH_S)

    async def page(self, user_id: str, limit: int, after: Cursor | None) -> Page:
        """The latest records, or those behind a cursor."""
        return await self._database.read(page_of, owner_of(user_id), limit, after)

    async def record(self, user_id: str, stream_id: str) -> Detail | None:
        """The record that a stream belongs to; None where this user has none."""
        return await self._database.read(record_of, owner_of(user_id), stream_id)

    async def delete(self, user_id: str, stream_id: str) -> bool:
        """Delete the record that a stream belongs to; returns whether this user had one."""
        now_ms = int(self._wall_clock() * 1000)
        return await self._database.change(delete_record, owner_of(user_id), stream_id, now_ms)

    async def totals(self, user_id: str, *since_ms: int) -> Totals:
        """Sums of a user's records."""
        return await self._database.read(totals_of, owner_of(user_id), since_ms)

    async def user_of_openid(self, openid: str, unionid: str) -> str:
        """As `service.users.Users` says: the row is written when the database is there."""
        await trio.lowlevel.checkpoint()
        user_id = user_id_of(self._settings.wechat_appid, openid)
        self._writer.put(UserRecord(user_id, openid, int(self._wall_clock() * 1000), unionid))
        return user_id

    async def _keep_expiring(self) -> None:
        while True:
            gone = 0
            try:
                before_ms = int(self._wall_clock() * 1000) - self._settings.history_days * _DAY_MS
                while count := await self._database.write(expire, before_ms):
                    gone += count
            except DatabaseAwayError:
                pass  # the next hour will do
            if gone:
                log_event(_logger, logging.INFO, "history_expired", streams=gone)
            await trio.sleep(EXPIRE_EVERY_S)
