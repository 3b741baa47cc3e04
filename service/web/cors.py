"""What browsers are told about pages of other origins (CORS): those of `ALLOWED_ORIGINS` may read the answers.

Everybody else gets no header, so that the browser keeps the answer from the page; the routes refuse it besides. Tokens
are sent by the page itself and never by the browser, so credentials (cookies) are not allowed.
https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from typing import Final

from quart import Response, request
from quart_trio import QuartTrio

from service.settings import Settings

_SHARED: Final = ("/api/", "/openapi.json")
_METHODS: Final = "GET, POST, DELETE"
_REQUEST_HEADERS: Final = "authorization, content-type, token"
_MAX_AGE_S: Final = 600  # Chromium keeps no answer longer than two hours; a change of the settings should act sooner


def register_cors(app: QuartTrio, settings: Settings) -> None:
    """Adds the headers to the application's answers. Without `ALLOWED_ORIGINS` there are none."""
    allowed = settings.allowed_origins
    if not allowed:
        return

    @app.after_request
    async def share(response: Response) -> Response:
        """Quart answers OPTIONS by itself; a preflight needs no more than these headers on it."""
        if not request.path.startswith(_SHARED):
            return response
        response.vary.add("Origin")
        origin = request.headers.get("Origin", "")
        if origin.lower() not in allowed:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Retry-After"
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(_MAX_AGE_S)
        return response
