"""What the parts of one process share, made once and passed as one argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from service.dialing import dial
from service.lifecycle import Lifecycle
from service.recognizer.breaker import Breaker
from service.recognizer.connection import Dial
from service.recognizer.target import RecognizerDirectory
from service.settings import Settings
from service.stream.admission import Admission
from service.telemetry.metrics import Metrics
from service.telemetry.overload import Overload
from service.websocket.pump import Pump


@dataclass(frozen=True, slots=True)
class Deps:
    """The shared parts. Nothing here is global: tests make their own."""

    settings: Settings
    metrics: Metrics
    lifecycle: Lifecycle
    admission: Admission
    recognizer: RecognizerDirectory
    pump: Pump = field(default_factory=Pump)
    breaker: Breaker = field(default_factory=Breaker)
    dial: Dial = dial
    wall_clock: Callable[[], float] = time.time
    """Unix time: for signatures and timestamps, never for durations."""

    def __post_init__(self) -> None:
        breaker = self.breaker
        self.metrics.recognizer_breaker.set_function(lambda: breaker.state)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Deps":
        """Fresh parts for one process, with nothing admitted and no recognizer known."""
        metrics = Metrics()
        lifecycle = Lifecycle()
        admission = Admission(
            max_streams=settings.max_streams,
            recognizer_slots=settings.upstream_concurrency,
            lifecycle=lifecycle,
            metrics=metrics,
            overload=Overload(settings.max_lag_ms / 1000),
        )
        return cls(settings, metrics, lifecycle, admission, RecognizerDirectory())
