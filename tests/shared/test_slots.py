"""Slots as streams take them: waits, refusals, cancellation; replicas that share a Redis, and one that loses it."""

import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
import trio

from service.shared import allotment, slots
from service.shared.allotment import ASSUMED_REPLICAS
from service.shared.redis import SharedRedis
from service.shared.slots import Mode, SharedSlots, Slots
from tests.support.edge import until
from tests.support.redis_server import RedisServer, needs_redis, redis_server

POOL = 12
HANG_S = 30
LEASE_S = 1.5


async def test_own_slots_are_waited_for_and_refused(autojump_clock: object) -> None:
    own = Slots(1)
    first, second = object(), object()
    assert await own.take(first, 0)
    assert not await own.take(second, 0)
    began = trio.current_time()
    assert not await own.take(second, 3)
    assert trio.current_time() == began + 3
    assert (own.pool.slots, own.pool.used, own.pool.free, own.waiting) == (1, 1, 0, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.take, second, 3)
        await trio.testing.wait_all_tasks_blocked()
        assert own.pool.waited_for == 1
        own.give_back(first)
    assert own.used == 1


async def test_a_cancelled_wait_holds_nothing(autojump_clock: object) -> None:
    own = Slots(1)
    first = object()
    assert await own.take(first, 0)
    with trio.move_on_after(1):
        await own.take(object(), 3)
    own.give_back(first)
    assert (own.used, own.waiting) == (0, 0)


@pytest.fixture
def _short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything as it is, only faster."""
    monkeypatch.setattr(allotment, "LEASE_S", LEASE_S)
    monkeypatch.setattr(slots, "BEAT_S", 0.1)
    monkeypatch.setattr(allotment, "SILENCE_S", LEASE_S / 2)
    monkeypatch.setattr(slots, "HURRY_S", 0.05)


class Fleet:
    """Replicas in one process, each with a connection of its own."""

    def __init__(self, server: RedisServer, nursery: trio.Nursery) -> None:
        self._server = server
        self._nursery = nursery

    async def start(self, longest_s: float = 600) -> tuple[SharedSlots, trio.CancelScope]:
        """A replica that runs; cancelling the scope is its sudden death."""
        redis = SharedRedis(self._server.url)
        shared = SharedSlots(POOL, redis, longest_s=longest_s)
        scope = trio.CancelScope()

        async def live(task_status: trio.TaskStatus[None]) -> None:
            with scope:
                async with trio.open_nursery() as nursery:
                    await nursery.start(redis.run)
                    await nursery.start(shared.run)
                    task_status.started()

        await self._nursery.start(live)
        return shared, scope


@contextlib.asynccontextmanager
async def fleet() -> AsyncIterator[tuple[RedisServer, Fleet]]:
    with trio.fail_after(HANG_S):
        async with redis_server() as server, trio.open_nursery() as nursery:
            yield server, Fleet(server, nursery)
            nursery.cancel_scope.cancel()


async def take_all(shared: SharedSlots) -> list[object]:
    """All of the pool, as people take it who are refused and come back."""
    owners: list[object] = []
    while len(owners) < POOL:
        owners.append(object())
        if not await shared.take(owners[-1], 0):
            owners.pop()
            await trio.sleep(0.02)
    return owners


pytestmark = needs_redis


@pytest.mark.usefixtures("_short_lease")
async def test_the_first_replica_of_all_waits_for_others_that_may_run() -> None:
    async with fleet() as (_, replicas):
        began = trio.current_time()
        shared, _ = await replicas.start()
        assert (shared.mode, shared.limit) == (Mode.REGISTERING, 0)
        assert not await shared.take(object(), 0)
        assert await shared.take("patient", 10)
        assert trio.current_time() - began >= LEASE_S
        shared.give_back("patient")
        await until(lambda: shared.limit == POOL)
        second, _ = await replicas.start()  # this one is told at once
        await until(lambda: shared.limit == second.limit == POOL // 2)
        assert shared.pool.slots == POOL


@pytest.mark.usefixtures("_short_lease")
async def test_one_may_use_what_the_other_does_not() -> None:
    async with fleet() as (_, replicas):
        first, _ = await replicas.start()
        second, _ = await replicas.start()
        owners = await take_all(first)
        assert first.used == POOL
        assert not await second.take(object(), 0)
        await until(lambda: second.pool.used == POOL)
        assert second.pool.free == 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.take, "waits", 10)
            await until(lambda: first.pool.waited_for == 1)
            first.give_back(owners.pop())
        assert second.used == 1
        with trio.move_on_after(0.3):
            await second.take("is cancelled", 10)
        with trio.move_on_after(0.3):
            await first.take("is cancelled too", 0.2)
        second.give_back("waits")
        await take_all_again(first, owners)
        assert (second.used, second.waiting, second.limit) == (0, 0, 0)


async def take_all_again(shared: SharedSlots, owners: list[object]) -> None:
    while len(owners) < POOL:
        owner = object()
        if await shared.take(owner, 5):
            owners.append(owner)


@pytest.mark.usefixtures("_short_lease")
async def test_one_that_leaves_and_one_that_is_lost() -> None:
    async with fleet() as (server, replicas):
        first, _ = await replicas.start()
        owners = await take_all(first)
        second, scope = await replicas.start()
        await first.leave()
        await until(lambda: second.limit == POOL)  # at once
        for owner in owners:
            first.give_back(owner)
        third, _ = await replicas.start()
        await take_all(second)
        assert await server.ask("HLEN", "voice:slots") == "3"  # two replicas, and the epoch
        scope.cancel()
        began = trio.current_time()
        await until(lambda: third.limit == POOL)
        assert trio.current_time() - began > LEASE_S / 2  # the lease, but for the time since the last beat


@pytest.mark.usefixtures("_short_lease")
async def test_the_last_one_that_leaves_leaves_a_pool_that_grants() -> None:
    async with fleet() as (_, replicas):
        first, _ = await replicas.start()
        await until(lambda: first.mode is Mode.SHARED)
        await first.leave()
        await trio.sleep(LEASE_S / 2 + 0.2)  # longer than a silence
        with trio.fail_after(LEASE_S - 0.1):
            second, _ = await replicas.start()
        assert (second.mode, second.limit) == (Mode.SHARED, POOL)


@pytest.mark.usefixtures("_short_lease")
async def test_redis_is_lost_and_comes_back_empty(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voice.slots")
    async with fleet() as (server, replicas):
        first, _ = await replicas.start(longest_s=1)
        await until(lambda: first.mode is Mode.SHARED)
        second, _ = await replicas.start(longest_s=1)
        owners = await take_all(first)
        await until(lambda: second.limit == 0)
        await server.kill()
        await until(lambda: first.mode is second.mode is Mode.ALONE)
        assert (first.limit, second.limit) == (POOL, 0)  # together no more than the pool
        first.give_back(owners.pop())
        assert await first.take("goes on", 0)  # at once
        assert not await second.take(object(), 0)
        await until(lambda: (first.limit, second.limit) == (POOL // 2, 1))  # after a lease
        assert not await first.take(object(), 0)
        await until(lambda: second.limit == POOL // 2)  # when the longest stream of the first has ended
        assert await second.take("fair", 0)
        await server.start()
        await until(lambda: first.mode is second.mode is Mode.REGISTERING)
        assert second.limit == POOL // 2  # its own; nobody is granted more
        await until(lambda: first.mode is second.mode is Mode.SHARED)
        await until(lambda: (first.pool.used, second.limit) == (POOL + 1, 1))
    modes = [record.voice_fields["mode"] for record in caplog.records if record.msg == "slots"]  # type: ignore[attr-defined]
    assert sorted(modes) == sorted(["registering", "shared", "shared"] + ["alone", "registering", "shared"] * 2)


@pytest.mark.usefixtures("_short_lease")
async def test_one_that_starts_without_redis_has_a_share() -> None:
    async with fleet() as (server, replicas):
        await server.kill()
        shared, _ = await replicas.start()
        assert (shared.mode, shared.limit) == (Mode.ALONE, max(1, POOL // ASSUMED_REPLICAS))
        assert await shared.take("one", 0)
        assert not await shared.take("two", 0)
        assert (shared.pool.slots, shared.pool.used) == (1, 1)
        await server.start()
        await until(lambda: shared.mode is Mode.SHARED)
        assert shared.limit == POOL


async def test_without_its_task_nothing_can_be_taken(autojump_clock: object) -> None:
    shared = SharedSlots(POOL, SharedRedis("redis://127.0.0.1:1"), longest_s=600)
    began = trio.current_time()
    assert not await shared.take(object(), 0)
    assert trio.current_time() == began + slots.ASK_S
    await shared.leave()
