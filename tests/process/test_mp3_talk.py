"""A talk as mp3 through the real programs gives the words that it gives as PCM."""

import importlib.util

import pytest
import trio

from service.localasr.coded_audio import coded_pcm, silence
from tests.support.coded_files import sample_pcm
from tests.support.mp3_talk import FRAME_MS, frames_of, mp3_of
from tests.support.processes import gateway
from tests.support.wire_phone import BYTES_PER_MS, WirePhone, connected

needs_pocketsphinx = pytest.mark.skipif(
    importlib.util.find_spec("pocketsphinx") is None, reason="needs the extra 'local'"
)
PAUSE_MS = 900
PARTS = (sample_pcm("goforward"), sample_pcm("something"), sample_pcm("goforward"))
TALK = b"".join(part + coded_pcm([silence(PAUSE_MS)]) for part in PARTS)
TEXTS = ["go forward ten meters", "go somewhere and do something", "go forward ten meters"]


async def spoken(phone: WirePhone, pieces: list[bytes], piece_ms: int) -> tuple[list[str], list[int]]:
    """Speak in real time, with a `finalize` in the pause after each part; the final texts and the positions."""
    ends_ms: list[int] = []
    for part in PARTS[:-1]:
        ends_ms.append((ends_ms[-1] if ends_ms else 0) + len(part) // BYTES_PER_MS + PAUSE_MS)
    wanted = [end_ms - PAUSE_MS // 2 for end_ms in ends_ms]
    due = trio.current_time()
    for number, piece in enumerate(pieces):
        if wanted and number * piece_ms >= wanted[0]:
            await phone.say(type="finalize", id=wanted.pop(0))
        await phone.talk_at_once(piece)
        due += piece_ms / 1000
        await trio.sleep_until(due)
    await phone.say(type="stop")
    await phone.hear("stopped")
    finals = [message["text"] for message in phone.seen if message["type"] == "result" and message["isFinal"]]
    return finals, [message["audioMs"] for message in phone.seen if message["type"] == "finalized"]


@needs_pocketsphinx
async def test_two_finalizes_in_an_mp3_talk() -> None:
    frames = [frame.data for frame in frames_of(mp3_of(TALK))]
    pcm = [TALK[place : place + 40 * BYTES_PER_MS] for place in range(0, len(TALK), 40 * BYTES_PER_MS)]
    heard = {}
    async with gateway() as (_, url):
        for voice_format, pieces, piece_ms in (("pcm", pcm, 40), ("mp3", frames, FRAME_MS)):
            async with connected(url, voiceFormat=voice_format) as phone:
                heard[voice_format], positions = await spoken(phone, pieces, piece_ms)
                assert await phone.closed() == (1000, "completed")
            assert len(positions) == 2
    assert heard["pcm"] == heard["mp3"] == TEXTS
