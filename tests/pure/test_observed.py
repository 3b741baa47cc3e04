"""What is measured of a stream: sums of audio once a second, and all of it in the end. Without Trio."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.stream.audio import Packet, Uplink
from service.stream.observed import REPORT_EVERY_S, Observed
from service.telemetry.metrics import Metrics

BYTES_PER_S = 32_000


def uplink() -> Uplink:
    return Uplink(bytes_per_ms=32, packet_ms=100, now=0.0)


class Scrape:
    """What a scrape would see."""

    def __init__(self) -> None:
        self.metrics = Metrics()

    def value(self, name: str) -> float:
        value = self.metrics.registry.get_sample_value(name)
        assert value is not None
        return value

    @property
    def audio_s(self) -> tuple[float, float]:
        """Received and relayed."""
        received, relayed = (
            family.samples[0].value
            for counter in (self.metrics.audio_received, self.metrics.audio_relayed)
            for family in counter.collect()
        )
        return received, relayed


def test_audio_is_reported_once_a_second() -> None:
    scrape, talk = Scrape(), uplink()
    observed = Observed(scrape.metrics, now=10.0)
    talk.feed(bytes(3200), 10.0)
    talk.take_due(10.0)
    observed.audio(talk, 10.0)
    assert scrape.audio_s == (0.1, 0.1)
    for tenth in range(1, 10):
        talk.feed(bytes(3200), 10 + tenth / 10)
        observed.audio(talk, 10 + tenth / 10)
        assert scrape.audio_s == (0.1, 0.1)
    observed.audio(talk, 10 + REPORT_EVERY_S)
    assert scrape.audio_s == pytest.approx((1.0, 0.1))
    talk.take_due(11.5)
    observed.audio(talk, 11.5)
    assert scrape.audio_s == pytest.approx((1.0, 0.1))
    observed.audio_at_last(talk)
    assert scrape.audio_s == pytest.approx((1.0, 0.6))


def test_the_next_second_begins_with_the_report() -> None:
    scrape, talk = Scrape(), uplink()
    observed = Observed(scrape.metrics, now=0.0)
    observed.audio(talk, 5.7)
    talk.feed(bytes(3200), 5.8)
    observed.audio(talk, 6.6)
    assert scrape.audio_s == (0.0, 0.0)
    observed.audio(talk, 6.7)
    assert scrape.audio_s == (0.1, 0.0)


_steps = st.lists(
    st.tuples(st.sampled_from(["feed", "take", "fail", "look", "stop"]), st.integers(0, 20_000), st.floats(0, 2)),
    max_size=40,
)


@given(_steps)
def test_the_sums_are_what_was_received_and_relayed(steps: list[tuple[str, int, float]]) -> None:
    """However often somebody looks: no more is reported than there was, and in the end exactly that."""
    scrape, talk, now = Scrape(), uplink(), 0.0
    observed = Observed(scrape.metrics, now)
    received = 0
    for do, size, later in steps:
        now += later
        match do:
            case "feed":
                talk.feed(bytes(size), now)
                received += size
            case "take":
                talk.take_due(now)
            case "fail":  # between the two nobody looks: the client task is sending; the stream ends with that
                talk.not_sent(sum(len(packet.audio) for packet in talk.take_due(now)))
                break
            case "look":
                observed.audio(talk, now)
            case "stop":
                talk.mark(stop=True)
        assert scrape.audio_s[0] <= received / BYTES_PER_S + 1e-9
        assert scrape.audio_s[1] <= talk.relayed / BYTES_PER_S + 1e-9
    observed.audio_at_last(talk)
    observed.audio_at_last(talk)
    assert scrape.audio_s == pytest.approx((received / BYTES_PER_S, talk.relayed / BYTES_PER_S))


def test_each_packet_has_its_delay() -> None:
    scrape = Scrape()
    Observed(scrape.metrics, 0.0).relayed([Packet(b"", 1.0), Packet(b"", 1.5)], now=2.0)
    assert scrape.value("voice_gateway_delay_seconds_count") == 2
    assert scrape.value("voice_gateway_delay_seconds_sum") == 1.5


def test_the_first_result_counts_from_the_first_audio_and_once() -> None:
    scrape, talk = Scrape(), uplink()
    observed = Observed(scrape.metrics, now=0.0)
    observed.told(talk, 1.0)
    assert observed.first_result_s is None
    talk.feed(b"ab", 2.0)
    talk.feed(b"cd", 2.5)
    observed.told(talk, 3.0)
    observed.told(talk, 4.0)
    assert observed.first_result_s == 1.0
    assert scrape.value("voice_first_partial_seconds_count") == 1
    assert scrape.value("voice_first_partial_seconds_sum") == 1.0


def test_settling_is_measured() -> None:
    scrape = Scrape()
    Observed(scrape.metrics, 0.0).settled(0.25)
    assert scrape.value("voice_finalization_seconds_sum") == 0.25
