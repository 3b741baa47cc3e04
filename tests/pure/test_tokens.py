"""Tokens: whose they are, until when, and which are none."""

import base64
import json
import math

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem
from service.identity import Identity
from service.tokens import (
    BAD_TIMES,
    BAD_USER,
    EXPIRED,
    FOREIGN,
    MAX_USER_ID,
    MISSING,
    UNKNOWN_KEY,
    key_id,
    mint,
    sign,
    verify,
)

SECRET, OLD_SECRET, OTHER_SECRET = "k" * 32, "o" * 32, "x" * 32
SECRETS = (SECRET, OLD_SECRET)
NOW = 1_700_000_000.0
LATER, BEFORE = int(NOW) + 60, int(NOW) - 60


def by_others(secret: str = SECRET, algorithm: str = "HS256", kid: object = None, **claims: object) -> str:
    """A token that somebody else's program has made."""
    return jwt.encode(claims, secret, algorithm, headers={} if kid is None else {"kid": kid})


def encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def unsigned(header: bytes, signature: str = "") -> str:
    return f"{encoded(header)}.{encoded(json.dumps({'sub': 'u', 'exp': LATER}).encode())}.{signature}"


def other_signature(token: str) -> str:
    """The same with one letter of its signature changed."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


GOOD = mint(SECRET, "u_1", now_s=int(NOW), ttl_s=60)


def test_what_is_minted_is_good_until_its_end() -> None:
    assert verify(GOOD, SECRETS, NOW) == Identity("u_1", NOW + 60)
    assert verify(GOOD, SECRETS, NOW + 59.9) == Identity("u_1", NOW + 60)
    assert verify(GOOD, SECRETS, NOW + 60) == EXPIRED


def test_a_replica_whose_clock_is_late_takes_it_too() -> None:
    assert verify(GOOD, SECRETS, NOW - 30) == Identity("u_1", NOW + 60)


def test_rotation() -> None:
    """The secret becomes the old one: its tokens are good, then it is forgotten."""
    before = mint(SECRET, "u_1", now_s=int(NOW), ttl_s=60)
    assert verify(before, ("n" * 32, SECRET), NOW) == Identity("u_1", NOW + 60)
    assert verify(before, ("n" * 32, ""), NOW) == UNKNOWN_KEY
    after = mint("n" * 32, "u_1", now_s=int(NOW), ttl_s=60)
    assert jwt.get_unverified_header(after)["kid"] != jwt.get_unverified_header(before)["kid"]
    assert verify(after, ("n" * 32, SECRET), NOW) == Identity("u_1", NOW + 60)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(by_others(sub="u", exp=LATER), Identity("u", LATER), id="without kid"),
        pytest.param(by_others(OLD_SECRET, sub="u", exp=LATER), Identity("u", LATER), id="old secret, without kid"),
        pytest.param(sign(OLD_SECRET, {"sub": "u", "exp": LATER}), Identity("u", LATER), id="kid of the old secret"),
        pytest.param(by_others(exp=LATER + 0.5), Identity("", LATER + 0.5), id="nobody's, with half a second"),
        pytest.param(by_others(sub="u", exp=10**400), Identity("u", 1e12), id="for ever"),
        pytest.param(by_others(sub="u", exp=LATER, nbf=int(NOW)), Identity("u", LATER), id="valid since now"),
        pytest.param(by_others(sub="u", exp=LATER, iat=LATER), Identity("u", LATER), id="issued in the future"),
        pytest.param(by_others(sub="u", exp=BEFORE), EXPIRED, id="expired"),
        pytest.param(sign(OLD_SECRET, {"sub": "u", "exp": BEFORE}), EXPIRED, id="expired, old secret"),
        pytest.param(by_others(sub="u", exp=math.nan), EXPIRED, id="NaN"),
        pytest.param(by_others(OTHER_SECRET, sub="u", exp=LATER), FOREIGN, id="wrong secret"),
        pytest.param(by_others(OTHER_SECRET, sub="u", exp=BEFORE), FOREIGN, id="wrong secret, expired"),
        pytest.param(
            by_others(OTHER_SECRET, kid=key_id(SECRET), sub="u", exp=LATER), FOREIGN, id="wrong secret, our kid"
        ),
        pytest.param(
            by_others(OLD_SECRET, kid=key_id(SECRET), sub="u", exp=LATER), FOREIGN, id="old secret, kid of the new one"
        ),
        pytest.param(sign(OTHER_SECRET, {"sub": "u", "exp": LATER}), UNKNOWN_KEY, id="unknown kid"),
        pytest.param(by_others(kid="", sub="u", exp=LATER), UNKNOWN_KEY, id="empty kid"),
        pytest.param(unsigned(b'{"alg":"HS256","kid":7}'), FOREIGN, id="a kid that is no string"),
        pytest.param(by_others("h" * 64, "HS512", sub="u", exp=LATER), FOREIGN, id="wrong algorithm"),
        pytest.param(
            by_others(SECRET * 2, "HS384", kid=key_id(SECRET), sub="u", exp=LATER), FOREIGN, id="wrong one, our kid"
        ),
        pytest.param(by_others("", "none", sub="u", exp=LATER), FOREIGN, id="alg none"),
        pytest.param(unsigned(b'{"alg":"none"}'), FOREIGN, id="alg none, by hand"),
        pytest.param(unsigned(b'{"alg":"nOnE"}'), FOREIGN, id="alg nOnE"),
        pytest.param(unsigned(b'{"alg":"HS256"}'), FOREIGN, id="no signature"),
        pytest.param(unsigned(b'{"typ":"JWT"}', "AAAA"), FOREIGN, id="no algorithm"),
        pytest.param(other_signature(GOOD), FOREIGN, id="a letter of the signature"),
        pytest.param(GOOD[:-2], FOREIGN, id="truncated in the signature"),
        pytest.param(GOOD[: GOOD.rindex(".")], FOREIGN, id="truncated before the signature"),
        pytest.param(GOOD[: GOOD.index(".") - 3], FOREIGN, id="truncated in the header"),
        pytest.param(by_others(sub="u"), BAD_TIMES, id="no expiry"),
        pytest.param(by_others(sub="u", exp="soon"), BAD_TIMES, id="an expiry in words"),
        pytest.param(
            by_others(sub="u", exp=LATER, nbf=int(NOW) + 30), Identity("u", LATER), id="by a clock that is ahead"
        ),
        pytest.param(by_others(sub="u", exp=LATER, nbf=LATER - 1), BAD_TIMES, id="not valid yet"),
        pytest.param(by_others(sub="u", exp=LATER, nbf="now"), BAD_TIMES, id="valid from a word on"),
        pytest.param(by_others(sub="u", exp=LATER, aud="others"), FOREIGN, id="for another audience"),
        pytest.param(by_others(sub=7, exp=LATER), BAD_USER, id="a user that is a number"),
        pytest.param(by_others(sub="u" * (MAX_USER_ID + 1), exp=LATER), BAD_USER, id="a long user"),
        pytest.param(by_others(sub="u\0", exp=LATER), BAD_USER, id="a user with a NUL"),
        pytest.param("", MISSING, id="none"),
        pytest.param(" ", FOREIGN, id="blank"),
        pytest.param("é.é.é", FOREIGN, id="not ASCII"),
        pytest.param(unsigned(b'{"alg":["HS256"]}'), FOREIGN, id="a list of algorithms"),
        pytest.param(unsigned(b"[" * 30_000), FOREIGN, id="a header nested deeply"),
        pytest.param(unsigned(b'{"a":' + b"9" * 5000 + b"}"), FOREIGN, id="a header with a huge number"),
    ],
)
def test_verify(token: str, expected: Identity | Problem) -> None:
    assert verify(token, SECRETS, NOW) == expected


def test_an_empty_secret_verifies_nothing() -> None:
    """Were a missing secret tried as an empty one, anybody could sign."""
    hmac_sha256 = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    message, _, _ = unsigned(b'{"alg":"HS256"}').rpartition(".")
    token = f"{message}.{encoded(hmac_sha256.sign(message.encode(), b''))}"
    assert verify(token, (SECRET, ""), NOW) == FOREIGN
    assert verify(token, ("", ""), NOW) == UNKNOWN_KEY


def test_the_secret_cannot_be_read_from_its_name() -> None:
    assert len(key_id(SECRET)) == 8
    assert key_id(SECRET) == key_id(SECRET) != key_id(OLD_SECRET)
    assert SECRET not in GOOD


@given(st.one_of(st.text(), st.binary().map(unsigned), st.tuples(st.text(), st.text(), st.text()).map(".".join)))
def test_any_other_text_is_refused(token: str) -> None:
    assert verify(token, SECRETS, NOW) in (FOREIGN, MISSING, UNKNOWN_KEY)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_any_other_letter_is_refused(place: int, letter: str) -> None:
    """The last letter of a signature has bits that mean nothing."""
    changed = GOOD[:place] + letter + GOOD[place + 1 :]
    verdict = verify(changed, SECRETS, NOW)
    assert isinstance(verdict, Problem) or changed == GOOD or place == len(GOOD) - 1
