"""What is measured of one stream, for the metrics and for its line in the log."""

from collections.abc import Iterable

from service.stream.audio import Packet
from service.telemetry.metrics import Metrics


class Observed:
    """The stopwatch of one stream. Times are any monotonic clock's, in seconds."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._first_audio_at: float | None = None
        self.first_result_s: float | None = None
        """From the first audio to the first result."""
        self.connections = 0
        """Recognizer connections that were accepted."""

    def heard(self, audio_s: float, now: float) -> None:
        """So much audio came from the client."""
        if self._first_audio_at is None:
            self._first_audio_at = now
        self._metrics.audio_received.inc(audio_s)

    def relayed(self, packets: Iterable[Packet], audio_s: float, now: float) -> None:
        """These packets, so much of the client's audio, went to the recognizer."""
        self._metrics.audio_relayed.inc(audio_s)
        for packet in packets:
            self._metrics.gateway_delay.observe(now - packet.complete_at)

    def told(self, now: float) -> None:
        """A result went to the client."""
        if self.first_result_s is None and self._first_audio_at is not None:
            self.first_result_s = now - self._first_audio_at
            self._metrics.first_partial.observe(self.first_result_s)

    def settled(self, since_stop_s: float) -> None:
        """`stopped` went to the client."""
        self._metrics.finalization.observe(since_stop_s)
