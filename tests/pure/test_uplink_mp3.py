"""Mp3 on its way to the recognizer: whole frames, times from headers, and what a decoder needs at a new connection."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, problem
from service.stream.audio import BACKLOG_S, FLUSH_AFTER_S, Mark, Packet
from service.stream.mp3 import header_at
from service.stream.protocol import AudioAccount
from service.stream.stream_settings import StreamSettings
from service.stream.uplink_mp3 import MAX_GARBAGE_BYTES, MAX_RESERVOIR_BYTES, Mp3Uplink, uplink_for
from tests.support.recordings import id3

KBIT_32 = b"\xff\xf3\x48\xc0"  # 144 bytes, 131 of them main data
KBIT_16 = b"\xff\xf3\x28\xc0"  # 72 bytes, 59


def frame(number: int, *, head: bytes = KBIT_32, begin: int = 0) -> bytes:
    header = header_at(head)
    assert header
    return (head + bytes([begin]) + number.to_bytes(2, "big")).ljust(header.length_bytes, b"\x55")


TALK = [frame(number) for number in range(1000)]


def uplink(packet_ms: int = 100) -> Mp3Uplink:
    return Mp3Uplink(16000, packet_ms, 0.0)


def fed(*frames: bytes) -> Mp3Uplink:
    new = uplink()
    assert new.feed(b"".join(frames), 0.0) is None
    return new


def sent(talk: Mp3Uplink, now: float = 0.0) -> bytes:
    """All that can be sent, however long it takes."""
    audio = b""
    while (due := talk.next_due(now)) < math.inf:
        now = max(now, due)
        audio += b"".join(packet.audio for packet in talk.take_due(now))
    return audio


@pytest.mark.parametrize(("packet_ms", "frames"), [(100, 2), (20, 1), (200, 5), (144, 4)])
def test_packets_are_whole_frames(packet_ms: int, frames: int) -> None:
    talk = uplink(packet_ms)
    for place in range(0, 10 * 144, 100):
        talk.feed(b"".join(TALK[:10])[place : place + 100], place / 1000)
    assert talk.take_due(1.4)[0].audio == b"".join(TALK[:frames])


def test_the_pace_counts_time_and_not_bytes() -> None:
    talk, now = fed(*TALK[:200]), 0.0
    assert talk.backlog_s() == pytest.approx(3.6)
    assert len(b"".join(packet.audio for packet in talk.take_due(0.0))) == 6 * 2 * 144  # of half a second
    assert (talk.relayed, talk.in_ms(talk.relayed), talk.in_s(talk.relayed)) == (12 * 576, 432, 0.432)
    sends = []
    while (due := talk.next_due(now)) < math.inf:
        now = due
        sends += [(now, packet) for packet in talk.take_due(now)]
    assert sends[-1][0] == pytest.approx((7.2 - 0.5) / 2, abs=0.05)


def test_the_backlog_is_bounded_in_time() -> None:
    talk = fed(*TALK[: int(BACKLOG_S * 1000) // 36])
    assert not talk.full
    talk.feed(TALK[0] + TALK[1], 0.0)
    assert talk.full


def test_a_short_packet_goes_out_when_audio_pauses_or_at_a_mark() -> None:
    talk = fed(TALK[0], TALK[1], TALK[2])
    assert talk.take_due(0.0) == [Packet(TALK[0] + TALK[1], 0.0)]
    assert (talk.has_audio, talk.next_due(0.0)) == (True, FLUSH_AFTER_S)
    talk.mark(id=1)
    assert talk.take_due(0.0) == [Packet(TALK[2], 0.0)]
    assert talk.reached == Mark(3 * 576, id=1)
    assert talk.in_ms(talk.reached.position) == 108


def test_a_packet_is_there_when_as_many_frames_wait() -> None:
    talk = fed(TALK[0], TALK[1][:4])  # the first one waits for the header behind it
    assert (talk.has_packet, talk.is_ripe(0.0), talk.is_ripe(FLUSH_AFTER_S)) == (False, False, True)
    assert talk.feed(TALK[1][4:], 0.0) is None
    assert (talk.has_packet, talk.is_ripe(0.0)) == (True, True)


def test_a_frame_that_is_not_complete_waits_behind_a_mark() -> None:
    talk = fed(TALK[0], TALK[1], TALK[2][:50])
    talk.mark(id="a")
    talk.feed(TALK[2][50:], 1.0)
    assert sent(talk) == TALK[0] + TALK[1]
    assert talk.pass_mark() == Mark(2 * 576, id="a")
    assert sent(talk, 1.0) == TALK[2]


def test_at_stop_half_a_frame_is_dropped_and_counted() -> None:
    talk = fed(id3(20), TALK[0], TALK[1], TALK[2][:50])
    talk.mark(stop=True)
    talk.mark(stop=True)
    assert talk.marks == 1
    assert sent(talk) == TALK[0] + TALK[1]
    talk.feed(TALK[3] + TALK[4], 1.0)
    assert talk.pass_mark().stop
    assert talk.account(70) == AudioAccount(144, 72, 70, 72, 30 + 288 + 50 + 288, 288, 30 + 50 + 288)


def test_a_talk_of_one_frame() -> None:
    talk = uplink()
    talk.feed(TALK[0], 3.0)
    assert (talk.has_audio, talk.waiting, talk.last_audio_at) == (False, 0, -math.inf)
    talk.mark(stop=True)
    assert talk.take_due(3.0) == [Packet(TALK[0], 3.0)]
    assert talk.account(0) == AudioAccount(36, 36, 0, 0, 144, 144, 0)


def test_what_waits_counts_as_dropped() -> None:
    talk = fed(*TALK[:100])
    talk.take_due(0.0)
    expected = AudioAccount(3600, 432, 0, 3168, 14_400, 12 * 144, 88 * 144)
    assert talk.account(0) == expected
    talk.drop_waiting()
    assert (talk.account(0), talk.waiting, talk.has_audio) == (expected, 0, False)


def test_what_was_not_written_is_dropped() -> None:
    talk = fed(*TALK[:20])
    size = sum(len(packet.audio) for packet in talk.take_due(0.0))
    talk.not_sent(size - 2 * 288)
    assert talk.account(0) == AudioAccount(720, 144, 0, 576, 2880, 576, 2304)


# -- other streams than announced --------------------------------------------------------------------------------------


def refused(data: bytes, sample_rate: int = 16000) -> Problem | None:
    return Mp3Uplink(sample_rate, 100, 0.0).feed(data, 0.0)


def test_stereo_and_other_rates_are_refused() -> None:
    stereo, other = frame(1, head=b"\xff\xf3\x48\x00"), frame(1, head=b"\xff\xe3\x48\xc0")
    assert refused(stereo * 2) == problem(Slug.UNSUPPORTED_AUDIO, "This mp3 is stereo: record with numberOfChannels 1.")
    message = "This mp3 has 8000 Hz, the stream was started with sampleRate 16000."
    assert refused(other * 2) == problem(Slug.UNSUPPORTED_AUDIO, message)
    assert refused(other * 2, 8000) is None
    assert fed(*TALK[:9]).feed(stereo * 2, 1.0) is not None


def test_what_is_no_mp3_is_refused() -> None:
    message = f"{MAX_GARBAGE_BYTES} bytes in a row are no mp3, announced as mp3."
    assert refused(bytes(MAX_GARBAGE_BYTES)) is None
    assert refused(bytes(MAX_GARBAGE_BYTES + 10)) == problem(Slug.UNSUPPORTED_AUDIO, message)
    talk = fed(*TALK[:3], bytes(1000), *TALK[3:6])
    assert sent(talk) == b"".join(TALK[:6])
    assert talk.account(0) == AudioAccount(216, 216, 0, 0, 6 * 144 + 1000, 6 * 144, 1000)
    talk.mark(stop=True)
    assert talk.feed(bytes(9999), 1.0) is None


# -- the bit reservoir -------------------------------------------------------------------------------------------------


def test_a_first_connection_repeats_nothing() -> None:
    talk = uplink()
    assert talk.begin_connection(0.0) == 0
    talk.feed(frame(0, begin=200) + frame(1), 0.0)
    assert talk.begin_connection(0.0) == 0
    assert sent(talk) == frame(0, begin=200) + frame(1)


@pytest.mark.parametrize(
    ("begins", "repeated"),
    [
        ((0, 0, 0), 2),  # what overlaps
        ((0, 0, 131), 2),  # one frame carries it
        ((0, 0, 255), 2),
        ((0, 131, 0), 2),
        ((0, 132, 0), 3),
        ((1, 0, 0), 3),
        ((131, 0, 0), 3),
        ((132, 255, 255), 4),
    ],
)
def test_a_later_connection_repeats_what_its_first_frame_needs(begins: tuple[int, int, int], repeated: int) -> None:
    older = [frame(number, begin=255) for number in range(20)]
    last = [frame(20, begin=begins[0]), frame(21, begin=begins[1])]
    new = [frame(22, begin=begins[2]), *(frame(number, begin=255) for number in range(23, 30))]
    talk = fed(*older, *last)
    assert sent(talk) == b"".join(older + last)
    talk.feed(b"".join(new), 9.0)
    assert talk.begin_connection(9.0) == (22 - repeated) * 576
    assert talk.has_audio
    assert sent(talk, 9.0) == b"".join([*older, *last][-repeated:] + new)
    assert talk.account(0) == AudioAccount(1080, 1080, 0, 0, 30 * 144, 30 * 144, 0)


def test_repeated_frames_wait_for_new_ones() -> None:
    talk = fed(*TALK[:10])
    sent(talk)
    assert talk.begin_connection(9.0) == 10 * 576
    assert (talk.has_audio, talk.take_due(99.0)) == (False, [])


def test_repeated_frames_that_were_not_written_are_not_dropped_audio() -> None:
    talk = fed(*TALK[:10])
    sent(talk)
    talk.feed(TALK[10], 9.0)
    talk.begin_connection(9.0)
    (first, second) = talk.take_due(9.0 + FLUSH_AFTER_S)
    assert (first.audio, second.audio) == (TALK[8] + TALK[9], TALK[10])
    talk.not_sent(len(first.audio) + len(second.audio))
    assert talk.account(0) == AudioAccount(396, 360, 0, 36, 11 * 144, 10 * 144, 144)


def test_few_frames_are_remembered() -> None:
    talk = uplink()
    for number in range(400):
        talk.feed(frame(number, head=KBIT_16, begin=255), number * 0.036)
        talk.take_due(number * 0.036)
        # Those that a frame may need, and the two that overlap; one more where a frame carries more than is needed.
        assert len(talk._recent) <= MAX_RESERVOIR_BYTES // 59 + 1 + 2


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 2), st.booleans()), max_size=60))
def test_every_frame_reaches_some_connection_once(steps: list[tuple[int, float, bool]]) -> None:
    begins = random.Random(5)
    frames = [frame(number, begin=begins.randrange(256)) for number in range(200)]
    data = b"".join(frames)
    talk, place, now, new, audio, repeated = uplink(), 0, 0.0, b"", b"", 0
    for size, pause, breaks in steps:
        now += pause
        talk.feed(data[place : place + size], now)
        place += size
        if breaks and talk.has_audio:
            repeated = (talk.relayed - talk.begin_connection(now)) // 576 * 144
        for packet in talk.take_due(now):
            audio, skip = packet.audio, min(repeated, len(packet.audio))
            assert audio[:skip] in data[: len(new)]
            new += audio[skip:]
            repeated -= skip
    assert data.startswith(new)
    assert len(new) == talk.relayed_bytes == talk.relayed // 576 * 144
    assert talk.received_bytes == min(place, len(data))


# -- a connection is lost ----------------------------------------------------------------------------------------------

FRAME_MS = 36


def kept(replay_s: float, frames: list[bytes]) -> Mp3Uplink:
    """Frames that were all sent, to a connection that may be lost now."""
    talk = Mp3Uplink(16000, 100, 0.0, replay_s=replay_s)
    talk.feed(b"".join(frames), 0.0)
    talk.feed(TALK[999][:4], 0.0)  # the last frame waits for a header behind it
    assert sent(talk) == b"".join(frames)
    return talk


def test_frames_that_are_not_settled_are_sent_again_behind_what_they_need() -> None:
    frames = [frame(number, begin=131 if number == 10 else 0) for number in range(50)]
    lost = kept(15, frames)
    lost.settle_to_ms(10 * FRAME_MS)
    assert lost.rewind(9.0) is None
    assert (lost.sent_to, lost.relayed, lost.waiting) == (10 * 576, 50 * 576, 40 * 576)
    assert lost.begin_connection(9.0) == 8 * 576
    assert sent(lost, 9.0) == b"".join(frames[8:])
    assert lost.account(0) == AudioAccount(1800, 1800, 0, 0, 50 * 144 + 4, 50 * 144, 4)


def test_a_frame_that_is_settled_in_part_is_sent_again() -> None:
    lost = kept(15, TALK[:50])
    lost.settle_to_ms(10 * FRAME_MS + 1)
    assert lost.rewind(9.0) is None
    assert lost.sent_to == 10 * 576
    lost.settle_to_ms(5 * FRAME_MS)  # which is behind it
    assert lost.settled_to == 10 * 576


def test_more_unsettled_frames_than_are_kept() -> None:
    lost = kept(1, TALK[:50])  # 1 s is 27.8 frames: 28 are kept
    lost.settle_to_ms(5 * FRAME_MS)
    assert lost.rewind(9.0) == (5 * FRAME_MS, 22 * FRAME_MS)
    assert lost.begin_connection(9.0) == 20 * 576
    assert sent(lost, 9.0) == b"".join(TALK[20:50])
    assert lost.relayed == 50 * 576


@pytest.mark.parametrize("found_first", [True, False])
def test_frames_that_were_not_written_count_when_they_are(found_first: bool) -> None:
    lost = Mp3Uplink(16000, 100, 0.0, replay_s=15)
    lost.feed(b"".join(TALK[:20]), 0.0)
    size = sum(len(packet.audio) for packet in lost.take_due(0.0))
    if found_first:
        lost.rewind(1.0)
    lost.not_sent(size - 288)
    assert (lost.relayed, lost.relayed_bytes) == (2 * 576, 288)
    lost.rewind(1.0)
    lost.begin_connection(1.0)
    lost.mark(stop=True)
    assert sent(lost, 1.0) == b"".join(TALK[:20])
    assert lost.account(0) == AudioAccount(720, 720, 0, 0, 2880, 2880, 0)


def test_frames_that_were_neither_written_nor_kept_are_dropped() -> None:
    """A write of 13 frames fails, and only 6 of them are kept: the recognizer never got the other 7."""
    lost = Mp3Uplink(16000, 36, 0.0, replay_s=0.2)
    lost.feed(b"".join(TALK[:20]), 0.0)
    taken = sum(len(packet.audio) for packet in lost.take_due(0.0))
    assert taken == 13 * 144
    lost.not_sent(taken)
    assert lost.rewind(1.0) == (0, 7 * FRAME_MS)
    assert lost.begin_connection(1.0) == 5 * 576
    assert (lost.relayed, lost.relayed_bytes) == (0, 0)
    lost.mark(stop=True)
    assert sent(lost, 1.0) == b"".join(TALK[5:20])
    assert lost.account(0) == AudioAccount(20 * 36, 13 * 36, 0, 7 * 36, 20 * 144, 13 * 144, 7 * 144)


@given(
    st.lists(
        st.tuples(st.integers(1, 400), st.floats(0, 2), st.sampled_from(["lose", "settle", "fail", ""])), max_size=60
    )
)
def test_every_frame_is_sent_again_until_it_is_settled(steps: list[tuple[int, float, str]]) -> None:
    begins = random.Random(5)
    frames = [frame(number, begin=begins.randrange(256)) for number in range(200)]
    data = b"".join(frames)
    talk, place, now, heard_from, heard = Mp3Uplink(16000, 100, 0.0, replay_s=30), 0, 0.0, 0, b""
    most = 0
    for size, pause, event in steps:
        now += pause
        talk.feed(data[place : place + size], now)
        place += size
        packets = talk.take_due(now)
        taken = b"".join(packet.audio for packet in packets)
        if event == "fail":
            talk.not_sent(len(taken))
        else:
            heard += taken
            most = max(most, heard_from + len(heard))
        assert talk.relayed_bytes == talk.relayed // 576 * 144 == most
        # This connection was sent one stretch of the talk.
        assert heard == data[heard_from : heard_from + len(heard)]
        if event == "settle":
            talk.settle(talk.sent_to // 2)
        elif event:
            settled = talk.settled_to
            assert talk.rewind(now) is None
            assert talk.settled_to == talk.sent_to
            assert settled - 576 < talk.sent_to <= settled
            heard_from, heard = talk.begin_connection(now) // 576 * 144, b""
            assert heard_from <= talk.sent_to // 576 * 144
    assert talk.received_bytes == min(place, len(data))


def test_the_uplink_for_the_settings() -> None:
    assert isinstance(uplink_for(StreamSettings("16k_en", voice_format="mp3"), 100, 15.0, 0.0), Mp3Uplink)
    for voice_format in ("pcm", "wav", "auto"):
        assert not isinstance(
            uplink_for(StreamSettings("16k_en", voice_format=voice_format), 100, 15.0, 0.0), Mp3Uplink
        )


def test_requests_to_settle_go_over_to_the_uplink_that_the_bytes_ask_for() -> None:
    before = uplink_for(StreamSettings("16k_zh", voice_format="auto"), 100, 15.0, 0.0)
    before.mark(id="a")
    talk = uplink_for(StreamSettings("16k_zh", voice_format="mp3"), 100, 15.0, 0.0, instead_of=before)
    assert isinstance(talk, Mp3Uplink)
    assert talk.reached == Mark(0, id="a")
