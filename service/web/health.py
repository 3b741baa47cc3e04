"""Is it there, does it work, may traffic come: the routes for orchestrators and for Prometheus."""

import hmac
from importlib import metadata

from quart import Response, abort, request
from quart_trio import QuartTrio

from service.deps import Deps
from service.forwarded import address_of
from service.lifecycle import Phase
from service.recognizer.circuit import State
from service.telemetry.metrics import CONTENT_TYPE
from service.web.answer import answer
from service.web.console import CONSOLE_PATH, prefers_page, see_console
from service.web.contract import About, Health, Readiness
from service.web.openapi import METRICS_SECURITY, Plain, describe


def register_health(app: QuartTrio, deps: Deps) -> None:
    """Adds `/`, `/health`, `/ready` and `/metrics` to the application."""
    version = metadata.version("miniapp-backend")

    @app.get("/")
    @describe("Which program this is", About, section="operation")
    async def index() -> Response:
        """Cheap: platforms probe it. A browser, which asks for HTML before anything else, is sent to the console."""
        if prefers_page():
            return see_console()
        found = answer({"name": "miniapp-backend", "version": version, "console": CONSOLE_PATH})
        found.headers["Vary"] = "Accept"
        return found

    @app.get("/health")
    @describe("Whether the process works", Health, section="operation")
    async def health() -> Response:
        """Answers when the event loop does, which is the point."""
        return answer({"status": "ok"})

    @app.get("/ready")
    @describe("Whether traffic may come", Readiness, section="operation", also={503: Readiness})
    async def ready() -> Response:
        """503 only while starting or draining.

        A recognizer that is down is no reason to take the instance out, since the others have the same one; nor is
        overload, since its streams and its refusals in-band still need the way to it; nor a database that is away,
        since what it is to keep waits on the disk.
        """
        phase = deps.lifecycle.phase
        return answer(
            {
                "phase": phase,
                "recognizer": recognizer_state(deps),
                "slots": {"used": deps.admission.slots.pool.used, "total": deps.admission.slots.pool.slots},
                "streams": deps.admission.streams,
                "shedding": deps.admission.overload.is_shedding,
                "history": {
                    "database": "none" if deps.history is None else deps.history.database,
                    "pending": 0 if deps.history is None else deps.history.pending,
                },
            },
            status=200 if phase is Phase.SERVING else 503,
            message="ok" if phase is Phase.SERVING else f"this instance is {phase}",
        )

    @app.get("/metrics")
    @describe(
        "Metrics for Prometheus",
        Plain(CONTENT_TYPE, "In Prometheus' text format."),
        section="operation",
        also={401 if deps.settings.metrics_token else 404: None},
        secured_by=METRICS_SECURITY if deps.settings.metrics_token else None,
    )
    async def metrics() -> Response:
        """For whoever knows METRICS_TOKEN; without one, for this machine only.

        The peer is that of the TCP connection, never one that a proxy names: behind a proxy on this machine every
        request looks local, so set METRICS_TOKEN there.
        """
        token = deps.settings.metrics_token
        if token:
            given = request.headers.get("Authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                refused = answer(status=401, message="a bearer token is needed")
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
        elif not is_loopback(request.scope.get("client")):
            abort(404)
        return Response(deps.metrics.exposition(), content_type=CONTENT_TYPE)


def recognizer_state(deps: Deps) -> str:
    """ "down" while there is none, else what the breaker says: "open" while it is not dialed because it failed,
    "half_open" while one stream tries it, "up"."""
    if deps.recognizer.target is None:
        return deps.recognizer.state
    return {State.OPEN: "open", State.HALF_OPEN: "half_open"}.get(deps.breaker.state, deps.recognizer.state)


def is_loopback(client: object) -> bool:
    """Whether an ASGI scope's client, `(host, port)` or None, is on this machine; IPv4 in IPv6 is understood."""
    if not isinstance(client, tuple | list) or not client:
        return False
    address = address_of(str(client[0]))
    return address is not None and address.is_loopback
