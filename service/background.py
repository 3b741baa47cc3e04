"""What runs beside the connections, under our own server and under plain Hypercorn alike."""

import logging
from typing import Final

import trio

from service.deps import Deps
from service.failures import CATALOGUE
from service.recognizer.child import supervise
from service.recognizer.probe import keep_probing
from service.recognizer.role import keep_credentials
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES, ERROR_LABELS
from service.settings import RecognizerKind, Settings, TencentCredentials
from service.store.away import LOST
from service.stream.outcome import OUTCOME_LABELS
from service.telemetry.logs import get_logger, log_event
from service.telemetry.loop_watch import Heartbeat, watch_loop
from service.telemetry.metrics import Metrics
from service.web.login import OUTCOMES as LOGIN_OUTCOMES

_logger: Final = get_logger("process")


async def run_background(
    deps: Deps, heartbeat: Heartbeat, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Watch the event loop, write the history, keep the recognizer known and probe it when it is down, until cancelled.

    Reports started when the recognizer is up, or when there is none to wait for; `deps.lifecycle` is serving then.
    Raises ChildFailedError when the local recognizer does not come up. Cancelled, it leaves no child process behind.
    """
    begin_at_zero(deps.metrics)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_loop, deps.metrics, heartbeat, deps.admission.overload, name="watch event loop")
        await nursery.start(deps.pump.run, name="pump")
        if deps.redis is not None:
            await nursery.start(deps.redis.run, name="redis")
            nursery.start_soon(deps.limiter.run, name="limits")
        if deps.history is not None:
            await nursery.start(deps.history.run, name="history")
        await nursery.start(deps.admission.slots.run, name="recognizer slots")
        await _start_recognizer(deps, nursery)
        nursery.start_soon(keep_probing, deps.breaker, deps.recognizer, deps.dial, name="probe recognizer")
        deps.lifecycle.serve()
        task_status.started()


async def _start_recognizer(deps: Deps, nursery: trio.Nursery) -> None:
    settings = deps.settings
    if settings.recognizer is RecognizerKind.LOCAL:
        await nursery.start(supervise, deps.recognizer, name="local recognizer")
    elif settings.credentials is not None:
        deps.recognizer.target = _tencent(settings, settings.credentials)
    elif settings.role_app_id:
        target = _tencent(settings, TencentCredentials(settings.role_app_id, "", ""))
        await nursery.start(keep_credentials, deps.recognizer, target, name="role credentials")
    else:
        log_event(_logger, logging.WARNING, "no_recognizer", reason="no credentials, and no local recognizer installed")


def _tencent(settings: Settings, credentials: TencentCredentials) -> RecognizerTarget:
    return RecognizerTarget(settings.recognizer, settings.tencent_asr_url, credentials, ENGINES)


def begin_at_zero(metrics: Metrics) -> None:
    """Every series is there from the first scrape on: one that comes with its first event has not risen."""
    for outcome in OUTCOME_LABELS:
        metrics.streams_ended.labels(outcome)
        metrics.sentences.labels(outcome)
    for outcome in LOGIN_OUTCOMES:
        metrics.logins.labels(outcome)
    for reason in LOST:
        metrics.history_lost.labels(reason)
    for slug in CATALOGUE:
        metrics.messages_rejected.labels(slug)
    for code in ERROR_LABELS:
        metrics.recognizer_errors.labels(code)
