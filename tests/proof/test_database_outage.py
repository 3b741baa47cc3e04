"""A database that is away for half a minute, under load: every stream that ended is in the history exactly once.

Two gateways share a MariaDB of their own and one spool directory. Under a steady load of short streams, every second of
which resumes the one before, the database first stops answering (SIGSTOP: connections stand, nothing comes back), is
then killed, and started again later. In the middle of it one gateway is killed, too, and comes back.

`make prove` has an outage of 30 s (PROVE_OUTAGE_S); `make test` one of a few seconds.
"""

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import trio
from sqlalchemy import create_engine, select
from trio_websocket import ConnectionClosed, HandshakeError

from service.store.conversations import assemble, text_of
from service.store.tables import streams
from service.store.writing import decode_sentences
from service.tokens import mint
from tests.support import processes
from tests.support.edge import HttpClient
from tests.support.own_mariadb import OwnMariaDB, needs_mariadb, own_mariadb
from tests.support.processes import ACCOUNT_SETTINGS, Program, gateway, scripted_recognizer
from tests.support.stream_world import words
from tests.support.wire_phone import WirePhone, unstarted

OUTAGE_S: Final = float(os.environ.get("PROVE_OUTAGE_S", "4"))
PHONES: Final = 8 if OUTAGE_S < 10 else 24
BEFORE_S: Final = 2.0
AFTER_S: Final = 2.0
CAUGHT_UP_S: Final = 60.0
CALL_LIMIT_S: Final = 20.0
LIMIT_S: Final = 300
KILLED: Final = "b"
"""Of the gateways a and b."""
SECRET: Final = "o" * 40
NO_CLOSE_FRAME: Final = 1006  # RFC 6455 section 7.1.5
pytestmark = [pytest.mark.proof, needs_mariadb]


@dataclass
class Told:
    """What phones know of streams that ended properly."""

    finished: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Stream id → (user, text), of streams whose close with 1000 was seen."""
    roots: dict[str, str] = field(default_factory=dict)
    """Stream id → the first one of its record."""
    lasted_s: list[tuple[float, float]] = field(default_factory=list)
    """(when it ended, from `stop` to the close), of each."""
    broken: int = 0


class Caller:
    """A person who talks again and again, to one gateway."""

    def __init__(self, number: int, told: Told) -> None:
        self.user = f"user{number}"
        self._token = mint(SECRET, self.user, now_s=int(time.time()), ttl_s=3600)
        self._told = told
        self._word = 1 + number * 500

    async def keep_calling(self, base: dict[str, str], name: str, until: trio.Event) -> None:
        """Stream after stream until told to stop; a gateway that dies is called again."""
        resumes: tuple[str, str, dict[str, Any]] | None = None
        while not until.is_set():
            ended, resumes = resumes, None
            url, is_answered = base[name], False
            with trio.move_on_after(CALL_LIMIT_S):  # the port of one that was killed may be another program's now
                try:
                    resumes = await self._call(url, ended)
                    is_answered = True
                except* (ConnectionClosed, HandshakeError, OSError):
                    await trio.sleep(0.2)
            if not is_answered:
                assert name == KILLED
                self._told.broken += 1

    async def _call(
        self, url: str, resumes: tuple[str, str, dict[str, Any]] | None
    ) -> tuple[str, str, dict[str, Any]] | None:
        self._word += 1
        start: dict[str, Any] = {"type": "start", "token": self._token}
        if resumes is not None:
            start["resume"] = resumes[2]
        async with unstarted(url) as phone:
            await phone.say(**start)
            stream_id = (await phone.hear("ready"))["streamId"]
            await phone.talk(words(self._word), frame_ms=100)
            stopped, lasted_s = await _stopped(phone)
        assert stopped["logId"] == stream_id
        root = resumes[0] if resumes is not None else stream_id
        text = f"{resumes[1]} {stopped['text']}" if resumes is not None else stopped["text"]
        self._told.roots[stream_id] = root
        self._told.finished[stream_id] = (self.user, text)
        self._told.lasted_s.append((trio.current_time(), lasted_s))
        if resumes is not None:
            return None
        settled = {"streamId": stream_id, "sentences": 1, "settledMs": stopped["audio"]["recognizedMs"]}
        return root, text, settled


async def _stopped(phone: WirePhone) -> tuple[dict[str, Any], float]:
    began = trio.current_time()
    await phone.say(type="stop")
    stopped = await phone.hear("stopped")
    code, _ = await phone.closed()
    if code == NO_CLOSE_FRAME:
        raise ConnectionResetError  # it was killed just then: nobody was promised anything
    assert code == 1000
    return stopped, trio.current_time() - began


class Gateways:
    """Two of them, by name; one is killed and replaced."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings
        self.urls: dict[str, str] = {}
        self.programs: dict[str, Program] = {}

    async def run(self, name: str, *, task_status: trio.TaskStatus[None]) -> None:
        async with gateway(**self._settings) as (program, url):
            self.programs[name], self.urls[name] = program, url
            task_status.started()
            await program.process.wait()

    async def history(self, name: str) -> dict[str, Any]:
        """What /ready says of the history; it must say 200."""
        client = await HttpClient.connect(int(self.urls[name].rpartition(":")[2]))
        async with client.stream:
            reply = await client.request("GET", "/ready")
        assert reply.status == 200
        shown: dict[str, Any] = reply.envelope()["data"]["history"]
        return shown


async def _outage(database: OwnMariaDB, gateways: Gateways, nursery: trio.Nursery) -> None:
    await trio.sleep(BEFORE_S)
    database.stop_answering()
    await trio.sleep(OUTAGE_S / 4)
    gateways.programs[KILLED].process.kill()
    await gateways.programs[KILLED].process.wait()
    await nursery.start(gateways.run, KILLED)
    await trio.sleep(OUTAGE_S / 4)
    database.kill()
    await trio.sleep(OUTAGE_S / 2)
    await gateways.history("a")
    await database.start()
    await trio.sleep(AFTER_S)


async def test_every_stream_is_there_exactly_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "REAL_TIME_GUARD_S", LIMIT_S)
    told, over = Told(), trio.Event()
    async with own_mariadb(tmp_path) as database, scripted_recognizer() as recognizer:
        settings = {
            **ACCOUNT_SETTINGS,
            "TENCENT_ASR_URL": recognizer,
            "AUTH_MODE": "token",
            "JWT_SECRET": SECRET,
            "DATABASE_URL": database.url,
            "SPOOL_DIR": str(tmp_path / "spool"),
            "MAX_NEW_STREAMS_PER_MINUTE": "0",
            "MAX_LAG_MS": "5000",  # how busy this machine is otherwise is not what is asked here
        }
        gateways = Gateways(settings)
        async with trio.open_nursery() as nursery:
            for name in ("a", "b"):
                await nursery.start(gateways.run, name)
            began = trio.current_time()
            async with trio.open_nursery() as calls:
                for number in range(PHONES):
                    calls.start_soon(Caller(number, told).keep_calling, gateways.urls, "ab"[number % 2], over)
                await _outage(database, gateways, nursery)
                over.set()
            with trio.fail_after(CAUGHT_UP_S):
                for name in ("a", "b"):
                    while (await gateways.history(name))["pending"]:  # noqa: ASYNC110 - another process's state
                        await trio.sleep(0.1)
            errors = [line for name in "ab" for line in gateways.programs[name].log if line["level"] == "ERROR"]
            for program in gateways.programs.values():
                program.process.terminate()
        found = await trio.to_thread.run_sync(_rows, database.driver_url)
    outage = [lasted for at, lasted in told.lasted_s if BEFORE_S <= at - began <= BEFORE_S + OUTAGE_S]
    calm = [lasted for at, lasted in told.lasted_s if at - began < BEFORE_S]
    print(  # noqa: T201 - the figures of a proof are for whoever runs it
        f"{len(told.finished)} streams ended properly, {len(found)} rows, {told.broken} calls broken by the kill; "
        f"from stop to close at most {max(calm):.3f} s before the outage, {max(outage):.3f} s during it"
    )
    assert errors == []
    assert Counter(row.id for row in found).most_common(1)[0][1] == 1
    by_id = {row.id: row for row in found}
    assert [id_ for id_ in told.finished if id_ not in by_id] == []
    assert len(outage) > PHONES
    for id_, (user, _) in told.finished.items():
        assert (by_id[id_].user_id, by_id[id_].root, by_id[id_].outcome) == (user, told.roots[id_], "completed")
    texts = {told.roots[id_]: text for id_, (_, text) in told.finished.items()}  # of the last stream of each record
    for root in {row.root for row in found} - {row.root for row in found if row.id not in told.finished}:
        chain = sorted((row for row in found if row.root == root), key=lambda row: row.first_index)
        sentences = assemble((row.first_index, decode_sentences(row.sentences)) for row in chain)
        assert text_of(sentences) == texts[root]
    heads = Counter(row.root for row in found if row.is_head)
    assert set(heads.values()) == {1}
    assert set(heads) == {row.root for row in found}


def _rows(url: str) -> list[Any]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = list(connection.execute(select(streams)).all())
    engine.dispose()
    return found
