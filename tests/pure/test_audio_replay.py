"""A connection is lost: what it had not settled is sent again, and counted once."""

import math

import pytest

from service.stream.audio import BACKLOG_S, Mark, Packet, Uplink
from service.stream.protocol import AudioAccount
from tests.pure.test_audio import NOISE, PACKET, RATE, SECOND


def kept(replay_s: float, count: int, *, begins_ms: int = 0) -> Uplink:
    """Audio that was all sent, to a connection that may be lost now; the next second's allowance is there."""
    sent = Uplink(RATE, 100, 0.0, replay_s=replay_s, begins_ms=begins_ms)
    sent.feed(NOISE[:count], 0.0)
    assert all_of(sent, 0.0) == NOISE[:count]
    return sent


def all_of(uplink: Uplink, now: float) -> bytes:
    """All that can be sent, however long it takes."""
    audio = b""
    while (due := uplink.next_due(now)) < math.inf:
        now = max(now, due)
        audio += b"".join(packet.audio for packet in uplink.take_due(now))
    return audio


def test_what_was_sent_and_not_settled_is_sent_again_and_counted_once() -> None:
    lost = kept(15, 5 * SECOND)
    lost.settle_to_ms(2000)
    lost.feed(NOISE[5 * SECOND : 6 * SECOND], 9.0)
    assert (lost.sent_to, lost.settled_to) == (5 * SECOND, 2 * SECOND)
    assert lost.rewind(10.0) is None
    assert (lost.sent_to, lost.settled_to, lost.relayed, lost.waiting) == (
        2 * SECOND, 2 * SECOND, 5 * SECOND, 4 * SECOND,
    )  # fmt: skip
    assert lost.backlog_s() == 2.0
    assert lost.account(2000) == AudioAccount(6000, 5000, 2000, 1000, 6 * SECOND, 5 * SECOND, SECOND)
    assert lost.begin_connection(10.0) == 2 * SECOND
    assert all_of(lost, 10.0) == NOISE[2 * SECOND : 6 * SECOND]
    assert lost.account(6000) == AudioAccount(6000, 6000, 6000, 0, 6 * SECOND, 6 * SECOND, 0)


def test_what_is_sent_again_is_kept_again() -> None:
    lost = kept(15, 2 * SECOND)
    for number in range(5):
        assert lost.rewind(10.0 * number) is None
        lost.begin_connection(10.0 * number)
        assert all_of(lost, 10.0 * number) == NOISE[: 2 * SECOND]


def test_what_came_just_before_a_loss_keeps_its_time() -> None:
    lost = kept(15, PACKET)
    lost.feed(NOISE[PACKET : 2 * PACKET], 4.0)
    lost.rewind(5.0)
    assert lost.take_due(6.0) == [Packet(NOISE[:PACKET], 5.0), Packet(NOISE[PACKET : 2 * PACKET], 4.0)]


@pytest.mark.parametrize(("settled_ms", "missing"), [(0, (0, 4000)), (3999, (3999, 4000)), (4000, None)])
def test_more_unsettled_audio_than_is_kept(settled_ms: int, missing: tuple[int, int] | None) -> None:
    lost = kept(1, 5 * SECOND)
    lost.settle_to_ms(settled_ms)
    assert lost.rewind(9.0) == missing
    assert lost.settled_to == 4 * SECOND
    assert all_of(lost, 9.0) == NOISE[4 * SECOND : 5 * SECOND]
    assert lost.rewind(19.0) is None  # it is named once
    assert lost.account(0).dropped_ms == 0


def test_where_nothing_is_kept_everything_unsettled_is_missing() -> None:
    lost = kept(0, SECOND)
    lost.settle_to_ms(400)
    assert lost.rewind(9.0) == (400, 1000)
    assert (lost.has_audio, lost.waiting, lost.relayed) == (False, 0, SECOND)
    assert lost.rewind(9.0) is None


def test_what_is_settled_is_not_kept_and_never_less() -> None:
    lost = kept(15, SECOND)
    lost.settle_to_ms(700)
    lost.settle_to_ms(300)
    assert lost.settled_to == 700 * RATE
    lost.settle_to_ms(99_000)  # no further than it was sent
    assert lost.settled_to == SECOND
    assert lost.rewind(9.0) is None
    assert lost.waiting == 0


def test_what_is_sent_again_does_not_hold_the_client_back() -> None:
    lost = kept(15, 9 * SECOND)
    lost.rewind(20.0)
    lost.feed(NOISE[: int(BACKLOG_S * SECOND) - 1], 20.0)
    assert not lost.full
    lost.feed(b"x", 20.0)
    assert lost.full


def test_marks_are_reached_again() -> None:
    lost = kept(15, SECOND)
    lost.mark(id=1)
    assert lost.reached == Mark(SECOND, id=1)
    lost.rewind(9.0)
    assert lost.reached is None
    lost.feed(NOISE[:640], 9.0)
    assert all_of(lost, 9.0) == NOISE[:SECOND]
    assert lost.reached == Mark(SECOND, id=1)


def test_audio_that_was_not_written_does_not_count() -> None:
    lost = Uplink(RATE, 100, 0.0, replay_s=15)
    lost.feed(NOISE[: 5 * PACKET], 0.0)
    assert len(lost.take_due(0.0)) == 5
    lost.not_sent(2 * PACKET)
    assert lost.relayed == 3 * PACKET
    lost.rewind(1.0)
    assert all_of(lost, 1.0) == NOISE[: 5 * PACKET]
    assert lost.relayed == 5 * PACKET


@pytest.mark.parametrize("unsent", [0, 1, 5])
def test_a_send_that_ends_behind_the_loss_counts_the_same(unsent: int) -> None:
    """The recognizer's task may find the connection lost while the client's task still waits for its write."""
    lost = Uplink(RATE, 100, 0.0, replay_s=15)
    lost.feed(NOISE[: 10 * PACKET], 0.0)
    assert len(lost.take_due(0.0)) == 5
    assert len(lost.take_due(1.0)) == 5
    lost.rewind(1.0)
    lost.not_sent(unsent * PACKET)
    assert lost.relayed == (10 - unsent) * PACKET
    assert all_of(lost, 1.0) == NOISE[: 10 * PACKET]
    assert lost.relayed == 10 * PACKET


def test_audio_that_was_not_written_again_was_still_sent_once() -> None:
    lost = kept(15, 10 * PACKET)
    lost.rewind(1.0)
    lost.begin_connection(1.0)
    assert len(lost.take_due(1.0)) == 5
    lost.not_sent(5 * PACKET)
    assert lost.relayed == 10 * PACKET


def test_a_resumed_stream_begins_where_the_earlier_one_was_settled() -> None:
    resumed = kept(15, SECOND, begins_ms=7000)
    assert (resumed.sent_to, resumed.received, resumed.relayed) == (8 * SECOND, SECOND, SECOND)
    resumed.settle_to_ms(7500)
    assert resumed.rewind(9.0) is None
    assert resumed.begin_connection(9.0) == 7500 * RATE
    assert all_of(resumed, 9.0) == NOISE[SECOND // 2 : SECOND]
    assert resumed.account(8000) == AudioAccount(1000, 1000, 8000, 0, SECOND, SECOND, 0)


def test_audio_that_was_neither_written_nor_kept_is_dropped() -> None:
    """A write of 0.5 s fails, and only 0.2 s are kept: the recognizer never got the other 0.3 s."""
    lost = Uplink(RATE, 100, 0.0, replay_s=0.2)
    lost.feed(NOISE[:SECOND], 0.0)
    assert sum(len(packet.audio) for packet in lost.take_due(0.0)) == SECOND // 2
    lost.not_sent(SECOND // 2)
    assert lost.rewind(1.0) == (0, 300)
    assert lost.begin_connection(1.0) == 300 * RATE
    assert lost.relayed == 0
    lost.mark(stop=True)
    assert all_of(lost, 1.0) == NOISE[300 * RATE : SECOND]
    lost.pass_mark()
    assert lost.account(1000) == AudioAccount(1000, 700, 1000, 300, SECOND, 700 * RATE, 300 * RATE)
