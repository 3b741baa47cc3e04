"""One stream from start to stopped, in virtual time."""

import trio
import trio.testing

from tests.support.stream_world import World, coded_pcm, silence, words


async def test_words_come_back_while_they_are_spoken(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(words(1, 2, 3))
        partial_before_stop = phone.all("result")
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert [message["type"] for message in phone.seen[:2]] == ["welcome", "ready"]
    assert partial_before_stop
    assert not partial_before_stop[0]["isFinal"]
    assert stopped["text"] == "w1 w2 w3"
    assert stopped["sentences"] == 1
    assert stopped["audio"] == {
        "receivedMs": 1200,
        "relayedMs": 1200,
        "recognizedMs": stopped["audio"]["recognizedMs"],
        "droppedMs": 0,
        "receivedBytes": 38400,
        "relayedBytes": 38400,
        "droppedBytes": 0,
    }
    assert phone.closed == (1000, "completed")
    assert world.metric("voice_streams_ended_total", outcome="completed") == 1
    world.assert_nothing_left()


async def test_finalize_three_times_loses_nothing(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    spoken = [words(1, 2), words(3, 4), words(5), words(6)]
    async with world.phone(wordInfo=1) as phone:
        for number, part in enumerate(spoken):
            await phone.talk(part)
            if number < 3:
                phone.say(type="finalize", id=number)
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "w1 w2 w3 w4 w5 w6"
    assert [message["index"] for message in phone.finals] == [0, 1, 2, 3]
    assert [message["id"] for message in phone.all("finalized")] == [0, 1, 2]
    assert [message["audioMs"] for message in phone.all("finalized")] == [800, 1600, 2000]
    said = [word for message in phone.finals for word in message["wordList"]]
    assert [word["startMs"] for word in said] == [0, 400, 800, 1200, 1600, 2000]
    assert world.dials == 4
    world.assert_nothing_left()


async def test_a_pause_holds_no_connection(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    async with world.phone(wordInfo=1) as phone:
        await phone.talk(words(1))
        for _ in range(2):
            await trio.sleep(10)
            phone.say(type="ping", t=7)
        assert world.deps.admission.slots_used == 0
        assert world.deps.admission.streams == 1
        await phone.talk(words(2))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "w1 w2"
    assert [word["startMs"] for message in phone.finals for word in message["wordList"]] == [0, 400]
    assert phone.all("pong") == [{"type": "pong", "t": 7}] * 2
    assert world.dials == 2


async def test_a_phone_that_was_slow_hears_what_is_still_true(nursery: trio.Nursery, autojump_clock: object) -> None:
    """Of what came while it took nothing: every final, in order, and the last partial."""
    world = World(nursery)
    async with world.phone(vadSilenceMs=500) as phone:
        phone.may_read = trio.Event()
        talk = words(1, 2) + coded_pcm([silence(600)]) + words(3, 4) + coded_pcm([silence(600)]) + words(5, 6)
        await phone.talk(talk + coded_pcm([(7, 250)]))
        await trio.sleep(1)
        assert phone.all("result") == []
        phone.may_read.set()
        await trio.testing.wait_all_tasks_blocked()
        heard = [(one["index"], one["text"], one["isFinal"]) for one in phone.all("result")]
        assert heard == [
            (0, "w1", False),  # this one was on its way
            (0, "w1 w2", True),
            (1, "w3 w4", True),
            (2, "w5 w6 w7", False),
        ]
        phone.say(type="stop")
        assert (await phone.hear("stopped"))["text"] == "w1 w2 w3 w4 w5 w6 w7"
