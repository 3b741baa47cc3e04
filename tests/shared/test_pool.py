"""The division of the pool, by its real script in a real Redis: never more than there is, whatever happens in between.

Trio's clock stands still, so nothing here depends on time: leases and epochs end when the test says so.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import hypothesis
import pytest
import trio
from hypothesis import strategies as st

from service.shared.allotment import LEASE_S, POOL_KEY
from service.shared.redis import RedisAwayError, RedisState, SharedRedis
from service.shared.slots import Mode, SharedSlots
from tests.support.redis_server import RedisServer, needs_redis, redis_server

pytestmark = needs_redis
POOL = 10
_EXPIRE = "redis.call('HSET', KEYS[1], ARGV[1], '9 9 9 1') return {0}"
_GRANT = "redis.call('HSET', KEYS[1], 'grants_at', 1) return {0}"
_LATER = """
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i] == 'grants_at' then
    redis.call('HINCRBY', KEYS[1], fields[i], ARGV[1])
  else
    local rest, expires, size = string.match(fields[i + 1], '^(%d+ %d+ %d+ )(%d+)(.*)$')
    redis.call('HSET', KEYS[1], fields[i], rest .. string.format('%.0f', expires + ARGV[1]) .. size)
  end
end
return {0}
"""
_EMPTY = "redis.call('FLUSHALL') return {0}"


@dataclass
class Line:
    """A replica's way to Redis: `lost` is what gets lost on it, `meanwhile` happens before an answer is back."""

    redis: SharedRedis
    lost: str = ""
    meanwhile: Callable[[], None] = field(default=lambda: None)

    @property
    def state(self) -> RedisState:
        return RedisState.OK

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        if self.lost == "question":
            raise RedisAwayError
        answer = await self.redis.call(script, keys, arguments)
        self.meanwhile()
        if self.lost == "answer":
            raise RedisAwayError
        return answer


class Replica:
    """Slots, and those who have taken some."""

    def __init__(self, redis: SharedRedis, pool_slots: int = POOL) -> None:
        self.line = Line(redis)
        self.slots = SharedSlots(pool_slots, self.line, longest_s=600)
        self.owners: list[object] = []

    def take(self, count: int) -> None:
        for _ in range(count):
            owner = object()
            if self.slots.take_now(owner):
                self.owners.append(owner)

    def give_back(self, count: int) -> None:
        for _ in range(min(count, len(self.owners))):
            self.slots.give_back(self.owners.pop())

    async def beat(self, lost: str = "", meanwhile: int = 0) -> None:
        """One beat; with `meanwhile` so many are taken before the answer is here."""
        self.line.lost = lost
        self.line.meanwhile = lambda: self.take(meanwhile)
        await self.slots.beat()
        self.line.lost, self.line.meanwhile = "", lambda: None

    async def want(self, count: int) -> None:
        """Take so many, and ask for what is not there, as those do that come one by one."""
        for _ in range(count):
            before = len(self.owners)
            self.take(1)
            if len(self.owners) == before:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._wait)
                    await trio.testing.wait_all_tasks_blocked()
                    await self.slots.beat()
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()

    async def _wait(self) -> None:
        owner = object()
        if await self.slots.take(owner, 60):
            self.owners.append(owner)


class World:
    """Replicas that share a Redis, and what is sure of them."""

    def __init__(self, redis: SharedRedis) -> None:
        self.redis = redis
        self.replicas: list[Replica] = []

    async def begin(self, count: int) -> None:
        """Replicas in an epoch that grants."""
        self.replicas = [Replica(self.redis) for _ in range(count)]
        await self.all_beat()
        await self.grant()
        await self.all_beat()
        await self.all_beat()

    async def all_beat(self) -> None:
        for replica in self.replicas:
            await replica.beat()

    async def grant(self) -> None:
        """The epoch's first lease is over; every replica that runs has registered by then."""
        await self.all_beat()
        await self.redis.call(_GRANT, [POOL_KEY], [])

    async def empty(self) -> None:
        await self.redis.call(_EMPTY, [], [])

    async def crash(self, number: int) -> None:
        """A replica is gone with its connections, and its lease has ended."""
        gone = self.replicas.pop(number)
        await self.redis.call(_EXPIRE, [POOL_KEY], [gone.slots._replica])
        await self.all_beat()  # they still do: a record that is not renewed for a lease means a silence, else

    def check(self) -> None:
        used = [replica.slots.used for replica in self.replicas]
        limits = [replica.slots.limit for replica in self.replicas]
        assert sum(limits) <= POOL, (used, limits)
        assert all(use <= limit for use, limit in zip(used, limits, strict=True)), (used, limits)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[tuple[World, RedisServer]]:
    async with redis_server() as server, trio.open_nursery() as nursery:
        redis = SharedRedis(server.url)
        await nursery.start(redis.run)
        yield World(redis), server
        nursery.cancel_scope.cancel()


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "take",
                "give",
                "beat",
                "want",
                "no_question",
                "no_answer",
                "meanwhile",
                "empty",
                "grant",
                "crash",
                "start",
            ]
        ),
        st.integers(0, 4),
        st.integers(1, POOL),
    ),
    max_size=30,
)


async def play(there: World, steps: list[Step]) -> None:
    """Any history; nothing is ever given out twice, and in the end all of the pool can be had."""
    await there.empty()
    await there.begin(2)
    there.check()
    for name, number, count in steps:
        replicas = there.replicas
        replica = replicas[number % len(replicas)]
        match name:
            case "take":
                replica.take(count)
            case "give":
                replica.give_back(count)
            case "beat":
                await replica.beat()
            case "want":
                await replica.want(count)
            case "no_question":
                await replica.beat(lost="question", meanwhile=count)
            case "no_answer":
                await replica.beat(lost="answer", meanwhile=count)
            case "meanwhile":
                await replica.beat(meanwhile=count)
            case "empty":
                await there.empty()
            case "grant":
                await there.grant()
            case "crash" if len(replicas) > 1:
                await there.crash(number % len(replicas))
            case "start" if len(replicas) < 5:
                replicas.append(Replica(there.redis))
                await replicas[-1].beat()  # one that has never heard of Redis may have a share that nobody gave it
        there.check()
    await there.grant()
    for replica in there.replicas:
        replica.give_back(POOL)
    for _ in range(POOL):  # reserves are given back by those that beat
        await there.all_beat()
        await there.replicas[0].want(POOL - there.replicas[0].slots.limit)
        there.replicas[0].take(POOL)
        there.check()
    assert there.replicas[0].slots.used == POOL
    assert {replica.slots.mode for replica in there.replicas} == {Mode.SHARED}
    assert sum(replica.slots.limit for replica in there.replicas) == POOL


async def test_no_history_gives_a_slot_to_two(mock_clock: trio.testing.MockClock) -> None:
    mock_clock.rate = 1
    async with world() as (there, _):
        mock_clock.rate = 0

        @hypothesis.settings(deadline=None, max_examples=25)
        @hypothesis.given(STEPS)
        def histories(steps: list[Step]) -> None:
            trio.from_thread.run(play, there, steps)

        await trio.to_thread.run_sync(histories)


async def test_a_division_that_is_wrong_would_be_found(
    mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that lowers its limit only when it hears the answer uses what another has been given meanwhile."""
    mock_clock.rate = 1
    monkeypatch.setattr(SharedSlots, "_set_limit", _only_when_heard)
    async with world() as (there, _):
        mock_clock.rate = 0
        await there.empty()
        await there.begin(2)
        first, second = there.replicas
        first.line.meanwhile = lambda: None
        await second.beat()
        with pytest.raises(AssertionError):  # noqa: PT012 - one history
            for _ in range(4):
                second.take(POOL)
                await second.want(POOL)
                await first.beat(meanwhile=POOL)
                await second.want(POOL)
                there.check()
                first.give_back(POOL)
                second.give_back(POOL)


@pytest.mark.parametrize(("before", "after"), [(4 * POOL, POOL), (POOL, 4 * POOL)])
async def test_a_rollout_that_changes_the_size_starves_nobody(
    mock_clock: trio.testing.MockClock, before: int, after: int
) -> None:
    """While both sizes are about, the smaller one counts, for the replicas of the larger one as well."""
    mock_clock.rate = 1
    async with world() as (there, _):
        mock_clock.rate = 0
        await there.empty()
        there.replicas = [Replica(there.redis, before) for _ in range(2)]
        await there.all_beat()
        await there.grant()
        for _ in range(3):
            await there.all_beat()
        there.replicas.append(Replica(there.redis, after))
        for _ in range(4):
            await there.all_beat()
        assert there.replicas[2].slots.limit > 0
        there.check()
        for replica in there.replicas[:2]:
            await replica.slots.leave()
        del there.replicas[:2]
        for _ in range(2):
            await there.all_beat()
        assert there.replicas[0].slots.limit == after


async def test_a_clock_that_goes_back_delays_nothing_by_more_than_a_lease(mock_clock: trio.testing.MockClock) -> None:
    """After a failover: what was written by the clock of the old master is far in the future on the new one's."""
    mock_clock.rate = 1
    async with world() as (there, _):
        mock_clock.rate = 0
        await there.begin(2)
        there.replicas.append(Replica(there.redis))
        await there.redis.call("redis.call('HDEL', KEYS[1], 'grants_at') return {0}", [POOL_KEY], [])
        await there.all_beat()  # a new epoch, in which the third has nothing
        dead = there.replicas.pop(0)
        await there.redis.call(_LATER, [POOL_KEY], [3_600_000])
        await there.all_beat()
        ends = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
        grants_in = ends + "return {redis.call('HGET', KEYS[1], 'grants_at') - now}"
        expires_in = ends + "return {string.match(redis.call('HGET', KEYS[1], ARGV[1]), '^%d+ %d+ %d+ (%d+)') - now}"
        assert (await there.redis.call(grants_in, [POOL_KEY], []))[0] <= 1000 * LEASE_S
        assert (await there.redis.call(expires_in, [POOL_KEY], [dead.slots._replica]))[0] <= 1000 * LEASE_S


def _only_when_heard(self: SharedSlots, limit: int) -> None:
    self._limiter.total_tokens = max(limit, int(self._limiter.total_tokens))
