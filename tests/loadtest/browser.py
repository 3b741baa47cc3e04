"""A headless Chromium for tests of local files, over its DevTools protocol."""

import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import WebSocketConnection, open_websocket_url

needs_chromium = pytest.mark.skipif(
    shutil.which("chromium") is None, reason="chromium is not on PATH (Debian: apt-get install chromium)"
)
START_LIMIT_S = 60
CALL_LIMIT_S = 30
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)
_COMPLAINTS = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded")


class Tab:
    """One page. `complaints` are console messages, exceptions and policy violations; `requests` what it asked for,
    without what the policy kept it from asking."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket
        self._session: str | None = None
        self._target: str | None = None
        self._number = 0
        self._events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a DevTools method. Events that come before it are kept."""
        (result,) = await self._call_all([(method, parameters)])
        return result

    async def _call_all(self, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
        """The results of several methods, none of which waits for the one before."""
        results: dict[int, dict[str, Any]] = {}
        first = self._number + 1
        self._number += len(calls)
        with trio.fail_after(CALL_LIMIT_S):
            for number, (method, parameters) in enumerate(calls, first):
                message = {"id": number, "method": method, "params": parameters}
                if self._session is not None:
                    message["sessionId"] = self._session
                await self._socket.send_message(json.dumps(message))
            while len(results) < len(calls):
                answer = json.loads(await self._socket.get_message())
                if answer.get("id", 0) < first:
                    self._events.append(answer)
                    continue
                assert "error" not in answer, (calls, answer)
                results[answer["id"]] = answer["result"]
        return [results[number] for number in sorted(results)]

    async def fresh(self) -> None:
        """Make a new page, in place of the former one, and listen to everything it has to say."""
        self._session, self._events, former = None, [], self._target
        target = await self.call("Target.createTarget", url="about:blank")
        self._target = target["targetId"]
        if former is not None:
            await self.call("Target.closeTarget", targetId=former)
        self._events = []
        attached = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            await self.call(f"{domain}.enable")

    async def look_like(self, width_px: int, *, dark: bool = False, height_px: int = 800) -> None:
        """The size of the window, and the colors that its user prefers."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width_px,
            height=height_px,
            deviceScaleFactor=1,
            mobile=width_px < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def open(self, page: Path | str) -> None:
        """Load a local file, or what is at an address, to its end."""
        await self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        with trio.fail_after(CALL_LIMIT_S):
            while not any(event.get("method") == "Page.loadEventFired" for event in self._events):
                self._events.append(json.loads(await self._socket.get_message()))

    async def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def press(self, *keys: str) -> None:
        """Keys of the keyboard, each down and up, at the rate at which the browser takes them."""
        codes = {"Tab": 9, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40, "Escape": 27}
        await self._call_all(
            [
                ("Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]})
                for key in keys
                for kind in ("keyDown", "keyUp")
            ]
        )

    async def mouse(self, kind: str, x: float, y: float) -> None:
        """`mouseMoved`, `mousePressed` or `mouseReleased`."""
        pressed = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    @property
    def complaints(self) -> list[dict[str, Any]]:
        return [event for event in self._events if event.get("method") in _COMPLAINTS]

    @property
    def requests(self) -> list[str]:
        failed = [event["params"] for event in self._events if event.get("method") == "Network.loadingFailed"]
        blocked = {event["requestId"] for event in failed if event.get("blockedReason") == "csp"}
        sent = [event["params"] for event in self._events if event.get("method") == "Network.requestWillBeSent"]
        return [event["request"]["url"] for event in sent if event["requestId"] not in blocked]


@asynccontextmanager
async def chromium(profile: Path) -> AsyncIterator[Tab]:
    """A new browser with one page; it is ended, with its profile left to the caller, when the block is left."""
    command = ["chromium", *_ARGUMENTS, f"--user-data-dir={profile}", "about:blank"]
    async with trio.open_nursery() as nursery:
        # Canceled, it asks the process to end, and kills it when it does not.
        await nursery.start(partial(trio.run_process, command, capture_stdout=True, capture_stderr=True, check=False))
        with trio.fail_after(START_LIMIT_S):
            url = await _address(profile)
        async with open_websocket_url(url, max_message_size=2**25) as socket:
            tab = Tab(socket)
            await tab.fresh()
            yield tab
        nursery.cancel_scope.cancel()


async def _address(profile: Path) -> str:
    """Where the browser listens: it writes its port and path into its profile."""
    written = trio.Path(profile) / "DevToolsActivePort"
    while True:
        lines = (await written.read_text()).split() if await written.exists() else []
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        await trio.sleep(0.02)
