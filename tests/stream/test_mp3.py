"""Mp3 in streams, in virtual time: the local recognizer decodes it and hears a word in each 400 ms."""

import pytest
import trio

from tests.support.coded_files import sample_pcm
from tests.support.mp3_talk import CLOCK, FRAME_MS, frames_of, mp3_of, speak
from tests.support.recordings import id3
from tests.support.stream_world import World

TALK = [frame.data for frame in frames_of(mp3_of(sample_pcm() * 2))]  # 5.6 s


@pytest.mark.parametrize("voice_format", ["mp3", 8, 6])
async def test_a_talk(voice_format: str | int, nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, CLOCK)
    async with world.phone(voiceFormat=voice_format) as phone:
        await speak(phone, TALK[:100])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    ready = phone.all("ready")[0]
    assert ready["voiceFormat"] == ("auto" if voice_format == 6 else "mp3")
    assert stopped["text"] == " ".join(f"t{at}" for at in range(0, 3600, 400))
    size = len(b"".join(TALK[:100]))
    assert stopped["audio"] == {
        "receivedMs": 3600, "relayedMs": 3600, "recognizedMs": 3600, "droppedMs": 0,
        "receivedBytes": size, "relayedBytes": size, "droppedBytes": 0,
    }  # fmt: skip
    # Which it is, shows in the first bytes: the connection that `ready` needed is ended unused.
    assert world.dials == (2 if voice_format == 6 else 1)
    assert world.metric("voice_audio_relayed_seconds_total") == pytest.approx(3.6)
    world.assert_nothing_left()


async def test_times_go_on_across_finalize_and_pauses(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, CLOCK)
    async with world.phone(voiceFormat="mp3", wordInfo=1) as phone:
        await speak(phone, TALK[:50])
        phone.audio(TALK[50][:100])
        phone.say(type="finalize", id=1)
        finalized = await phone.hear("finalized")
        phone.audio(TALK[50][100:])
        await speak(phone, TALK[51:100])
        await trio.sleep(10)
        assert world.deps.admission.slots_used == 0
        await speak(phone, TALK[100:150])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert finalized["audioMs"] == 1800
    assert world.dials == 3
    for number, message in enumerate(phone.finals):
        assert message["index"] == number
        assert 0 <= message["endMs"] <= 5400
    # A connection hears a little of what came before it again, on the clock of the whole talk.
    starts = [word["startMs"] for message in phone.finals for word in message["wordList"]]
    assert starts[:4] == [0, 400, 800, 1200]
    for begins_at in (1800, 3600):
        first = min(start for start in starts if start > begins_at - 300)
        assert begins_at - 8 * FRAME_MS <= first <= begins_at - 2 * FRAME_MS
        assert first % FRAME_MS == 0
    assert (stopped["audio"]["receivedMs"], stopped["audio"]["droppedMs"]) == (5400, 0)
    assert stopped["audio"]["relayedBytes"] == len(b"".join(TALK[:150]))
    world.assert_nothing_left()


async def test_finalize_before_it_is_known_to_be_mp3(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, CLOCK)
    async with world.phone(voiceFormat=6, started=False) as phone:
        phone.say(type="start", voiceFormat=6)
        phone.audio(TALK[0][:200])
        phone.say(type="finalize", id="early")
        phone.audio(TALK[0][200:] + b"".join(TALK[1:40]))
        phone.say(type="stop")
        assert (await phone.hear("finalized"))["audioMs"] == 0
        stopped = await phone.hear("stopped")
    assert stopped["text"] == "t0 t400 t800"
    assert stopped["audio"]["relayedMs"] == 40 * FRAME_MS
    world.assert_nothing_left()


async def test_tags_and_garbage_are_dropped_and_counted(nursery: trio.Nursery, autojump_clock: object) -> None:
    world = World(nursery, CLOCK)
    async with world.phone(voiceFormat="mp3") as phone:
        phone.audio(id3(1000) + b"".join(TALK[:20]))
        phone.audio(bytes(500) + b"".join(TALK[20:40]) + TALK[40][:7])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
        phone.audio(TALK[41])
    assert stopped["text"] == "t0 t400 t800"
    assert (stopped["audio"]["relayedMs"], stopped["audio"]["droppedBytes"]) == (1440, 1010 + 500 + 7)


@pytest.mark.parametrize(
    ("voice_format", "data", "message"),
    [
        ("pcm", b"".join(TALK[:3]), 'This is mp3, announced as pcm: say voiceFormat "mp3".'),
        ("wav", id3(5), 'This is mp3, announced as wav: say voiceFormat "mp3".'),
        ("mp3", sample_pcm()[:5000], "4323 bytes in a row are no mp3, announced as mp3."),
        ("mp3", mp3_of(bytes(64000), channels=2), "This mp3 is stereo: record with numberOfChannels 1."),
        (6, mp3_of(bytes(64000), rate=44100), "This mp3 has 44100 Hz, the stream was started with sampleRate 16000."),
    ],
)
async def test_what_is_refused(
    voice_format: str | int, data: bytes, message: str, nursery: trio.Nursery, autojump_clock: object
) -> None:
    world = World(nursery, CLOCK)
    async with world.phone(voiceFormat=voice_format) as phone:
        phone.audio(data)
        error = await phone.hear("error")
        await phone.was_closed.wait()
    assert (error["code"], error["message"], error["fatal"]) == ("unsupported_audio", message, True)
    assert phone.closed is not None
    assert phone.closed[0] == 4415
    world.assert_nothing_left()
