"""From a fault to a configuration: fills in the templates of `ops/edge-sim`. Pure, but for reading them."""

import math
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from ops.edge.authority import Pair
from ops.edge.faults import Fault

TEMPLATES: Final = Path(__file__).parents[1] / "edge-sim"
ASLEEP_AFTER_S: Final = 1800
"""Without requests CloudBase lets the last instance go after half an hour; the next request is a cold start again."""


class _Template(string.Template):
    """nginx and HAProxy have `$` and `%` in their own language."""

    delimiter = "@"
    pattern = r"@(?:(?P<escaped>@)|(?P<named>(?!))|\{(?P<braced>[a-z_]+)\}|(?P<invalid>(?!)))"  # type: ignore[assignment]


def filled(name: str, values: Mapping[str, object]) -> str:
    """A template with its values. Raises KeyError for one that is missing."""
    return _Template((TEMPLATES / name).read_text(encoding="utf-8")).substitute(values)


def nginx_configuration(
    fault: Fault,
    *,
    directory: Path,
    tls_port: int,
    plain_port: int,
    upstream: str,
    pair: Pair,
    idle_s: float,
    user: str | None,
) -> str:
    """The whole of `nginx.conf`; `upstream` is host:port. `user` is for root: workers would be somebody else."""
    values = {"upstream": upstream}
    return filled(
        "nginx.conf.template",
        {
            "directory": directory,
            "user": f"user {user};" if user else "",
            "tls_port": tls_port,
            "plain_port": plain_port,
            "certificate": pair.certificate,
            "key": pair.key,
            "idle_ms": _ms(idle_s),
            "max_body": fault.max_body,
            "http_version": fault.http_version,
            "protocols": fault.protocols,
            "ciphers": fault.ciphers,
            "upgrade": filled(f"upgrade-{fault.upgrade}.conf.template", {}),
            "route": filled(f"route-{fault.route}.conf.template", values),
        },
    )


def slow_configuration(
    *, directory: Path, tls_port: int, plain_port: int, upstream: str, pair: Pair, delay_s: float
) -> str:
    """HAProxy's configuration of a cold start."""
    return filled(
        "slow.cfg.template",
        {
            "directory": directory,
            "tls_port": tls_port,
            "plain_port": plain_port,
            "upstream": upstream,
            "certificate": pair.both,
            "delay_ms": _ms(delay_s),
            "asleep_s": ASLEEP_AFTER_S,
        },
    )


def rolling_configuration(*, directory: Path, port: int, replica_ports: Sequence[int]) -> str:
    """HAProxy's configuration of a balancer; the servers are named as `server_name` says."""
    servers = (
        f"    server {server_name(number)} 127.0.0.1:{replica_port}"
        for number, replica_port in enumerate(replica_ports)
    )
    return filled("rolling.cfg.template", {"directory": directory, "port": port, "servers": "\n".join(servers)})


def server_name(number: int) -> str:
    """Of a replica, for HAProxy."""
    return f"replica-{number}"


def _ms(seconds: float) -> int:
    return max(1, math.ceil(seconds * 1000))
