"""Why an upgrade was refused: from the answer, and from what plain requests were answered. Pure.

The service that this one replaces died of a wrong diagnosis here, a 404 that was blamed on the platform. So no status
is explained by itself: who answered counts, and what the same host says to plain requests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from ops.doctor.answerer import Answerer, answerer, envelope_of, is_express, is_gateways
from ops.doctor.exchange import Answer, NoAnswer

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DRAINING: Final = "being stopped"
_FULL: Final = "connections of this instance"
_HTTP_1_0: Final = "HTTP/1.0"
_TLS_PORT_WORDS: Final = ("plain HTTP request was sent to HTTPS port", "Client sent an HTTP request to an HTTPS server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known beside the answer."""

    gateway_answers: bool = False
    """Whether the gateway answered plain requests under the target's prefix."""
    prefix_is_stripped: bool = False
    """Whether the gateway answered for a path that it has only without the first part."""
    prefix_is_passed_on: bool = False
    """Whether the gateway answers without the prefix of the URL, and is asked with it."""


def causes_of(answer: Answer, around: Surroundings) -> tuple[str, ...]:
    """Slugs of what can be behind an answer that is no 101, the likeliest first."""
    if any(words in answer.text for words in _TLS_PORT_WORDS):
        return ("tls_port",)
    if answer.status in _REDIRECTS:
        return redirect_causes(answer)
    if answerer(answer) is Answerer.FUNCTION:
        return ("function_type", "no_route")
    explain = _BY_STATUS.get(answer.status)
    if explain is not None:
        return explain(answer, around)
    if is_gateways(answer):
        return ("service_error",) if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR else ("upgrade_dropped",)
    return ("upgrade_refused", "other_service") if around.gateway_answers else ("other_service",)


def redirect_causes(answer: Answer) -> tuple[str, ...]:
    """A redirect's."""
    try:
        scheme = urlsplit(answer.header("location")).scheme
    except ValueError:
        scheme = ""
    return ("redirected_to_https",) if scheme in ("https", "wss") else ("redirected",)


def unavailable_causes(answer: Answer) -> tuple[str, ...]:
    """Of 502, 503 and 504, to an upgrade or to a plain request."""
    if envelope_of(answer) is not None:  # the gateway's own words
        if _FULL in answer.text:
            return ("connections_full",)
        return ("not_ready",)
    if answer.status == HTTPStatus.BAD_GATEWAY:
        return ("service_down", "wrong_port", "loopback_bind")
    if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ("service_down", "cold_start", "wrong_port", "loopback_bind")
    return ("service_down", "cold_start")


def silence_causes(silence: NoAnswer, around: Surroundings) -> tuple[str, ...]:
    """No HTTP answer at all."""
    if silence.kind == "timeout":
        return ("upgrade_swallowed", "upgrade_dropped") if around.gateway_answers else ("cold_start", "service_down")
    if silence.kind in ("closed", "not_http"):
        return ("upgrade_refused", "not_http") if around.gateway_answers else ("not_http", "other_service")
    return {"refused": ("nothing_listens",), "tls": ("tls_broken",)}.get(silence.kind, ("no_connection",))


def _not_found(answer: Answer, around: Surroundings) -> tuple[str, ...]:
    if is_gateways(answer):
        if around.prefix_is_passed_on:
            return ("prefix_passed_on",)
        if around.prefix_is_stripped:
            return ("prefix_stripped",)
        return ("path_rewritten", "prefix_stripped")
    if is_express(answer):
        return ("routes_before_upgrade", "other_service")
    if around.prefix_is_stripped:
        return ("prefix_stripped", "no_route")
    match answerer(answer):
        case Answerer.FRONT_DOOR:
            return ("no_route", "function_type", "prefix_stripped")
        case Answerer.PROXY:
            return ("no_route", "prefix_stripped")
        case Answerer.CONTAINER:
            return ("routes_before_upgrade", "other_service")
    return ("no_route", "path_rewritten") if around.gateway_answers else ("other_service", "routes_before_upgrade")


def _no_upgrade(answer: Answer, around: Surroundings) -> tuple[str, ...]:
    """200: somebody took the upgrade for a page."""
    if answerer(answer) is Answerer.FRONT_DOOR:
        return ("function_type", "no_route")
    if is_gateways(answer):
        return ("path_rewritten", "upgrade_dropped")
    if around.gateway_answers:
        return ("no_route", "upgrade_dropped", "subprotocol_not_agreed")
    return ("other_service", "upgrade_dropped")


def _bad_request(answer: Answer, around: Surroundings) -> tuple[str, ...]:
    if envelope_of(answer) is not None:  # what the application says to a plain GET of a WebSocket's path
        return ("upgrade_dropped",)
    if is_gateways(answer):
        return ("upgrade_headers_changed", "upgrade_dropped")
    return ("upgrade_dropped", "upgrade_refused") if around.gateway_answers else ("upgrade_refused", "other_service")


def _upgrade_required(answer: Answer, around: Surroundings) -> tuple[str, ...]:
    if is_gateways(answer) and _HTTP_1_0 in answer.text:
        return ("http10_proxy",)
    if is_gateways(answer):
        return ("upgrade_headers_changed", "upgrade_dropped")
    return ("upgrade_dropped", "http10_proxy") if around.gateway_answers else ("other_service", "upgrade_dropped")


def _denied(_answer: Answer, _around: Surroundings) -> tuple[str, ...]:
    return ("access_denied",)


def _limited(_answer: Answer, _around: Surroundings) -> tuple[str, ...]:
    return ("rate_limited",)


def _unavailable(answer: Answer, around: Surroundings) -> tuple[str, ...]:
    causes = unavailable_causes(answer)
    if around.gateway_answers and causes[0] == "service_down":  # it is there for plain requests
        return ("upgrade_refused", "no_route", "service_down")
    return causes


_BY_STATUS: Final[dict[int, Callable[[Answer, Surroundings], tuple[str, ...]]]] = {
    200: _no_upgrade,
    400: _bad_request,
    401: _denied,
    403: _denied,
    404: _not_found,
    407: _denied,
    426: _upgrade_required,
    429: _limited,
    502: _unavailable,
    503: _unavailable,
    504: _unavailable,
}
