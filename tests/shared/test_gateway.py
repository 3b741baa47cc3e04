"""A gateway as a process: it takes part in the pool from its start, and leaves it at its end."""

import httpx2
import trio

from tests.support.processes import ACCOUNT_SETTINGS, gateway, scripted_recognizer
from tests.support.redis_server import needs_redis, redis_server
from tests.support.wire_phone import connected, unstarted

pytestmark = needs_redis


async def test_a_gateway_takes_part_and_leaves() -> None:
    async with redis_server() as redis, scripted_recognizer() as address:
        await redis.ask("HSET", "voice:slots", "grants_at", "1")
        settings = {**ACCOUNT_SETTINGS, "TENCENT_ASR_URL": address, "REDIS_URL": redis.url, "UPSTREAM_CONCURRENCY": "1"}
        async with gateway(**settings, MAX_STREAMS="5") as (running, url), httpx2.AsyncClient(base_url=url) as client:
            async with connected(url):
                ready = (await client.get("/ready")).json()["data"]
                assert ready["slots"] == {"used": 1, "total": 1}
                async with unstarted(url) as refused:
                    await refused.say(type="start")
                    assert (await refused.hear("error"))["code"] == "recognizer_busy"
            metrics = (await client.get("/metrics")).text
            assert "\nvoice_redis 1.0\n" in metrics
            assert '\nvoice_recognizer_slots{state="free"} 1.0\n' in metrics
            assert "\nvoice_recognizer_slot_wait_seconds_count 1.0\n" in metrics
            assert await redis.ask("HLEN", "voice:slots") == "2"
            running.process.terminate()
            await running.process.wait()
            assert await redis.ask("HKEYS", "voice:slots") == "grants_at"
            assert int(await redis.ask("TTL", "voice:slots")) > 3600
            assert [line["mode"] for line in running.events("slots")] == ["shared"]


async def test_a_gateway_works_without_the_redis_that_it_was_told_of() -> None:
    async with redis_server() as redis, scripted_recognizer() as address:
        await redis.kill()
        settings = {**ACCOUNT_SETTINGS, "TENCENT_ASR_URL": address, "REDIS_URL": redis.url}
        async with gateway(**settings) as (running, url):
            async with connected(url):
                await trio.sleep(0.5)  # some attempts to reach it
            running.process.terminate()
            assert await running.process.wait() == 0
            assert len(running.events("redis_away")) == 1
            (slots,) = running.events("slots")
            assert (slots["mode"], slots["limit"]) == ("alone", 20)
