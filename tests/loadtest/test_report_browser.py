"""The report in a real browser: no complaint, no request, nothing wider than the window, and its script works."""

import itertools
from pathlib import Path

import trio

from loadtest.report import render
from tests.loadtest.browser import Tab, chromium, needs_chromium
from tests.loadtest.report_examples import EXAMPLES, met_run, missed_run

pytestmark = needs_chromium

LOOKS = ((1280, False), (360, True))
WIDER = """
    [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
      && !e.closest(".scrolls, pre, svg")).map((e) => e.outerHTML.slice(0, 200))
"""


async def write(path: Path, page: str) -> Path:
    await trio.Path(path).write_text(page, encoding="utf-8")
    return path


async def test_the_browser_has_nothing_to_complain_about(tmp_path: Path) -> None:
    async with chromium(tmp_path / "profile") as tab:
        paths = {name: await write(tmp_path / f"{name}.html", render(EXAMPLES[name]())) for name in EXAMPLES}
        for (name, path), (width_px, dark) in itertools.product(paths.items(), LOOKS):
            await tab.fresh()
            await tab.look_like(width_px, dark=dark)
            await tab.open(path)
            assert await tab.run("document.documentElement.scrollWidth") <= width_px, name
            assert await tab.run(WIDER) == [], name
            assert await tab.run("matchMedia('(prefers-color-scheme: dark)').matches") is dark
            if width_px == LOOKS[0][0] or name in ("missed", "knee"):
                await hover_everything(tab)
            assert tab.complaints == [], name
            assert [url for url in tab.requests if not url.startswith("data:image/svg+xml,")] == [path.as_uri()]


async def hover_everything(tab: Tab) -> None:
    """Point at each chart, and go through it by keyboard: the script runs wherever it can run."""
    plots = await tab.run("document.querySelectorAll('.plot, .timelines').length")
    for place in range(plots):
        x, y = await tab.run(f"""(() => {{
            const found = document.querySelectorAll('.plot, .timelines')[{place}];
            found.scrollIntoView({{block: 'center', behavior: 'instant'}});
            found.focus();
            const box = found.querySelector('.canvas').getBoundingClientRect();
            return [box.left + box.width / 3, box.top + box.height / 2];
        }})()""")
        await tab.mouse("mouseMoved", x, y)
        await tab.press("ArrowRight", "ArrowDown", "Escape")


async def test_a_complaint_would_be_noticed(tmp_path: Path) -> None:
    page = render(met_run())
    async with chromium(tmp_path / "profile") as tab:
        for wrong in (
            "<script>document.title = 'foreign'</script>",
            "<p style='color: red'>x</p>",
            "<img src='https://example.invalid/x.png'>",
        ):
            path = await write(tmp_path / "report.html", page.replace("<footer>", f"{wrong}<footer>"))
            await tab.fresh()
            await tab.open(path)
            assert "Content Security Policy" in str(tab.complaints)
            assert await tab.run("document.title") != "foreign"
            assert not [url for url in tab.requests if url.startswith("https:")]


async def test_the_cursor_tells_the_values_by_mouse_and_by_keyboard(tmp_path: Path) -> None:
    path = await write(tmp_path / "report.html", render(missed_run()))
    async with chromium(tmp_path / "profile") as tab:
        await tab.look_like(1280)
        await tab.open(path)
        assert await tab.run("document.getElementById('tip').hidden") is True
        plot = "document.querySelector('[data-chart=over-time-setup]')"
        await tab.run(f"{plot}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = await tab.run(
            f"(() => {{ const b = {plot}.querySelector('.canvas').getBoundingClientRect();"
            " return [b.left + b.width / 2, b.top + b.height / 2] })()"
        )
        await tab.mouse("mouseMoved", x, y)
        pointed = await tab.run("document.getElementById('tip').innerText")
        assert "p99" in pointed
        assert "ms" in pointed
        await tab.mouse("mouseMoved", 2, 2)
        assert await tab.run("document.getElementById('tip').hidden") is True

        await tab.press("Tab")
        await tab.run(f"{plot}.focus({{focusVisible: true}})")
        at_end = await tab.run("document.getElementById('tip').innerText")
        await tab.press("ArrowLeft")
        assert await tab.run("document.getElementById('tip').innerText") != at_end
        assert await tab.run("document.getElementById('tip').hidden") is False
        await tab.press("Escape")
        assert await tab.run("document.getElementById('tip').hidden") is True


async def test_streams_show_their_details_and_can_be_zoomed(tmp_path: Path) -> None:
    path = await write(tmp_path / "report.html", render(missed_run()))
    async with chromium(tmp_path / "profile") as tab:
        await tab.look_like(1280)
        await tab.open(path)
        await tab.run("document.getElementById('timelines').scrollIntoView({block: 'center', behavior: 'instant'})")
        left, top, width = await tab.run(
            "(() => { const b = document.querySelector('#timelines .canvas').getBoundingClientRect();"
            " return [b.left, b.top, b.width] })()"
        )
        row_px = int(await tab.run("document.getElementById('timelines').dataset.row"))
        await tab.mouse("mouseMoved", left + 3, top + 4 + row_px / 2)
        assert "Stream 0" in await tab.run("document.getElementById('tip').innerText")

        await tab.mouse("mousePressed", left + width * 0.25, top + 20)
        await tab.mouse("mouseMoved", left + width * 0.4, top + 20)
        await tab.mouse("mouseMoved", left + width * 0.5, top + 20)
        await tab.mouse("mouseReleased", left + width * 0.5, top + 20)
        assert await tab.run("document.querySelector('.zoomed').getAttribute('width')") == "400%"
        assert await tab.run("document.querySelector('.reset').hidden") is False
        await tab.run("document.querySelector('.reset').click()")
        assert await tab.run("document.querySelector('.zoomed').getAttribute('width')") == "100%"
        assert tab.complaints == []


async def test_on_paper_everything_is_open_and_light(tmp_path: Path) -> None:
    path = await write(tmp_path / "report.html", render(missed_run()))
    async with chromium(tmp_path / "profile") as tab:
        await tab.look_like(1280, dark=True)
        await tab.open(path)
        printed = await tab.call("Page.printToPDF", printBackground=True)
        assert len(printed["data"]) > 50_000
        await tab.run("dispatchEvent(new Event('beforeprint'))")
        assert await tab.run("document.getElementById('scenario-toml').open") is True
        await tab.call("Emulation.setEmulatedMedia", media="print")
        assert await tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert await tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
        assert tab.complaints == []
