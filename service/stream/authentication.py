"""Who is speaking, and may they: where a request comes from, and what its token or WeChat's gateway says. Pure."""

from typing import Final

from service import tokens
from service.failures import Problem, Slug, StreamFailed, problem
from service.identity import ANYBODY, Caller, Identity
from service.settings import AuthMode, RecognizerKind, Settings
from service.stream.origins import is_allowed, is_loopback, is_this_machine
from service.users import is_openid, user_id_of

_MAX_SHOWN: Final = 100  # characters of a stranger's origin


def check_permitted(settings: Settings, caller: Caller, token: str = "", *, now: float) -> Identity:
    """Who may have speech recognized here: the caller, by its bearer or, where it has none, by `token`.

    `now` is Unix time in seconds. Raises StreamFailed for a caller that may not.
    """
    if settings.recognizer is RecognizerKind.NONE:
        raise StreamFailed(problem(Slug.NOT_CONFIGURED, "The service was started without a recognizer."))
    return authenticate(settings, caller, token, now=now)


def authenticate(settings: Settings, caller: Caller, token: str = "", *, now: float) -> Identity:
    """Who the caller is under these settings, at `now` (Unix time). Raises StreamFailed for one that is not let in.

    A token signed with the secret before the last rotation is good too. One without an expiry is not. A caller
    without any is known by `X-WX-OPENID` where that is trusted.
    """
    check_origin(settings, caller)
    if settings.auth_mode is AuthMode.LOCKED:
        raise StreamFailed(problem(Slug.NOT_CONFIGURED, "The service was started without JWT_SECRET."))
    given = caller.bearer or token
    is_off = settings.auth_mode is AuthMode.OFF
    if settings.trust_wx_headers and caller.wx_openid and (is_off or not given):
        return _wechat_user(settings, caller.wx_openid)
    if is_off:
        return ANYBODY
    verdict = tokens.verify(given, (settings.jwt_secret, settings.jwt_secret_old), now)
    if isinstance(verdict, Problem):
        raise StreamFailed(verdict)
    return verdict


def check_origin(settings: Settings, caller: Caller) -> None:
    """Raises StreamFailed for a web page that may not use this service."""
    open_here = settings.auth_mode is AuthMode.OFF and is_loopback(settings.host)
    if open_here and not is_this_machine(caller.host, settings.allowed_origins):
        shown = caller.host[:_MAX_SHOWN]
        raise StreamFailed(
            problem(
                Slug.FORBIDDEN,
                f"{shown} is no name of this machine: with AUTH_MODE=off and a HOST of this machine only, use "
                "localhost, or name it in ALLOWED_ORIGINS.",
            )
        )
    if not is_allowed(caller.origin, caller.host, settings.allowed_origins):
        shown = (caller.origin or "")[:_MAX_SHOWN]
        raise StreamFailed(
            problem(Slug.FORBIDDEN, f"Pages of {shown} may not connect: they are not in ALLOWED_ORIGINS.")
        )


def _wechat_user(settings: Settings, openid: str) -> Identity:
    if not is_openid(openid):
        raise StreamFailed(problem(Slug.UNAUTHENTICATED, "X-WX-OPENID is not an openid."))
    return Identity(user_id_of(settings.wechat_appid, openid))
