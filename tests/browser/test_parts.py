"""The parts of the console that compute, in the browser that runs them."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.console_page import ConsolePage
from tests.browser.server import Gateway

OpenConsole = Callable[..., ConsolePage]
Part = Callable[..., Any]


@pytest.fixture(scope="module")
def part(browser: Any, exact_for_all: Gateway) -> Any:
    """Evaluates an expression with a module of the console as `m`."""
    page = ConsolePage(browser, exact_for_all.url).open()

    def evaluate(name: str, expression: str) -> Any:
        module = f"import(new URL('console/pure/{name}', location.href))"
        return page.page.evaluate(f"{module}.then((m) => {{ {expression} }})")

    yield evaluate
    page.close()


# A tone through the resampler in pieces of odd lengths: its level at its own place, against everything else.
TONE = """
    const [fromHz, toHz, toneHz, piece] = %s;
    const resampler = new m.Resampler(fromHz, toHz);
    const given = Float32Array.from({length: fromHz}, (_, n) => Math.sin(2 * Math.PI * toneHz * n / fromHz));
    const out = [];
    for (let at = 0; at < given.length; at += piece) out.push(...resampler.process(given.subarray(at, at + piece)));
    const inside = out.slice(toHz / 8, toHz * 7 / 8);
    let [sine, cosine, power] = [0, 0, 0];
    inside.forEach((value, n) => {
      const angle = 2 * Math.PI * toneHz * (n + toHz / 8) / toHz;
      sine += value * Math.sin(angle); cosine += value * Math.cos(angle); power += value * value;
    });
    return [out.length, sine * 2 / inside.length, cosine * 2 / inside.length, power / inside.length];
"""


@pytest.mark.parametrize("from_hz", [48000, 44100, 96000, 32000, 22050, 8000])
def test_speech_passes_the_resampler_unchanged(part: Part, from_hz: int) -> None:
    """Same level, same phase (its delay is taken off), nothing beside it; whatever the pieces."""
    for tone_hz in (200, 1000, 3400):
        count, sine, cosine, power = part("resampler.js", TONE % f"[{from_hz}, 16000, {tone_hz}, 127]")
        assert abs(count - 16000) < 200
        assert sine == pytest.approx(1, abs=0.01), tone_hz
        assert cosine == pytest.approx(0, abs=0.01), tone_hz
        assert power == pytest.approx(0.5, abs=0.01), tone_hz


@pytest.mark.parametrize("from_hz", [48000, 44100])
def test_what_cannot_be_said_at_16_khz_does_not_fold_into_speech(part: Part, from_hz: int) -> None:
    for tone_hz in (8200, 9000, 12000, 15000, 20000):
        *_, power = part("resampler.js", TONE % f"[{from_hz}, 16000, {tone_hz}, 128]")
        assert 10 * math.log10(power + 1e-20) < -60, tone_hz


def test_pieces_do_not_show(part: Part) -> None:
    """The same samples, whatever lengths they come in."""
    assert part(
        "resampler.js",
        """
        const noise = Float32Array.from({length: 6000}, (_, n) => Math.sin(n * n * 0.013));
        const through = (sizes) => {
          const resampler = new m.Resampler(44100, 16000);
          const out = [];
          for (let at = 0, turn = 0; at < noise.length; turn += 1) {
            const size = sizes[turn % sizes.length];
            out.push(...resampler.process(noise.subarray(at, at + size)));
            at += size;
          }
          return out.map((value) => value.toFixed(6)).join();
        };
        const whole = through([6000]);
        return [through([1]), through([128]), through([7, 1000, 3]), through([0, 441])].every((one) => one === whole);
        """,
    )


def test_loud_samples_are_clipped_and_not_wrapped(part: Part) -> None:
    assert part("resampler.js", "return [...m.toInt16(new Float32Array([0, 1, -1, 1.5, -2, 0.5]))];") == [
        0, 32767, -32767, 32767, -32767, 16384,
    ]  # fmt: skip


def test_hotwords(part: Part) -> None:
    found = part(
        "hotwords.js",
        "return m.parseHotwords('监理:11, Trio； 项目经理：100\\n two words, x:12, ,:3, ' + 'a'.repeat(31));",
    )
    assert found["words"] == [
        {"word": "监理", "weight": 11},
        {"word": "Trio", "weight": 10},
        {"word": "项目经理", "weight": 100},
    ]
    assert found["wrong"] == ["two words", "x:12", ":3", "a" * 31]
    assert len(part("hotwords.js", "return m.parseHotwords(Array(200).fill('w').join()).words;")) == 128


def test_figures_of_an_exposition(part: Part) -> None:
    text = "\\n".join(
        (
            "# HELP x_total Something",
            'x_total{outcome="a",other="say \\\\\\\\"hi\\\\\\\\""} 2.0',
            'x_total{outcome="b"} 3.0',
            'h_bucket{le="0.1"} 0.0',
            'h_bucket{le="0.5"} 8.0',
            'h_bucket{le="+Inf"} 10.0',
            "not a series",
        )
    )
    found = part(
        "exposition.js",
        f"const s = m.parseExposition('{text}');"
        "return [m.total(s, 'x_total'), m.total(s, 'x_total', {outcome: 'b'}), m.total(s, 'y'),"
        " m.quantile(s, 'h', 0.5), m.quantile(s, 'h', 0.95), m.quantile(s, 'y', 0.5)];",
    )
    assert found == [5, 3, None, pytest.approx(0.35), 0.5, None]


def test_words_and_characters(part: Part) -> None:
    assert part("words.js", "return m.pieces('项目经理, go forward 十米。');") == [
        "项", "目", "经", "理,", " ", "go", " ", "forward", " ", "十", "米。",
    ]  # fmt: skip
    assert part("words.js", "return m.sameUntil(['a', ' ', 'b'], ['a', ' ', 'bc', 'd']);") == 2


def test_the_delays_of_a_talk(part: Part) -> None:
    delays = part(
        "latency.js",
        """
        const clock = new m.TalkClock();
        for (let n = 1; n <= 50; n += 1) clock.audioSent(n * 40, n > 5 ? 0.6 : 0.1, 1000 + n * 40);
        clock.heard({text: '', endMs: 300}, 1500);
        clock.heard({text: 'go', endMs: 600}, 1800);
        clock.heard({text: 'go', endMs: 600}, 1900);
        clock.heard({text: 'go on', endMs: 900}, 2020);
        clock.stopped(3000);
        clock.heard({text: 'go on!', endMs: 1500}, 3200);
        clock.settled(3250);
        return {...clock.delays, median: m.median(clock.delays.behindMs), none: m.median([])};
        """,
    )
    assert delays == {"firstMs": 560, "behindMs": [200, 100], "settleMs": 250, "median": 150, "none": None}


def test_only_recordings_of_ours_are_read(part: Part) -> None:
    read = "const f = new Uint8Array(%s); try { m.readWav(f.buffer); return 'read'; } catch (e) { return e.message; }"
    assert part("wav.js", read % "[1, 2, 3]") == "no WAV file"
    head = [*b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x10\0"]
    assert part("wav.js", read % head) == "not 16-bit mono PCM"
