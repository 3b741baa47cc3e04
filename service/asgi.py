"""The application for another ASGI server: `hypercorn --worker-class trio service.asgi:app`.

It is the same application. What our own server adds is missing there: one malformed connection can end Hypercorn's
worker, streams are not told of a stop, a phone that does not read cannot be timed out, compression cannot be turned
off, and connections are not capped. See docs/decisions/0002-own-accept-loop.md.
"""

import os

import trio
from quart_trio import QuartTrio

from service.background import run_background
from service.deps import Deps
from service.recognizer.child import local_recognizer_available
from service.settings import Settings
from service.settings_reader import SettingsError
from service.telemetry import logs
from service.telemetry.loop_watch import Heartbeat
from service.web.app import create_app


def make_app(settings: Settings) -> QuartTrio:
    """The application with its background tasks in its lifespan."""
    deps = Deps.from_settings(settings)
    application = create_app(deps)
    stop = trio.CancelScope()

    async def in_background(task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC128 - passed on
        with stop:
            await run_background(deps, Heartbeat(), task_status=task_status)

    @application.before_serving
    async def start() -> None:
        """Serving begins when the recognizer is up."""
        await application.nursery.start(in_background)

    @application.after_serving
    async def end() -> None:
        """Connections have ended by now; what is left are the background tasks and the child."""
        if deps.history is not None:
            await deps.history.flush()
        await deps.admission.slots.leave()
        stop.cancel()

    return application


def _app_from_environment() -> QuartTrio:
    try:
        settings = Settings.from_env(os.environ, local_available=local_recognizer_available())
    except SettingsError as error:
        raise SystemExit("\n".join(["The settings cannot be used:", *error.problems])) from None
    logs.set_up(settings.log_level)
    return make_app(settings)


app = _app_from_environment()
