"""The Redis that replicas share: one connection, kept up in the background, and scripts answered in time or not at all.

Whoever asks is told `RedisAwayError` at once while Redis is away, and within `ANSWER_S` when it stops answering: what
is shared is never worth making somebody who speaks wait. All that goes over the connection are Lua scripts, so that
what is read and what is written about it are one step whoever else does the same.
"""

import contextlib
import enum
import logging
import math
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import trio

from service.dialing import tls_context
from service.telemetry.logs import get_logger, log_event

if TYPE_CHECKING:
    from coredis import Redis

ANSWER_S: Final = 0.5
"""For an answer: a hundred times what a Redis of the same network takes; people notice a start later than this."""
CONNECT_S: Final = 2.0
"""For a connection, with TLS and the login, and the first answer."""
LOOK_EVERY_S: Final = 1.0
"""How often an idle connection is tried, by a write: a Redis that refuses those is of no use."""
BACKOFF_S: Final = (0.05, 2.0)
"""The first and the longest pause between attempts. A fifth of the lease of slots at most, so that whoever holds some
has said so to a Redis that came back empty before it grants anything."""
_LASTED_S: Final = 10.0  # a connection that lasted so long was a good one: the next attempts begin from the first pause
_logger: Final = get_logger("redis")


class RedisState(enum.IntEnum):
    """Also the values of `voice_redis`."""

    NONE = 0
    """There is no REDIS_URL."""
    OK = 1
    AWAY = 2


class RedisAwayError(Exception):
    """Redis did not do what it was asked: it cannot be reached, is late, or refuses. Nothing is known of the effect."""


class SharedRedis:
    """One connection to Redis. `run` keeps it up; anybody in the process may call scripts meanwhile."""

    def __init__(self, url: str, *, prefix: str = "voice:") -> None:
        """`url` as in REDIS_URL. Every key begins with `prefix`."""
        self._url = url
        self._prefix = prefix
        self._client: Redis[str] | None = None
        self._lost = trio.Event()
        self._failure: BaseException | None = None

    @property
    def state(self) -> RedisState:
        """OK from a connection's first answer until something was not answered."""
        return RedisState.AWAY if self._client is None else RedisState.OK

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        """Run a Lua script that returns a list of integers; `keys` are given without the prefix.

        Raises RedisAwayError, within ANSWER_S. The script may have run nevertheless, or may still run: it must be one
        that can be repeated. The same holds for a call that is cancelled.
        """
        client = self._client
        if client is None:
            raise RedisAwayError
        with self._answered():
            known = client.register_script(script)  # computes its hash; it is sent only where Redis does not know it
            answer: Any = await known([self._prefix + key for key in keys], list(arguments))
            return [int(value) for value in answer]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the connection up until cancelled; it never fails.

        Reports started after the first attempt, whatever came of it. Cancelled, it closes the connection.
        """
        logging.getLogger("coredis").propagate = False  # each failed attempt is an error to it; here it is an event
        first_s, longest_s = BACKOFF_S
        pause_s = first_s
        is_first = True
        while True:
            connected_at = math.inf
            try:
                async with self._connection() as client:
                    connected_at = trio.current_time()
                    log_event(_logger, logging.INFO, "redis_connected")
                    if is_first:
                        is_first = False
                        task_status.started()
                    await self._look(client)
            except Exception as error:  # a library's: whatever it is, Redis is of no use now
                self._failure = error
            lasted_s = trio.current_time() - connected_at
            if lasted_s >= 0 or is_first:
                log_event(_logger, logging.WARNING, "redis_away", error=self._failure)
            if is_first:
                is_first = False
                task_status.started()
            pause_s = first_s if lasted_s > _LASTED_S else min(2 * pause_s, longest_s)
            await trio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311 - spreads load; nothing secret

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator["Redis[str]"]:
        """A connection that has answered, and that calls use while the `async with` lasts."""
        from coredis import Redis  # 0.3 s and 20 MB: only where it is used
        from coredis.retry import NoRetryPolicy

        tls: dict[str, Any] = {"ssl_context": tls_context()} if urlsplit(self._url).scheme == "rediss" else {}
        client = Redis.from_url(
            self._url,
            decode_responses=True,
            decode_components=True,
            retry_policy=NoRetryPolicy(),
            connect_timeout=CONNECT_S,
            max_connections=1,
            client_name="voice-gateway",
            **tls,
        )
        async with client:
            with trio.fail_after(CONNECT_S):
                await self._try(client)
            self._lost = trio.Event()
            self._client = client
            try:
                yield client
            finally:
                self._client = None

    async def _look(self, client: "Redis[str]") -> None:
        """Returns when something was not answered, be it to this look now and then or to a call."""
        while not self._lost.is_set():
            with trio.move_on_after(LOOK_EVERY_S):
                await self._lost.wait()
                return
            with contextlib.suppress(RedisAwayError), self._answered():
                await self._try(client)

    async def _try(self, client: "Redis[str]") -> None:
        await client.set(f"{self._prefix}alive", "1", px=round(10_000 * LOOK_EVERY_S))

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        """Raises RedisAwayError, and gives the connection up, when what is asked within is not done in ANSWER_S."""
        lost = self._lost
        try:
            with trio.fail_after(ANSWER_S):
                yield
        except Exception as error:
            if not lost.is_set():
                self._failure = error
                self._client = None  # at once: who comes next shall not wait for its deadline
                lost.set()
            raise RedisAwayError from error
