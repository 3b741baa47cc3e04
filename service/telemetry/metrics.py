"""Every metric of the service, on a registry of its own.

Labels take their values from enums only, so the number of time series is bounded. Bucket edges stand at decision
points: 0.1 s (nobody notices), 0.3 s and 0.5 s (feels live), 0.8 s (objective for finalization), 2 s (people stop
waiting). The list is documented in docs/metrics.md; a test holds the two equal.
"""

import platform
from importlib import metadata
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from service.telemetry.histogram import LoopHistogram

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody graphs

_FEELS_LIVE_S: Final = (0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0, 10.0)
_ADDED_BY_US_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """The instruments. One object for a process; tests make their own, so that counts start at zero."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        registry = self.registry
        ProcessCollector(registry=registry)  # CPU, memory and descriptors, where there is a /proc
        self.streams_active = Gauge(
            "voice_streams_active", "Streams from their admitted start to their outcome", registry=registry
        )
        self.streams_ended = Counter(
            "voice_streams_ended", "Streams that had an admitted start, by outcome", ["outcome"], registry=registry
        )
        self.connections_active = Gauge("voice_connections_active", "Open TCP connections", registry=registry)
        self.audio_received = Counter("voice_audio_received_seconds", "Audio that came from clients", registry=registry)
        self.audio_relayed = Counter(
            "voice_audio_relayed_seconds", "Audio sent on to the recognizer", registry=registry
        )
        self.audio_lost = Counter(
            "voice_audio_lost_seconds", "Audio that clients were told is missing (audio_lost)", registry=registry
        )
        self.first_partial = Histogram(
            "voice_first_partial_seconds",
            "From the first audio of a stream to its first result",
            buckets=_FEELS_LIVE_S,
            registry=registry,
        )
        self.finalization = Histogram(
            "voice_finalization_seconds", "From stop to stopped", buckets=_FEELS_LIVE_S, registry=registry
        )
        self.gateway_delay = LoopHistogram(
            "voice_gateway_delay_seconds",
            "From the moment a packet of audio is complete to the moment it is written to the recognizer",
            buckets=_ADDED_BY_US_S,
            registry=registry,
        )
        self.recognizer_connect = Histogram(
            "voice_recognizer_connect_seconds",
            "From dialing the recognizer to its acceptance",
            buckets=_FEELS_LIVE_S,
            registry=registry,
        )
        self.recognizer_errors = Counter(
            "voice_recognizer_errors",
            "Recognizer connections that failed, by the recognizer's own code, or by what happened to the connection",
            ["code"],
            registry=registry,
        )
        self.recognizer_breaker = Gauge(
            "voice_recognizer_breaker",
            "The circuit breaker before the recognizer: 0 closed, 1 half open, 2 open",
            registry=registry,
        )
        self.recognizer_slots = Gauge(
            "voice_recognizer_slots", "Recognizer connections this process may have", ["state"], registry=registry
        )
        self.recognizer_pool_slots = Gauge(
            "voice_recognizer_pool_slots",
            "Recognizer connections all replicas that share a Redis may have together, as each of them has heard",
            ["state"],
            registry=registry,
        )
        self.recognizer_slot_wait = Histogram(
            "voice_recognizer_slot_wait_seconds",
            "How long those that got a recognizer slot had waited for it",
            buckets=(0.001, 0.01, 0.1, 0.3, 1.0, 2.0, 5.0),
            registry=registry,
        )
        self.redis = Gauge(
            "voice_redis",
            "The Redis that replicas share: 0 there is none, 1 it answers, 2 it is away",
            registry=registry,
        )
        self.messages_rejected = Counter(
            "voice_messages_rejected", "Client messages refused, by slug", ["slug"], registry=registry
        )
        self.sentences = Counter(
            "voice_sentences", "Requests for the recognition of one upload, by outcome", ["outcome"], registry=registry
        )
        self.sentence = Histogram(
            "voice_sentence_seconds",
            "From a complete upload to its answer, for requests that were recognized",
            buckets=(*_FEELS_LIVE_S, 25.0),  # the deadline
            registry=registry,
        )
        self.logins = Counter("voice_logins", "Logins of mini-programs, by outcome", ["outcome"], registry=registry)
        self.history_spooled = Counter(
            "voice_history_spooled", "Records put on the disk, where each waits for the database", registry=registry
        )
        self.history_written = Counter(
            "voice_history_written", "Streams and uploads that came into the database", registry=registry
        )
        self.history_lost = Counter(
            "voice_history_lost", "Records that will never be in the database, by reason", ["reason"], registry=registry
        )
        self.history_pending = Gauge(
            "voice_history_pending", "Records that are not in the database yet", registry=registry
        )
        self.history_seconds = Histogram(
            "voice_history_seconds",
            "Duration of one transaction that writes records",
            buckets=(*_ADDED_BY_US_S, 15.0),
            registry=registry,
        )
        self.event_loop_lag = Histogram(
            "voice_event_loop_lag_seconds",
            "How late the event loop ran a task that was due",
            buckets=_ADDED_BY_US_S,
            registry=registry,
        )
        self.shedding = Gauge(
            "voice_shedding", "1 while new streams are refused because the event loop is late", registry=registry
        )
        self.streams_shed = Counter(
            "voice_streams_shed", "New streams refused because the event loop was late", registry=registry
        )
        self.tasks = Gauge("voice_tasks", "Trio tasks alive", registry=registry)
        self.build_info = Info("voice_build", "What is running", registry=registry)
        self.build_info.info({"version": metadata.version("miniapp-backend"), "python": platform.python_version()})

    def exposition(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return generate_latest(self.registry)
