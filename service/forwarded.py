"""Whose address a request comes from, where proxies stand before us. Pure.

Each proxy adds the address that it was reached from to the end of `X-Forwarded-For`; what stands before that, anybody
may have written. So the list is read from its end, and only for as long as who has written the next entry is one of
`TRUSTED_PROXIES`. An ingress that writes a list of its own keeps the one it got in `X-Original-Forwarded-For`
(ingress-nginx, and WeChat Cloud Hosting with it): that one goes before the other.

The address counts streams, and is shown to nobody. It is no proof of who somebody is.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from service.settings_reader import Network

HEADERS: Final = ("x-original-forwarded-for", "x-forwarded-for")
"""From the outside in."""
COUNTED_IPV6_BITS: Final = 64
"""One subscriber has at least so much (RFC 6177, RFC 7934 section 6), and as many addresses in it as he likes."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(peer: str, values: Callable[[str], Iterable[str]], trusted: Sequence[Network]) -> str:
    """The address of the client, as far as it is known; that of the connection's `peer` when nobody is trusted.

    `values` gives all values of a header by its name in lower case, in the order in which they were sent. Entries that
    are no address end the reading: the last proxy that is known is all that can be said then.
    """
    known = _parsed(peer)
    if known is None:
        return ""
    if not _is_one_of(known, trusted):
        return str(known)
    entries = [entry for name in HEADERS for value in values(name) for entry in value.split(",")]
    for entry in reversed(entries):
        found = _parsed(entry)
        if found is None:
            break
        known = found
        if not _is_one_of(known, trusted):
            break
    return str(known)


def counted_address(address: str) -> str:
    """What an address counts as: itself, or for IPv6 its network of a subscriber. Empty where none is known."""
    known = _parsed(address)
    if known is None:
        return ""
    if known.version == 4:
        return str(known)
    return str(ipaddress.ip_network((int(known), COUNTED_IPV6_BITS), strict=False))


def address_of(text: str) -> _Address | None:
    """The address that a text is, without its zone; IPv4 in IPv6 is IPv4. None for what is no address."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _parsed(text: str) -> _Address | None:
    """An address as proxies write it: with or without a port, brackets, a zone."""
    text = text.strip()
    if text.startswith("["):  # [2001:db8::1]:4711
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:4711
        text = text.partition(":")[0]
    return address_of(text)


def _is_one_of(address: _Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
