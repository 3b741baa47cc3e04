"""From the client's bytes to the uplink: what is looked for is found once, and then nothing is looked at. No Trio."""

import itertools
import math
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, StreamFailed, problem
from service.recognizer.formats import WEBM_SEARCH_BYTES
from service.stream.audio import Mark, Uplink
from service.stream.audio_path import AudioPath, check
from service.stream.mp3 import header_at
from service.stream.stereo import BLOCK_BYTES, BLOCKS_THAT_AGREE, MAX_BLOCKS
from service.stream.stream_settings import StreamSettings
from service.stream.uplink_mp3 import Mp3Uplink
from tests.support.recordings import EBML

MP3_HEAD = b"\xff\xf3\x48\xc0"  # 16 kHz, mono, frames of 144 bytes
MP3_BYTES = 144
TONE = array("h", [round(8000 * math.sin(place / 7)) for place in range(WEBM_SEARCH_BYTES)]).tobytes()
"""Sound of one channel, 4 s of it."""
TWICE = array("h", [sample for sample in array("h", TONE) for _ in range(2)]).tobytes()
"""The same from a phone that puts its one microphone into two channels."""
SILENCE = bytes(MAX_BLOCKS * BLOCK_BYTES)
WAV_HEAD = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)


def mp3(frames: int) -> bytes:
    assert header_at(MP3_HEAD)
    return MP3_HEAD.ljust(MP3_BYTES, b"\x55") * frames


def wav(pcm: bytes, behind: bytes = b"") -> bytes:
    body = WAV_HEAD + b"data" + struct.pack("<I", len(pcm)) + pcm + behind
    return b"RIFF" + struct.pack("<I", len(body)) + body


def path(voice_format: str = "pcm") -> AudioPath:
    return AudioPath(StreamSettings("16k_zh", voice_format=voice_format), 100, 15.0, 0.0)


def fed(talk: AudioPath, data: bytes, cut_bytes: int = 1280) -> AudioPath:
    for place in range(0, len(data), cut_bytes):
        assert talk.feed(data[place : place + cut_bytes], 0.0) is None
    return talk


def sent(talk: AudioPath) -> bytes:
    """All that can be sent before the first mark, however long it takes."""
    now, audio = 1.0, b""
    while (due := talk.uplink.next_due(now)) < math.inf:
        now = max(now, due)
        audio += b"".join(packet.audio for packet in talk.uplink.take_due(now))
    return audio


def slug(refused: Problem | None) -> Slug | None:
    return None if refused is None else refused.slug


def test_speech_is_plain_when_the_search_for_webm_is_over() -> None:
    talk = fed(path(), TONE[: WEBM_SEARCH_BYTES - 1280])
    assert not talk.is_plain
    assert not fed(talk, TONE[:1278]).is_plain
    assert fed(talk, TONE[:2]).is_plain
    # What would be found in the beginning is audio from now on.
    assert fed(talk, EBML + TWICE).is_plain
    assert not talk.stereo_is_suspected
    assert sent(talk) == TONE[: WEBM_SEARCH_BYTES - 1280] + TONE[:1278] + TONE[:2] + EBML + TWICE


def test_whoever_is_silent_is_listened_to_for_ten_seconds() -> None:
    talk = fed(path(), SILENCE[:-1280])
    assert not talk.is_plain
    assert fed(talk, SILENCE[-1280:]).is_plain


def test_mp3_is_not_listened_to_for_stereo() -> None:
    talk = fed(path("mp3"), mp3(WEBM_SEARCH_BYTES // MP3_BYTES))
    assert not talk.is_plain
    assert fed(talk, mp3(1)).is_plain
    assert not talk.stereo_is_suspected
    assert isinstance(talk.uplink, Mp3Uplink)
    assert talk.uplink.received == (WEBM_SEARCH_BYTES // MP3_BYTES + 1) * 576


@pytest.mark.parametrize("by", ["feed", "finalize", "stop"])
def test_bytes_that_show_mp3_change_the_uplink_before_it_has_audio(by: str) -> None:
    talk = path("auto")
    before = talk.uplink
    assert talk.feed(mp3(1)[:100], 0.0) is None
    assert talk.finalize("a", 0.0) is None
    assert talk.uplink is before
    refused = {
        "feed": lambda: talk.feed(mp3(2)[100:], 0.0),
        "finalize": lambda: talk.feed(mp3(3)[100:], 0.0) or talk.finalize("b", 0.0),
        "stop": lambda: talk.feed(mp3(3)[100:], 0.0) or talk.stop(0.0),
    }[by]()
    assert refused is None
    assert talk.settings == StreamSettings("16k_zh", voice_format="mp3")
    assert isinstance(talk.uplink, Mp3Uplink)
    assert talk.uplink.reached == Mark(0, id="a")  # asked for before there was any audio
    talk.uplink.pass_mark()
    assert talk.uplink.marks == (by != "feed")
    assert sent(talk) == mp3(2 if by == "feed" else 3)


def test_the_end_tells_that_one_frame_is_pcm() -> None:
    """Less than two headers are no proof, and may occur in PCM."""
    talk = path("auto")
    assert talk.feed(mp3(1)[:-2], 0.0) is None
    assert talk.finalize(1, 0.0) is None
    assert talk.uplink.received == 0
    assert talk.stop(0.0) is None
    assert isinstance(talk.uplink, Uplink)
    assert talk.uplink.received == MP3_BYTES - 2


def test_a_wav_is_never_plain() -> None:
    """What follows its audio is none, however late."""
    pcm = SILENCE + TONE
    talk = fed(path("wav"), wav(pcm, b"LIST\4\0\0\0abcd"))
    assert not talk.is_plain
    assert sent(talk) == pcm


def test_a_wav_of_unknown_length_becomes_plain() -> None:
    head = wav(b"")
    talk = fed(path("wav"), head + TONE)
    assert talk.is_plain
    assert sent(talk) == TONE


def test_stereo_is_suspected_once() -> None:
    talk = fed(path(), TWICE[: BLOCKS_THAT_AGREE * BLOCK_BYTES - 2])
    assert not talk.stereo_is_suspected
    assert fed(talk, TWICE[-2:]).stereo_is_suspected
    talk.stereo_is_suspected = False
    assert not fed(talk, TWICE).stereo_is_suspected
    assert talk.is_plain


@pytest.mark.parametrize("cut_bytes", [1280, 8000, 65536])
def test_stereo_behind_silence(cut_bytes: int) -> None:
    assert fed(path(), bytes(WEBM_SEARCH_BYTES) + TWICE, cut_bytes).stereo_is_suspected


@pytest.mark.parametrize("voice_format", ["pcm", "wav", "auto"])
def test_what_is_no_audio_is_refused(voice_format: str) -> None:
    talk = path(voice_format)
    assert slug(talk.feed(EBML + bytes(100), 0.0)) is Slug.UNSUPPORTED_AUDIO
    assert talk.uplink.received == 0


def test_webm_in_the_middle_is_refused_and_not_behind_the_search() -> None:
    talk = fed(path(), bytes(WEBM_SEARCH_BYTES - 2 * len(EBML)))
    assert slug(talk.feed(EBML, 0.0)) is Slug.UNSUPPORTED_AUDIO
    talk = fed(path(), bytes(WEBM_SEARCH_BYTES))
    assert talk.feed(EBML, 0.0) is None


def test_what_is_wrong_with_mp3_is_said() -> None:
    stereo = b"\xff\xf3\x48\x00".ljust(MP3_BYTES, b"\x55") * 3
    assert slug(path("mp3").feed(stereo, 0.0)) is Slug.UNSUPPORTED_AUDIO
    assert slug(path("auto").feed(stereo, 0.0)) is Slug.UNSUPPORTED_AUDIO


def test_half_a_wav_header_is_held_at_finalize_and_refused_at_the_end() -> None:
    talk = path("auto")
    assert talk.feed(wav(TONE)[:30], 0.0) is None
    assert talk.finalize(None, 0.0) is None
    assert slug(talk.stop(0.0)) is Slug.UNSUPPORTED_AUDIO
    assert talk.uplink.stopped


def test_a_few_bytes_are_settled_on_request() -> None:
    talk = path()
    assert talk.feed(b"ab", 0.0) is None
    assert talk.uplink.received == 0
    assert talk.finalize("a", 0.0) is None
    assert talk.uplink.received == 2
    assert sent(talk) == b"ab"
    assert talk.uplink.reached == Mark(2, id="a")


@pytest.mark.parametrize("before", [b"", TONE[:1280]])
def test_behind_stop_nothing_is_looked_at(before: bytes) -> None:
    talk = fed(path(), before)
    assert talk.stop(0.0) is None
    assert talk.feed(EBML + TWICE, 0.0) is None
    assert not talk.stereo_is_suspected
    assert talk.uplink.received == len(before + EBML + TWICE)
    assert sent(talk) == before


_pcm = st.sampled_from([TONE, TWICE, SILENCE, SILENCE[:200] + TONE, TONE[:1001]])
_cuts = st.lists(st.integers(0, len(SILENCE)), max_size=20)


@given(_pcm, _cuts, st.sampled_from(["pcm", "auto", "wav"]))
def test_however_it_is_cut_all_audio_arrives(pcm: bytes, cuts: list[int], voice_format: str) -> None:
    data = wav(pcm) if voice_format == "wav" else pcm
    talk = path(voice_format)
    places = [0, *sorted(place % (len(data) + 1) for place in cuts), len(data)]
    arrived = b""
    for start, stop in itertools.pairwise(places):
        assert talk.feed(data[start:stop], 0.0) is None
        arrived += sent(talk)
    assert talk.stop(0.0) is None
    arrived += sent(talk)
    assert arrived == pcm[: len(pcm) // 2 * 2]
    assert talk.uplink.received == len(pcm)
    assert talk.stereo_is_suspected == (pcm is TWICE)


def test_a_problem_is_raised_and_none_is_not() -> None:
    check(None)
    refused = problem(Slug.UNSUPPORTED_AUDIO, "no")
    with pytest.raises(StreamFailed) as failed:
        check(refused)
    assert failed.value.problem is refused
