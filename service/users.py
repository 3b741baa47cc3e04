"""The users of this service: what their ids are made of, and who keeps them."""

import hashlib
import hmac
import re
from typing import Final, Protocol

_OPENID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")  # WeChat's have 28 characters; no length is documented


class Users(Protocol):
    """Keeps users."""

    async def user_of_openid(self, openid: str, unionid: str) -> str:
        """The id of the user whom WeChat knows by this openid: that of `user_id_of`, whether it could be kept or not.

        `unionid` is empty where the mini-program is not bound to an Open Platform account. Returns at once also while
        the database is away.
        """


def is_openid(text: str) -> bool:
    """Whether this can be an openid."""
    return _OPENID.fullmatch(text) is not None


def user_id_of(appid: str, openid: str) -> str:
    """The id of a WeChat user: the same everywhere and always, so that nobody has to be asked.

    Logs, tokens and limits carry it in place of the openid, which only the users' table has.
    """
    return "u_" + hmac.new(appid.encode(), openid.encode(), hashlib.sha256).hexdigest()[:32]
