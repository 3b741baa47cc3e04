"""The application: its routes and nothing else. It is served by `service.edge`, or by plain Hypercorn."""

from quart_trio import QuartTrio

from service.deps import Deps
from service.recognizer.sentence import SentenceRecognizer
from service.web.answer import register_errors
from service.web.console import register_console
from service.web.cors import register_cors
from service.web.docs import register_docs
from service.web.echo import register_echo
from service.web.health import register_health
from service.web.history import register_history
from service.web.login import register_login
from service.web.openapi import register_openapi
from service.web.recognize import register_recognize
from service.web.request import LimitedRequest
from service.web.voice import register_voice
from service.web.websocket import WebsocketConnection


def create_app(deps: Deps, recognizer: SentenceRecognizer | None = None) -> QuartTrio:
    """A new application on these parts. Several may exist. `recognizer` replaces the one for uploads, in tests."""
    app = QuartTrio("service.web", static_folder=None)
    app.asgi_websocket_class = WebsocketConnection
    app.request_class = LimitedRequest
    register_errors(app)
    register_health(app, deps)
    register_console(app)
    register_echo(app, deps)
    register_voice(app, deps)
    register_recognize(app, deps, recognizer)
    register_login(app, deps)
    register_history(app, deps)
    register_cors(app, deps.settings)
    register_docs(app, register_openapi(app, deps.settings))
    return app
