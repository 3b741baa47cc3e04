"""How the stages reach the gateway: the stream's address, its token, one GET, and dialing with the operator's trust."""

import email.utils
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import trio

from loadtest.connection import Dial
from loadtest.connection import Target as DialTarget
from loadtest.tokens import mint
from loadtest.urls import STREAM_PATH
from ops.doctor import exchange
from ops.doctor.address import base_url
from ops.doctor.stage import Context, Target
from service.dialing import connect_tls, dial
from service.settings import AuthMode

GET_S: Final = 5.0
"""For one GET: name, TCP, TLS and answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, and what it says about the clock over there."""

    status: int
    text: str
    at_s: float
    """Unix time here, in the middle of the exchange."""
    date_s: float | None
    """Unix time there, by the `Date` header: whole seconds, cut."""


@dataclass(frozen=True, slots=True)
class ReadyState:
    """What `/ready` says of an instance."""

    phase: str
    recognizer: str
    slots_used: int
    slots_total: int
    streams: int
    is_shedding: bool


def stream_address(target: Target) -> str:
    """The `ws://` or `wss://` address of the stream. Pure."""
    return base_url(target, is_websocket=True) + STREAM_PATH


def token_of(context: Context) -> str | None:
    """The token to send: the one given, else one that is minted where the gateway's secret is known."""
    settings = context.settings
    if context.token or settings is None or settings.auth_mode is not AuthMode.TOKEN:
        return context.token
    return mint(settings.jwt_secret, "doctor", 0, int(time.time()))


def dial_target(context: Context) -> DialTarget:
    """How to dial the stream, for `loadtest.connection`."""
    token = token_of(context)
    return DialTarget(url=stream_address(context.target), get_token=lambda: token, dial=_dial(context))


def _dial(context: Context) -> Dial:
    tls = context.tls
    if not context.target.is_secure or tls is None:
        return dial

    async def dial_trusting(url: str) -> trio.abc.Stream:
        del url  # it is the target's
        return await connect_tls(context.target.host, context.target.port, tls)

    return dial_trusting


async def get(context: Context, path: str) -> Answer | None:
    """The answer to a GET, whatever its status, with its body's beginning; None when there is none within GET_S."""
    began_s = time.time()
    try:
        answer = await exchange.get(context, path, limit_s=GET_S)
    except exchange.NoAnswer:
        return None
    return Answer(answer.status, answer.text, (began_s + time.time()) / 2, _date(answer.header("date")))


def _date(header: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return None


async def ready_state(context: Context) -> ReadyState | None:
    """What `/ready` said to an earlier stage, or says now; None where it says nothing of the kind."""
    body = context.found.get("ready")
    if body is None:
        answer = await get(context, exchange.path_of(context, "/ready"))
        try:
            body = None if answer is None else msgspec.json.decode(answer.text)
        except msgspec.DecodeError:
            body = None
    return parse_ready(body)


def parse_ready(body: Any) -> ReadyState | None:
    """The state in the decoded body of `/ready`, with or without its envelope. Pure."""
    data = body.get("data", body) if isinstance(body, dict) else None
    if not isinstance(data, dict) or not isinstance(data.get("phase"), str):
        return None
    given = data.get("slots")
    slots = given if isinstance(given, dict) else {}
    return ReadyState(
        data["phase"],
        str(data.get("recognizer", "")),
        _whole(slots.get("used")),
        _whole(slots.get("total")),
        _whole(data.get("streams")),
        data.get("shedding") is True,
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
