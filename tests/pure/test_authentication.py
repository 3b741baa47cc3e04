"""Who is let in: by the settings, the origin, the token, and WeChat's header."""

import dataclasses
import math

import pytest

from service.failures import Problem, Slug, StreamFailed, problem
from service.identity import ANYBODY, Caller, Identity
from service.settings import AuthMode, RecognizerKind, Settings
from service.stream.authentication import authenticate, check_origin, check_permitted
from service.tokens import EXPIRED, MISSING, UNKNOWN_KEY, mint
from service.users import user_id_of

SECRET, OLD_SECRET = "k" * 32, "o" * 32
SETTINGS = Settings(
    auth_mode=AuthMode.TOKEN, jwt_secret=SECRET, jwt_secret_old=OLD_SECRET, recognizer=RecognizerKind.LOCAL
)
LOCKED = problem(Slug.NOT_CONFIGURED, "The service was started without JWT_SECRET.")
NOW = 1_700_000_000.0
OPENID = "oABCDEFGHIJKLMNOPQRSTUVWXY_-"


def token(user_id: str = "u_1", secret: str = SECRET, ttl_s: int = 60) -> str:
    return mint(secret, user_id, now_s=int(NOW), ttl_s=ttl_s)


def verdict(settings: Settings, caller: Caller, token: str = "") -> Identity | Problem:
    try:
        return check_permitted(settings, caller, token, now=NOW)
    except StreamFailed as failed:
        return failed.problem


def also(**settings: object) -> Settings:
    return dataclasses.replace(SETTINGS, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", ["", "garbage", token(), token(secret="x" * 32)])
def test_off_lets_everybody_in_and_locked_nobody(given: str) -> None:
    assert verdict(also(auth_mode=AuthMode.OFF), Caller(given)) == ANYBODY
    assert verdict(also(auth_mode=AuthMode.LOCKED), Caller(given)) == LOCKED


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_user_of_a_token(secret: str) -> None:
    assert verdict(SETTINGS, Caller(token("u_7", secret))) == Identity("u_7", NOW + 60)


def test_a_token_in_the_head_goes_before_that_of_start() -> None:
    assert verdict(SETTINGS, Caller(), token("u_2")) == Identity("u_2", NOW + 60)
    assert verdict(SETTINGS, Caller(token("u_1")), token("u_2")) == Identity("u_1", NOW + 60)
    assert verdict(SETTINGS, Caller(token(ttl_s=0)), token("u_2")) == EXPIRED


@pytest.mark.parametrize(("given", "expected"), [("", MISSING), (token(secret="x" * 32), UNKNOWN_KEY)])
def test_what_is_no_token_of_ours(given: str, expected: Problem) -> None:
    assert verdict(SETTINGS, Caller(given)) == expected


def test_without_a_recognizer_only_history_is_there() -> None:
    without = also(recognizer=RecognizerKind.NONE)
    assert verdict(without, Caller(token())) == problem(
        Slug.NOT_CONFIGURED, "The service was started without a recognizer."
    )
    assert authenticate(without, Caller(token()), now=NOW) == Identity("u_1", NOW + 60)


def test_the_wechat_header_is_believed_where_the_settings_say_so() -> None:
    caller = Caller(wx_openid=OPENID)
    assert verdict(SETTINGS, caller) == MISSING
    assert verdict(also(auth_mode=AuthMode.OFF), caller) == ANYBODY
    known = Identity(user_id_of("wx1", OPENID), math.inf)
    for mode in (AuthMode.TOKEN, AuthMode.OFF):
        assert verdict(also(auth_mode=mode, trust_wx_headers=True, wechat_appid="wx1"), caller) == known
    assert verdict(also(auth_mode=AuthMode.LOCKED, trust_wx_headers=True), caller) == LOCKED


def test_the_wechat_header_does_not_mend_a_token() -> None:
    trusting = also(trust_wx_headers=True)
    assert verdict(trusting, Caller(token(), wx_openid=OPENID)) == Identity("u_1", NOW + 60)
    assert verdict(trusting, Caller(token(ttl_s=0), wx_openid=OPENID)) == EXPIRED
    assert verdict(trusting, Caller(), token("u_2")) == Identity("u_2", NOW + 60)
    assert verdict(trusting, Caller()) == MISSING


@pytest.mark.parametrize("given", ["o o", "ö", "o" * 65, "../o", "oVictim,oMine"])
def test_a_wechat_header_that_is_no_openid(given: str) -> None:
    assert verdict(also(trust_wx_headers=True), Caller(wx_openid=given)) == problem(
        Slug.UNAUTHENTICATED, "X-WX-OPENID is not an openid."
    )


@pytest.mark.parametrize("mode", list(AuthMode))
def test_a_foreign_page_is_refused_before_its_token_is_looked_at(mode: AuthMode) -> None:
    foreign = Caller(token(), origin="https://evil.example" + "e" * 200, host="voice.example")
    refused = verdict(also(auth_mode=mode), foreign)
    assert isinstance(refused, Problem)
    assert refused.slug is Slug.FORBIDDEN
    assert refused.message.startswith("Pages of https://evil.exampleeee")
    assert len(refused.message) < 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example:8000", "127.0.0.1.evil.example"]
)
def test_a_page_whose_name_was_bent_to_this_machine_is_refused(host: str) -> None:
    """DNS rebinding: for the browser the page and a service on this machine are one host, and its GET has no Origin."""
    laptop = also(auth_mode=AuthMode.OFF, host="127.0.0.1")
    for origin in (None, f"http://{host}"):
        refused = verdict(laptop, Caller(origin=origin, host=host))
        assert isinstance(refused, Problem)
        assert refused.slug is Slug.FORBIDDEN
        assert "ALLOWED_ORIGINS" in refused.message
        assert verdict(also(auth_mode=AuthMode.OFF), Caller(origin=origin, host=host)) == ANYBODY
        assert verdict(also(host="127.0.0.1"), Caller(token(), origin=origin, host=host)) == Identity("u_1", NOW + 60)
        tunnel = dataclasses.replace(laptop, allowed_origins=(f"https://{host.partition(':')[0]}",))
        assert verdict(tunnel, Caller(host=host)) == ANYBODY


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "LOCALHOST:8000",
        "voice.localhost:80",
        "127.0.0.1:8000",
        "[::1]:8000",
        "192.0.2.7:8000",
        "[::1]",
    ],
)
def test_this_machine_by_its_own_names(host: str) -> None:
    """A page elsewhere has a name: nobody can bend an address."""
    for bound in ("127.0.0.1", "localhost", "::1"):
        assert verdict(also(auth_mode=AuthMode.OFF, host=bound), Caller(host=host)) == ANYBODY


def test_allowed_pages() -> None:
    allowing = also(allowed_origins=("https://pages.example",))
    check_origin(allowing, Caller(origin="https://Pages.example", host="voice.example"))
    check_origin(allowing, Caller(origin="https://voice.example", host="voice.example"))
    check_origin(allowing, Caller())
