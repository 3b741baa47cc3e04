"""Replicas that share a Redis use no more of the recognizer together than one of them may alone.

Three replicas behind HAProxy, a Redis of their own, and three times as many people as there are slots: first all at
once, then coming back as they are told while Redis is killed and comes back empty, and while a replica is lost. The
recognizer tells what is open. `make prove` has 150 people (PROVE_SLOT_STREAMS).
"""

import contextlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import trio
from trio_websocket import ConnectionClosed, HandshakeError

from ops.edge import programs
from ops.edge.fleet import Fleet, fleet
from service.shared.allotment import BEAT_S, LEASE_S
from service.shared.redis import BACKOFF_S
from tests.support import processes
from tests.support.front_door import needs_haproxy
from tests.support.processes import ACCOUNT_SETTINGS, Program, program
from tests.support.redis_server import RedisServer, needs_redis, redis_server
from tests.support.stream_world import coded_pcm, silence
from tests.support.wire_phone import WirePhone, unstarted

LIMIT_S: Final = 300
STREAMS: Final = int(os.environ.get("PROVE_SLOT_STREAMS", "30"))
POOL: Final = STREAMS // 3
REPLICAS: Final = 3
CALL_S: Final = 3.0
REDIS_AWAY_S: Final = 8.0
HINT_MS: Final = range(1000, 4001)
COME_BACK_S: Final = 10.0
"""After a slot is free until somebody has it who was told to come back: a hint, and a busy machine."""
pytestmark = [pytest.mark.proof, needs_haproxy, needs_redis]


class Recognizer:
    """The streams that the recognizer has accepted, as it tells them itself, one after the other."""

    def __init__(self, running: Program) -> None:
        self._running = running
        self._read_bytes = 0
        self._open: set[int] = set()
        self._most = 0

    @property
    def opened(self) -> int:
        """Streams that are open."""
        self._read()
        return len(self._open)

    @property
    def most(self) -> int:
        """The most that ever were."""
        self._read()
        return self._most

    def _read(self) -> None:
        end = self._running.errors.rfind(b"\n") + 1
        for line in self._running.errors[self._read_bytes : end].splitlines():
            event = json.loads(line)
            if event.get("event") == "stream_opened":
                self._open.add(event["connection"])
                self._most = max(self._most, len(self._open))
            elif event.get("event") == "stream_ended":
                self._open.discard(event["connection"])
        self._read_bytes = end


@contextlib.asynccontextmanager
async def counting_recognizer() -> AsyncIterator[tuple[Recognizer, str]]:
    """One that would take all at once; its address."""
    command = ("service.localasr", "--engine", "script", "--capacity", str(10 * STREAMS))
    async with program(*command) as running:
        yield Recognizer(running), json.loads(await running.first_line())["url"]


class Crowd:
    """People who call one after the other; those who are refused come back when they were told to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.counts: Counter[str] = Counter()
        self.is_over = False
        self._calls = 0

    async def call_once(self, until: trio.Event | None = None) -> float:
        """One call, of CALL_S or until the event; returns the seconds after which to come back.

        Fails when a call that was accepted ends without what was said, and when a refusal names no time.
        """
        self._calls += 1
        word = 1 + self._calls % 30000
        come_back_s = 0.5
        try:
            async with unstarted(self._url) as phone:
                await phone.say(type="start")
                answer = await phone.hear("ready", "error")
                if answer["type"] == "error":
                    come_back_s = self._refused(answer)
                else:
                    self.counts["ready"] += 1
                    assert await self._talk(phone, word, until) == f"w{word}"
                    self.counts["finished"] += 1
                    come_back_s = 0.0
        except* (ConnectionClosed, HandshakeError, OSError, trio.BrokenResourceError):
            self.counts["lost"] += 1
        return come_back_s

    async def _talk(self, phone: WirePhone, word: int, until: trio.Event | None) -> str:
        await phone.talk(coded_pcm([(word, 300)]), frame_ms=100)
        end = trio.current_time() + CALL_S
        while trio.current_time() < end if until is None else not until.is_set():
            await phone.talk(coded_pcm([silence(200)]), frame_ms=200)
        await phone.say(type="stop")
        return str((await phone.hear("stopped"))["text"])

    def _refused(self, answer: dict[str, Any]) -> float:
        assert answer["retryable"], answer
        self.counts[answer["code"]] += 1
        if answer["code"] != "recognizer_busy":  # a machine that is too busy for all of this
            return 1.0
        assert answer["retryAfterMs"] in HINT_MS
        return float(answer["retryAfterMs"]) / 1000

    async def keep_calling(self) -> None:
        """Until it is over."""
        while not self.is_over:
            pause_s = await self.call_once()
            await trio.sleep(pause_s)


async def test_replicas_share_a_pool(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REAL_TIME_GUARD_S", LIMIT_S)
    monkeypatch.setattr(programs, "READY_S", 60.0)  # three start at once, perhaps beside other tests
    lines: list[str] = []
    with trio.fail_after(LIMIT_S):
        async with (
            redis_server() as redis,
            counting_recognizer() as (recognizer, address),
            fleet(REPLICAS, recognizer=address, settings=_settings(redis)) as running,
        ):
            await trio.sleep(LEASE_S + 2 * BEAT_S)  # an empty Redis grants nothing before
            lines.append(await all_at_once(running, recognizer))
            async with a_crowd(running) as crowd:
                await full(recognizer)
                lines.append(await redis_restarts(redis, recognizer, crowd))
                lines.append(await a_replica_is_lost(running, recognizer, crowd))
            logs = "".join(running.log_of(number) for number in range(running.size))
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201 - the figures of a proof are for whoever runs it
    check_logs(logs)


def _settings(redis: RedisServer) -> dict[str, str]:
    return {
        **ACCOUNT_SETTINGS,
        "REDIS_URL": redis.url,
        "UPSTREAM_CONCURRENCY": str(POOL),
        "MAX_STREAMS": str(STREAMS),
        "MAX_LAG_MS": "60000",  # overload is another subject
        "MAX_NEW_STREAMS_PER_MINUTE": "0",
    }


async def full(recognizer: Recognizer) -> float:
    """Wait until all slots are used; how long that took."""
    began = trio.current_time()
    with trio.fail_after(LEASE_S + COME_BACK_S):
        while recognizer.opened < POOL:  # noqa: ASYNC110 - behind other processes: there is no event
            await trio.sleep(0.01)
    return trio.current_time() - began


async def all_at_once(running: Fleet, recognizer: Recognizer) -> str:
    """All call in the same moment, and nobody hangs up before all slots are used; those refused come back till then."""
    crowd = Crowd(running.url)
    is_full = trio.Event()
    first: Counter[str] = Counter()
    async with trio.open_nursery() as nursery:

        async def person() -> None:
            pause_s = await crowd.call_once(is_full)
            while pause_s and not is_full.is_set():
                await trio.sleep(pause_s)
                if not is_full.is_set():
                    pause_s = await crowd.call_once(is_full)

        for _ in range(STREAMS):
            nursery.start_soon(person)
        while crowd.counts.total() < STREAMS:  # noqa: ASYNC110 - sockets
            await trio.sleep(0.01)
        first.update(crowd.counts)
        await full(recognizer)
        is_full.set()
    assert recognizer.most == POOL
    assert crowd.counts["finished"] == crowd.counts["ready"] >= POOL
    assert crowd.counts["recognizer_busy"] > 0
    assert crowd.counts["lost"] == 0
    return (
        f"{STREAMS} at once, pool {POOL}: first answers {dict(first)}; in the end {dict(crowd.counts)}; "
        f"most {recognizer.most}"
    )


@contextlib.asynccontextmanager
async def a_crowd(running: Fleet) -> AsyncIterator[Crowd]:
    """STREAMS people who keep calling during the `async with`."""
    crowd = Crowd(running.url)
    async with trio.open_nursery() as nursery:
        for _ in range(STREAMS):
            nursery.start_soon(crowd.keep_calling)
        yield crowd
        crowd.is_over = True


async def redis_restarts(redis: RedisServer, recognizer: Recognizer, crowd: Crowd) -> str:
    """Redis is killed, and comes back empty: calls go on all the time, and all slots are used again after a lease."""
    finished = crowd.counts["finished"]
    await redis.kill()
    await trio.sleep(REDIS_AWAY_S)
    away = crowd.counts["finished"] - finished
    await redis.start()
    await trio.sleep(BACKOFF_S[1] + LEASE_S + 2 * BEAT_S)  # until the last replica has been granted something
    registering = crowd.counts["finished"] - finished - away
    full_s = await full(recognizer)
    assert away > 0
    assert registering > 0
    assert crowd.counts["lost"] == 0
    assert recognizer.most == POOL
    return (
        f"Redis away for {REDIS_AWAY_S:g} s: {away} calls finished, {registering} while it learned; "
        f"full {full_s:.1f} s later; most {recognizer.most}"
    )


async def a_replica_is_lost(running: Fleet, recognizer: Recognizer, crowd: Crowd) -> str:
    """One is killed: its calls are lost, and the others have its slots within the lease."""
    held = recognizer.opened
    await running.kill(0)
    began = trio.current_time()
    with trio.fail_after(5):
        while recognizer.opened >= held:  # noqa: ASYNC110 - sockets
            await trio.sleep(0.001)
    left = recognizer.opened
    await full(recognizer)
    full_s = trio.current_time() - began
    assert crowd.counts["lost"] > 0
    assert recognizer.most == POOL
    return (
        f"kill -9 of a replica: {held} fell to {left}, and were {POOL} again after {full_s:.1f} s; {dict(crowd.counts)}"
    )


def check_logs(logs: str) -> None:
    """The replicas have said what they went through, and nothing was an error."""
    lines = [json.loads(line) for line in logs.splitlines() if line.startswith("{")]
    modes = Counter(line["mode"] for line in lines if line.get("event") == "slots")
    assert modes["alone"] >= REPLICAS  # more on a machine that answers late
    assert modes["registering"] >= 2 * REPLICAS
    assert modes["shared"] >= 2 * REPLICAS
    assert [line for line in lines if line.get("level") == "ERROR"] == []
