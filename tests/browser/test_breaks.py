"""What breaks while somebody talks: the text stays complete, and the page says what is going on."""

import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.console_page import PAUSE, ConsolePage
from tests.browser.server import Gateway

OpenConsole = Callable[..., ConsolePage]
WORDS = (1, 2, 3, 4, 5, PAUSE, 6, 7, 8, 9, 10)
BREAK_AT = "w3"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_text_is_complete_after_a_restart(console: OpenConsole, exact: Gateway, how: signal.Signals) -> None:
    """In good order: the sentence is finished here, the next one is for the next process. And without any."""
    page = console(exact.url).open()
    spoken = page.say_exactly(*WORDS)
    page.play()
    expect(page.page.locator("#words")).to_contain_text(BREAK_AT)
    exact.end(how)
    exact.start()
    page.wait_for("idle")
    assert page.text == spoken
    assert any("resume" in start for start in page.messages("start"))
    expect(page.page.locator("#link")).to_have_attribute("data-state", "ready")


def test_the_network_goes_and_comes_back(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url).open()
    spoken = page.say_exactly(*WORDS)
    page.play()
    expect(page.page.locator("#words")).to_contain_text(BREAK_AT)
    page.context.set_offline(True)
    expect(page.page.locator("#link")).to_have_text("You are offline")
    page.context.set_offline(False)
    page.wait_for("idle")
    assert page.text == spoken
    assert page.state == "ready"


def test_a_service_that_is_gone_is_said_to_be(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url).open()
    exact.end(signal.SIGKILL)
    expect(page.page.locator("#link")).to_have_text("The service does not answer")
    expect(page.page.locator("#figures-note")).to_contain_text("does not answer")
    page.page.locator("#language").click()
    expect(page.page.locator("#link")).to_have_text("服务没有应答")
    page.play()
    expect(page.page.get_by_role("alert")).to_contain_text("录音")
    exact.start()
    expect(page.page.locator("#link")).to_have_text("就绪")
