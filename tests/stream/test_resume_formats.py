"""Going on after a break in wav and in mp3, in virtual time: as docs/protocol.md tells a client to cut them."""

from array import array

import msgspec
import pytest
import trio

from tests.stream.test_resume import PCM, Listener
from tests.support.coded_files import sample_pcm, wav
from tests.support.mp3_talk import CLOCK, FRAME_MS, decoded, frames_of, mp3_of, speak
from tests.support.stream_world import BYTES_PER_MS, Fault, World

FRAMES = [frame.data for frame in frames_of(mp3_of(sample_pcm() * 2))][:120]  # 4.32 s
EARLY_FRAMES = 4
"""A decoder makes no sound of its first ones, since they need what came before."""
HEADER = wav(PCM)[:44]
"""It names the length of the whole talk, also in front of a part of it."""


@pytest.mark.parametrize("voice_format", ["wav", 12, 6])
@pytest.mark.parametrize("cut_ms", [0, 700, 2500, 5000])
async def test_a_wav_goes_on_behind_another_header(
    cut_ms: int, voice_format: str | int, nursery: trio.Nursery, autojump_clock: object
) -> None:
    one, other, listener = World(nursery), World(nursery), Listener(PCM)
    async with one.phone(voiceFormat=voice_format) as phone:
        await phone.talk(HEADER + PCM[: cut_ms * BYTES_PER_MS])
        listener.hear(phone.all("ready") + phone.all("result"))
        phone.hang_up()
    resumed = listener.resume
    rest = listener.unsettled
    async with other.phone(voiceFormat=voice_format, wordInfo=1, resume=resumed) as phone:
        for place in range(0, len(HEADER + rest), 32_000):
            phone.audio((HEADER + rest)[place : place + 32_000])
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    listener.hear(phone.seen)
    assert " ".join(listener.finals) == "w1 w2 w3 w4 w5 w6 w7"
    assert stopped["sentences"] == len(listener.finals)
    # The header is no audio: the first word stands where it stands in the whole talk.
    starts = [word["startMs"] for final in phone.finals for word in final["wordList"]]
    assert starts == [start for start in (0, 400, 1900, 3400, 3800, 4200, 5700) if start >= resumed["settledMs"]]
    account = stopped["audio"]
    assert (account["receivedBytes"], account["relayedBytes"], account["droppedBytes"]) == (len(rest), len(rest), 0)
    assert account["recognizedMs"] == listener.settled_ms
    one.assert_nothing_left()
    other.assert_nothing_left()


@pytest.mark.parametrize("voice_format", ["mp3", 8, 6])
@pytest.mark.parametrize("faults", [(), (Fault("close", connection=1, at_ms=900),)])
@pytest.mark.parametrize("early", [0, EARLY_FRAMES])
async def test_mp3_goes_on_at_a_frame(
    early: int, faults: tuple[Fault, ...], voice_format: str | int, nursery: trio.Nursery, autojump_clock: object
) -> None:
    """From the last frame that begins at or before `settledMs`, or so many earlier; the resumed stream may lose its
    recognizer, too."""
    if faults and voice_format == 6:
        faults = (Fault("close", connection=2, at_ms=900),)  # the first one is ended when the bytes show mp3
    one, other = World(nursery, CLOCK), World(nursery, msgspec.structs.replace(CLOCK, faults=faults))
    listener = Listener(b"")
    async with one.phone(voiceFormat=voice_format, wordInfo=1) as phone:
        await speak(phone, FRAMES[:75])
        listener.hear(phone.all("ready") + phone.all("result"))
        phone.hang_up()
    assert (len(listener.finals), listener.settled_ms) == (1, 2000)
    first = listener.settled_ms // FRAME_MS - early
    at_ms = first * FRAME_MS
    rest = FRAMES[first:]
    resume = listener.resume | {"settledMs": at_ms}
    async with other.phone(voiceFormat=voice_format, wordInfo=1, resume=resume) as phone:
        phone.audio(b"".join(rest[:20]))
        await speak(phone, rest[20:50])
        phone.say(type="finalize", id=1)
        finalized = await phone.hear("finalized")
        phone.audio(b"".join(rest[50:]))
        phone.say(type="stop")
        stopped = await phone.hear("stopped")
    assert finalized["audioMs"] == at_ms + 50 * FRAME_MS
    assert [final["index"] for final in phone.finals] == list(range(1, 1 + len(phone.finals)))
    assert finalized["sentences"] < stopped["sentences"] == 1 + len(phone.finals)
    before = [final for final in phone.finals if final["index"] < finalized["sentences"]]
    words_before = [word["startMs"] for final in before for word in final["wordList"]]
    assert words_before == [at_ms + 400 * number for number in range(len(words_before))]
    assert 50 * FRAME_MS - 400 <= 400 * len(words_before) <= 50 * FRAME_MS
    settled = [final["settledMs"] for final in phone.finals]
    assert settled == sorted(settled)
    assert len(FRAMES) * FRAME_MS - 400 < settled[-1] <= len(FRAMES) * FRAME_MS
    size, length_ms = len(b"".join(rest)), len(rest) * FRAME_MS
    assert stopped["audio"] == {
        "receivedMs": length_ms, "relayedMs": length_ms, "recognizedMs": settled[-1], "droppedMs": 0,
        "receivedBytes": size, "relayedBytes": size, "droppedBytes": 0,
    }  # fmt: skip
    one.assert_nothing_left()
    other.assert_nothing_left()


def test_four_frames_earlier_nothing_of_the_rest_is_torn() -> None:
    """At the bit rate that a mini-program's recorder has by default, and wherever the talk is cut."""
    whole = [array("h", sound) for sound in decoded(FRAMES)]

    def torn(first: int, at: int) -> bool:
        """Whether the frame `at` sounds otherwise in a talk that begins with frame `first`."""
        sound = array("h", decoded(FRAMES[first : at + 1])[-1])
        return len(sound) != len(whole[at]) or any(abs(a - b) > 2 for a, b in zip(sound, whole[at], strict=True))

    for first in range(20, 60):
        assert torn(first, first)
        assert not torn(first - EARLY_FRAMES, first)
