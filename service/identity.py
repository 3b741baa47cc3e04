"""Who asks: what a connection says about itself, and who that is once its token was checked. Pure."""

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says about itself before anything was checked."""

    bearer: str = field(default="", repr=False)
    """The token of the request's head, or empty."""
    address: str = ""
    """The client's address, as far as proxies that are trusted tell it; empty where it is not known."""
    origin: str | None = None
    """The web page that asks, as the browser names it; None outside of browsers."""
    host: str = ""
    """The `Host` that the request names."""
    wx_openid: str = ""
    """`X-WX-OPENID`, which is worth something only where `TRUST_WX_HEADERS` says so."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who speaks, after the check."""

    user_id: str = ""
    """The user's id in this service; empty where nobody is known by name (`AUTH_MODE=off`)."""
    expires_at: float = math.inf
    """When the token's time is over, in Unix seconds."""


ANYBODY = Identity()
