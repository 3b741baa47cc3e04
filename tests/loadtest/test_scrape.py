"""Scraping, over real sockets: the gateway itself, and servers that do what a service should not.

The intervals are short, and nothing is decided by them: each test waits for what it is about.
"""

import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import trio

from loadtest.scrape import MAX_BODY_BYTES, metrics_url, scrape, server_info
from loadtest.summary import ServerPoint
from loadtest.urls import UrlError
from tests.support.edge import make_deps, running_edge

HANG_S = 20
EVERY_S = 0.01
TOKEN = "0123456789abcdef"
FIGURES = b"voice_tasks 7\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://127.0.0.1:8000", "http://127.0.0.1:8000/metrics"),
        ("ws://127.0.0.1:8000/api/realtime-voice/stream", "http://127.0.0.1:8000/metrics"),
        ("https://example.com/", "https://example.com/metrics"),
        ("wss://example.com/prefix/api/realtime-voice/stream", "https://example.com/prefix/metrics"),
        ("ws://[::1]:80", "http://[::1]:80/metrics"),
    ],
)
def test_where_the_metrics_are(url: str, expected: str) -> None:
    assert metrics_url(url) == expected


def test_no_url() -> None:
    with pytest.raises(UrlError):
        metrics_url("ftp://example.com")


@dataclass
class Seen:
    """What a scrape of a test has told, and a way to wait for more."""

    points: list[ServerPoint] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    changed: trio.Event = field(default_factory=trio.Event)

    def add(self, point: ServerPoint) -> None:
        self.points.append(point)
        self._tell()

    def note(self, line: str) -> None:
        self.notes.append(line)
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self.changed.wait()


async def run_scrape(url: str, seen: Seen, token: str | None = None, deadline_s: float = HANG_S) -> None:
    await scrape(
        url, token, trio.current_time(), seen.add, note=seen.note, every_s=EVERY_S, deadline_s=deadline_s
    )  # returns only when it gives up


@contextlib.asynccontextmanager
async def scraping(url: str, token: str | None = None, deadline_s: float = HANG_S) -> AsyncIterator[Seen]:
    """A scrape that goes on until the end of the block."""
    seen = Seen()
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_scrape, url, seen, token, deadline_s)
            yield seen
            nursery.cancel_scope.cancel()


Answer = Callable[[trio.SocketStream], Awaitable[None]]


@dataclass
class Server:
    """Answers the first request as the first answer says, and so on; the last one holds for all that follow."""

    answers: list[Answer]
    url: str = ""
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, stream: trio.SocketStream) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            part = await stream.receive_some()
            if not part:
                return
            request += part
        answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
        self.requests.append(request)
        with contextlib.suppress(trio.BrokenResourceError):
            await answer(stream)


@contextlib.asynccontextmanager
async def running(*answers: Answer) -> AsyncIterator[Server]:
    server = Server(list(answers))
    with trio.fail_after(HANG_S):
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            server.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/metrics"
            await nursery.start(trio.serve_listeners, server.serve, [listener])
            yield server
            nursery.cancel_scope.cancel()


def says(status: str, body: bytes = b"", *headers: str) -> Answer:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""])

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(head.encode() + body)

    return answer


async def hangs(stream: trio.SocketStream) -> None:
    await stream.receive_some()  # until the client goes


async def trickles(stream: trio.SocketStream) -> None:
    """Slower than the deadline although every byte comes soon."""
    await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await stream.send_all(b"#")
        await trio.sleep(0.01)


async def floods(stream: trio.SocketStream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await stream.send_all(FIGURES * 1000)


async def says_garbage(stream: trio.SocketStream) -> None:
    await stream.send_all(b"\x00\xff not HTTP\r\n\r\n")


async def says_nothing(stream: trio.SocketStream) -> None:
    pass


FINE = says("200 OK", FIGURES)


async def test_the_gateway() -> None:
    deps = make_deps()
    async with running_edge(deps) as gateway, scraping(f"http://127.0.0.1:{gateway.port}/metrics") as seen:
        await seen.until(lambda: len(seen.points) >= 1)
        deps.metrics.event_loop_lag.observe(0.9)
        deps.metrics.messages_rejected.labels("overloaded").inc()
        await seen.until(lambda: any(point.values.get("rejected_per_s") for point in seen.points))
    first = seen.points[0]
    assert first.values["streams"] == 0
    assert first.values["connections"] == 1
    assert "rejected_per_s" not in first.values
    (told,) = (point for point in seen.points if point.values.get("rejected_per_s"))
    assert 250 < told.values["loop_lag_p99_ms"] < 1000
    times = [point.at_s for point in seen.points]
    assert times == sorted(times)
    assert 0 <= times[0] < HANG_S
    assert seen.notes == []


async def test_the_gateway_with_a_token() -> None:
    async with running_edge(make_deps(metrics_token=TOKEN)) as gateway:
        url = f"http://127.0.0.1:{gateway.port}/metrics"
        assert (await server_info(url, TOKEN)).keys() == {"version", "python"}
        for wrong in (None, "wrong", "错\r\n", "tök"):
            assert await server_info(url, wrong) == {}
        async with scraping(url, TOKEN) as seen:
            await seen.until(lambda: len(seen.points) >= 2)


async def test_a_gateway_that_wants_a_token_is_asked_once() -> None:
    async with running_edge(make_deps(metrics_token=TOKEN)) as gateway:
        seen = Seen()
        await run_scrape(f"http://127.0.0.1:{gateway.port}/metrics", seen, "another-token")
    assert seen.points == []
    (note,) = seen.notes
    assert "401" in note
    assert "another-token" not in note


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says("404 Not Found"), "404"),
        (says("401 Unauthorized"), "METRICS_TOKEN"),
        (says("403 Forbidden"), "403"),
        (says("302 Found", b"", "Location: http://127.0.0.1:1/metrics"), "302"),
        (says("200 OK", b"<html>hello</html>"), "no metric that is known"),
        (says("200 OK", b"voice_tasks\n"), "text format"),
        (says("200 OK"), "no metric that is known"),
        (says("200 OK", gzip.compress(FIGURES), "Content-Encoding: gzip"), "compressed"),
        (says("200 OK", FIGURES * (MAX_BODY_BYTES // len(FIGURES) + 1)), "larger than"),
        (floods, "larger than"),
    ],
)
async def test_who_has_no_figures_is_left_alone(answer: Answer, reason: str) -> None:
    async with running(answer) as server:
        seen = Seen()
        await run_scrape(server.url, seen, TOKEN)
        assert len(server.requests) == 1
        assert await server_info(server.url, TOKEN) == {}
    assert seen.points == []
    (note,) = seen.notes
    assert reason in note
    assert TOKEN not in note


@pytest.mark.parametrize(
    "answer",
    [
        says("503 Service Unavailable"),
        says("500 Internal Server Error", FIGURES),
        says_garbage,
        says_nothing,
    ],
)
async def test_who_has_trouble_is_asked_again(answer: Answer) -> None:
    async with running(*[answer] * 6, FINE) as server, scraping(server.url) as seen:
        await seen.until(lambda: len(seen.points) >= 1)
        assert len(server.requests) >= 7
    assert seen.points[0].values == {"tasks": 7}
    (note,) = seen.notes
    assert "did not answer 5 times in a row" in note


@pytest.mark.parametrize("answer", [hangs, trickles])
async def test_who_is_slow_is_asked_again(answer: Answer) -> None:
    async with running(answer, FINE) as server, scraping(server.url, deadline_s=0.2) as seen:
        await seen.until(lambda: len(seen.points) >= 1)
    assert seen.points[0].at_s >= 0.2


async def test_trouble_after_the_first_figures_is_a_gap() -> None:
    """A restart behind a proxy can look like this: 404, a page of the proxy, nothing at all."""
    answers = (FINE, says("404 Not Found"), says("200 OK", b"<html>"), floods, says_nothing, FINE)
    async with running(*answers) as server, scraping(server.url) as seen:
        await seen.until(lambda: len(seen.points) >= 2)
        assert len(server.requests) >= 6
    assert seen.notes == []


async def test_nobody_listens() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with scraping(f"http://127.0.0.1:{port}/metrics") as seen:
        await seen.until(lambda: len(seen.notes) >= 1)
    assert seen.points == []
    assert "ConnectError" in seen.notes[0]
    assert await server_info(f"http://127.0.0.1:{port}/metrics", None) == {}


async def test_several_instances_behind_one_address_are_told() -> None:
    one, other = (says("200 OK", f"process_start_time_seconds {number}\n".encode()) for number in (1, 2))
    async with running(*[one, other] * 3) as server, scraping(server.url) as seen:
        await seen.until(lambda: len(seen.notes) >= 1)
    assert "several instances" in seen.notes[0]


async def test_the_request_says_what_it_takes() -> None:
    async with running(FINE) as server, scraping(server.url, TOKEN) as seen:
        await seen.until(lambda: len(seen.points) >= 1)
    lines = server.requests[0].decode().lower().split("\r\n")
    assert lines[0] == "get /metrics http/1.1"
    assert f"authorization: bearer {TOKEN}" in lines
    assert "accept-encoding: identity" in lines
    assert "accept: text/plain;version=0.0.4" in lines


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with running(FINE) as server, scraping(server.url) as seen:
        await seen.until(lambda: len(seen.points) >= 1)
