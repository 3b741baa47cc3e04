"""What a stage of the doctor is, and what it is given."""

import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ops.doctor.finding import Finding, Text
from service.recognizer.sentence import is_loopback
from service.settings import Settings

STAGE_LIMIT_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is examined. The path of the URL that was given is the prefix under which a proxy serves the gateway."""

    scheme: str
    """`http` or `https`; `ws` and `wss` are these."""
    host: str
    port: int
    prefix: str = ""

    @property
    def is_secure(self) -> bool:
        """Whether it is reached with TLS."""
        return self.scheme == "https"

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine: TLS, domain and mini-program stages do not apply then."""
        return is_loopback(self.host)


@dataclass(slots=True, kw_only=True)
class Context:
    """One examination."""

    target: Target
    token: str | None = None
    """For streams; never shown."""
    ca_file: Path | None = None
    """Authorities to trust beside the system's, as of the edge simulation."""
    tls: ssl.SSLContext | None = None
    """None where the target is not secure."""
    is_idle_wanted: bool = False
    """`--idle` or `--cloud`: find out how long a silent connection lives."""
    idle_limit_s: float = 150.0
    settings: Settings | None = None
    """Of the gateway on this machine (`--local`), else None."""
    is_local: bool = False
    """`--local`: this environment is the gateway's."""
    settings_problems: tuple[str, ...] = ()
    """Why there are no `settings` although `is_local`."""
    plain_port: int | None = None
    """Where a secure target also answers without TLS, as the front door of a platform does on port 80."""
    found: dict[str, Any] = field(default_factory=dict)
    """What a stage leaves for later ones, such as the addresses of the host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One question. `check` answers with a finding and raises nothing but bugs; cancelled, it leaves nothing open."""

    name: str
    title: Text
    check: Callable[[Context], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    """Stages without which this one cannot be asked: where one failed or was skipped for that reason, it is skipped."""
    limit_s: float = STAGE_LIMIT_S
    """After it the stage has failed, with the cause `stage_timed_out`."""
