"""Whose token opens a stream."""

import base64
import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, StreamFailed, problem
from service.settings import AuthMode, Settings
from service.stream.authentication import authenticate

KEY, OLD_KEY, OTHER_KEY = "k" * 32, "o" * 32, "x" * 32
SETTINGS = Settings(auth_mode=AuthMode.TOKEN, jwt_secret=KEY, jwt_secret_old=OLD_KEY)
WITHOUT_OLD = Settings(auth_mode=AuthMode.TOKEN, jwt_secret=KEY)
FUTURE, PAST = int(time.time()) + 3600, int(time.time()) - 10

MISSING = problem(Slug.UNAUTHENTICATED, "A token is needed: in Authorization, or in start.token.")
FOREIGN = problem(Slug.UNAUTHENTICATED, "The token was not signed by this service.")
EXPIRED = problem(Slug.TOKEN_EXPIRED, "The token has expired: log in again.")
LOCKED = problem(Slug.NOT_CONFIGURED, "The service was started without JWT_SECRET.")


def refused(settings: Settings, token: str) -> Problem | None:
    try:
        authenticate(settings, token)
    except StreamFailed as failure:
        return failure.problem
    return None


def signed(key: str = KEY, algorithm: str = "HS256", **claims: object) -> str:
    return jwt.encode(claims, key, algorithm)


def unsigned(header: bytes) -> str:
    def encoded(part: bytes) -> str:
        return base64.urlsafe_b64encode(part).rstrip(b"=").decode()

    return f"{encoded(header)}.{encoded(json.dumps({'exp': FUTURE}).encode())}."


@pytest.mark.parametrize("token", ["", "garbage", signed(OTHER_KEY, exp=FUTURE)])
def test_off_lets_everybody_in_and_locked_nobody(token: str) -> None:
    assert refused(Settings(auth_mode=AuthMode.OFF, jwt_secret=KEY), token) is None
    assert refused(Settings(auth_mode=AuthMode.LOCKED), token) == LOCKED


def test_locked_refuses_a_good_token_too() -> None:
    assert refused(Settings(auth_mode=AuthMode.LOCKED, jwt_secret=KEY), signed(exp=FUTURE)) == LOCKED


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(signed(exp=FUTURE), None, id="good"),
        pytest.param(signed(OLD_KEY, exp=FUTURE), None, id="the key before the rotation"),
        pytest.param(signed(exp=PAST), EXPIRED, id="expired"),
        pytest.param(signed(OLD_KEY, exp=PAST), EXPIRED, id="expired, the key before the rotation"),
        pytest.param(signed(OTHER_KEY, exp=FUTURE), FOREIGN, id="another key"),
        pytest.param(signed(OTHER_KEY, exp=PAST), FOREIGN, id="another key, expired"),
        pytest.param(signed(sub="somebody"), FOREIGN, id="no expiry"),
        pytest.param(signed(exp=FUTURE, nbf=FUTURE), FOREIGN, id="not valid yet"),
        pytest.param(signed("h" * 64, "HS512", exp=FUTURE), FOREIGN, id="another algorithm"),
        pytest.param(signed(KEY * 2, "HS512", exp=FUTURE), FOREIGN, id="another algorithm, nearly our key"),
        pytest.param(signed("", "none", exp=FUTURE), FOREIGN, id="alg none"),
        pytest.param(unsigned(b'{"alg":"HS256"}'), FOREIGN, id="no signature"),
        pytest.param(signed(exp=FUTURE)[:-2], FOREIGN, id="cut off"),
        pytest.param(f"Bearer {signed(exp=FUTURE)}", FOREIGN, id="with the scheme"),
        pytest.param("", MISSING, id="none"),
        pytest.param(" ", FOREIGN, id="blank"),
        pytest.param("a.b.c", FOREIGN, id="garbage"),
        pytest.param("é.é.é", FOREIGN, id="not ASCII"),
        pytest.param(unsigned(b'{"alg":["HS256"]}'), FOREIGN, id="a list of algorithms"),
        pytest.param(unsigned(b"[" * 30_000), FOREIGN, id="a header nested deeply"),
        pytest.param(unsigned(b'{"a":' + b"9" * 5000 + b"}"), FOREIGN, id="a header with a huge number"),
    ],
)
def test_token(token: str, expected: Problem | None) -> None:
    assert refused(SETTINGS, token) == expected


def test_without_an_old_key_its_tokens_are_foreign() -> None:
    assert refused(WITHOUT_OLD, signed(OLD_KEY, exp=FUTURE)) == FOREIGN


def test_an_empty_key_signs_nothing() -> None:
    """Were the missing old key tried as an empty one, anybody could sign."""
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256"}, {"exp": FUTURE})
    )
    message = header + b"." + payload
    signature = base64.urlsafe_b64encode(
        jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(message, b"")
    )
    token = (message + b"." + signature.rstrip(b"=")).decode()
    assert refused(WITHOUT_OLD, token) == FOREIGN
    assert refused(Settings(auth_mode=AuthMode.TOKEN), token) == FOREIGN


@given(st.one_of(st.text(), st.binary().map(unsigned), st.tuples(st.text(), st.text(), st.text()).map(".".join)))
def test_any_other_text_is_refused(token: str) -> None:
    assert refused(SETTINGS, token) in (FOREIGN, MISSING)
