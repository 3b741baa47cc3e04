"""Streams of mp3 over memory streams in virtual time, with the scripted engine in mode ``clock``."""

import pytest
import trio
import trio.testing

from service.localasr.faults import Script
from service.localasr.mp3_frames import Mp3Framer
from service.localasr.scripted import ScriptedEngine
from service.localasr.server import Recognizer, RecognizerConfig
from tests.localasr.client import END, converse, finals, in_memory, resource, wall_clock
from tests.localasr.recordings import encode

Clock = trio.testing.MockClock


def make(mode: str = "clock") -> Recognizer:
    script = Script(mode="clock" if mode == "clock" else "coded")
    return Recognizer(ScriptedEngine(mode), RecognizerConfig(script=script, wall_clock=wall_clock))


def frames(duration_ms: int) -> list[bytes]:
    """Whole frames of 36 ms, 216 bytes each."""
    return [frame.data for frame in Mp3Framer().feed(encode(bytes(32 * duration_ms), "mp3"))][: duration_ms // 36]


@pytest.mark.parametrize("cut", [0, 100])
async def test_positions_are_those_of_the_decoded_audio(cut: int, autojump_clock: Clock) -> None:
    data = b"".join(frames(3600))
    async with in_memory(make(), resource(voice_format="8")) as client:
        messages = await converse(client, data[cut:], packet_bytes=600, rate_hz=3000)
    assert messages[-1]["final"] == 1
    words = [word for _, text, *_ in finals(messages) for word in text.split()]
    assert words == [f"t{at}" for at in range(0, 3600 - (400 if cut else 0), 400)]


async def test_audio_counts_by_its_decoded_duration(autojump_clock: Clock) -> None:
    pieces = frames(7200)
    async with in_memory(make(), resource(voice_format="8")) as client:
        await client.next()
        await client.ws.send_message(b"".join(pieces[:82]))  # 2952 ms
        await trio.sleep(0.5)
        await client.ws.send_message(b"".join(pieces[82:83]))
        await trio.sleep(0.5)
        await client.ws.send_message(b"".join(pieces[83:165]))
        await trio.sleep(0.5)
        await client.ws.send_message(b"".join(pieces[165:167]))
        assert [m["code"] for m in await client.collect() if m["code"]] == [4000]
    async with in_memory(make(), resource(voice_format="8")) as client:
        await client.next()
        await client.ws.send_message(b"".join(pieces))
        assert [m["code"] for m in await client.collect()] == [4000]


@pytest.mark.parametrize("data", [bytes(5000), bytes(300), b"RIFF" * 2000])
async def test_bytes_that_are_not_mp3(data: bytes, autojump_clock: Clock) -> None:
    async with in_memory(make(), resource(voice_format="8")) as client:
        await client.next()
        await client.ws.send_message(data)
        await client.ws.send_message(END)
        assert [message["code"] for message in await client.collect()] == [4007]
        assert client.close_code == 1000


async def test_the_coded_mode_refuses_mp3(autojump_clock: Clock) -> None:
    async with in_memory(make("coded"), resource(voice_format="8")) as client:
        assert (await client.next())["code"] == 0
        await client.ws.send_message(frames(360)[0])
        (message,) = await client.collect()
        assert message["code"] == 4007
        assert "coded" in message["message"]
