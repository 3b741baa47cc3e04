"""The address of a client behind proxies: nobody can write one that is believed."""

import ipaddress
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.forwarded import client_address, counted_address

INSIDE = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
FORWARDED = "x-forwarded-for"
ORIGINAL = "x-original-forwarded-for"


def address(peer: str, *forwarded: str, original: Iterable[str] = (), trusted: object = INSIDE) -> str:
    values: Mapping[str, Iterable[str]] = {FORWARDED: forwarded, ORIGINAL: original}
    return client_address(peer, lambda name: values.get(name, ()), trusted)  # type: ignore[arg-type]


def test_without_trust_it_is_the_connections() -> None:
    assert address("203.0.113.9", "198.51.100.1", trusted=()) == "203.0.113.9"
    assert address("10.0.0.1", "198.51.100.1", trusted=()) == "10.0.0.1"


def test_a_stranger_is_not_asked_who_he_is() -> None:
    assert address("203.0.113.9", "198.51.100.1") == "203.0.113.9"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        (["198.51.100.1"], "198.51.100.1"),
        (["192.0.2.66, 198.51.100.1"], "198.51.100.1"),  # the client wrote the first one itself
        (["192.0.2.66", "198.51.100.1"], "198.51.100.1"),  # HAProxy adds a line of its own
        (["192.0.2.66, 198.51.100.1, 10.1.1.1"], "198.51.100.1"),
        (["10.7.7.7, 198.51.100.1"], "198.51.100.1"),
        (["10.1.1.2, 10.1.1.1"], "10.1.1.2"),  # nobody but our own: the farthest of them
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["198.51.100.1, unknown"], "10.0.0.1"),  # what stands before garbage may be anybody's
        (["198.51.100.1, 10.1.1.1, _hidden, 10.1.1.3"], "10.1.1.3"),
        (["198.51.100.1:4711"], "198.51.100.1"),
        (["[2001:db8::1]:4711"], "2001:db8::1"),
        (["2001:DB8:0::1"], "2001:db8::1"),
        (["::ffff:198.51.100.1"], "198.51.100.1"),
        (["fe80::1%eth0"], "fe80::1"),
        (["198.51.100.1\x00"], "10.0.0.1"),
    ],
)
def test_read_from_the_end(forwarded: list[str], expected: str) -> None:
    assert address("10.0.0.1", *forwarded) == expected


def test_an_ingress_that_writes_its_own_list_keeps_the_other() -> None:
    assert address("10.0.0.1", "10.2.2.2", original=["192.0.2.66, 198.51.100.1"]) == "198.51.100.1"
    assert address("10.0.0.1", "198.51.100.1", original=["192.0.2.66"]) == "198.51.100.1"


def test_a_peer_without_an_address() -> None:
    assert address("", "198.51.100.1") == ""
    assert counted_address("") == ""


def test_ipv4_written_as_ipv6_is_the_same_proxy() -> None:
    assert address("::ffff:10.0.0.1", "198.51.100.1") == "198.51.100.1"


ANY_IPS = st.ip_addresses().map(str)
OUTSIDE = st.ip_addresses().filter(
    lambda found: not any(found in network for network in INSIDE) and getattr(found, "ipv4_mapped", None) is None
)


@given(st.lists(st.text(max_size=40) | ANY_IPS, max_size=5), OUTSIDE, st.integers(0, 3))
def test_whatever_a_client_writes(
    written: list[str], client: ipaddress.IPv4Address | ipaddress.IPv6Address, hops: int
) -> None:
    """Proxies that are trusted add whom they were reached from: that one is found, whatever stands before."""
    chain = [", ".join(written), str(client), *(f"10.0.1.{hop}" for hop in range(hops))]
    found = address("10.0.0.1", ", ".join(chain))
    assert ipaddress.ip_address(found) == client


def test_one_subscriber_of_ipv6_counts_once() -> None:
    assert counted_address("2001:db8:1:2::1") == counted_address("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert counted_address("2001:db8:1:3::1") != counted_address("2001:db8:1:2::1")
    assert counted_address("198.51.100.1") == "198.51.100.1"
