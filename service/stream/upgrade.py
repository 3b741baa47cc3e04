"""What an upgrade request says about a stream: its subprotocol, its token, who asks. Pure."""

from collections.abc import Callable, Sequence
from typing import Final

from service.identity import Caller

SUBPROTOCOL: Final = "voice.v1"
_TOKEN_SUBPROTOCOL: Final = "bearer."  # noqa: S105 - the prefix of one, for browsers, which cannot set headers


def chosen_subprotocol(offered: Sequence[str]) -> str | None:
    """Ours where it is offered, else the first that is no token: a client that offers some expects one back."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next((name for name in offered if not name.startswith(_TOKEN_SUBPROTOCOL)), None)


def bearer_of(authorization: str, old_header: str, offered: Sequence[str]) -> str:
    """The token of a request: from `Authorization`, the old `token` header, or a subprotocol; empty without one."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    named = [name.removeprefix(_TOKEN_SUBPROTOCOL) for name in offered if name.startswith(_TOKEN_SUBPROTOCOL)]
    return old_header or next(iter(named), "")


def caller_of(headers: Callable[[str], Sequence[str]], offered: Sequence[str], address: str) -> Caller:
    """The caller of a request. `headers` gets all of one name, `offered` are the subprotocols of an upgrade.

    Who sends several of a header that tells who they are has written one of them: all are looked at then.
    """

    def first(name: str) -> str:
        return next(iter(headers(name)), "")

    origins = headers("origin")
    return Caller(
        bearer=bearer_of(first("authorization"), first("token"), offered),
        address=address,
        origin=",".join(origins) if origins else None,
        host=first("host"),
        wx_openid=",".join(headers("x-wx-openid")),
    )
