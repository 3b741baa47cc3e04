"""The head of an HTTP/1.1 request, read piece by piece. Pure.

Only what decides who serves a connection, and whether it is served at all, is read here; Hypercorn's h11 reads the same
bytes again and is the stricter of the two. The answer depends on the bytes alone, not on how they were cut.

HTTP/2 is refused: prior knowledge (RFC 9113 section 3.3) with 505. An h2c upgrade is ignored, as RFC 9110 section 7.8
allows, and the request is answered in HTTP/1.1. Both would lead around the rules for upgrades.
"""

import enum
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

MAX_HEAD_BYTES: Final = 16 * 1024
"""As h11 and Hypercorn have it. A request with a long token and every cookie of a browser has some 4 KiB."""
_MAX_METHOD_BYTES: Final = 24  # the longest registered method has 17 (UPDATEREDIRECTREF)

_TOKEN: Final = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]"  # RFC 9110 section 5.6.2
_METHOD_START: Final = re.compile(rb"%b{1,%d}( |$)" % (_TOKEN, _MAX_METHOD_BYTES))
_REQUEST_LINE: Final = re.compile(rb"(%b{1,%d}) ([\x21-\x7e]+) HTTP/(\d)\.(\d)" % (_TOKEN, _MAX_METHOD_BYTES))
_HEADER_LINE: Final = re.compile(rb"(%b+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*" % _TOKEN)
_END: Final = re.compile(rb"\n\r?\n")  # RFC 9112 section 2.2: a line may end with LF alone; h11 takes it too


class NotAHead(enum.Enum):
    """Why bytes are not the head of a request that is served. The value is the HTTP status of the answer."""

    GARBAGE = 400
    TOO_LARGE = 431
    HTTP_VERSION = 505


@dataclass(frozen=True, slots=True)
class Head:
    """A complete head."""

    method: str
    target: str
    """As it was sent: path and query, neither decoded."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in lower case, values without white space around them."""
    size: int
    """How many bytes of what was read the head takes; the rest belongs to what follows it."""
    is_http_1_0: bool = False

    @property
    def path(self) -> str:
        """The target without its query, not decoded."""
        return self.target.partition("?")[0]

    @property
    def is_websocket_upgrade(self) -> bool:
        """Whether this asks for a WebSocket: RFC 6455 section 4.2.1, items 1, 3 and 4."""
        return not self.is_http_1_0 and self.wants_websocket

    @property
    def wants_websocket(self) -> bool:
        """As `is_websocket_upgrade`, in any version of HTTP: 1.0 has no upgrades (RFC 9110 section 7.8)."""
        return (
            self.method == "GET"
            and "upgrade" in self._tokens(b"connection")
            and "websocket" in self._tokens(b"upgrade")
        )

    def _tokens(self, name: bytes) -> set[str]:
        values = b",".join(value for header, value in self.headers if header == name)
        return {token.strip().lower() for token in values.decode("latin-1").split(",")}


class HeadReader:
    """Collects bytes until they are a head, or can no longer become one."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._answer: Head | NotAHead | None = None

    @property
    def data(self) -> bytes:
        """Everything fed so far, the bytes after the head included."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> Head | NotAHead | None:
        """Takes more bytes. Returns the answer, or None while more are needed. An answer never changes."""
        self._buffer += data
        if self._answer is None:
            self._answer = _read(bytes(self._buffer[: MAX_HEAD_BYTES + 1]))
        return self._answer


def is_target(target: bytes) -> bool:
    """Whether a request target can be taken apart: applications fail on one like `http://[`."""
    try:
        urlsplit(target.decode("ascii")).port  # noqa: B018 - it raises for what is no number
    except ValueError:
        return False
    return True


def _read(data: bytes) -> Head | NotAHead | None:
    line, newline, _ = data.partition(b"\n")
    if not newline:
        if data and not _METHOD_START.match(data):
            return NotAHead.GARBAGE
        return NotAHead.TOO_LARGE if len(data) > MAX_HEAD_BYTES else None
    # Judged as soon as it is there, so that the answer is the same when the rest came along with it.
    request = _REQUEST_LINE.fullmatch(line.removesuffix(b"\r"))
    if request is None:
        return NotAHead.GARBAGE
    if not is_target(request[2]):
        return NotAHead.GARBAGE
    if request[3] != b"1":
        return NotAHead.HTTP_VERSION
    end = _END.search(data)
    if end is None or end.end() > MAX_HEAD_BYTES:
        return NotAHead.TOO_LARGE if len(data) > MAX_HEAD_BYTES else None
    headers = []
    for text in data[len(line) + 1 : end.start()].split(b"\n"):
        if not text:  # no header at all
            continue
        header = _HEADER_LINE.fullmatch(text.removesuffix(b"\r"))
        if header is None:
            return NotAHead.GARBAGE
        headers.append((header[1].lower(), header[2]))
    is_http_1_0 = request[4] == b"0"
    return Head(request[1].decode("ascii"), request[2].decode("ascii"), tuple(headers), end.end(), is_http_1_0)
