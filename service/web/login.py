"""`POST /api/auth/wechat-login`: a code of `wx.login` for a token of ours. See docs/authentication.md."""

import contextlib
import logging
import random
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge

from service.deps import Deps
from service.failures import Slug, StreamFailed, problem
from service.login.answers import Refused, WechatUser
from service.login.wechat import Asked, WechatLogin
from service.retry_hint import retry_hint_ms
from service.stream.authentication import check_origin
from service.stream.outcome import End, Outcome
from service.telemetry.logs import get_logger, log_event
from service.tokens import mint
from service.users import user_id_of
from service.web.answer import answer, refusal
from service.web.contract import LoginAnswer, LoginRequest
from service.web.identity import caller_of_request
from service.web.openapi import describe
from service.web.request import pass_over_body

PATHS: Final = ("/api/auth/wechat-login", "/api/auth/login")
"""The second one is that of the service being replaced."""
MAX_BODY_BYTES: Final = 4096
BODY_S: Final = 10.0
LINGER_S: Final = 2.0
MAX_LOGINS: Final = 64
"""At a time. Nobody has shown a token yet, and each of them is a connection to WeChat."""
KEEPING_S: Final = 1.0
"""How long the users' table may take to note a user; who it is is known before."""
_CODE: Final = re.compile(r"[\x21-\x7e]{1,256}")  # WeChat's have 32 characters
_MINUTE_MS: Final = (30_000, 60_000)  # WeChat counts the logins of a user by the minute

OUTCOMES: Final = (
    End.COMPLETED, End.CLIENT_LEFT, Slug.LOGIN_REFUSED, Slug.FORBIDDEN, Slug.TOO_MANY_REQUESTS, Slug.LOGIN_REJECTED,
    Slug.LOGIN_UNAVAILABLE, Slug.BAD_REQUEST, Slug.IDLE_TIMEOUT, Slug.NOT_CONFIGURED, Slug.INTERNAL,
)  # fmt: skip
"""Every value of the `outcome` label of logins."""

_logger: Final = get_logger("login")


class _Body(msgspec.Struct):
    code: str


def register_login(app: QuartTrio, deps: Deps) -> None:
    """Adds the route to the application, under both its names. Without `WECHAT_APPID` it answers not_configured."""
    wechat = WechatLogin.of(deps.settings)
    places = _Places()

    @describe(
        "Log in with a code of wx.login",
        LoginAnswer,
        section="login",
        takes=LoginRequest,
        refusals=(slug for slug in OUTCOMES if isinstance(slug, Slug) and slug is not Slug.INTERNAL),
    )
    async def login() -> Response:
        """Answers in the envelope, failures of the catalogue included."""
        began = trio.current_time()
        outcome, asked = Outcome(End.CLIENT_LEFT), None
        try:
            if wechat is None or not deps.settings.jwt_secret:
                raise StreamFailed(
                    problem(Slug.NOT_CONFIGURED, "The service was started without WECHAT_APPID or without JWT_SECRET.")
                )
            check_origin(deps.settings, caller_of_request(deps.settings))
            code = await _code()
            with places.taken():  # not before: a body that does not come costs nobody a place
                asked = await wechat.ask(code)
            if isinstance(asked.answer, Refused):
                raise _failure(asked.answer)
            data = await _logged_in(deps, asked.answer)
            outcome = Outcome(End.COMPLETED)
            return answer(data)
        except StreamFailed as failed:
            outcome = Outcome.failed(failed.problem)
            await pass_over_body(LINGER_S)
            return refusal(failed.problem)
        except Exception:
            outcome = Outcome(Slug.INTERNAL)
            raise
        finally:
            _tell(deps, outcome, asked, trio.current_time() - began)

    for place, path in enumerate(PATHS):
        app.add_url_rule(path, endpoint=f"login_{place}", view_func=login, methods=["POST"])


class _Places:
    """How many logins there are at a time."""

    def __init__(self) -> None:
        self._taken = 0

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """A place while the `with` lasts. Raises StreamFailed when there is none."""
        if self._taken >= MAX_LOGINS:
            message = f"{MAX_LOGINS} logins are being made already."
            raise StreamFailed(problem(Slug.TOO_MANY_REQUESTS, message, retry_after_ms=retry_hint_ms()))
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


async def _code() -> str:
    """The code of the request's body, whatever its content type says. Raises StreamFailed."""
    data = b""
    with trio.move_on_after(BODY_S) as limit:
        with contextlib.suppress(RequestEntityTooLarge):  # it is over our limit then, too
            async for part in request.body:
                data += part
                if len(data) > MAX_BODY_BYTES:
                    break
    if limit.cancelled_caught:
        raise StreamFailed(problem(Slug.IDLE_TIMEOUT, f"The body did not come to its end within {BODY_S:g} s."))
    if len(data) > MAX_BODY_BYTES:
        raise StreamFailed(problem(Slug.BAD_REQUEST, f"The body is over {MAX_BODY_BYTES} bytes."))
    try:
        code = msgspec.json.decode(data, type=_Body).code
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        code = ""
    if not _CODE.fullmatch(code):
        raise StreamFailed(problem(Slug.BAD_REQUEST, 'Expected {"code": "…"} with the code of wx.login, as JSON.'))
    return code


def _failure(refused: Refused) -> StreamFailed:
    hint_ms = None
    if refused.slug is Slug.LOGIN_UNAVAILABLE:
        hint_ms = retry_hint_ms()
    elif refused.slug is Slug.TOO_MANY_REQUESTS:
        hint_ms = random.randint(*_MINUTE_MS)  # noqa: S311 - spreads load; nothing secret
    return StreamFailed(problem(refused.slug, refused.message, retry_after_ms=hint_ms))


async def _logged_in(deps: Deps, user: WechatUser) -> dict[str, Any]:
    settings = deps.settings
    user_id = user_id_of(settings.wechat_appid, user.openid)
    if deps.users is not None:
        with trio.move_on_after(KEEPING_S):
            user_id = await deps.users.user_of_openid(user.openid, user.unionid)
    now_s = int(deps.wall_clock())
    token = mint(settings.jwt_secret, user_id, now_s=now_s, ttl_s=settings.token_ttl_s)
    return {"token": token, "expiresIn": settings.token_ttl_s, "user": {"id": user_id}}


def _tell(deps: Deps, outcome: Outcome, asked: Asked | None, lasted_s: float) -> None:
    refused = asked.answer if asked is not None and isinstance(asked.answer, Refused) else None
    deps.metrics.logins.labels(outcome.end).inc()
    is_ours = outcome.end in (Slug.LOGIN_REJECTED, Slug.INTERNAL)
    log_event(
        _logger,
        logging.ERROR if is_ours else logging.INFO,
        "login",
        outcome=str(outcome.end),
        reason=refused.message if refused else None,
        errcode=refused.errcode if refused else None,
        wechat_request=refused.request_id or None if refused else None,
        attempts=asked.attempts if asked else 0,
        lasted_ms=round(lasted_s * 1000),
    )
