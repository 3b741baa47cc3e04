"""What recorders really deliver: frames of any size and cut, bursts, stale bytes, headers in pieces. Virtual time."""

import base64
from array import array
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from service.localasr.coded_audio import coded_pcm
from tests.support.mp3_talk import mp3_of
from tests.support.recordings import EBML, wav_file
from tests.support.stream_world import Phone, World, silence, words

TALK = words(1, 2, 3, 4, 5)  # 2 s
TEXT = "w1 w2 w3 w4 w5"


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


async def deliver(phone: Phone, frames: list[bytes], bytes_per_ms: int = 32) -> None:
    """Each frame when it is full, as a recorder does."""
    for frame in frames:
        await trio.sleep(len(frame) / bytes_per_ms / 1000)
        phone.audio(frame)


async def spoken(world: World, frames: list[bytes], **start: Any) -> dict[str, Any]:
    """The `stopped` of a talk in these frames; nothing of it is lost."""
    async with world.phone(**start) as phone:
        await deliver(phone, frames, 16 if start.get("sampleRate") == 8000 else 32)
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert phone.closed == (1000, "completed")
    audio = stopped["audio"]
    assert (audio["droppedBytes"], audio["receivedBytes"]) == (0, audio["relayedBytes"])
    world.assert_nothing_left()
    return stopped


@pytest.mark.parametrize("size", [1024, 1310, 2048, 20_000, 51_200])
async def test_frame_sizes(size: int, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery)
    stopped = await spoken(world, cut(TALK, size))
    assert (stopped["text"], world.dials) == (TEXT, 1)


async def test_frames_of_one_byte(nursery: trio.Nursery, autojump_clock: object) -> None:
    talk = words(1, each_ms=60, gap_ms=20)
    async with World(nursery, messages_per_s=100_000).phone() as phone:
        await deliver(phone, cut(talk, 1))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert (stopped["text"], stopped["audio"]["relayedBytes"]) == ("w1", len(talk))


@pytest.mark.parametrize("sizes", [(1,), (3,), (1279, 1), (1, 0, 2047, 0, 3)])
async def test_cuts_through_a_sample_and_empty_frames(
    sizes: tuple[int, ...], nursery: trio.Nursery, autojump_clock: object
) -> None:
    frames, place = [b""], 0
    for number in range(100):
        size = sizes[number % len(sizes)]
        frames.append(TALK[place : place + size])
        place += size
    frames += cut(TALK[place:], 1281)
    assert b"".join(frames) == TALK
    assert (await spoken(World(nursery), frames))["text"] == TEXT


async def test_only_empty_frames(nursery: trio.Nursery, autojump_clock: object) -> None:
    assert (await spoken(World(nursery), [b""] * 20))["text"] == ""


async def test_half_a_sample_at_the_end(nursery: trio.Nursery, autojump_clock: object) -> None:
    async with World(nursery).phone() as phone:
        await deliver(phone, cut(TALK + b"\1", 1310))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == TEXT
    assert (stopped["audio"]["relayedBytes"], stopped["audio"]["droppedBytes"]) == (len(TALK), 1)


async def test_a_burst_after_a_stall(nursery: trio.Nursery, autojump_clock: object) -> None:
    """A phone in a tunnel: what it recorded in the meantime comes at once, and is worked off at twice the pace."""
    world = World(nursery)
    long = coded_pcm([part for value in range(1, 16) for part in ((value, 300), silence(100))])  # 6 s
    async with world.phone(wordInfo=1) as phone:
        frames = cut(long, 1310)
        await deliver(phone, frames[:20])
        await trio.sleep(3)
        for frame in frames[20:]:
            phone.audio(frame)
        began = trio.current_time()
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert stopped["text"] == " ".join(f"w{value}" for value in range(1, 16))
    assert 2.0 < trio.current_time() - began < 3.5
    starts = [word["startMs"] for message in phone.finals for word in message["wordList"]]
    assert starts == list(range(0, 6000, 400))
    assert stopped["audio"]["droppedBytes"] == 0


@pytest.mark.parametrize("engine", ["16k_en", "8k_zh"])
@pytest.mark.parametrize("size", [655, 1024, 5120])
async def test_8_khz(size: int, engine: str, nursery: trio.Nursery, autojump_clock: object) -> None:
    talk = coded_pcm([(1, 300), silence(100), (2, 300), silence(100)], 8000)
    stopped = await spoken(World(nursery), cut(talk, size), sampleRate=8000, engineType=engine)
    assert stopped["text"] == "w1 w2"
    audio = stopped["audio"]
    assert (audio["receivedMs"], audio["receivedBytes"]) == (800, 12_800)


@pytest.mark.parametrize("voice_format", ["wav", 4])
@pytest.mark.parametrize("size", [1, 7, 13, 44, 1310])
async def test_a_wav_header_across_frames(
    size: int, voice_format: str | int, nursery: trio.Nursery, autojump_clock: object
) -> None:
    file = wav_file(TALK, extra=b"LIST\4\0\0\0abcd")
    frames = [*cut(file[:91], size), *cut(file[91:], 1310)]
    stopped = await spoken(World(nursery), frames, voiceFormat=voice_format)
    audio = stopped["audio"]
    assert (stopped["text"], audio["receivedBytes"]) == (TEXT, len(TALK))


@pytest.mark.parametrize("voice_format", ["pcm", "mp3", 4])
@pytest.mark.parametrize("stale", [0, 1310, 51_200])
@pytest.mark.parametrize("size", [1310, 51_200])
async def test_webm_behind_stale_bytes(
    size: int, stale: int, voice_format: str | int, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """The developer tools send the end of a former recording first, then WebM whatever the format."""
    world = World(nursery)
    former = mp3_of(coded_pcm([(1, 10_000)])) if voice_format == "mp3" else TALK
    recorded = former[:stale] + EBML + bytes(range(256)) * 20
    async with world.phone(voiceFormat=voice_format) as phone:
        for frame in cut(recorded, size):
            phone.audio(frame)
        error = await phone.hear("error")
        await phone.was_closed.wait()
    assert error["code"] == "unsupported_audio"
    assert "WebM" in error["message"]
    world.assert_nothing_left()


async def test_a_frame_in_base64(nursery: trio.Nursery, autojump_clock: object) -> None:
    async with World(nursery).phone() as phone:
        frames = cut(TALK, 1310)
        for frame in frames:
            phone.say(type="audio", data=base64.b64encode(frame).decode(), isEnd=frame is frames[-1])
        stopped = await phone.hear("stopped")
    assert stopped["text"] == TEXT
    assert all(earlier["index"] <= later["index"] for earlier, later in pairwise(phone.all("result")))


async def test_two_channels_announced_as_one_bring_a_hint(nursery: trio.Nursery, autojump_clock: object) -> None:
    """The stream goes on: it is a suspicion, and a person decides."""
    sample = Path(__file__).parents[2] / "loadtest" / "samples" / "something.wav"
    mono = array("h", sample.read_bytes()[44:])
    stereo = array("h", bytes(4 * len(mono)))
    stereo[0::2] = stereo[1::2] = mono
    world = World(nursery)
    async with world.phone() as phone:
        await phone.talk(stereo.tobytes())
        phone.say(type="stop")
        await phone.hear("stopped")
    assert [(error["code"], error["fatal"]) for error in phone.all("error")] == [("stereo_suspected", False)]
    assert "numberOfChannels 1" in phone.all("error")[0]["message"]
    assert world.metric("voice_messages_rejected_total", slug="stereo_suspected") == 1
