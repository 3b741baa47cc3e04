"""A Chromium whose microphone hears a recording, and a service to talk to.

The browser lives as long as a module: Playwright keeps an event loop of its own in this thread, which must not be there
when other tests run theirs.
"""

import importlib.util
import shutil
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.browser.console_page import TALK_MS, ConsolePage
from tests.browser.server import Gateway, exact_gateway, running
from tests.support.processes import ROOT

LEAD_IN_S = 0.8
"""Silence before the recorded sentence: the audio thread needs a moment from the opening of the device to its start."""


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears: "go forward ten meters"."""
    path = tmp_path_factory.mktemp("microphone") / "goforward.wav"
    with wave.open(str(ROOT / "loadtest/samples/goforward.wav")) as given, wave.open(str(path), "wb") as made:
        made.setparams(given.getparams())
        made.writeframes(bytes(int(32000 * LEAD_IN_S)) + given.readframes(given.getnframes()))
    return path


@pytest.fixture(scope="module")
def browser(spoken: Path) -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not on PATH (Debian: apt-get install chromium)")
    options = [
        "--no-sandbox",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken}%noloop",
    ]
    expect.set_options(timeout=TALK_MS)  # a guard: nothing here is about speed
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield started
        started.close()


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """The service as `make serve` starts it, with the embedded recognizer."""
    if importlib.util.find_spec("pocketsphinx") is None:
        pytest.skip("needs the extra 'local'")
    served = Gateway()
    with running(served):
        yield served


@pytest.fixture(scope="session")
def exact_for_all() -> Iterator[Gateway]:
    """See `exact`."""
    with exact_gateway() as served:
        yield served


@pytest.fixture
def exact(exact_for_all: Gateway) -> Gateway:
    """A service whose recognizer hears coded audio, exactly. A test may stop it: the next one starts it again."""
    if not exact_for_all.is_running:
        exact_for_all.start()
    return exact_for_all


@pytest.fixture
def console(browser: Browser) -> Iterator[Callable[..., ConsolePage]]:
    """Makes pages; they are closed at the end."""
    pages = []

    def make(url: str, **looks: Any) -> ConsolePage:
        pages.append(ConsolePage(browser, url, **looks))
        return pages[-1]

    yield make
    for page in pages:
        page.close()
