"""A stream that goes on where another one lost its client, in virtual time. No instance remembers anything."""

import logging
from typing import Any

import pytest
import trio

from service.settings import AuthMode
from tests.support.stream_world import BYTES_PER_MS, Message, World, coded_pcm, silence, words


def resume(sentences: int = 4, settled_ms: int = 12_480) -> dict[str, Any]:
    return {"streamId": "old", "sentences": sentences, "settledMs": settled_ms}


async def test_indexes_and_times_go_on(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(wordInfo=1, resume=resume()) as phone:
        await phone.talk(words(1, 2))
        phone.say(type="finalize", id="a")
        finalized = await phone.hear("finalized")
        await phone.talk(words(3))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert phone.all("welcome")[0]["resume"] is True
    (ready,) = phone.all("ready")
    assert ready["resumedFrom"] == "old"
    assert ready["streamId"] != "old"
    assert {message["index"] for message in phone.all("result")} == {4, 5}
    assert [message["index"] for message in phone.finals] == [4, 5]
    said = [word for message in phone.finals for word in message["wordList"]]
    assert [word["startMs"] for word in said] == [12_480, 12_880, 13_280]
    assert phone.finals[0]["startMs"] == 12_480
    assert 13_280 <= phone.finals[1]["settledMs"] <= 13_680
    assert finalized == {"type": "finalized", "id": "a", "audioMs": 13_280, "sentences": 5}
    assert (stopped["text"], stopped["sentences"]) == ("w1 w2 w3", 6)
    account = stopped["audio"]
    assert account["recognizedMs"] == phone.finals[1]["settledMs"]
    assert (account["receivedBytes"], account["relayedBytes"], account["droppedBytes"]) == (38_400, 38_400, 0)
    assert phone.closed == (1000, "completed")
    world.assert_nothing_left()


async def test_a_stream_that_resumes_nothing_says_so(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        phone.say(type="cancel")
    assert "resumedFrom" not in phone.all("ready")[0]


@pytest.mark.parametrize("given", [resume(), None])
async def test_the_log_tells_the_chain(
    given: dict[str, Any] | None, nursery: trio.Nursery, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(nursery)
    with caplog.at_level(logging.INFO, "voice"):
        async with world.phone(resume=given) as phone:
            phone.say(type="cancel")
    (opened,) = (record for record in caplog.records if record.msg == "stream_opened")
    assert opened.__dict__["voice_fields"]["resumed_from"] == (given and "old")


async def test_who_resumes_has_to_authenticate(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, auth_mode=AuthMode.TOKEN, jwt_secret="s" * 40)
    async with world.phone(started=False) as phone:
        phone.say(type="start", resume=resume())
        assert (await phone.hear("error"))["code"] == "unauthenticated"
    assert phone.closed == (4401, "unauthenticated")


async def test_the_time_limit_counts_for_each_stream(nursery: trio.Nursery, autojump_clock: object) -> None:
    """A chain may go on for longer; nothing of it is counted here but where its clock stands."""
    world = World(nursery, max_stream_s=60)
    began = trio.current_time()
    async with world.phone(resume=resume(500, 3_600_000)) as phone:
        await phone.talk(words(1))
        for _ in range(4):
            await trio.sleep(12)
            phone.say(type="ping")
        told = await phone.hear("goaway")
        assert trio.current_time() - began == pytest.approx(50, abs=1)
        await phone.hear("stopped")
        assert trio.current_time() - began == pytest.approx(60, abs=1)
    assert told["reason"] == "time_limit"
    assert told["timeLeftMs"] == pytest.approx(10_000, abs=100)
    assert [message["index"] for message in phone.finals] == [500]
    assert phone.closed == (1000, "time_limit")


class Listener:
    """A client as docs/protocol.md tells it to be: keeps the audio that is not settled, and forgets the rest."""

    def __init__(self, pcm: bytes) -> None:
        self.pcm = pcm
        self.stream_id = ""
        self.finals: list[str] = []
        self.settled_ms = 0

    def hear(self, messages: list[Message]) -> None:
        for message in messages:
            if message["type"] == "ready":
                self.stream_id = message["streamId"]
            elif message["type"] == "result" and message["isFinal"]:
                assert message["index"] == len(self.finals), "lost or doubled"
                assert message["settledMs"] >= self.settled_ms
                self.finals.append(message["text"])
                self.settled_ms = message["settledMs"]

    @property
    def resume(self) -> dict[str, Any]:
        return {"streamId": self.stream_id, "sentences": len(self.finals), "settledMs": self.settled_ms}

    @property
    def unsettled(self) -> bytes:
        return self.pcm[self.settled_ms * BYTES_PER_MS :]


PCM = coded_pcm([silence(1100)]).join([words(1, 2), words(3), words(4, 5, 6), words(7)])


@pytest.mark.parametrize("lost", [0, 1, 3])
@pytest.mark.parametrize("cut_ms", range(0, 6100, 520))
async def test_a_broken_link_loses_no_word_and_doubles_none(
    cut_ms: int, lost: int, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """Wherever it breaks, in a word or between two, and whether or not the last messages arrived."""
    one, other = World(nursery), World(nursery)
    listener = Listener(PCM)
    async with one.phone() as phone:
        await phone.talk(PCM[: cut_ms * BYTES_PER_MS])
        listener.hear(phone.all("ready") + phone.all("result")[: len(phone.all("result")) - lost])
        phone.hang_up()
    async with other.phone(resume=listener.resume) as phone:
        rest = listener.unsettled
        for place in range(0, len(rest), 32_000):
            phone.audio(rest[place : place + 32_000])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    listener.hear(phone.seen)
    assert " ".join(listener.finals) == "w1 w2 w3 w4 w5 w6 w7"
    assert stopped["sentences"] == len(listener.finals)
    one.assert_nothing_left()
    other.assert_nothing_left()
