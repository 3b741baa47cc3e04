"""What is measured of one stream, for the metrics and for its line in the log."""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from service.failures import Problem
from service.stream.audio import AnyUplink, Packet
from service.telemetry.logs import get_logger, log_event
from service.telemetry.metrics import Metrics

_logger: Final = get_logger("stream")

REPORT_EVERY_S: Final = 1.0
"""Audio is added to the metrics in sums, not frame by frame: a scrape comes every few seconds."""


class Observed:
    """The stopwatch of one stream. Times are any monotonic clock's, in seconds."""

    def __init__(self, metrics: Metrics, now: float) -> None:
        self._metrics = metrics
        self._report_at = now
        self._received_s = 0.0
        self._relayed_s = 0.0
        self.first_result_s: float | None = None
        """From the first audio to the first result."""
        self.connections = 0
        """Recognizer connections that were accepted."""
        self.results = 0
        self.on_relayed: Callable[[float], None] | None = None
        """Told the seconds of audio that went to the recognizer, about once a second while some does."""

    def audio(self, uplink: AnyUplink, now: float) -> None:
        """Report what came from the client and what went to the recognizer, when it is time again."""
        if now >= self._report_at:
            self._report_at = now + REPORT_EVERY_S
            self.audio_at_last(uplink)

    def audio_at_last(self, uplink: AnyUplink) -> None:
        """Report what was not reported yet. What could not be sent in the end was never reported as sent."""
        received_s, relayed_s = uplink.in_s(uplink.received), uplink.in_s(uplink.relayed)
        self._metrics.audio_received.inc(received_s - self._received_s)
        self._metrics.audio_relayed.inc(relayed_s - self._relayed_s)
        relayed_now_s = relayed_s - self._relayed_s
        self._received_s, self._relayed_s = received_s, relayed_s
        if relayed_now_s and self.on_relayed is not None:
            self.on_relayed(relayed_now_s)

    def relayed(self, packets: Iterable[Packet], now: float) -> None:
        """These packets went to the recognizer."""
        for packet in packets:
            self._metrics.gateway_delay.observe(now - packet.complete_at)

    def lost(self, stream_id: str, reason: Problem, missing: tuple[int, int] | None) -> None:
        """A connection was lost, and another one is to take its place; audio may be missing, from and to."""
        if missing is not None:
            self._metrics.audio_lost.inc((missing[1] - missing[0]) / 1000)
        log_event(
            _logger,
            logging.WARNING,
            "recognizer_lost",
            stream=stream_id,
            reason=reason.slug,
            code=reason.recognizer_code,
            missing_from_ms=missing[0] if missing else None,
            missing_to_ms=missing[1] if missing else None,
        )

    def told(self, uplink: AnyUplink, now: float) -> None:
        """A result went to the client."""
        self.results += 1
        if self.first_result_s is None and uplink.first_audio_at <= now:
            self.first_result_s = now - uplink.first_audio_at
            self._metrics.first_partial.observe(self.first_result_s)

    def settled(self, since_stop_s: float) -> None:
        """`stopped` went to the client."""
        self._metrics.finalization.observe(since_stop_s)
