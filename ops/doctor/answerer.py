"""Who answered: the gateway, something in front of it, or another program. Pure.

Between the phone and the gateway stand a platform's front door and perhaps a proxy, and each answers with the same
statuses. CloudBase marks what its front door passes on: `x-cloudbase-upstream-status-code` is there, and is the status
of the answer, when the container gave it.
"""

import enum
import json
from typing import Final

from ops.doctor.exchange import Answer
from ops.doctor.finding import Text

_ENVELOPE: Final = frozenset({"code", "message", "data", "timestamp"})
_HANDSHAKE_WORDS: Final = "Failed to open a WebSocket connection"
"""How the gateway begins its answer to an upgrade whose headers are not right."""
_CLOUD_RUN: Final = "cloudbaserun"


class Answerer(enum.StrEnum):
    """Whose words an answer is."""

    GATEWAY = "gateway"
    FRONT_DOOR = "front_door"
    CONTAINER = "container"
    FUNCTION = "function"
    PROXY = "proxy"
    OTHER = "other"


NAMES: Final = {
    Answerer.GATEWAY: Text("the voice gateway", "语音网关"),
    Answerer.FRONT_DOOR: Text("CloudBase's front door", "CloudBase 网关"),
    Answerer.CONTAINER: Text("a container that is not the voice gateway", "容器（不是语音网关）"),
    Answerer.FUNCTION: Text("a cloud function", "云函数"),
    Answerer.PROXY: Text("a proxy", "代理"),
    Answerer.OTHER: Text("another program", "其他程序"),
}


def answerer(answer: Answer) -> Answerer:
    """Who gave an answer, from its headers and its body."""
    if is_gateways(answer):
        return Answerer.GATEWAY
    kind = answer.header("x-cloudbase-upstream-type").lower()
    if kind and _CLOUD_RUN not in kind:
        return Answerer.FUNCTION
    if answer.header("x-cloudbase-upstream-status-code") == str(answer.status):
        return Answerer.CONTAINER
    server = answer.header("server").lower()
    if "tcbgw" in server or kind:
        return Answerer.FRONT_DOOR
    proxies = ("nginx", "openresty", "tengine", "haproxy", "envoy", "cloudflare", "caddy", "traefik", "stgw")
    if any(name in server for name in proxies) or answer.header("via"):
        return Answerer.PROXY
    if answer.status in (502, 503, 504) and not is_express(answer):  # what nobody but a proxy has reason to say
        return Answerer.PROXY
    return Answerer.OTHER


def is_gateways(answer: Answer) -> bool:
    """Whether the voice gateway wrote it: its envelope, or its words for an upgrade that is none."""
    return (envelope_of(answer) is not None or _HANDSHAKE_WORDS in answer.text) and not is_express(answer)


def envelope_of(answer: Answer) -> dict[str, object] | None:
    """The gateway's envelope, None when the body is something else."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return None
    return body if isinstance(body, dict) and set(body) == _ENVELOPE else None


def is_express(answer: Answer) -> bool:
    """Whether Express answered, the framework of the service that this one replaces."""
    return answer.header("x-powered-by").lower() == "express" or "<pre>Cannot GET " in answer.text
