"""Both sides of the opening handshake (RFC 6455 section 4), judged by `websockets`. Pure. No extension is agreed."""

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

MAX_ANSWER_BYTES: Final = 16 * 1024
_SILENT: Final = logging.Logger("websocket", logging.CRITICAL)
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.\d (\d{3})\b")
_END: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answers to an upgrade."""

    data: bytes
    is_accepted: bool


def answer_upgrade(
    target: str,
    headers: Iterable[tuple[bytes, bytes]],
    choose: Callable[[Sequence[str]], str | None],
) -> Answer:
    """The answer to a GET that asks for an upgrade; `choose` chooses among the subprotocols that were offered.

    A request that is no proper upgrade is answered with 400 or 426 and the reason, in plain text, and with the version
    that we speak (RFC 6455 section 4.4).
    """

    def select(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        chosen = choose(offered)
        return None if chosen is None else Subprotocol(chosen)

    protocol = ServerProtocol(select_subprotocol=select, logger=_SILENT)
    fields = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
    request = Request(target, fields)
    if len(fields.get_all("Host")) == 1:
        response = protocol.accept(request)
    else:  # RFC 9112 section 3.2; `websockets` leaves it to whoever read the head
        response = protocol.reject(400, "A request has one Host header.\n")
    if response.status_code != 101:
        response.headers["Sec-WebSocket-Version"] = "13"
    protocol.send_response(response)
    return Answer(b"".join(protocol.data_to_send()), response.status_code == 101)


class UpgradeFailed(Exception):
    """The server did not accept. `status` is that of its answer, None when that was no proper answer."""

    def __init__(self, status: int | None) -> None:
        super().__init__(status)
        self.status = status


class ClientHandshake:
    """Asks for an upgrade, and reads the answer."""

    def __init__(self, url: str, resource: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """`url` tells scheme, host and port; `resource` is path and query, as they are sent."""
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        path, _, query = resource.partition("?")
        uri = WebSocketURI(secure, parts.hostname or "", parts.port or (443 if secure else 80), path, query)
        self._protocol = ClientProtocol(uri, extensions=None, logger=_SILENT)
        request = self._protocol.connect()
        for name, value in headers:
            request.headers[name.decode("latin-1")] = value.decode("latin-1")
        self._protocol.send_request(request)
        self.request = b"".join(self._protocol.data_to_send())
        self._answer = b""

    def feed(self, data: bytes) -> bytes | None:
        """Take what came; the bytes behind the answer once that is complete and accepted, None before.

        Raises UpgradeFailed.
        """
        self._answer += data
        head, end, rest = self._answer.partition(_END)
        if len(head) + (len(end) or 1) > MAX_ANSWER_BYTES:
            raise UpgradeFailed(None)
        if not end:
            return None
        status = _STATUS_LINE.match(head)
        if status is None or status[1] != b"101":
            raise UpgradeFailed(None if status is None else int(status[1]))
        self._protocol.receive_data(head + end)
        if self._protocol.state is not State.OPEN:  # a wrong key, or something agreed that was not offered
            raise UpgradeFailed(None)
        return rest
