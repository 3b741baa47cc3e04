"""The page in both languages and colors, on a desk and on a phone: readable by everybody, and nothing sticks out."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.console_page import ConsolePage
from tests.browser.server import Gateway
from tests.support.processes import ROOT

OpenConsole = Callable[..., ConsolePage]
AXE = ROOT / "tests/node/node_modules/axe-core/axe.min.js"
WIDER = """
    () => [...document.querySelectorAll("body *")]
      .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
      .filter((element) => !element.closest(".timeline, .sr, .skip"))
      .map((element) => element.outerHTML.slice(0, 200))
"""
VIOLATIONS = """
    async () => (await axe.run({resultTypes: ["violations"]})).violations
      .map(({id, nodes}) => [id, ...nodes.map((node) => `${node.html} ${node.failureSummary}`)])
"""


@pytest.fixture(scope="module")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not in tests/node/node_modules: make test installs it where npm is present")
    return AXE.read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
def test_everybody_can_use_it(console: OpenConsole, exact: Gateway, axe: str, language: str) -> None:
    """axe finds nothing: before a talk, while one goes on, after one with a problem; in both colors."""
    page = console(exact.url, locale=language, reduced_motion="reduce").open()
    page.say_exactly(*range(1, 9))
    page.page.evaluate(axe)
    assert page.page.locator("html").get_attribute("lang") == ("en" if language == "en-US" else "zh-CN")

    def look() -> None:
        for scheme in ("light", "dark"):
            page.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert page.page.evaluate(VIOLATIONS) == [], scheme

    look()
    page.play()
    expect(page.page.locator("#words")).to_contain_text("w2")
    look()
    page.wait_for("idle")
    page.page.locator("#mic").click()  # denied
    expect(page.page.get_by_role("alert")).to_be_visible()
    look()


def test_nothing_is_wider_than_a_phone(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url, viewport={"width": 360, "height": 740}).open()
    page.say_exactly(*range(1, 9))
    page.play()
    page.wait_for("talking")
    page.wait_for("idle")
    page.page.locator("#mic").click()  # denied: a notice
    page.page.locator("#wire-rows summary").last.click()
    for width_px in (360, 820, 1280):
        page.page.set_viewport_size({"width": width_px, "height": 740})
        for _ in ("en", "zh"):
            page.page.locator("#language").click()
            assert page.page.evaluate("document.documentElement.scrollWidth") <= width_px
            assert page.page.evaluate(WIDER) == []
    assert page.complaints == []


def test_the_switches_are_remembered(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url, color_scheme="light").open()
    root = page.page.locator("html")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.page.evaluate(paper)
    theme = page.page.locator("#theme")
    theme.click()
    theme.click()
    expect(root).to_have_attribute("data-theme", "dark")
    dark = page.page.evaluate(paper)
    assert dark != light
    page.page.locator("#language").click()
    expect(page.page.locator("h1")).to_have_text("实时字幕")
    page.page.reload()
    expect(page.page.locator("h1")).to_have_text("实时字幕")
    assert page.page.evaluate(paper) == dark
    assert page.page.title() == "语音控制台"
    page.page.locator("#theme").click()
    assert page.page.evaluate(paper) == light
    assert page.complaints == []


def test_it_is_usable_by_keyboard(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url).open()
    spoken = page.say_exactly(1, 2)
    seen = []
    for _ in range(12):
        page.page.keyboard.press("Tab")
        seen.append(page.page.evaluate("document.activeElement.id || document.activeElement.className"))
        if seen[-1] == "sample":
            break
    assert {"language", "theme", "caption", "timeline", "mic"} <= set(seen)
    page.page.keyboard.press("Enter")
    page.wait_for("talking")
    page.wait_for("idle")
    assert page.text == spoken


def texts_of(page: ConsolePage) -> dict[str, dict[str, str]]:
    """Both languages of the page, as its own module has them."""
    found: dict[str, dict[str, str]] = page.page.evaluate(
        "import(new URL('console/text.js', location.href)).then((module) => module.TEXTS)"
    )
    return found


def test_every_text_is_in_both_languages(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url).open()
    english, chinese = (texts_of(page)[name] for name in ("en", "zh"))
    assert english.keys() == chinese.keys()
    assert [key for key, text in chinese.items() if text.isascii() and key != "slotsOf" and key != "language"] == []
    assert [key for key in english if english[key].count("{") != chinese[key].count("{")] == []
    used = "".join(
        path.read_text(encoding="utf-8") for path in sorted(Path(ROOT, "service/web/console").rglob("*.[hj][ts]*"))
    )
    assert [key for key in english if used.count(f"{key}") < 3] == []  # in each language, and where it is said
