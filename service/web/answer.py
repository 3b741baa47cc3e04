"""Answers of the application, errors included, in the envelope."""

import logging
import math
from http import HTTPStatus
from typing import Final

from quart import Response, has_websocket_context, websocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from service.failures import Problem, StreamFailed
from service.stream.client import ClientGone
from service.telemetry.logs import get_logger, log_event
from service.web.envelope import envelope
from service.web.websocket import CLOSE_S, WebsocketConnection

CLOSE_INTERNAL: Final = 1011  # RFC 6455 section 7.4.1 with erratum 3227

_log = get_logger("web")


def answer(data: object = None, *, status: int = 200, message: str = "ok") -> Response:
    """A response in the envelope; its `code` is 0 for a status of 200, else the status."""
    code = 0 if status == HTTPStatus.OK else status
    return Response(envelope(code, message, data), status=status, content_type="application/json")


def refusal(refused: Problem) -> Response:
    """The answer to a request that is refused: `data` is {error, retryable, retryAfterMs}, `error` the slug."""
    row = refused.failure
    data = {"error": refused.slug, "retryable": row.retryable, "retryAfterMs": refused.retry_after_ms}
    response = answer(data, status=row.http_status, message=refused.message)
    if refused.retry_after_ms is not None:
        response.headers["Retry-After"] = str(math.ceil(refused.retry_after_ms / 1000))
    if row.http_status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def register_errors(app: QuartTrio) -> None:
    """Makes every error of the application answer in the envelope, and log without the texts of exceptions."""

    @app.errorhandler(HTTPException)
    async def refused(error: HTTPException) -> Response:
        """What Quart and Werkzeug refuse: their own words, which name no data of the request, are not passed on."""
        status = error.code or 500
        response = answer(status=status, message=HTTPStatus(status).phrase)
        for name, value in error.get_headers():
            if name.lower() in ("allow", "location", "retry-after"):
                response.headers[name] = value
        return response

    @app.errorhandler(StreamFailed)
    async def failed_by_the_catalogue(error: StreamFailed) -> Response:
        """A refusal of ours; a route need not catch it."""
        return refusal(error.problem)

    @app.errorhandler(ClientGone)
    async def gone(error: ClientGone) -> Response:
        """Nobody is there to be told; a handler need not catch it around `accept`."""
        return answer(status=500, message="the client is gone")

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Response:
        """A bug: 500, or close code 1011 on a WebSocket that was accepted already."""
        log_event(_log, logging.ERROR, "request_failed", error=error)
        if has_websocket_context():
            connection = WebsocketConnection.of(websocket)
            if connection.accepted and not connection.gone:
                await connection.write_close(websocket, CLOSE_INTERNAL, "", within_s=CLOSE_S)
        return answer(status=500, message="an error in this service")
