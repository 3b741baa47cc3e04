"""What to check when a service refuses streams for want of a token. Pure."""

from typing import Final

_SOURCES: Final = "check --token, --token-command, or JWT_SECRET in the environment of the load tester"
_HINTS: Final = {
    "unauthenticated": f"no token, or not one of this service: {_SOURCES}",
    "token_expired": f"the token's time is over: {_SOURCES}",
    "not_configured": (
        "the service was started locked: it wants JWT_SECRET (and tokens of it: --token, --token-command, or the same "
        "JWT_SECRET here) or AUTH_MODE=off, and a recognizer, in its own environment"
    ),
}


def hint(slug: str | None) -> str:
    """What to check when the service refuses a stream with this slug; empty where it is not about tokens."""
    return _HINTS.get(slug or "", "")
