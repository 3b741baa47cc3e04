"""The check before a run: whether a voice gateway answers there at all."""

import http
import socket
import ssl
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import h11
import trio
import trio_websocket
import wsproto.utilities

from loadtest.advice import hint
from loadtest.messages import PROTOCOL, ServerError, ServerMessageError, Welcome, decode
from loadtest.scenario import Phone
from loadtest.urls import STREAM_PATH
from service.dialing import dial

Headers = Sequence[tuple[bytes, bytes]]

_CLOSE_LIMIT_S: Final = 1.0
_HINTS: Final = {
    http.HTTPStatus.UNAUTHORIZED: "the token is refused: check --token, --token-command or JWT_SECRET",
    http.HTTPStatus.FORBIDDEN: "refused by the service or by something in front of it: check the token and --header",
    http.HTTPStatus.NOT_FOUND: f"no voice stream there: check the path of --url (it ends in {STREAM_PATH})",
    http.HTTPStatus.METHOD_NOT_ALLOWED: "that is not a WebSocket: check the path of --url",
    http.HTTPStatus.UPGRADE_REQUIRED: "something in front of the service drops the WebSocket upgrade",
    http.HTTPStatus.BAD_GATEWAY: "the load balancer is there, the service behind it is not",
    http.HTTPStatus.SERVICE_UNAVAILABLE: "the service is starting, being stopped, or has all connections it may have",
    http.HTTPStatus.GATEWAY_TIMEOUT: "the load balancer is there, the service behind it does not answer",
}


# What the library raises for an answer that is none. Bytes that are not even HTTP are h11's error, from its reader.
_NOT_A_WEBSOCKET: Final = (
    trio_websocket.HandshakeError,
    wsproto.utilities.ProtocolError,
    h11.ProtocolError,
)


class NotReachable(Exception):
    """There is no gateway that could be measured; the text says what happened and what to check."""


async def check_service(url: str, headers: Headers, phone: Phone) -> None:
    """Dial once, wait for `welcome`, close. Raises NotReachable when it does not come; leaves nothing open."""
    opened: list[trio.abc.Stream] = []
    problem = ""
    try:
        async with trio.open_nursery() as nursery:  # the library's reader lives here
            connection = await _open(nursery, url, headers, phone.connect_limit_s, opened)
            await _welcome(connection, url, phone.welcome_limit_s)
            with trio.move_on_after(_CLOSE_LIMIT_S):
                await connection.aclose()
            nursery.cancel_scope.cancel()
    except* (NotReachable, *_NOT_A_WEBSOCKET) as failures:
        problem = _explain(url, _first_of(failures))
    finally:
        for stream in opened:
            await trio.aclose_forcefully(stream)
    if problem:
        raise NotReachable(problem)


async def _open(
    nursery: trio.Nursery, url: str, headers: Headers, limit_s: float, opened: list[trio.abc.Stream]
) -> trio_websocket.WebSocketConnection:
    parts = urlsplit(url)
    doing = "connection"
    try:
        with trio.fail_after(limit_s):
            opened.append(await dial(url))
            doing = "answer to the WebSocket upgrade"
            return await trio_websocket.wrap_client_stream(
                nursery,
                opened[0],  # type: ignore[arg-type]  # any stream will do
                parts.netloc,
                parts.path,
                extra_headers=list(headers),
            )
    except trio.TooSlowError:
        raise NotReachable(f"{url}: no {doing} within {limit_s:g} s") from None
    except (OSError, trio.BrokenResourceError) as error:
        raise NotReachable(explain_failure(url, error)) from None


async def _welcome(connection: trio_websocket.WebSocketConnection, url: str, limit_s: float) -> None:
    try:
        with trio.fail_after(limit_s):
            message = decode(await connection.get_message())
    except trio.TooSlowError:
        raise NotReachable(f"{url} opened a WebSocket, and did not say `welcome` within {limit_s:g} s") from None
    except trio_websocket.ConnectionClosed as closed:
        code = closed.reason.code if closed.reason else "no close frame"
        raise NotReachable(f"{url} opened a WebSocket, and closed it before `welcome` ({code})") from None
    except ServerMessageError as error:
        raise NotReachable(f"{url} is not a voice gateway: {error}") from None
    if isinstance(message, ServerError):
        advice = hint(message.code) and f" ({hint(message.code)})"
        raise NotReachable(f"{url} refuses streams: {message.code}: {message.message}{advice}")
    if not isinstance(message, Welcome):
        raise NotReachable(f"{url} is not a voice gateway: its first message is not `welcome`")
    if message.protocol != PROTOCOL:
        raise NotReachable(f"{url} speaks protocol {message.protocol}: this is for protocol {PROTOCOL}")


def explain_status(status: int) -> str:
    """An HTTP status in place of an upgrade, and what to check. Pure."""
    if status in _HINTS:
        return f"{status} in place of a WebSocket: {_HINTS[http.HTTPStatus(status)]}"
    if http.HTTPStatus.MULTIPLE_CHOICES <= status < http.HTTPStatus.BAD_REQUEST:
        return f"{status}, a redirect: use the address that it leads to (https:// perhaps)"
    return f"{status} in place of a WebSocket: check --url"


def explain_failure(url: str, error: BaseException) -> str:
    """A connection that did not come about, and what to check. Pure."""
    host = urlsplit(url).hostname
    cause = _root_of(error)
    match cause:
        case ConnectionRefusedError():
            return f"{url}: connection refused: nothing listens there. Is the service running, and the port right?"
        case socket.gaierror():
            return f"{url}: no address for {host!r} ({cause.strerror}): check the name and the DNS of this machine"
        case ssl.SSLCertVerificationError():
            return f"{url}: TLS: the certificate is not good for {host!r}: {cause.verify_message}"
        case ssl.SSLError():
            return f"{url}: TLS failed ({cause.reason or cause}): does that port speak TLS? Else use http:// or ws://"
        case OSError():
            return f"{url} cannot be reached: {cause.strerror or cause}"
    return f"{url}: the connection broke at once"


def _explain(url: str, failure: BaseException) -> str:
    if isinstance(failure, trio_websocket.ConnectionRejected):
        return f"{url} answered HTTP {explain_status(failure.status_code)}"
    if isinstance(failure, _NOT_A_WEBSOCKET):
        return f"{url}: what answers there does not open WebSockets ({type(failure).__name__}): check --url"
    return str(failure)


def _first_of(error: BaseException) -> BaseException:
    """What is at the bottom of groups."""
    return _first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _root_of(error: BaseException) -> BaseException:
    """What the system said: Trio puts the failures of several addresses, or of the transport, below one of its own."""
    error = _first_of(error)
    return error if error.__cause__ is None else _root_of(error.__cause__)
