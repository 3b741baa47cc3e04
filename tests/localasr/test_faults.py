"""Each fault of a script, in virtual time."""

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, ConnectionRejected

from service.localasr.coded_audio import coded_pcm, silence
from service.localasr.faults import Fault
from tests.localasr.client import converse, finals, in_memory, resource
from tests.localasr.test_server import SPEECH, Clock, make

WORDS = coded_pcm([(1, 300), (2, 300), (3, 300), (4, 300)])


async def test_error_comes_at_its_audio_after_the_results_before_it(autojump_clock: Clock) -> None:
    recognizer = make(Fault(do="error", code=5002, connection=1, at_ms=650))
    async with in_memory(recognizer, resource(voice_id="V")) as client:
        await client.next()
        await client.ws.send_message(WORDS)
        *results, error = await client.collect()
        assert client.close_code == 1000
    assert results[-1]["result"]["voice_text_str"] == "w1 w2"
    assert (error["code"], error["message_id"]) == (5002, f"V_{len(results)}")
    assert recognizer.live == 0
    async with in_memory(recognizer) as client:
        assert finals(await converse(client, WORDS)) == [(0, "w1 w2 w3 w4", 0, 1200)]


@pytest.mark.parametrize("where", [{"at_ms": 310}, {"at_end": True}, {}])
async def test_close_is_without_a_word(where: dict[str, int], autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="close", **where))) as client:  # type: ignore[arg-type]
        if where:
            await client.next()
            await client.ws.send_message(WORDS)
            await client.end()
        messages = await client.collect()
        assert client.close_code == 1006
    assert all("result" in message for message in messages)
    assert len(messages) == {"at_ms": 2, "at_end": 7, "": 0}[next(iter(where), "")]


async def test_error_in_place_of_the_first_message(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="error", code=4006))) as client:
        (message,) = await client.collect()
        assert message["code"] == 4006
        assert "message_id" not in message
        assert client.close_code == 1000


async def test_error_in_place_of_final(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="error", code=5001, at_end=True))) as client:
        messages = await converse(client, WORDS)
    assert finals(messages) == []
    assert messages[-1]["code"] == 5001


async def test_stall_in_the_stream(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="stall", at_ms=310, for_ms=3000))) as client:
        await client.next()
        await client.ws.send_message(WORDS[:9600])
        await client.ws.send_message(WORDS[9600:])
        assert [(await client.next())["result"]["voice_text_str"] for _ in range(2)] == ["w1", "w1"]
        assert trio.current_time() == 0
        assert (await client.next())["result"]["voice_text_str"] == "w1 w2"
        assert trio.current_time() == 3
        await client.end()
        messages = await client.collect()
    assert finals(messages) == [(0, "w1 w2 w3 w4", 0, 1200)]


async def test_stall_before_the_first_message(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="stall", for_ms=7000))) as client:
        assert (await client.next())["code"] == 0
        assert trio.current_time() == 7


async def test_garbage(autojump_clock: Clock) -> None:
    faults = (
        Fault(do="garbage", text="<html>"),
        Fault(do="garbage", at_ms=0),
        Fault(do="garbage", at_ms=300),
        Fault(do="garbage", at_end=True),
    )
    async with in_memory(make(*faults)) as client:
        assert await client.ws.get_message() == "<html>"
        await client.next()
        await client.ws.send_message(WORDS)
        await client.end()
        texts = [str(await client.ws.get_message()) for _ in range(13)]
        with pytest.raises(ConnectionClosed):
            await client.ws.get_message()
    assert [at for at, text in enumerate(texts) if text.startswith("<html>502")] == [0, 2, 9]
    assert '"final":1' in texts[-1]


async def test_refuse(autojump_clock: Clock) -> None:
    recognizer = make(Fault(do="refuse", status=400))
    with pytest.RaisesGroup(ConnectionRejected):
        async with in_memory(recognizer):
            pass


async def test_silent_handshake(autojump_clock: Clock) -> None:
    recognizer = make(Fault(do="silent_handshake", connection=1))
    async with in_memory(recognizer) as client:
        with trio.move_on_after(500) as silent:
            await client.next()
        assert silent.cancelled_caught
        await client.ws.send_message(b"x")
        assert await client.collect() == []
        assert trio.current_time() == 600
        assert client.close_code == 1006
    recognizer = make(Fault(do="silent_handshake"))
    async with in_memory(recognizer) as client:
        await client.ws.aclose()
        await trio.testing.wait_all_tasks_blocked()
        assert recognizer.live == 0


async def test_stop_reading(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="stop_reading", at_ms=310))) as client:
        await client.next()
        await client.ws.send_message(WORDS)
        await client.end()
        assert len([await client.next() for _ in range(2)]) == 2
        assert await client.collect() == []
        assert 600 <= trio.current_time() <= 610


async def test_stop_reading_at_the_handshake(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="stop_reading"))) as client:
        assert (await client.next())["code"] == 0
        await client.ws.send_message(WORDS)
        assert [message["code"] for message in await client.collect()] == [4008]


async def test_swallow_final(autojump_clock: Clock) -> None:
    async with in_memory(make(Fault(do="swallow_final"))) as client:
        with trio.move_on_after(500) as hanging:
            await converse(client, WORDS)
        assert hanging.cancelled_caught


async def test_delays(autojump_clock: Clock) -> None:
    async with in_memory(make(result_delay_ms=500, final_delay_ms=1000)) as client:
        await client.next()
        await client.ws.send_message(coded_pcm([(1, 100), silence(10)]))
        assert (await client.next())["result"]["slice_type"] == 0
        assert trio.current_time() == 0.5
        await client.end()
        assert (await client.next())["result"]["slice_type"] == 2
        assert trio.current_time() == 1.0
        assert (await client.next())["final"] == 1
        assert trio.current_time() == 2.0


async def test_only_settled_slices(autojump_clock: Clock) -> None:
    async with in_memory(make(slices="settled")) as client:
        messages = await converse(client, SPEECH)
    assert [message["result"]["slice_type"] for message in messages[:-1]] == [2, 2]


async def test_clock_mode(autojump_clock: Clock) -> None:
    async with in_memory(make(mode="clock")) as client:
        messages = await converse(client, bytes(range(250)) * 300)
    assert finals(messages) == [
        (0, "t0 t400 t800 t1200 t1600", 0, 2000),
    ]
