"""Limits of replicas that share a Redis: a real one, which is killed, frozen and comes back empty."""

import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest
import trio

from service.failures import StreamFailed
from service.identity import ANYBODY, Identity
from service.shared import redis as shared_redis
from service.shared.counters import LEASE_MS, SharedCounters, Spoken
from service.shared.redis import RedisAwayError, RedisState, SharedRedis
from service.stream import limiter as stream_limiter
from service.stream.counters import Counters
from service.stream.limiter import Holding, Limiter
from service.stream.limits import DAY_MS, Limits, Place
from tests.support.edge import until
from tests.support.redis_server import RedisServer, needs_redis, redis_server

pytestmark = needs_redis
HANG_S = 60
NOON_S = 20_000 * DAY_MS / 1000 + 43_200
USER = Identity("u")
HERE, THERE = "198.51.100.1", "192.0.2.8"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that does too much at a time, a Redis that is late is none that is away."""
    monkeypatch.setattr(shared_redis, "ANSWER_S", HANG_S)
    monkeypatch.setattr(stream_limiter, "GIVE_BACK_S", HANG_S)


@dataclass
class Replica:
    """One process's part in it, and what its streams were told."""

    redis: SharedRedis
    limiter: Limiter
    left_s: list[float] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def stream(
        self, id: str, who: Identity = USER, address: str = HERE, resumes: str = ""
    ) -> AsyncIterator[Holding]:
        async with self.limiter.stream(id, who, address, resumes) as holding:
            holding.tell(self.left_s.append, lambda: self.replaced.append(id))
            yield holding

    async def refusal(self, id: str, who: Identity = USER, address: str = HERE, resumes: str = "") -> tuple[str, int]:
        """Slug and hint of a stream that must be refused."""
        with pytest.raises(StreamFailed) as refused:
            async with self.stream(id, who, address, resumes):
                pass
        assert refused.value.problem.retry_after_ms is not None
        return refused.value.problem.slug, refused.value.problem.retry_after_ms

    async def back(self) -> None:
        await until(lambda: self.redis.state is RedisState.OK)
        await self.limiter.beat()

    async def away(self) -> None:
        await until(lambda: self.redis.state is RedisState.AWAY)


@contextlib.asynccontextmanager
async def replicas(number: int, limits: Limits) -> AsyncIterator[tuple[RedisServer, list[Replica]]]:
    with trio.fail_after(HANG_S):
        async with redis_server() as server, trio.open_nursery() as nursery:
            made = []
            for _ in range(number):
                redis = SharedRedis(server.url)
                await nursery.start(redis.run)
                made.append(Replica(redis, Limiter(limits, redis=redis, wall_clock=lambda: NOON_S)))
            yield server, made
            nursery.cancel_scope.cancel()


async def test_streams_of_a_user_and_of_an_address() -> None:
    async with replicas(2, Limits(streams_per_user=2, streams_per_address=3)) as (_, (one, two)):
        async with one.stream("1"), two.stream("2"):
            for replica in (one, two):
                slug, hint_ms = await replica.refusal("3")
                assert slug == "too_many_streams"
                assert 1000 <= hint_ms <= 4000
            async with one.stream("4", Identity("other")):
                assert (await two.refusal("5", ANYBODY))[0] == "too_many_streams"
                async with two.stream("6", ANYBODY, THERE):
                    pass
        async with two.stream("7"), two.stream("8"):
            pass


async def test_the_last_place_is_taken_once() -> None:
    """Many ask at the same moment, at three replicas."""
    async with replicas(3, Limits(streams_per_user=5)) as (_, made):
        granted, refused, all_asked = [], [], trio.Event()

        async def ask(number: int) -> None:
            try:
                async with made[number % 3].stream(str(number)):
                    granted.append(number)
                    await all_asked.wait()
            except StreamFailed:
                refused.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(ask, number)
            await until(lambda: len(granted) + len(refused) == 60)
            assert len(granted) == 5
            all_asked.set()


async def test_new_streams_within_a_minute() -> None:
    async with replicas(2, Limits(new_streams_per_minute=2)) as (_, (one, two)):
        for replica, id in ((one, "1"), (two, "2")):
            async with replica.stream(id):
                pass
        slug, hint_ms = await one.refusal("3")
        assert slug == "too_many_new_streams"
        assert 60_000 - 1000 * HANG_S < hint_ms <= 64_000
        async with one.limiter.upload("4", USER, HERE):
            pass


async def test_a_stream_that_goes_on_at_another_replica() -> None:
    """Its old connection is not known to be dead yet: it has no place any more, and is ended with the next beat."""
    async with replicas(2, Limits(streams_per_user=1, new_streams_per_minute=1)) as (_, (one, two)):
        async with one.stream("old"):
            await one.limiter.beat()
            async with two.stream("new", address=THERE, resumes="old"):
                assert one.replaced == []
                await one.limiter.beat()
                await two.limiter.beat()
                assert (one.replaced, two.replaced) == (["old"], [])
                assert (await one.refusal("third"))[0] == "too_many_streams"
            assert (await two.refusal("fourth"))[0] == "too_many_new_streams", "the old one took nothing back"
        # Both have ended. The second can be resumed once more, by its own user only.
        assert (await one.refusal("fifth", resumes="old"))[0] == "too_many_new_streams"
        assert (await two.refusal("fifth", resumes="new"))[0] == "too_many_new_streams", "resuming has its own limit"
        async with one.stream("sixth", Identity("thief"), resumes="new"):
            assert one.replaced == ["old"]


async def test_a_phone_that_loses_its_new_network_before_it_hears_of_the_new_stream() -> None:
    """It names the one that it knows, at whatever replica: there is one stream, and the others are ended."""
    async with replicas(2, Limits(streams_per_user=1, new_streams_per_minute=4)) as (_, (one, two)):
        async with one.stream("1"), two.stream("2", resumes="1"), one.stream("3", resumes="1"):
            for replica in (one, two):
                await replica.limiter.beat()
            assert (set(one.replaced), two.replaced) == ({"1"}, ["2"])
            async with two.stream("4", resumes="1"):
                await one.limiter.beat()
                assert set(one.replaced) == {"1", "3"}
                assert (await one.refusal("5"))[0] == "too_many_streams"
        async with one.stream("6", resumes="1"):
            assert (await two.refusal("7", resumes="1"))[0] == "too_many_new_streams", "four in a minute"


async def test_who_was_replaced_by_a_stream_of_the_same_replica_is_told_at_once() -> None:
    async with (
        replicas(1, Limits(streams_per_user=1)) as (_, (one,)),
        one.stream("old"),
        one.stream("new", resumes="old"),
    ):
        assert one.replaced == ["old"]


async def test_the_audio_of_a_day() -> None:
    async with replicas(2, Limits(audio_ms_per_day=60_000)) as (_, (one, two)):
        async with one.stream("1") as mine, two.stream("2") as other:
            mine.spoken(30)
            other.spoken(15)
            for _ in range(2):
                await one.limiter.beat()
                await two.limiter.beat()
            assert (one.left_s, two.left_s) == ([], [])
            other.spoken(10)
            assert two.left_s == [5.0]
            assert one.left_s == []
            await two.limiter.beat()
            await one.limiter.beat()
            assert one.left_s == [5.0]
            mine.spoken(5)
            await one.limiter.beat()
            await two.limiter.beat()
        assert (await two.refusal("3"))[0] == "quota_exceeded"
        with pytest.raises(StreamFailed):
            async with one.limiter.upload("4", USER, HERE):
                pass
        async with one.stream("5", Identity("other")):
            pass


async def test_an_upload_reserves_what_it_has() -> None:
    async with (
        replicas(1, Limits(audio_ms_per_day=60_000)) as (_, (one,)),
        one.limiter.upload("1", USER, HERE) as long,
        one.limiter.upload("2", USER, HERE) as short,
    ):
        with long.reserved(50):
            with pytest.raises(StreamFailed) as refused, short.reserved(11):
                pass
            assert refused.value.problem.slug == "quota_exceeded"
            with short.reserved(10):
                pass
        short.spoken(11)
        assert one.limiter.left_ms("u") == 49_000


async def test_while_redis_is_away_each_counts_for_itself() -> None:
    """Nobody is refused for it, nobody is let in beyond a limit for each, and it is as ever when Redis is back."""
    limits = Limits(streams_per_user=2, new_streams_per_minute=6, audio_ms_per_day=60_000)
    async with replicas(2, limits) as (server, (one, two)):
        async with one.stream("1") as mine, two.stream("2") as other:
            mine.spoken(30)
            await one.limiter.beat()
            await two.limiter.beat()
            await server.kill()
            await one.away()
            await two.away()
            with pytest.raises(RedisAwayError):
                await one.limiter.beat()
            async with one.stream("3"), two.stream("4"):
                assert (await one.refusal("5"))[0] == "too_many_streams"
                assert (await two.refusal("6"))[0] == "too_many_streams"
                other.spoken(21)
                assert two.left_s == [9.0], "what the other had told is remembered"
            await server.start()  # it has forgotten everything
            await one.back()
            await two.back()
            assert (await one.refusal("7"))[0] == "too_many_streams"
            assert (await two.refusal("8"))[0] == "too_many_streams"
            await one.limiter.beat()
            assert one.left_s == [9.0], "told again"
        async with one.stream("9"):
            pass


async def test_a_redis_that_does_not_answer_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async with replicas(1, Limits(streams_per_user=1)) as (server, (one,)):
        async with one.stream("1"):
            server.freeze()
            monkeypatch.setattr(shared_redis, "ANSWER_S", 0.2)
            assert (await one.refusal("2"))[0] == "too_many_streams"
        assert one.redis.state is RedisState.AWAY
        async with one.stream("3"):
            monkeypatch.setattr(shared_redis, "ANSWER_S", HANG_S)
            server.thaw()
            await one.back()
            assert (await one.refusal("4"))[0] == "too_many_streams"


async def test_places_of_a_replica_that_was_killed_are_free_again() -> None:
    limits = Limits(streams_per_user=1, streams_per_address=1, new_streams_per_minute=1)
    place = Place("1", "u", HERE)
    async with replicas(1, limits) as (server, (one,)):
        dead = SharedCounters(one.redis, "dead")
        await dead.take(place, limits, 20_000, 0)
        await dead.beat([place])
        assert (await one.refusal("2"))[0] == "too_many_streams"
        keys = ("voice:limits:user:u", f"voice:limits:address:{HERE}")
        for key in keys:
            lease_ends_ms = int(await server.ask("ZSCORE", key, "1"))
            assert 0 < lease_ends_ms - int((await server.ask("TIME")).split()[0]) * 1000 <= LEASE_MS + 1000
            await server.ask("ZADD", key, "1", "1")  # as if the lease had ended long ago
        assert (await one.refusal("3"))[0] == "too_many_new_streams"
        async with one.stream("4", resumes="1"):
            assert one.replaced == []


async def test_every_key_expires() -> None:
    async with replicas(1, Limits(1, 1, 1, 1000)) as (server, (one,)):
        async with one.stream("1") as mine:
            mine.spoken(0.5)
            await one.limiter.beat()
            async with one.stream("2", resumes="1"):
                await one.limiter.beat()
        left = [key for key in (await server.ask("KEYS", "*")).split() if "limits" in key]
        kinds = {key.split(":")[2] for key in left}
        assert kinds >= {"begun", "resumed", "known", "replaced", "heirs", "audio"}
        for key in left:
            assert int(await server.ask("PTTL", key)) > 0, key


async def test_to_tell_twice_changes_nothing() -> None:
    async with replicas(1, Limits(audio_ms_per_day=1)) as (_, (one,)):
        a, b = SharedCounters(one.redis, "a"), SharedCounters(one.redis, "b")
        many = [Spoken(f"u{number}", 20_000, number) for number in range(250)]
        assert await a.speak(many) == [0] * 250
        assert await a.speak(many) == [0] * 250
        assert await b.speak(many) == list(range(250))
        assert await b.speak([Spoken("u7", 20_001, 1)]) == [0], "another day"


async def test_many_places_are_kept_in_one_beat() -> None:
    async with (
        replicas(2, Limits(streams_per_user=1)) as (server, (one, two)),
        contextlib.AsyncExitStack() as stack,
    ):
        for number in range(250):
            await stack.enter_async_context(one.stream(str(number), Identity(f"u{number}")))
        await server.ask("FLUSHALL")
        await one.limiter.beat()
        for number in (0, 99, 100, 249):
            assert (await two.refusal("x", Identity(f"u{number}")))[0] == "too_many_streams"


class Between:
    """Redis, and something that happens behind its next answer."""

    def __init__(self, redis: SharedRedis) -> None:
        self._redis = redis
        self.happens: Callable[[], Awaitable[None]] | None = None

    async def call(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> list[int]:
        answer = await self._redis.call(script, keys, arguments)
        happens, self.happens = self.happens, None
        if happens is not None:
            await happens()
        return answer


async def test_a_stream_that_ends_during_a_beat_is_not_renewed() -> None:
    async with replicas(1, Limits(streams_per_user=1)) as (_, (one,)), contextlib.AsyncExitStack() as stack:
        between = Between(one.redis)
        limiter = Limiter(Limits(streams_per_user=1), redis=between)
        for number in range(150):
            await stack.enter_async_context(limiter.stream(str(number), Identity(f"u{number}"), HERE))
        last = contextlib.AsyncExitStack()
        await last.enter_async_context(limiter.stream("last", Identity("last"), HERE))
        between.happens = last.aclose
        await limiter.beat()
        async with one.stream("next", Identity("last")):
            pass


async def test_without_limits_redis_is_not_asked() -> None:
    async with (
        replicas(1, Limits(streams_per_user=1)) as (server, (one,)),
        one.stream("1", ANYBODY),
        one.stream("2", ANYBODY),
    ):
        await one.limiter.beat()
        assert "limits" not in await server.ask("KEYS", "*")


@pytest.mark.parametrize("seed", range(12))
async def test_the_script_decides_as_the_counters_of_one_process(seed: int) -> None:
    chance = random.Random(seed)
    limits = Limits(chance.randint(1, 4), chance.randint(1, 5), chance.randint(2, 12), 1000)
    async with replicas(1, limits) as (_, (one,)):
        shared, alone = SharedCounters(one.redis, "a"), Counters(limits)
        held: dict[str, Place] = {}
        for number in range(120):
            if held and chance.random() < 0.4:
                place = held.pop(chance.choice(list(held)))
                await shared.free(place)
                alone.free(place, 0)
            else:
                resumes = str(chance.randrange(number)) if number and chance.random() < 0.5 else ""
                user, address = chance.choice(["u", "v", ""]), chance.choice(["a", "b", ""])
                place = Place(str(number), user, address, resumes, chance.random() < 0.8)
                expected = alone.take(place, 0, int(NOON_S * 1000))
                answer, others_ms = await shared.take(place, limits, 20_000, 0)
                assert (answer.excess, others_ms) == (expected.excess, 0)
                if answer.excess is None:
                    held[place.id] = place
            assert await shared.beat(list(held.values())) == [
                place for place in held.values() if place.id not in alone.held
            ]
            held = {id: place for id, place in held.items() if id in alone.held}
