"""What the parts of one process share, made once and passed as one argument."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from service.dialing import dial
from service.lifecycle import Lifecycle
from service.recognizer.breaker import Breaker
from service.recognizer.connection import Dial
from service.recognizer.target import RecognizerDirectory
from service.settings import Settings
from service.shared.redis import RedisState, SharedRedis
from service.shared.slots import SharedSlots, Slots
from service.stream.admission import Admission
from service.stream.limiter import Limiter
from service.stream.limits import Limits
from service.telemetry.metrics import Metrics
from service.telemetry.overload import Overload
from service.users import Users
from service.websocket.pump import Pump

if TYPE_CHECKING:
    from service.store.history import History

_ENDING_S: Final = 60.0  # of a stream whose time is over: what is settled, and its backlog


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
    users: Users | None = None
    """Who keeps the users that log in; None: nobody does."""
    redis: SharedRedis | None = None
    """What replicas share slots and limits through; None: this process is alone."""
    history: "History | None" = None
    """What keeps users' streams; None: nothing is kept."""
    limiter: Limiter = field(default_factory=Limiter)
    """Holds users and addresses to their limits; without any, unless it was made with some."""
    wall_clock: Callable[[], float] = time.time
    """Unix time: for signatures and timestamps, never for durations."""

    def __post_init__(self) -> None:
        breaker = self.breaker
        self.metrics.recognizer_breaker.set_function(lambda: breaker.state)
        redis = self.redis
        self.metrics.redis.set_function(lambda: RedisState.NONE if redis is None else redis.state)

    @classmethod
    def from_settings(cls, settings: Settings) -> "Deps":
        """Fresh parts for one process, with nothing admitted and no recognizer known."""
        metrics = Metrics()
        lifecycle = Lifecycle()
        redis = SharedRedis(settings.redis_url) if settings.redis_url else None
        admission = Admission(
            max_streams=settings.max_streams,
            slots=_slots(settings, redis),
            lifecycle=lifecycle,
            metrics=metrics,
            overload=Overload(settings.max_lag_ms / 1000),
        )
        history = _history(settings, metrics)
        limiter = Limiter(Limits.of(settings), redis=redis)
        return cls(
            settings,
            metrics,
            lifecycle,
            admission,
            RecognizerDirectory(),
            users=history,
            redis=redis,
            history=history,
            limiter=limiter,
        )


def _history(settings: Settings, metrics: Metrics) -> "History | None":
    if not settings.database_url:
        return None
    from service.store.history import History  # SQLAlchemy takes 0.5 s and 30 MB: only where it is used

    return History(settings, metrics, time.time)


def _slots(settings: Settings, redis: SharedRedis | None) -> Slots:
    if redis is None:
        return Slots(settings.upstream_concurrency)
    return SharedSlots(settings.upstream_concurrency, redis, longest_s=settings.max_stream_s + _ENDING_S)
