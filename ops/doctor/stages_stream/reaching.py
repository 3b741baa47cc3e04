"""How the stages reach the gateway: its addresses, its token, one GET, and a connection with the operator's trust."""

import email.utils
import ssl
import time
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import msgspec
import trio

from loadtest.connection import Dial
from loadtest.connection import Target as DialTarget
from loadtest.tokens import mint
from loadtest.urls import STREAM_PATH
from ops.doctor.stage import Context, Target
from service.dialing import dial, tls_context
from service.settings import AuthMode
from service.tls_stream import TlsStream

GET_S: Final = 5.0
"""For one GET: name, TCP, TLS and answer."""
_FAILURES: Final = (httpx2.HTTPError, httpx2.InvalidURL, OSError, trio.TooSlowError)
_MAX_TEXT: Final = 64 * 1024


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


def base_url(target: Target) -> str:
    """The base of the gateway for HTTP, without a slash at its end. Pure."""
    return f"{target.scheme}://{_authority(target)}{target.prefix.rstrip('/')}"


def stream_address(target: Target) -> str:
    """The `ws://` or `wss://` address of the stream. Pure."""
    return f"{'wss' if target.is_secure else 'ws'}://{_authority(target)}{target.prefix.rstrip('/')}{STREAM_PATH}"


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == (443 if target.is_secure else 80) else f"{host}:{target.port}"


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


async def connect_tls(host: str, port: int, tls: ssl.SSLContext, address: str | None = None) -> TlsStream:
    """A TLS connection whose certificate was checked for `host`, dialed at `address` where that is given.

    Raises OSError, ssl.SSLError or trio.BrokenResourceError. Cancelled, it leaves nothing open. The caller closes.
    """
    encrypted = TlsStream(await trio.open_tcp_stream(address or host, port), tls, host)
    try:
        await encrypted.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(encrypted)
        raise
    return encrypted


async def get(url: str, tls: ssl.SSLContext | None = None) -> Answer | None:
    """The answer to a GET, whatever its status; None when there is none within GET_S."""
    began_s = time.time()
    try:
        with trio.fail_after(GET_S):
            # `verify` is only used for https; without a context of its own, the system's authorities.
            async with httpx2.AsyncClient(verify=tls or tls_context(), timeout=GET_S, trust_env=False) as client:
                response = await client.get(url)
    except _FAILURES:
        return None
    return Answer(
        response.status_code,
        response.text[:_MAX_TEXT],
        (began_s + time.time()) / 2,
        _date(response.headers.get("Date")),
    )


def _date(header: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(header or "").timestamp()
    except (ValueError, OverflowError):
        return None


async def ready_state(context: Context) -> ReadyState | None:
    """What `/ready` said to an earlier stage, or says now; None where it says nothing of the kind."""
    body = context.found.get("ready")
    if body is None:
        answer = await get(f"{base_url(context.target)}/ready", context.tls)
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
