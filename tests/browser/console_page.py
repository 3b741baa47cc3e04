"""The console in a tab of Chromium, with everything it complains about, asks for, and shows."""

import io
import json
import re
import wave
from typing import Any

from playwright.sync_api import Browser, Page, Route, expect

from tests.support.stream_world import coded_pcm, silence, words

TALK_MS = 30_000
PAUSE = 0

# What stands in the caption after each change of it.
_WATCH_CAPTION = """
addEventListener('DOMContentLoaded', () => {
  window.captions = [];
  new MutationObserver(() => window.captions.push(document.getElementById('words').textContent.trim()))
    .observe(document.getElementById('words'), {childList: true, subtree: true, characterData: true});
});
"""


class ConsolePage:
    """One open console. `complaints` are messages of the browser's console, exceptions and policy violations."""

    def __init__(self, browser: Browser, url: str, **looks: Any) -> None:
        """`looks` are those of Playwright's `new_context`. Call `close` when it is not needed any more."""
        self.url = url
        self.context = browser.new_context(**{"locale": "en-US", **looks})
        self.context.set_default_timeout(TALK_MS)
        self.context.add_init_script(_WATCH_CAPTION)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("websocket", lambda socket: self.requests.append(socket.url))

    def open(self) -> "ConsolePage":
        """Load it, and wait until it has looked at the service."""
        self.page.goto(f"{self.url}/console")
        expect(self.page.locator("#link")).to_have_attribute("data-state", "ready")
        return self

    def close(self) -> None:
        self.context.close()

    def play(self, place: int = 0) -> None:
        """Press play on a recording."""
        self.page.locator(".sample").nth(place).click()

    def wait_for(self, phase: str) -> None:
        """Until the stage is `idle`, `talking`, …"""
        self.page.locator(f"#stage[data-phase={phase}]").wait_for()

    @property
    def text(self) -> str:
        """The caption."""
        return (self.page.locator("#words").text_content() or "").strip()

    @property
    def state(self) -> str | None:
        """That of the connection."""
        return self.page.locator("#link").get_attribute("data-state")

    @property
    def captions(self) -> list[str]:
        """What the caption showed, one after the other."""
        shown: list[str] = self.page.evaluate("window.captions")
        return [text for place, text in enumerate(shown) if text and (place == 0 or text != shown[place - 1])]

    def messages(self, kind: str) -> list[dict[str, Any]]:
        """The fields of each message of a type that the panel shows, results aside."""
        rows = [row.split("\n") for row in self.page.locator("#wire-rows summary").all_inner_texts()]
        return [json.loads(row[-1]) for row in rows if row[-2] == kind]

    def say_exactly(self, *values: int) -> str:
        """Make the first recording one of coded words, for a recognizer that hears those; returns its text.

        A PAUSE among them ends a sentence.
        """
        recording = io.BytesIO()
        with wave.open(recording, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            for value in values:
                file.writeframes(coded_pcm([silence(1200)]) if value == PAUSE else words(value, each_ms=250, gap_ms=50))

        def answer(route: Route) -> None:
            route.fulfill(body=recording.getvalue(), content_type="audio/wav")

        self.page.route(re.compile(r"/samples/goforward\.wav$"), answer)
        return " ".join(f"w{value}" for value in values if value != PAUSE)
