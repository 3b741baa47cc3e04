"""The answers that the edge gives itself, without an application, and the decision who gets one."""

import enum
import math
from http import HTTPStatus
from typing import Final

from service.edge.head import Head
from service.lifecycle import Phase
from service.retry_hint import retry_hint_ms
from service.web.envelope import envelope

PROBE_PATHS: Final = frozenset({"/", "/health", "/ready", "/metrics"})
"""What is answered also when all connections are taken: an orchestrator that gets no answer would kill the process."""
PROBE_RESERVE: Final = 16
"""Connections over the cap for probes: a kubelet's two, a load balancer's, a scraper's, each twice over, doubled."""


class Verdict(enum.Enum):
    """What happens to a request head."""

    SERVE = enum.auto()
    SERVE_ONCE = enum.auto()
    """A place of the reserve: one request, then the connection is closed."""
    DRAINING = enum.auto()
    FULL = enum.auto()


def judge(head: Head, *, phase: Phase, served: int, max_connections: int) -> Verdict:
    """What happens to a request while `served` other connections are in service."""
    if head.is_websocket_upgrade and phase is Phase.DRAINING:
        return Verdict.DRAINING
    if served < max_connections:
        return Verdict.SERVE
    probe = not head.is_websocket_upgrade and head.path in PROBE_PATHS
    if probe and served < max_connections + PROBE_RESERVE:
        return Verdict.SERVE_ONCE
    return Verdict.FULL


def retry_after_s() -> int:
    """When a refused client should come back, in whole seconds as `Retry-After` has it: spread out, and never 0."""
    return math.ceil(retry_hint_ms() / 1000)


def short_answer(status: int, message: str, *, retry: bool = False) -> bytes:
    """A complete HTTP/1.1 response in the envelope, after which the connection is closed."""
    body = envelope(status, message)
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close, upgrade" if status == HTTPStatus.UPGRADE_REQUIRED else "connection: close",
    ]
    if status == HTTPStatus.UPGRADE_REQUIRED:
        lines.append("upgrade: websocket")  # RFC 9110 section 15.5.22
    if retry:
        lines.append(f"retry-after: {retry_after_s()}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
