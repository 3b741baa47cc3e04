"""Metrics for where no scrape comes: they are pushed to a Pushgateway, every `METRICS_PUSH_S`, until the process ends.

A platform such as CloudBase Run lets nobody reach one replica from outside. So each replica pushes what it has under
its own `instance`, and takes it back when it ends: a Pushgateway forgets nothing by itself.

The client library's push blocks, so it runs in a worker thread. Owner of the deadline: `_within`. A thread that is late
is left behind; it holds the only place of the limiter until its socket times out, so there is never a second one, and
what is taken back is not pushed again behind it. Streams do not notice: the metrics are collected on the event loop, as
for a scrape, and nothing ever waits for a push.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.error import HTTPError

import trio
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import basic_auth_handler, default_handler, delete_from_gateway, push_to_gateway
from prometheus_client.registry import Collector

from service.telemetry.logs import get_logger, log_event

JOB: Final = "voice-gateway"
"""The `job` of the scrape configuration, the rules and the dashboard, so that they hold for pushed metrics too."""
PUSH_LIMIT_S: Final = 5.0
"""For one push, and less than the shortest interval."""
DELETE_LIMIT_S: Final = 2.0
"""For the last word of a process that ends: no stream waits for it, but a platform that kills does not wait."""
_logger: Final = get_logger("metrics")


@dataclass(frozen=True, slots=True)
class PushTarget:
    """Where metrics go."""

    url: str
    """Of the Pushgateway, without `/metrics/job/...`."""
    instance: str
    """The `instance` label; unique among the replicas."""
    interval_s: float
    auth: str = field(default="", repr=False)
    """`user:password` for HTTP basic authentication; empty: none."""


def instance_of(port: int) -> str:
    """The `instance` of this process: `hostname:port`. A container that restarts in place keeps it, as it should."""
    return f"{socket.gethostname()}:{port}"


async def keep_pushing(registry: CollectorRegistry, target: PushTarget) -> None:
    """Push until cancelled, then take back what was pushed, within DELETE_LIMIT_S.

    The first push is at once; one that takes longer than the interval delays the next. A failure is logged when it
    begins, changes or ends, and never raised.
    """
    one_thread = trio.CapacityLimiter(1)
    trouble: str | None = None
    try:
        while True:
            due = trio.current_time() + target.interval_s
            collected = _Collected(list(registry.collect()))
            was, trouble = trouble, await _within(PUSH_LIMIT_S, partial(_push, target, collected), one_thread)
            _log_change(was, trouble)
            await trio.sleep_until(due)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + DELETE_LIMIT_S):
            kept = await _within(DELETE_LIMIT_S, partial(_delete, target), one_thread)
            if kept and not trouble:
                log_event(_logger, logging.WARNING, "metrics_not_taken_back", instance=target.instance, reason=kept)


def _log_change(was: str | None, trouble: str | None) -> None:
    if trouble and trouble != was:
        log_event(_logger, logging.WARNING, "metrics_push_failed", reason=trouble)
    elif was and not trouble:
        log_event(_logger, logging.INFO, "metrics_push_restored")


async def _within(limit_s: float, call: Callable[[float], str | None], limiter: trio.CapacityLimiter) -> str | None:
    """What a blocking call says, or that it took too long. Cancelled, it ends at once and leaves the thread behind."""
    with trio.move_on_after(limit_s):
        return await trio.to_thread.run_sync(call, limit_s, limiter=limiter, abandon_on_cancel=True)
    return "timeout"


class _Collected(Collector):
    """Metrics as they were when they were collected: a thread renders them while the loop goes on counting."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


# Everything below runs in worker threads. It returns None, or why it failed: a status or the type of an exception, but
# never its text, in which a password may be.


def _push(target: PushTarget, collected: Collector, timeout_s: float) -> str | None:
    return _reason(
        lambda: push_to_gateway(
            target.url, JOB, collected, {"instance": target.instance}, timeout_s, handler=_handler(target)
        )
    )


def _delete(target: PushTarget, timeout_s: float) -> str | None:
    return _reason(
        lambda: delete_from_gateway(target.url, JOB, {"instance": target.instance}, timeout_s, handler=_handler(target))
    )


def _reason(call: Callable[[], None]) -> str | None:
    try:
        call()
    except HTTPError as refused:
        refused.close()
        return f"HTTP {refused.code}"
    except Exception as error:  # whatever it is: metrics are never worth a stream
        return type(error).__name__
    return None


def _handler(target: PushTarget) -> Callable[..., Any]:
    if not target.auth:
        return default_handler
    user, _, password = target.auth.partition(":")
    return partial(basic_auth_handler, username=user, password=password)
