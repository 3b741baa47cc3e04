"""What an uplink makes of a transport that blocks or fails, and of audio that only trickles. Without Trio."""

import math
import random

from service.stream.audio import FLUSH_AFTER_S, Uplink

NOISE = random.Random(1).randbytes(32000)


def uplink() -> Uplink:
    return Uplink(bytes_per_ms=32, packet_ms=100, now=0.0)


def test_a_blocked_transport_gives_no_right_to_catch_up() -> None:
    """What the kernel holds arrives at once: after 2 s of blocking, sending at 2x for them would be far too fast."""
    talk = uplink()
    talk.feed(NOISE[:32000] * 5, 0.0)
    size = sum(len(packet.audio) for packet in talk.take_due(0.0))
    talk.sent(2.0)
    assert talk.take_due(2.0) == []
    again = sum(len(packet.audio) for packet in talk.take_due(2.5))
    assert (size, again) == (16000, 16000)


def test_what_was_not_written_is_dropped() -> None:
    talk = uplink()
    talk.feed(NOISE[:6400], 0.0)
    taken = sum(len(packet.audio) for packet in talk.take_due(0.0))
    talk.not_sent(taken - 3200)
    account = talk.account(0)
    assert (account.received_bytes, account.relayed_bytes, account.dropped_bytes) == (6400, 3200, 3200)


def test_a_trickle_is_sent_all_the_same() -> None:
    """A few bytes every 0.3 s never pause for long: the oldest one counts."""
    talk = uplink()
    sent = []
    for number in range(10):
        now = number * 0.3
        talk.feed(b"ab", now)
        sent += [len(packet.audio) for packet in talk.take_due(now)]
    assert sum(sent) >= 16


def test_a_packet_is_there_when_as_much_waits_and_is_ripe_when_only_the_pace_holds_it_back() -> None:
    talk = uplink()
    talk.feed(NOISE[:3198], 0.0)
    assert (talk.has_packet, talk.is_ripe(0.0)) == (False, False)
    talk.feed(NOISE[:2], 0.0)
    assert (talk.has_packet, talk.is_ripe(0.0)) == (True, True)
    talk.feed(NOISE[:16000], 0.0)
    talk.take_due(0.0)
    assert talk.take_due(0.0) == []
    assert (talk.has_packet, talk.is_ripe(0.0)) == (True, True)


def test_a_short_packet_is_ripe_at_a_mark_and_when_audio_pauses() -> None:
    talk = uplink()
    talk.feed(NOISE[:100], 1.0)
    assert not talk.is_ripe(1.0 + FLUSH_AFTER_S - 0.001)
    assert talk.is_ripe(1.0 + FLUSH_AFTER_S)
    talk.mark()
    assert talk.is_ripe(1.0)
    assert not talk.has_packet


def test_the_first_audio_has_its_time() -> None:
    talk = uplink()
    assert talk.first_audio_at == math.inf
    talk.feed(b"", 1.0)
    assert talk.first_audio_at == math.inf
    talk.feed(b"ab", 2.0)
    talk.feed(b"cd", 3.0)
    assert (talk.first_audio_at, talk.last_audio_at) == (2.0, 3.0)
