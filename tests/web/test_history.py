"""The history over real sockets: what phones and uploads leave, as each user sees it and as nobody else does."""

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import trio

from service.settings import AuthMode
from service.tokens import mint
from service.web.history import beginnings
from tests.support.databases import stream
from tests.support.edge import HttpClient, Reply, Running, until
from tests.support.gateway import running_gateway
from tests.support.stream_world import words
from tests.support.wire_phone import connected

SECRET = "s" * 40
HISTORY = "/api/realtime-voice/history"
STATS = "/api/realtime-voice/stats"


def token(user_id: str, ttl_s: int = 600) -> str:
    return mint(SECRET, user_id, now_s=int(time.time()), ttl_s=ttl_s)


class World:
    """A gateway with a history in a file."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.base = f"http://127.0.0.1:{running.port}"

    async def ask(self, user_id: str | None, target: str, method: str = "GET") -> Reply:
        headers = [] if user_id is None else [f"Authorization: Bearer {token(user_id)}"]
        client = await HttpClient.connect(self.running.port)
        async with client.stream:
            return await client.request(method, target, headers)

    async def data(self, user_id: str | None, target: str, method: str = "GET") -> Any:
        reply = await self.ask(user_id, target, method)
        body = reply.envelope()
        assert (reply.status, body["code"]) == (200, 0), body
        return body["data"]

    async def refused(self, user_id: str | None, target: str, method: str = "GET") -> tuple[int, str]:
        reply = await self.ask(user_id, target, method)
        body = reply.envelope()
        assert body["code"] == reply.status
        return reply.status, body["data"]["error"]

    async def talk(self, user_id: str | None, *said: int, **start: object) -> dict[str, Any]:
        """One stream; its `stopped`, with the stream's id."""
        if user_id is not None:
            start["token"] = token(user_id)
        async with connected(self.base, **start) as phone:
            await phone.talk_at_once(words(*said))
            await phone.say(type="stop")
            stopped = await phone.hear("stopped")
            await phone.closed()
        return {**stopped, "streamId": phone.seen[1]["streamId"]}

    async def written(self) -> None:
        history = self.running.deps.history
        assert history is not None
        await until(lambda: history.pending == 0 and history.database == "up")


@contextlib.asynccontextmanager
async def world(directory: Path, **settings: Any) -> AsyncIterator[World]:
    chosen = {
        "database_url": f"sqlite+pysqlite:///{directory / 'voice.db'}",
        "spool_dir": str(directory / "spool"),
        "auth_mode": AuthMode.TOKEN,
        "jwt_secret": SECRET,
        **settings,
    }
    async with running_gateway(**chosen) as running, trio.open_nursery() as nursery:
        if running.deps.history is not None:
            await nursery.start(running.deps.history.run)
        yield World(running)
        nursery.cancel_scope.cancel()


async def test_a_stream_is_in_the_history_of_its_user(tmp_path: Path) -> None:
    began_ms = int(time.time() * 1000)
    async with world(tmp_path) as there:
        stopped = await there.talk("ann", 1, 2)
        assert stopped["logId"] == stopped["streamId"]
        await there.written()
        page = await there.data("ann", HISTORY)
        (item,) = page["items"]
        assert page["nextCursor"] is None
        assert began_ms <= item.pop("createdAt") <= began_ms + 60_000
        assert item == {
            "id": stopped["logId"],
            "recognitionType": "stream",
            "outcome": "completed",
            "recognizedText": "w1 w2",
            "audioTime": stopped["audio"]["receivedMs"],
            "audioSize": stopped["audio"]["receivedBytes"],
        }
        record = await there.data("ann", f"{HISTORY}/{stopped['logId']}")
        assert {name: record[name] for name in item} == item
        assert (record["engineType"], record["streamIds"]) == ("16k_zh", [stopped["logId"]])
        assert [sentence["text"] for sentence in record["sentences"]] == ["w1 w2"]
        assert await there.data("ann", STATS) == {
            "totalCount": 1,
            "totalAudioSize": item["audioSize"],
            "totalAudioTime": item["audioTime"],
            "todayCount": 1,
            "weekCount": 1,
            "monthCount": 1,
        }


async def test_resumed_streams_are_one_record(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        first = await there.talk("ann", 1)
        resume = {"streamId": first["streamId"], "sentences": 1, "settledMs": first["audio"]["recognizedMs"]}
        second = await there.talk("ann", 2, resume=resume)
        assert second["logId"] == second["streamId"]
        await there.written()
        (item,) = (await there.data("ann", HISTORY))["items"]
        assert (item["id"], item["recognizedText"]) == (first["logId"], "w1 w2")
        for stopped in (first, second):
            record = await there.data("ann", f"{HISTORY}/{stopped['logId']}")
            assert record["streamIds"] == [first["logId"], second["logId"]]
            assert [(one["index"], one["text"]) for one in record["sentences"]] == [(0, "w1"), (1, "w2")]


async def test_each_user_has_only_his_own(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        log_id = (await there.talk("ann", 1))["logId"]
        await there.written()
        assert (await there.data("bob", HISTORY))["items"] == []
        assert await there.refused("bob", f"{HISTORY}/{log_id}") == (404, "not_found")
        assert await there.refused("bob", f"{HISTORY}/{log_id}", "DELETE") == (404, "not_found")
        assert (await there.data("bob", STATS))["totalCount"] == 0
        assert (await there.data("ann", f"{HISTORY}/{log_id}"))["id"] == log_id


@pytest.mark.parametrize("target", [HISTORY, f"{HISTORY}/x", STATS])
async def test_nobody_reads_without_a_name(tmp_path: Path, target: str) -> None:
    async with world(tmp_path) as there:
        assert await there.refused(None, target) == (401, "unauthenticated")
        assert await there.refused("", target) == (403, "forbidden")
        assert (await there.talk("", 1))["logId"] is None


async def test_a_deleted_record_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        log_id = (await there.talk("ann", 1))["logId"]
        await there.written()
        assert await there.data("ann", f"{HISTORY}/{log_id}", "DELETE") == {"id": log_id}
        assert await there.refused("ann", f"{HISTORY}/{log_id}", "DELETE") == (404, "not_found")
        assert await there.refused("ann", f"{HISTORY}/{log_id}") == (404, "not_found")
        assert (await there.data("ann", HISTORY))["items"] == []
        assert await there.refused("ann", f"{HISTORY}/%27%20or%201", "DELETE") == (404, "not_found")


async def test_pages(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        history = there.running.deps.history
        assert history is not None
        for number in range(45):
            history.put(stream(f"s{number:02}", user_id="ann", at=1_000 + number))
        await there.written()
        seen: list[str] = []
        target, sizes = HISTORY, []
        while True:
            page = await there.data("ann", target)
            sizes.append(len(page["items"]))
            seen += [item["id"] for item in page["items"]]
            if page["nextCursor"] is None:
                break
            target = f"{HISTORY}?cursor={page['nextCursor']}"
        assert sizes == [20, 20, 5]
        assert seen == [f"s{number:02}" for number in reversed(range(45))]
        assert len((await there.data("ann", f"{HISTORY}?limit=100"))["items"]) == 45
        for wrong in ("limit=0", "limit=101", "limit=x", "limit=-1", "limit=%D9%A3", "cursor=x", "cursor=MS5h%0A"):
            assert await there.refused("ann", f"{HISTORY}?{wrong}") == (400, "bad_request")


def all_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


async def test_without_transcripts_only_numbers_are_kept(tmp_path: Path) -> None:
    async with world(tmp_path, keep_transcripts=False) as there:
        log_id = (await there.talk("ann", 77))["logId"]
        await there.written()
        record = await there.data("ann", f"{HISTORY}/{log_id}")
        assert (record["recognizedText"], record["sentences"]) == ("", [])
        assert record["audioTime"] > 0
    on_disk = all_bytes(tmp_path)
    assert log_id.encode() in on_disk
    assert b"w77" not in on_disk


async def test_a_laptop_sees_what_nobody_by_name_has_said(tmp_path: Path) -> None:
    async with world(tmp_path, auth_mode=AuthMode.OFF, jwt_secret="") as there:
        log_id = (await there.talk(None, 1))["logId"]
        await there.written()
        assert [item["id"] for item in (await there.data(None, HISTORY))["items"]] == [log_id]


async def test_who_leaves_is_recorded_as_having_left(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        async with connected(there.base, token=token("ann")) as phone:
            await phone.talk_at_once(words(1))
        history = there.running.deps.history
        assert history is not None
        await until(lambda: there.running.deps.admission.streams == 0)
        await there.written()
        (item,) = (await there.data("ann", HISTORY))["items"]
        assert item["outcome"] == "client_left"


async def test_without_a_database_there_is_no_history(tmp_path: Path) -> None:
    async with world(tmp_path, database_url="") as there:
        assert (await there.talk("ann", 1))["logId"] is None
        for target in (HISTORY, f"{HISTORY}/x", STATS):
            assert await there.refused("ann", target) == (501, "not_configured")


async def test_a_database_that_is_away_is_told_and_disturbs_no_stream(tmp_path: Path) -> None:
    async with world(tmp_path, database_url="postgresql+psycopg://root@127.0.0.1:1/none") as there:
        stopped = await there.talk("ann", 1)
        assert stopped["logId"] == stopped["streamId"]
        for target in (HISTORY, f"{HISTORY}/x", STATS):
            reply = await there.ask("ann", target)
            assert (reply.status, reply.envelope()["data"]["error"]) == (503, "history_unavailable")
            assert reply.envelope()["data"]["retryable"] is True
            assert int(reply.headers["retry-after"]) >= 1
        client = await HttpClient.connect(there.running.port)
        async with client.stream:
            ready = await client.request("GET", "/ready")
        assert (ready.status, ready.envelope()["data"]["history"]) == (200, {"database": "away", "pending": 1})


@pytest.mark.parametrize(
    ("now", "day", "week", "month"),
    [
        # Sunday 2026-03-01 00:30 in China is still February in UTC
        ("2026-02-28T16:30:00+00:00", "2026-02-28T16:00", "2026-02-22T16:00", "2026-02-28T16:00"),
        ("2026-03-02T15:59:59+00:00", "2026-03-01T16:00", "2026-03-01T16:00", "2026-02-28T16:00"),
    ],
)
def test_days_begin_in_china(now: str, day: str, week: str, month: str) -> None:
    at = datetime.fromisoformat(now).timestamp()
    assert beginnings(at) == tuple(
        int(datetime.fromisoformat(text + ":00+00:00").timestamp()) * 1000 for text in (day, week, month)
    )
