"""The process: recognizer, listening socket, signals, and the order in which all of it ends."""

import logging
import signal
from collections.abc import AsyncIterator, Callable
from typing import Final

import trio

from service.background import run_background
from service.cancellation import cancel_when
from service.deps import Deps
from service.edge.http import HttpServer
from service.edge.listener import Edge, open_listeners
from service.lifecycle import drain_plan
from service.settings import AuthMode, Settings
from service.telemetry.logs import get_logger, log_event
from service.telemetry.loop_watch import Heartbeat, Watchdog
from service.telemetry.push import PushTarget, instance_of, keep_pushing
from service.web.app import create_app
from service.web.echo import is_quiet

_logger: Final = get_logger("process")
LAST_ANSWERS_S: Final = 2.0  # for HTTP requests that are being answered when the streams have ended


async def run(
    settings: Settings,
    *,
    announce: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then end in order; a second signal ends at once.

    The port answers only when the recognizer is up; `announce` is called with the base URL then. Raises OSError when
    the address cannot be had and ChildFailedError when the local recognizer does not come up. Cancelled, it closes
    everything without an order.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:  # to the very end
        deps = Deps.from_settings(settings)
        stop = trio.Event()
        async with trio.open_nursery() as process:
            process.start_soon(_obey, signals, stop, process.cancel_scope, name="signals")
            await _serve(deps, stop, announce)
            process.cancel_scope.cancel()
    log_event(_logger, logging.INFO, "stopped")


async def _obey(signals: AsyncIterator[int], stop: trio.Event, process: trio.CancelScope) -> None:
    """The first signal asks for the end, the second one forces it."""
    await anext(signals)
    stop.set()
    await anext(signals)
    process.cancel()
    async for _ in signals:
        pass


async def _serve(deps: Deps, stop: trio.Event, announce: Callable[[str], None]) -> None:
    """From the start of the recognizer to the end of the last connection."""
    heartbeat = Heartbeat()
    async with trio.open_nursery() as background:
        with Watchdog(heartbeat):
            async with trio.open_nursery() as starting:
                starting.start_soon(cancel_when, stop, starting.cancel_scope, name="stop while starting")
                await background.start(run_background, deps, heartbeat, name="background")
                starting.cancel_scope.cancel()
            if deps.settings.metrics_push_url:
                background.start_soon(keep_pushing, deps.metrics.registry, _push_target(deps.settings), name="push")
            if not stop.is_set():
                await _serve_connections(deps, stop, announce)
                if deps.history is not None:
                    await deps.history.flush()
        await deps.admission.slots.leave()
        background.cancel_scope.cancel()


async def _serve_connections(deps: Deps, stop: trio.Event, announce: Callable[[str], None]) -> None:
    settings = deps.settings
    http = HttpServer(create_app(deps), settings, deps.lifecycle, is_quiet=is_quiet)
    edge = Edge(deps, http)
    listeners = await open_listeners(settings.host, settings.port)
    async with http.running(), trio.open_nursery() as serving:
        addresses = await serving.start(edge.serve, listeners, name="edge")
        _log_start(settings, addresses[0][1])
        announce(_base_url(addresses[0]))
        await stop.wait()
        hard_end = trio.current_time() + settings.drain_s
        serving.cancel_scope.deadline = hard_end  # whatever still runs then: the edge closes its transports by force
        await _drain(deps)
        edge.stop_accepting()
        serving.cancel_scope.deadline = min(hard_end, trio.current_time() + LAST_ANSWERS_S)
        await http.close_idle()


async def _drain(deps: Deps) -> None:
    """Tell the streams that they end, and wait until they and the uploads have. The caller sets the hard end.

    Meanwhile the port still answers, so that probes see 503 on /ready and clients a 503 with a hint.
    """
    began = trio.current_time()
    plan = drain_plan(deps.settings.drain_s)
    log_event(
        _logger, logging.INFO, "draining", streams=deps.admission.streams, settle_s=plan.settle_s, limit_s=plan.end_s
    )
    deps.lifecycle.drain(began + plan.settle_s)
    with trio.move_on_at(began + plan.give_up_s) as patience:
        await deps.admission.wait_idle()
    if patience.cancelled_caught:
        log_event(_logger, logging.WARNING, "drain_overdue", streams=deps.admission.streams)
        deps.lifecycle.give_up()
        await deps.admission.wait_idle()


def _push_target(settings: Settings) -> PushTarget:
    return PushTarget(
        settings.metrics_push_url, instance_of(settings.port), settings.metrics_push_s, settings.metrics_push_auth
    )


def _log_start(settings: Settings, port: int) -> None:
    log_event(
        _logger,
        logging.WARNING if settings.auth_mode is AuthMode.LOCKED else logging.INFO,
        "serving",
        host=settings.host,
        port=port,
        auth=settings.auth_mode,
        recognizer=settings.recognizer,
        default_engine=settings.default_engine,
    )


def _base_url(address: tuple[str, int]) -> str:
    """The address as a URL that can be opened on this machine."""
    host, port = address
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reachable}:{port}"
