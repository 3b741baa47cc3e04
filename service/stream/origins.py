"""Which web pages may use this service from a visitor's browser. Pure.

A browser names the page that asks in `Origin`, and no page can change what it says; any other client can say anything,
or nothing. So this protects visitors of foreign pages, and replaces no token.

What WeChat sends is no web page's origin, and is let in as one that says nothing: nothing at all on some phones, the
service's own host on others, `weapp://…` on iOS (wechat-miniprogram/minigame-unity-webgl-transform issue 703), and
several values with commas between, `undefined` among them (saya-ch/dsh-mobile pull request 34).
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

_WEB_ORIGIN: Final = re.compile(r"(https?)://([^/?#@\\\s]+?)(?::(\d{1,5}))?")
_HOST: Final = re.compile(r"(.+?)(?::(\d{1,5}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_WECHAT: Final = re.compile(r"weapp://.*|undefined|https://servicewechat\.com")
"""The last one is the host of the Referer that every mini-program has; no page of anybody else is there."""
_OWN_NAMES: Final = re.compile(r"localhost|.+\.localhost")


def is_allowed(origin: str | None, host: str, allowed: Collection[str]) -> bool:
    """Whether a request may come from there: no web page, one of this `host` itself, or one of `allowed`.

    `host` is the request's `Host`; `allowed` are origins in lower case.
    """
    given = "" if origin is None else origin
    return all(_is_one_allowed(one.strip().lower(), host.lower(), allowed) for one in given.split(","))


def is_this_machine(host: str, allowed: Collection[str]) -> bool:
    """Whether a `Host` names this machine: as localhost, by an address, or as one of the `allowed` origins does.

    A page of evil.example whose name leads to 127.0.0.1 by now (DNS rebinding) is one of the service's own host for the
    browser, and sends no `Origin` with a GET. Its `Host` gives it away.
    """
    own = _HOST.fullmatch(host.lower())
    if own is None:
        return not host  # no browser leaves it out
    name = own[1]
    named = {page[2] for origin in allowed if (page := _WEB_ORIGIN.fullmatch(origin))}
    return name in named or is_address(name) or _OWN_NAMES.fullmatch(name) is not None


def is_loopback(bound: str) -> bool:
    """Whether who listens there is reached from its own machine alone."""
    return bound == "localhost" or (is_address(bound) and ipaddress.ip_address(bound).is_loopback)


def is_address(name: str) -> bool:
    """Whether this is an address, in brackets or not, and no name."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_one_allowed(origin: str, host: str, allowed: Collection[str]) -> bool:
    if not origin or origin in allowed or _WECHAT.fullmatch(origin):
        return True
    page, own = _WEB_ORIGIN.fullmatch(origin), _HOST.fullmatch(host)
    if page is None or own is None:  # `null`: a file, or a page in a sandbox
        return False
    port = _DEFAULT_PORTS[page[1]]  # a proxy before us may speak TLS, so `Host` says nothing of the scheme
    return (page[2], page[3] or port) == (own[1], own[2] or port)
