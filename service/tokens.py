"""The tokens of this service: JWTs (RFC 7519), signed with HS256. Pure.

A token names its user in `sub`, says when it ends in `exp`, and in its header with which secret it was signed (`kid`),
so that during a rotation the old secret is tried for old tokens alone. Tokens without `kid` are taken too: others who
hold the secret may mint some.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

import jwt

from service.failures import Problem, Slug, problem
from service.identity import Identity

ALGORITHM: Final = "HS256"
"""The only one that is taken, whatever a token says (RFC 8725 section 3.1)."""
NOT_YET_S: Final = 30.0
"""How far the clock of another issuer may be ahead of ours, where it writes `nbf` (RFC 7519 section 4.1.5)."""
MAX_USER_ID: Final = 128
"""Characters of `sub`: it becomes a key of databases and counters."""
_FAR_FUTURE: Final = 1e12  # JSON's numbers have no end; Unix seconds, some 30,000 years from now

Claim = str | int | float | bool | None

MISSING: Final = problem(Slug.UNAUTHENTICATED, "A token is needed: in Authorization, or in start.token.")
FOREIGN: Final = problem(Slug.UNAUTHENTICATED, "The token was not signed by this service.")
UNKNOWN_KEY: Final = problem(
    Slug.UNAUTHENTICATED, "The token was signed with a secret that this service does not have."
)
EXPIRED: Final = problem(Slug.TOKEN_EXPIRED, "The token has expired: log in again.")
BAD_TIMES: Final = problem(
    Slug.UNAUTHENTICATED,
    "The token's exp and nbf: expected an end in Unix seconds, and a beginning that is not to come.",
)
BAD_USER: Final = problem(
    Slug.UNAUTHENTICATED, f"The token's sub: expected at most {MAX_USER_ID} characters, all of them printable."
)


def key_id(secret: str) -> str:
    """The name of a secret in the header of tokens; it tells nothing that a signature would not tell."""
    return hmac.new(secret.encode(), b"kid", hashlib.sha256).hexdigest()[:8]


def mint(secret: str, user_id: str, *, now_s: int, ttl_s: int) -> str:
    """A token for a user that is good from `now_s` (Unix time) on, for `ttl_s`."""
    return sign(secret, {"sub": user_id, "iat": now_s, "exp": now_s + ttl_s})


def sign(secret: str, claims: Mapping[str, Claim]) -> str:
    """A token that says just this."""
    return jwt.encode(dict(claims), secret, ALGORITHM, headers={"kid": key_id(secret)})


def verify(token: str, secrets: Sequence[str], now: float) -> Identity | Problem:
    """Who bears the token at `now` (Unix time), or why it is refused. Empty `secrets` verify nothing.

    Signatures are compared in constant time (PyJWT). A clock that is late does not matter: `iat` is not looked at.
    """
    if not token:
        return MISSING
    try:
        named = jwt.get_unverified_header(token).get("kid")
    except jwt.InvalidTokenError:
        return FOREIGN
    known = [secret for secret in secrets if secret and named in (None, key_id(secret))]
    for secret in known:
        claims = _claims(token, secret)
        if claims is not None:
            return _identity(claims, now)
    return FOREIGN if known else UNKNOWN_KEY


def _claims(token: str, secret: str) -> Mapping[str, object] | None:
    ours = dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_sub"), False)  # see _identity
    try:
        return jwt.decode(token, secret, algorithms=[ALGORITHM], options=ours)  # type: ignore[arg-type]
    except jwt.InvalidTokenError:
        return None


def _identity(claims: Mapping[str, object], now: float) -> Identity | Problem:
    """What PyJWT would check as well, on our own clock and not on the machine's."""
    ends, begins, user_id = claims.get("exp"), claims.get("nbf", now), claims.get("sub", "")
    if not isinstance(ends, int | float) or not isinstance(begins, int | float) or begins > now + NOT_YET_S:
        return BAD_TIMES
    if not ends > now:  # so that NaN is over, too
        return EXPIRED
    if not isinstance(user_id, str) or len(user_id) > MAX_USER_ID or not user_id.isprintable():
        return BAD_USER
    return Identity(user_id, float(min(ends, _FAR_FUTURE)))
