"""A stand-in of WeChat's `jscode2session` on this machine: it answers as WeChat does, or fails as a test asks.

It has users with codes of their own, which are good once; its answers are text/plain with HTTP's status 200, failures
included, and have no `errcode` where all is well.

`python -m tests.support.wechat CODE=OPENID …` is the same for tests that are not Python's: its standard output has the
port, and it serves until its standard input ends.
"""

import contextlib
import json
import sys
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qsl, urlsplit

import trio

APPID, APPSECRET = "wx0123456789abcdef", "appsecret-of-the-tests"
OPENID, UNIONID = "oABCDEFGHIJKLMNOPQRSTUVWXY_-", "o6_bmasdasdsad6_2sgVt7hMZOPf"
CODE = "0a3Rk2Ga1xNjkH0gVlFa1rJMaX1Rk2Gw"
REQUEST_ID = "63ea1f2b-7c0e3f1a-1d2e3f4a"


@dataclass
class Trouble:
    """What one request gets instead of an answer."""

    errcode: int | None = None
    raw: bytes | None = None
    status: int = 200
    never: bool = False
    cut_after_bytes: int | None = None
    """The connection ends in the middle of the answer; 0: without one."""
    stalls_after_bytes: int | None = None
    """The rest of the answer never comes."""


BUSY = Trouble(errcode=-1)


@dataclass
class Wechat:
    """What was asked, and what is in the way: `troubles` in order, then good answers."""

    port: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=lambda: {CODE: {"openid": OPENID}})
    troubles: deque[Trouble] = field(default_factory=deque)
    queries: list[dict[str, str]] = field(default_factory=list)
    has_come: trio.Event = field(default_factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _serve(self, stream: trio.SocketStream) -> None:
        head = b""
        with contextlib.suppress(trio.BrokenResourceError):
            while b"\r\n\r\n" not in head:
                data = await stream.receive_some(65536)
                if not data:
                    return
                head += data
            method, target, _ = head.decode().split("\r\n")[0].split()
            query = dict(parse_qsl(urlsplit(target).query))
            self.queries.append(query)
            self.has_come.set()
            trouble = self.troubles.popleft() if self.troubles else Trouble()
            if trouble.never:
                await trio.sleep_forever()
            body = trouble.raw
            if body is None:
                is_known = (method, urlsplit(target).path) == ("GET", "/sns/jscode2session")
                body = json.dumps(self._answer(query, trouble) if is_known else {"errcode": 40066}).encode()
            answer = (
                f"HTTP/1.1 {trouble.status} X\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            ).encode() + body
            if trouble.stalls_after_bytes is not None:
                await stream.send_all(answer[: trouble.stalls_after_bytes])
                await trio.sleep_forever()
            await stream.send_all(answer[: trouble.cut_after_bytes])
            await stream.send_eof()

    def _answer(self, query: dict[str, str], trouble: Trouble) -> dict[str, object]:
        errcode = trouble.errcode
        if errcode is None and query.get("appid") != APPID:
            errcode = 40013
        elif errcode is None and query.get("secret") != APPSECRET:
            errcode = 40125
        elif errcode is None and (query.get("grant_type") != "authorization_code" or "js_code" not in query):
            errcode = 41008
        elif errcode is None and query["js_code"] not in self.codes:
            errcode = 40029
        if errcode is not None:
            return {"errcode": errcode, "errmsg": f"refused, rid: {REQUEST_ID}"}
        return {"session_key": "tiihtNczf5v6AKRyjwEUhQ==", **self.codes.pop(query["js_code"])}


@contextlib.asynccontextmanager
async def wechat(*troubles: Trouble) -> AsyncIterator[Wechat]:
    """Serves on a free port of this machine until the end of the `async with`."""
    server = Wechat(troubles=deque(troubles))
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server._serve, 0, host="127.0.0.1"))
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


async def main() -> None:
    """The stand-in as a program, with the codes that its words name."""
    async with wechat() as server:
        server.codes = {code: {"openid": openid} for code, openid in (word.split("=") for word in sys.argv[1:])}
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        while await trio.to_thread.run_sync(sys.stdin.buffer.read, 1, abandon_on_cancel=True):
            pass


if __name__ == "__main__":
    trio.run(main)
