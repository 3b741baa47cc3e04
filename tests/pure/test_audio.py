"""Audio on its way to the recognizer: nothing lost, nothing reordered, never too fast, always accounted for."""

import math
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stream.audio import ARRIVALS_APART_S, BACKLOG_S, FLUSH_AFTER_S, Mark, Pacer, Packet, Uplink
from service.stream.protocol import AudioAccount

RATE = 32  # bytes per millisecond at 16 kHz
SECOND = 32_000
PACKET = 3200  # 100 ms
NOISE = random.Random(1).randbytes(4_000_000)
MOST_IN_A_SECOND_S = 2.5  # the recognizer's own limit is 3 s


def uplink(packet_ms: int = 100, now: float = 0.0) -> Uplink:
    return Uplink(RATE, packet_ms, now)


def most_in_a_second(sends: list[tuple[float, int]]) -> int:
    """The most bytes that any window of one second holds, its ends included."""
    most = total = 0
    window: deque[tuple[float, int]] = deque()
    for at, count in sends:
        window.append((at, count))
        total += count
        while window[0][0] < at - 1:
            total -= window.popleft()[1]
        most = max(most, total)
    return most


# -- the pace ----------------------------------------------------------------------------------------------------------


def test_a_pacer_starts_full_and_refills_at_twice_real_time() -> None:
    pacer = Pacer(SECOND, now=100.0)
    assert pacer.allowance(100.0) == 16_000
    pacer.spend(16_000)
    assert [pacer.allowance(100.0), pacer.allowance(100.1), pacer.allowance(100.2)] == [0, 6400, 12_800]
    pacer.spend(12_800)
    assert [pacer.allowance(100.3), pacer.allowance(200.0)] == [6400, 16_000]


def test_when_a_pacer_is_ready() -> None:
    pacer = Pacer(SECOND, now=0.0)
    assert pacer.ready_at(16_000, 5.0) == 5.0
    pacer.spend(16_000)
    assert pacer.ready_at(6400, 5.0) == pytest.approx(5.1)
    assert pacer.ready_at(0, 5.0) == 5.0


@given(
    st.sampled_from([16_000, 32_000]),
    st.floats(0, 2e6),
    st.lists(st.tuples(st.floats(0, 1.5), st.integers(1, 8000)), max_size=60),
)
def test_no_second_holds_too_much_and_waiting_is_exact(rate: int, now: float, wanted: list[tuple[float, int]]) -> None:
    """Times are a monotonic clock's, so the numbers are large: rounding must not make a sender wait twice."""
    pacer, sends = Pacer(rate, now), []
    for pause_s, count in wanted:
        now += pause_s
        ready_at = pacer.ready_at(count, now)
        assert ready_at >= now
        assert (ready_at == now) == (pacer.allowance(now) >= count)
        now = ready_at
        assert pacer.allowance(now) >= count
        pacer.spend(count)
        sends.append((now, count))
    # One byte for rounding: the bound of the recognizer is 0.5 s further.
    assert most_in_a_second(sends) <= MOST_IN_A_SECOND_S * rate + 1


@pytest.mark.parametrize("now", [0.0, 100_000.123, 1_000_000.777])
@pytest.mark.parametrize("count", [640, 3200, 12_800])
def test_rounding_does_not_add_up(now: float, count: int) -> None:
    """A long backlog: a sender who comes when it is told to never comes in vain."""
    pacer = Pacer(SECOND, now)
    for _ in range(10_000):
        now = pacer.ready_at(count, now)
        assert pacer.allowance(now) >= count
        pacer.spend(count)


# -- one thing at a time -----------------------------------------------------------------------------------------------


def test_a_new_uplink_is_empty() -> None:
    new = uplink(now=7.0)
    assert (new.received_bytes, new.relayed_bytes, new.position, new.settled_to, new.marks) == (0, 0, 0, 0, 0)
    assert (new.full, new.stopped, new.has_audio) == (False, False, False)
    assert new.reached is None
    assert (new.take_due(7.0), new.next_due(7.0), new.backlog_s()) == ([], math.inf, 0.0)
    assert new.account(0) == AudioAccount(0, 0, 0, 0, 0, 0, 0)


def test_live_audio_goes_out_as_soon_as_a_packet_is_complete() -> None:
    live, sent = uplink(), []
    for frame in range(50):  # 40 ms each
        now = (frame + 1) * 0.04
        live.feed(NOISE[frame * 1280 : (frame + 1) * 1280], now)
        sent += [(now, packet) for packet in live.take_due(now)]
    assert [packet for _, packet in sent] == [
        Packet(NOISE[number * PACKET : (number + 1) * PACKET], now) for number, (now, _) in enumerate(sent)
    ]
    assert [round(now * 1000) for now, _ in sent[:4]] == [120, 200, 320, 400]
    assert len(sent) == 20


def test_a_backlog_goes_out_at_twice_real_time_after_the_first_half_second() -> None:
    backlog, now, sent = uplink(), 10.0, []
    backlog.feed(NOISE[: 3 * SECOND], now)
    assert backlog.backlog_s() == 1.5
    while (due := backlog.next_due(now)) < math.inf:
        now = due
        sent += [(round(now - 10.0, 6), len(packet.audio)) for packet in backlog.take_due(now)]
    at_once, later = sent[:5], sent[5:]
    assert at_once == [(0.0, PACKET)] * 5
    assert later == [(round(0.05 * number, 6), PACKET) for number in range(1, 26)]


def test_a_new_connection_starts_afresh() -> None:
    fresh = uplink()
    fresh.feed(NOISE[:SECOND], 0.0)
    assert sum(len(packet.audio) for packet in fresh.take_due(0.0)) == 16_000
    assert fresh.take_due(0.0) == []
    assert fresh.begin_connection(0.0) == 16_000
    assert b"".join(packet.audio for packet in fresh.take_due(0.0)) == NOISE[16_000:SECOND]
    assert fresh.begin_connection(3.0) == SECOND


def test_a_short_packet_goes_out_when_audio_pauses() -> None:
    short = uplink()
    short.feed(NOISE[:101], 5.0)
    assert (short.has_audio, short.take_due(5.0), short.next_due(5.0)) == (True, [], 5.0 + FLUSH_AFTER_S)
    assert short.take_due(5.0 + FLUSH_AFTER_S - 1e-6) == []
    assert short.take_due(5.0 + FLUSH_AFTER_S) == [Packet(NOISE[:100], 5.0)]
    # Half a sample is nothing to send, however long it waits.
    assert (short.has_audio, short.take_due(99.0), short.next_due(99.0)) == (False, [], math.inf)
    short.feed(NOISE[101:102], 100.0)
    assert short.take_due(101.0) == [Packet(NOISE[100:102], 100.0)]


def test_a_short_packet_goes_out_at_once_at_a_mark() -> None:
    marked = uplink()
    marked.feed(NOISE[:100], 0.0)
    marked.mark(id="a")
    assert marked.reached is None
    assert marked.next_due(0.0) == 0.0
    assert marked.take_due(0.0) == [Packet(NOISE[:100], 0.0)]
    assert marked.reached == Mark(100, stop=False, id="a")
    assert marked.pass_mark() == Mark(100, stop=False, id="a")
    assert (marked.marks, marked.stopped, marked.next_due(0.0)) == (0, False, math.inf)


def test_audio_behind_a_mark_waits_until_the_mark_is_passed() -> None:
    marked = uplink()
    marked.feed(NOISE[:100], 0.0)
    marked.mark()
    marked.feed(NOISE[100:300], 0.1)
    marked.mark(id=2)
    assert marked.marks == 2
    assert marked.take_due(9.0) == [Packet(NOISE[:100], 0.0)]
    assert (marked.has_audio, marked.take_due(9.0), marked.next_due(9.0)) == (False, [], math.inf)
    assert marked.pass_mark() == Mark(100)
    assert marked.take_due(9.0) == [Packet(NOISE[100:300], 0.1)]
    assert marked.reached == Mark(300, id=2)


def test_half_a_sample_before_a_mark_joins_its_other_half_behind_it() -> None:
    odd = uplink()
    odd.feed(NOISE[:3], 0.0)
    odd.mark(id=1)
    odd.mark(id=2)
    odd.feed(NOISE[3:8], 0.5)
    assert odd.take_due(0.5) == [Packet(NOISE[:2], 0.0)]
    assert (odd.reached, odd.has_audio) == (Mark(3, id=1), False)
    odd.pass_mark()
    assert odd.reached == Mark(3, id=2)
    odd.pass_mark()
    assert odd.take_due(2.0) == [Packet(NOISE[2:8], 0.5)]


def test_a_mark_without_audio_is_reached_at_once() -> None:
    silent = uplink()
    silent.mark(id="a")
    assert silent.reached == Mark(0, id="a")
    assert silent.next_due(0.0) == math.inf


def test_behind_stop_audio_is_dropped_and_counted_and_marks_are_ignored() -> None:
    stopped = uplink()
    stopped.feed(NOISE[:65], 0.0)
    stopped.mark(stop=True)
    assert stopped.stopped
    stopped.feed(NOISE[:640], 1.0)
    stopped.mark(id="late")
    stopped.mark(stop=True)
    assert (stopped.marks, stopped.last_audio_at) == (1, 0.0)
    assert stopped.take_due(1.0) == [Packet(NOISE[:64], 0.0)]
    assert stopped.reached == Mark(65, stop=True)
    assert (stopped.received_bytes, stopped.relayed_bytes, stopped.waiting) == (705, 64, 1)
    assert stopped.pass_mark() == Mark(65, stop=True)
    assert (stopped.received_bytes, stopped.relayed_bytes, stopped.waiting) == (705, 64, 0)
    assert (stopped.has_audio, stopped.next_due(9.0)) == (False, math.inf)
    assert stopped.account(1) == AudioAccount(22, 2, 1, 20, 705, 64, 641)


def test_an_empty_frame_is_no_audio() -> None:
    new = uplink()
    new.feed(b"", 5.0)
    assert (new.last_audio_at, new.received_bytes) == (-math.inf, 0)


def test_the_backlog_is_bounded_by_not_reading() -> None:
    backlog = uplink()
    limit = int(BACKLOG_S * SECOND)
    backlog.feed(NOISE[: limit - 1], 0.0)
    assert not backlog.full
    backlog.feed(b"x", 0.0)
    assert (backlog.full, backlog.backlog_s()) == (True, BACKLOG_S / 2)
    backlog.take_due(0.0)
    assert not backlog.full


def test_what_is_given_up_is_counted_as_dropped() -> None:
    lost = uplink()
    lost.feed(NOISE[:5000], 0.0)
    lost.take_due(0.0)
    waiting = lost.account(7)
    lost.drop_waiting()
    assert lost.account(7) == waiting == AudioAccount(156, 100, 7, 56, 5000, 3200, 1800)
    assert lost.take_due(9.0) == []


@pytest.mark.parametrize("packet_ms", [20, 100, 400])
@pytest.mark.parametrize("bytes_per_ms", [16, 32])
def test_every_packet_size_that_can_be_configured_flows(packet_ms: int, bytes_per_ms: int) -> None:
    """A packet beyond the pace's bucket would never be due."""
    flowing, now, audio = Uplink(bytes_per_ms, packet_ms, 0.0), 0.0, NOISE[: 4000 * bytes_per_ms]
    flowing.feed(audio, now)
    sent: list[bytes] = []
    while (due := flowing.next_due(now)) < math.inf:
        now = due
        taken = flowing.take_due(now)
        assert taken
        sent += [packet.audio for packet in taken]
    assert b"".join(sent) == audio
    assert now == pytest.approx((4 - 0.5) / 2, abs=0.01)


def test_what_is_remembered_of_arrivals_is_bounded() -> None:
    """A client that sends byte by byte costs one entry per 5 ms, not one per frame."""
    tiny = uplink(packet_ms=500)
    for number in range(10_000):
        tiny.feed(b"x", number / 10_000)
    assert len(tiny._arrivals) <= 1 / ARRIVALS_APART_S + 1
    tiny.mark()
    (packet,) = tiny.take_due(1.0)
    assert len(packet.audio) == 10_000
    assert 0.9999 - ARRIVALS_APART_S <= packet.complete_at <= 0.9999
    assert len(tiny._arrivals) == 0
