"""Somebody opens the console, and words appear: from a recording, from the microphone, with a token."""

import re
import time
from collections.abc import Callable

from playwright.sync_api import expect

from service.tokens import mint
from tests.browser.console_page import ConsolePage
from tests.browser.server import Gateway, exact_gateway

OpenConsole = Callable[..., ConsolePage]
SENTENCE = "go forward ten meters"
SECRET = "a secret of at least thirty-two bytes"


def assert_grew(captions: list[str]) -> None:
    """The sentence came word by word: shorter beginnings were shown before it was complete."""
    counts = [len(text.split()) for text in captions]
    assert counts[0] < counts[-1], captions
    assert len({*counts}) >= 3, captions


def test_a_recording_appears_word_by_word(console: OpenConsole, gateway: Gateway) -> None:
    """`make serve`, `/console`, play."""
    page = console(gateway.url).open()
    page.play()
    page.wait_for("talking")
    page.wait_for("idle")
    assert page.text == SENTENCE
    assert_grew(page.captions)

    # Everything beside the caption has its part of the talk, too.
    shown = page.page
    assert shown.locator("#lane li").all_text_contents() == SENTENCE.split()
    lefts = [
        float(word.evaluate("word => word.style.left").removesuffix("px")) for word in shown.locator("#lane li").all()
    ]
    assert lefts == sorted(lefts)
    assert shown.locator("#spoken").text_content() == SENTENCE
    for name in ("first", "settle"):  # on a busy machine no words come before the end, and none trail the voice
        assert shown.locator(f"#{name}").text_content() != "–", name
    assert shown.locator("#chart rect").count() == 2
    types = shown.locator("#wire-rows .type").all_text_contents()
    assert types[:3] == ["welcome", "start", "ready"] or types[:4] == ["welcome", "start", "audio", "ready"]
    assert types[-2:] == ["result", "stopped"]
    expect(shown.locator("#figures")).to_contain_text("Talks ended1")
    shown.locator("#wire-rows summary").first.click()
    assert '"protocol": 1' in (shown.locator("#wire-rows pre").text_content() or "")

    assert page.complaints == []
    assert {address.split("/")[2] for address in page.requests} == {gateway.url.split("/")[2]}


def test_the_microphone_is_heard(console: OpenConsole, gateway: Gateway) -> None:
    """Through the audio thread and the resampler; the device of the test runs at its own rate."""
    page = console(gateway.url, permissions=["microphone"]).open()
    mic = page.page.locator("#mic")
    mic.click()
    expect(page.page.locator("#link")).to_have_attribute("data-state", "live")
    expect(mic).to_have_accessible_name("Stop")
    expect(page.page.locator("#clock")).to_have_text(re.compile("0:0[4-9]"))  # all of the sentence has come
    mic.click()
    page.wait_for("idle")
    # The device runs in real time, so on a busy machine a word may be broken.
    assert len({*page.text.split()} & {*SENTENCE.split()}) >= 3, page.text
    assert_grew(page.captions)
    assert page.complaints == []


def test_a_denied_microphone_is_explained(console: OpenConsole, gateway: Gateway) -> None:
    page = console(gateway.url, permissions=[]).open()
    page.page.locator("#mic").click()
    notice = page.page.get_by_role("alert")
    expect(notice).to_contain_text("not allowed")
    assert page.page.locator("#stage").get_attribute("data-phase") == "idle"
    assert not [address for address in page.requests if address.startswith("ws")], "nothing was dialed for it"
    page.page.locator("#language").click()
    page.page.locator("#notice-close").click()
    expect(notice).to_be_hidden()
    assert page.complaints == []


def test_a_token_is_asked_for_and_kept_in_the_tab(console: OpenConsole) -> None:
    token = mint(SECRET, "u", now_s=int(time.time()), ttl_s=600)
    with exact_gateway(AUTH_MODE="token", JWT_SECRET=SECRET) as gateway:
        page = console(gateway.url).open()
        spoken = page.say_exactly(1, 2, 3)
        page.play()
        expect(page.page.get_by_role("alert")).to_contain_text("token")
        field = page.page.locator("#token")
        expect(field).to_be_focused()
        field.fill(token)
        page.play()
        page.wait_for("talking")
        page.wait_for("idle")
        assert page.text == spoken
        assert token not in (page.page.locator("#wire").text_content() or "")
        page.page.reload()
        expect(field).to_have_value(token)
        assert token not in page.page.evaluate("JSON.stringify({...localStorage})")
        assert page.complaints == []


def test_the_engine_and_the_hotwords_are_sent(console: OpenConsole, exact: Gateway) -> None:
    page = console(exact.url).open()
    page.say_exactly(1)
    shown = page.page
    shown.locator("#engine").select_option("16k_en")
    shown.locator("#hotwords").fill("Trio:5, two words, 监理")
    assert shown.locator("#hotwords-hint").text_content() == "Left out: two words"
    page.play()
    page.wait_for("talking")
    page.wait_for("idle")
    (start,) = page.messages("start")
    assert start["engineType"] == "16k_en"
    assert start["hotwords"] == [{"word": "Trio", "weight": 5}, {"word": "监理", "weight": 10}]
    assert page.complaints == []

    shown.locator("#engine").select_option("…")
    shown.locator("#engine-other").fill("no_such_engine")
    page.play()
    expect(shown.get_by_role("alert")).to_contain_text("engine")
    page.wait_for("idle")
