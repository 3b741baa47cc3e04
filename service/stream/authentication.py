"""Who is speaking: the token of a stream, checked."""

from typing import Final

import jwt

from service.failures import Slug, StreamFailed, problem
from service.settings import AuthMode, RecognizerKind, Settings

ALGORITHM: Final = "HS256"


def check_permitted(settings: Settings, token: str) -> None:
    """Return when the token's bearer may have speech recognized here. Raises StreamFailed otherwise."""
    if settings.recognizer is RecognizerKind.NONE:
        raise StreamFailed(problem(Slug.NOT_CONFIGURED, "The service was started without a recognizer."))
    authenticate(settings, token)


def authenticate(settings: Settings, token: str) -> None:
    """Return when the token opens a stream under these settings. Raises StreamFailed otherwise.

    A token signed with the secret before the last rotation is good too. One without an expiry is not.
    """
    match settings.auth_mode:
        case AuthMode.OFF:
            return
        case AuthMode.LOCKED:
            raise StreamFailed(problem(Slug.NOT_CONFIGURED, "The service was started without JWT_SECRET."))
    if not token:
        raise StreamFailed(problem(Slug.UNAUTHENTICATED, "A token is needed: in Authorization, or in start.token."))
    refused = problem(Slug.UNAUTHENTICATED, "The token was not signed by this service.")
    for secret in filter(None, (settings.jwt_secret, settings.jwt_secret_old)):
        try:
            jwt.decode(token, secret, algorithms=[ALGORITHM], options={"require": ["exp"]})
        except jwt.ExpiredSignatureError:
            refused = problem(Slug.TOKEN_EXPIRED, "The token has expired: log in again.")
        except jwt.InvalidTokenError:
            continue
        else:
            return
    raise StreamFailed(refused)
