"""A small server that answers as Tencent's API 3.0 does, or fails in the ways a test asks for.

It checks the TC3 signature with code of its own, tells what it was sent, and counts the calls that run at a time.
"""

import contextlib
import hashlib
import hmac
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import trio

from service.settings import TencentCredentials

ACCOUNT = TencentCredentials("1250000000", "AKID-of-the-tests", "key-of-the-tests")
MAX_CLOCK_S = 300

GOOD: dict[str, Any] = {
    "Result": "go forward ten meters",
    "AudioDuration": 2787,
    "WordSize": 1,
    "WordList": [{"Word": "go", "StartTime": 410, "EndTime": 700}],
}


def error(code: str, message: str = "no") -> dict[str, Any]:
    """The `Response` of a failure."""
    return {"Error": {"Code": code, "Message": message}}


@dataclass
class Reply:
    """What one request gets. The default is a good answer."""

    response: dict[str, Any] = field(default_factory=lambda: dict(GOOD))
    status: int = 200
    content_type: str = "application/json"
    raw: bytes | None = None
    after_s: float = 0.0
    cut_after_bytes: int | None = None
    """The connection ends in the middle of the answer, 0: without one."""
    never: bool = False


@dataclass
class Api3Server:
    """What was sent, and what is to be answered: `replies` in order, then good ones."""

    port: int = 0
    replies: deque[Reply] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    at_a_time: int = 0
    most_at_a_time: int = 0
    default: Reply = field(default_factory=Reply)
    clock_off_s: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, stream: trio.SocketStream) -> None:
        buffer = bytearray()
        with contextlib.suppress(trio.BrokenResourceError, EOFError):
            while True:
                headers, body = await _request(stream, buffer)
                self.at_a_time += 1
                self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
                try:
                    reply = self._reply_to(headers, body)
                    if reply.never:
                        await trio.sleep_forever()
                    await trio.sleep(reply.after_s)
                    data = _encoded(reply)
                    await stream.send_all(data[: reply.cut_after_bytes])
                finally:
                    self.at_a_time -= 1
                if reply.cut_after_bytes is not None:
                    break
        await trio.aclose_forcefully(stream)

    def _reply_to(self, headers: dict[str, str], body: bytes) -> Reply:
        self.headers.append(headers)
        self.requests.append(json.loads(body))
        if abs(time.time() + self.clock_off_s - int(headers["x-tc-timestamp"])) > MAX_CLOCK_S:
            return Reply(error("AuthFailure.SignatureExpire"))
        if headers["authorization"] != authorization(headers, body):
            return Reply(error("AuthFailure.SignatureFailure"))
        return self.replies.popleft() if self.replies else self.default


async def _request(stream: trio.SocketStream, buffer: bytearray) -> tuple[dict[str, str], bytes]:
    while b"\r\n\r\n" not in buffer:
        await _more(stream, buffer)
    head, _, rest = bytes(buffer).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST / HTTP/1.1", lines[0]
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    buffer[:] = rest
    length = int(headers["content-length"])
    while len(buffer) < length:
        await _more(stream, buffer)
    body = bytes(buffer[:length])
    del buffer[:length]
    return headers, body


async def _more(stream: trio.SocketStream, buffer: bytearray) -> None:
    data = await stream.receive_some(65536)
    if not data:
        raise EOFError
    buffer += data


def _encoded(reply: Reply) -> bytes:
    body = reply.raw
    if body is None:
        body = json.dumps({"Response": {**reply.response, "RequestId": "r-1"}}).encode()
    head = f"HTTP/1.1 {reply.status} X\r\nContent-Type: {reply.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def authorization(headers: dict[str, str], body: bytes) -> str:
    """What the account's key makes of a request: TC3-HMAC-SHA256."""

    def mac(key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), hashlib.sha256).digest()

    timestamp = headers["x-tc-timestamp"]
    date = datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d")
    signed = f"content-type:{headers['content-type']}\nhost:{headers['host']}\n"
    canonical = f"POST\n/\n\n{signed}\ncontent-type;host\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{date}/asr/tc3_request"
    plain = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = mac(mac(mac(b"TC3" + ACCOUNT.secret_key.encode(), date), "asr"), "tc3_request")
    return (
        f"TC3-HMAC-SHA256 Credential={ACCOUNT.secret_id}/{scope}, SignedHeaders=content-type;host, "
        f"Signature={mac(key, plain).hex()}"
    )


@contextlib.asynccontextmanager
async def api3_server(*replies: Reply) -> AsyncIterator[Api3Server]:
    """Serves on a free port of this machine until the end of the `async with`."""
    server = Api3Server(replies=deque(replies))
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server._serve, 0, host="127.0.0.1"))
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()
