"""The connection to Redis: in time or away, and back by itself. A real server, which is killed and frozen."""

import contextlib
import logging
import ssl
from collections.abc import AsyncIterator

import pytest
import trio

from service.dialing import tls_context
from service.shared.redis import ANSWER_S, RedisAwayError, RedisState, SharedRedis
from service.telemetry.metrics import Metrics
from tests.support.edge import until
from tests.support.mortal_recognizer import held_port
from tests.support.redis_server import RedisServer, needs_redis, redis_server

pytestmark = needs_redis
HANG_S = 30
COUNT = "return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}"


@contextlib.asynccontextmanager
async def running(url: str, prefix: str = "voice:") -> AsyncIterator[SharedRedis]:
    redis = SharedRedis(url, prefix=prefix)
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(redis.run)
            yield redis
            nursery.cancel_scope.cancel()
    assert redis.state is RedisState.AWAY


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[tuple[RedisServer, SharedRedis]]:
    async with redis_server() as server, running(server.url) as redis:
        yield server, redis


async def is_away(redis: SharedRedis) -> None:
    with pytest.raises(RedisAwayError):
        await redis.call(COUNT, ["n"], [1, 2])
    assert redis.state is RedisState.AWAY


def is_up(redis: SharedRedis) -> bool:
    return redis.state is RedisState.OK


async def test_a_script_runs_and_its_keys_are_ours() -> None:
    async with served() as (server, redis):
        assert redis.state is RedisState.OK
        assert await redis.call(COUNT, ["n"], [3, "7"]) == [3, 7]
        assert await redis.call(COUNT, ["n"], [4, 0]) == [7, 0]
        assert await server.ask("GET", "voice:n") == "7"
        await server.ask("SCRIPT", "FLUSH")
        assert await redis.call(COUNT, ["n"], [1, 0]) == [8, 0]
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(redis.call, COUNT, ["n"], [1, 0])
        assert await server.ask("GET", "voice:n") == "58"
        assert int((await server.ask("CLIENT", "LIST")).count("name=voice-gateway")) == 1


async def test_killed_and_started_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voice")
    async with served() as (server, redis):
        await redis.call(COUNT, ["n"], [1, 0])
        await server.kill()
        await is_away(redis)
        await trio.sleep(0.3)  # some attempts
        await server.start()
        await until(lambda: is_up(redis))
        assert await redis.call(COUNT, ["n"], [1, 0]) == [1, 0]  # it came back empty
    events = [record.msg for record in caplog.records if record.name == "voice.redis"]
    assert events == ["redis_connected", "redis_away", "redis_connected"]


async def test_a_dead_one_is_noticed_when_nobody_asks() -> None:
    async with served() as (server, redis):
        await server.kill()
        await until(lambda: not is_up(redis))


async def test_one_that_does_not_answer_costs_one_deadline() -> None:
    async with served() as (server, redis):
        await redis.call(COUNT, ["n"], [1, 0])
        server.freeze()
        with trio.fail_after(ANSWER_S + 5):
            await is_away(redis)
        for _ in range(100):  # at once
            await is_away(redis)
        server.thaw()
        await until(lambda: is_up(redis))
        assert await redis.call(COUNT, ["n"], [1, 0]) == [3, 0]  # what nobody waited for was done, too


async def test_one_that_refuses_writes_is_away() -> None:
    async with served() as (server, redis):
        await server.ask("REPLICAOF", "127.0.0.1", "1")
        await is_away(redis)
        await trio.sleep(0.5)
        assert not is_up(redis)
        await server.ask("REPLICAOF", "NO", "ONE")
        await until(lambda: is_up(redis))


async def test_a_script_that_fails_is_no_answer() -> None:
    async with served() as (_, redis):
        with pytest.raises(RedisAwayError):
            await redis.call("return redis.call('NO SUCH COMMAND')", [], [])
        await until(lambda: is_up(redis))


async def test_a_cancelled_call_leaves_the_connection_usable() -> None:
    async with served() as (server, redis):
        await redis.call(COUNT, ["n"], [0, 0])
        server.freeze()
        with trio.move_on_after(0.1) as scope:
            await redis.call(COUNT, ["n"], [5, 0])
        assert scope.cancelled_caught
        assert is_up(redis)
        server.thaw()
        assert await redis.call(COUNT, ["n"], [1, 9]) == [6, 9]  # its own answer, not that of the one before


async def test_nobody_there_at_the_start() -> None:
    with held_port() as port:
        async with running(f"redis://127.0.0.1:{port}") as redis:
            await is_away(redis)


async def test_a_password_that_needs_escapes() -> None:
    async with redis_server() as server:
        await server.ask("CONFIG", "SET", "requirepass", "p@ss:w/rd")
        async with running(server.url.replace("//", "//:p%40ss%3Aw%2Frd@")) as redis:
            assert is_up(redis)
        async with running(server.url.replace("//", "//:wrong@")) as redis:
            await is_away(redis)


async def test_a_database_of_its_own() -> None:
    async with redis_server() as server, running(server.url.removesuffix("0") + "3", prefix="a:") as redis:
        await redis.call(COUNT, ["n"], [1, 0])
        assert await server.ask("-n", "3", "GET", "a:n") == "1"


async def test_a_server_without_tls_is_not_spoken_to_in_the_clear() -> None:
    async with redis_server() as server, running(server.url.replace("redis:", "rediss:")) as redis:
        await is_away(redis)


async def test_no_record_shows_the_password(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with held_port() as port:
        async with running(f"redis://:hidden-word@127.0.0.1:{port}"):
            await trio.sleep(0.2)
    assert caplog.records
    assert "hidden-word" not in caplog.text + str([vars(record) for record in caplog.records])


def test_tls_checks_the_name() -> None:
    context = tls_context()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_the_metric_says_that_there_is_none() -> None:
    metrics = Metrics()
    metrics.redis.set(RedisState.NONE)
    assert metrics.registry.get_sample_value("voice_redis") == 0
