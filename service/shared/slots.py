"""Recognizer slots: those of this process alone, or its part of a pool that replicas share.

Both give out slots from a limiter in this process, in the order in which they were asked for, and a wait that is
cancelled holds nothing. The shared ones move the limit of their limiter as Redis divides the pool (`allotment.py`).
"""

import contextlib
import enum
import logging
import math
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from service.shared.allotment import BEAT_S, POOL_KEY, SCRIPT, Division, Report, kept, leaving, limit_alone
from service.shared.redis import ANSWER_S, RedisAwayError, RedisState
from service.telemetry.logs import get_logger, log_event

HURRY_S: Final = 0.25
"""Between beats while somebody waits here for what others may give back, while this replica has no reserve though it
could have one, and while Redis is away."""
APART_S: Final = 0.02
"""Beats that are asked for come no closer: 50 a second, however many people try in vain."""
ASK_S: Final = 2 * ANSWER_S + APART_S
"""For an answer to a question: to the one that is on its way, and to the next."""
_logger: Final = get_logger("slots")


@dataclass(frozen=True, slots=True)
class Pool:
    """What slots are taken from, in numbers. When Redis is away, this process's part of it."""

    slots: int
    used: int
    waited_for: int

    @property
    def free(self) -> int:
        """What is left."""
        return max(0, self.slots - self.used)


class Slots:
    """All the slots there are belong to this process."""

    def __init__(self, slots: int) -> None:
        self._limiter = trio.CapacityLimiter(slots)

    @property
    def used(self) -> int:
        """Those that this process uses."""
        return int(self._limiter.borrowed_tokens)

    @property
    def limit(self) -> int:
        """Those that this process may use now."""
        return int(self._limiter.total_tokens)

    @property
    def waiting(self) -> int:
        """Tasks of this process that wait for one."""
        return self._limiter.statistics().tasks_waiting

    @property
    def pool(self) -> Pool:
        """What they are taken from."""
        return Pool(self.limit, self.used, self.waiting)

    async def take(self, owner: object, wait_s: float) -> bool:
        """Whether `owner` has a slot now, after waiting at most `wait_s` (0: not at all). Cancelled, it has none."""
        if not wait_s:
            return self.take_now(owner)
        with trio.move_on_after(wait_s):
            await self._limiter.acquire_on_behalf_of(owner)
            return True
        return False

    def take_now(self, owner: object) -> bool:
        """Whether `owner` has a slot, without asking anybody."""
        try:
            self._limiter.acquire_on_behalf_of_nowait(owner)
        except trio.WouldBlock:
            return False
        return True

    def give_back(self, owner: object) -> None:
        """The slot that `owner` has is free."""
        self._limiter.release_on_behalf_of(owner)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """What must go on beside the streams; reports started when slots can be taken."""
        task_status.started()

    async def leave(self) -> None:
        """This process takes no more slots; it is about to end."""


class Scripts(Protocol):
    """The part of SharedRedis that is needed."""

    @property
    def state(self) -> RedisState:
        """Whether a call is worth trying."""

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        """Raises RedisAwayError, within ANSWER_S."""


class Mode(enum.StrEnum):
    """Where the limit comes from."""

    NEW = "new"
    """From nowhere yet."""
    SHARED = "shared"
    """From Redis."""
    REGISTERING = "registering"
    """From before: Redis was emptied, or was not spoken to for a while, and grants nothing for one lease."""
    ALONE = "alone"
    """From before, and then from the replica's share: Redis is away."""


class SharedSlots(Slots):
    """This replica's part of a pool. `run` keeps its limit; without it nothing can be taken."""

    def __init__(self, slots: int, redis: Scripts, *, longest_s: float) -> None:
        """`slots` is the size of the pool; nobody uses one for longer than `longest_s`."""
        super().__init__(0)
        self._pool_slots = slots
        self._redis = redis
        self._longest_s = longest_s
        self._replica = secrets.token_hex(8)
        self._division: Division | None = None
        self._heard_at = -math.inf
        self._limit_before = 0
        """The limit when Redis went away."""
        self._others_want = False
        self._asking = 0
        self._wake = trio.Event()
        self._next_beat = trio.Event()
        self._has_left = False
        self.mode = Mode.NEW

    @property
    def pool(self) -> Pool:
        """As Redis has told it last; what it cannot have told yet is added."""
        if self._division is None or self.mode is Mode.ALONE:
            return super().pool
        return Pool(self._pool_slots, max(self.used, self._division.used), max(self.waiting, self._division.wanted))

    async def take(self, owner: object, wait_s: float) -> bool:
        """As that of Slots; one that is not to wait waits for one answer of Redis, when there is nothing left here."""
        if self.take_now(owner):
            return True
        if wait_s:
            self._wake.set()  # to say that somebody waits
            return await super().take(owner, wait_s)
        await self._ask()
        return self.take_now(owner)

    async def _ask(self) -> None:
        """Return when Redis has been told that one more is wanted, or not later than ASK_S."""
        if self.mode is Mode.ALONE:
            return
        with self._one_more(), trio.move_on_after(ASK_S):
            self._wake.set()
            await self._next_beat.wait()

    @contextlib.contextmanager
    def _one_more(self) -> Iterator[None]:
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def give_back(self, owner: object) -> None:
        """As that of Slots; where others wait, they are told."""
        super().give_back(owner)
        if self._others_want:
            self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the limit as Redis and the time say, until cancelled.

        Reports started when this replica has its reserve, or knows that there is none now, at most after two beats:
        by then the others have given back what they had more than theirs.
        """
        reported = False
        began = trio.current_time()
        while True:
            answered, self._next_beat = self._next_beat, trio.Event()
            self._wake = trio.Event()
            await self.beat()
            answered.set()
            if not reported and (not self._may_get_some or trio.current_time() - began > 2 * BEAT_S):
                reported = True
                task_status.started()
            await trio.sleep(APART_S)
            with trio.move_on_after(self._pause_s - APART_S):
                await self._wake.wait()

    @property
    def _may_get_some(self) -> bool:
        return self.limit == 0 and self.mode is Mode.SHARED and self._lacks_reserve

    @property
    def _lacks_reserve(self) -> bool:
        return self._division is not None and self.limit - self.used < self._division.reserve

    @property
    def _pause_s(self) -> float:
        return HURRY_S if self.waiting or self._lacks_reserve or self.mode is Mode.ALONE else BEAT_S

    async def beat(self) -> None:
        """Say how it stands here, hear how it stands elsewhere, and move the limit."""
        if self._has_left:
            return
        if self._redis.state is not RedisState.OK:
            self._go_alone()
            return
        report = self._report()
        self._set_limit(report.kept)  # before it is said: what is not kept may be another's before the answer is here
        try:
            answer = await self._redis.call(SCRIPT, [POOL_KEY], report.arguments(self._replica, self._pool_slots))
        except RedisAwayError:
            self._go_alone()
            return
        self._heard(report, Division.of(answer))

    def _report(self) -> Report:
        used = self.used
        keeps = kept(self.limit, used, self._reserve)
        wanted = max(0, self.waiting + self._asking - (keeps - used))
        return Report(used, keeps, wanted)

    @property
    def _reserve(self) -> int | None:
        if self._division is None:
            return 0  # nobody has given it any
        return self._division.reserve if self.mode is Mode.SHARED else None

    def _heard(self, report: Report, division: Division) -> None:
        self._division = division
        self._heard_at = trio.current_time()
        self._set_limit(division.allotted)
        self._set_mode(Mode.REGISTERING if division.grants_in_ms else Mode.SHARED)
        self._others_want = division.wanted > report.wanted
        if self._others_want and kept(self.limit, self.used, self._reserve) < self.limit:
            self._wake.set()  # to give back now what they wait for

    def _go_alone(self) -> None:
        if self.mode is not Mode.ALONE:
            self._limit_before = self.limit
        division = self._division
        self._set_limit(
            limit_alone(
                self._limit_before,
                self._pool_slots,
                None if division is None else division.replicas,
                trio.current_time() - self._heard_at,
                self._longest_s,
            )
        )
        self._set_mode(Mode.ALONE)

    def _set_limit(self, limit: int) -> None:
        if limit != self._limiter.total_tokens:
            self._limiter.total_tokens = limit

    def _set_mode(self, mode: Mode) -> None:
        if mode is self.mode:
            return
        self.mode = mode
        division = self._division
        log_event(
            _logger,
            logging.INFO if mode is Mode.SHARED else logging.WARNING,
            "slots",
            mode=mode,
            limit=self.limit,
            used=self.used,
            pool=self._pool_slots,
            replicas=None if division is None else division.replicas,
        )

    async def leave(self) -> None:
        """Give all slots back to the others, at once instead of when the lease ends. Returns within ANSWER_S."""
        self._has_left = True
        with contextlib.suppress(RedisAwayError):
            await self._redis.call(SCRIPT, [POOL_KEY], leaving(self._replica, self._pool_slots))
