"""What a front door can do wrong: one row for each fault, with what shows on the wire. Pure."""

import enum
from dataclasses import dataclass
from typing import Final

DEFAULT_IDLE_S: Final = 60.0
"""After this long without a byte the cloud's gateway forgets a connection; it is also its limit for a request."""
DEFAULT_DELAY_S: Final = 8.0
"""Of a cold start; CloudBase's own example needs up to a minute."""


class Certificate(enum.StrEnum):
    """What the door shows."""

    SOUND = "sound"
    EXPIRED = "expired"
    WRONG_NAME = "wrong-name"
    UNTRUSTED = "untrusted"
    """Of an authority that nobody has heard of."""
    INCOMPLETE = "incomplete"
    """Of an intermediate authority, whose own certificate is not sent."""


class Upstream(enum.Enum):
    """Whom the door asks."""

    SERVICE = enum.auto()
    NOBODY = enum.auto()
    """A port where nobody listens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A front door's behavior. The defaults are those of a sound one."""

    name: str
    shows: str
    """What a client sees."""
    route: str = "pass"
    """Which `route-*.conf.template`."""
    upgrade: str = "passed"
    """Which `upgrade-*.conf.template`."""
    certificate: Certificate = Certificate.SOUND
    upstream: Upstream = Upstream.SERVICE
    http_version: str = "1.1"
    """That the door speaks to the container."""
    max_body: str = "20m"
    """As nginx writes it; 20 MB is CloudBase's own limit."""
    protocols: str = "TLSv1.2 TLSv1.3"
    ciphers: str = "DEFAULT"
    is_haproxy: bool = False
    """Whether `slow.cfg.template` is used: nginx cannot wait."""
    is_plain: bool = False
    """Whether the address to try is the one without TLS."""


SOUND: Final = Fault(
    name="sound", shows="everything works; a connection without a byte for --idle-s is closed, as in the cloud"
)
FAULTS: Final = (
    SOUND,
    Fault(name="redirect", shows="the address is http:// or ws://, and answers 307 to https://", is_plain=True),
    Fault(name="idle-cut", shows="a silent connection is cut after --idle-s; choose less than the heartbeat's 10 s"),
    Fault(
        name="prefix-stripped",
        shows="/api is taken off before the service sees the path: 404 for every route below it, upgrades included",
        route="prefix-stripped",
    ),
    Fault(name="no-upgrade", shows="the Upgrade header is dropped: the service sees a plain GET", upgrade="dropped"),
    Fault(name="bad-gateway", shows="502 of the gateway: nobody listens where it asks", upstream=Upstream.NOBODY),
    Fault(name="unavailable", shows="503 of the gateway: there is no instance", route="unavailable"),
    Fault(name="slow", shows="a cold start: the first request is answered after --delay-s", is_haproxy=True),
    Fault(name="expired", shows="the certificate ended yesterday", certificate=Certificate.EXPIRED),
    Fault(name="wrong-name", shows="the certificate is another host's", certificate=Certificate.WRONG_NAME),
    Fault(name="untrusted", shows="the certificate is of an unknown authority", certificate=Certificate.UNTRUSTED),
    Fault(
        name="incomplete-chain",
        shows="the intermediate certificate is not sent: browsers may fetch it, phones refuse",
        certificate=Certificate.INCOMPLETE,
    ),
    Fault(
        name="old-tls",
        shows="TLS 1.1 and nothing newer",
        protocols="TLSv1.1",
        ciphers="DEFAULT:@SECLEVEL=0",  # OpenSSL 3 counts SHA-1 signatures, which 1.1 needs, as level 0
    ),
    Fault(name="small-body", shows="413 for an upload of more than 16 KiB", max_body="16k"),
    Fault(
        name="http10",
        shows="the proxy speaks HTTP/1.0 to the service, nginx's default: an upgrade is refused with 426",
        http_version="1.0",
    ),
    Fault(name="function", shows="200 with JSON on every path: a service of the function type", route="function"),
)


def fault_named(name: str) -> Fault:
    """Raises KeyError."""
    return {fault.name: fault for fault in FAULTS}[name]
