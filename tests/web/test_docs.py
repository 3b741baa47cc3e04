"""`/docs` in a real browser: it shows the routes, asks nobody else for anything, and breaks no rule of its policy."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trio

from service.web.docs import ASSETS, POLICY
from tests.loadtest.browser import chromium, needs_chromium
from tests.support.edge import get, make_deps, running_edge

SHOWN = "[...document.querySelectorAll('.opblock-summary-path')].map((e) => e.dataset.path)"
TRY = """
    (async () => {
      const until = async (find) => { while (!find()) await new Promise((r) => setTimeout(r, 20)); return find() }
      const route = [...document.querySelectorAll('.opblock')].find((e) => e.querySelector('[data-path="/ready"]'))
      route.querySelector('.opblock-summary-control').click();
      (await until(() => route.querySelector('.try-out__btn'))).click();
      (await until(() => route.querySelector('.execute'))).click();
      return (await until(() => route.querySelector('.live-responses-table tbody .response-col_status'))).textContent
    })()
"""


@needs_chromium
async def test_in_a_browser(tmp_path: Path) -> None:
    async with running_edge(make_deps(), hang_s=90) as running, chromium(tmp_path / "profile") as tab:
        await tab.fresh()
        await tab.open(f"http://127.0.0.1:{running.port}/docs")
        with trio.fail_after(30):
            while not (shown := await tab.run(SHOWN)):  # noqa: ASYNC110 - a page has no events of ours
                await trio.sleep(0.05)
        document = (await get(running.port, "/openapi.json")).envelope()
        assert sorted(set(shown)) == sorted(document["paths"])
        assert await tab.run(TRY) == "200"
        # Hints about labels of Swagger UI's forms are no breach of anything; those of the policy are not generic.
        assert [said for said in tab.complaints if "'code': 'GenericIssue'" not in str(said)] == []
        asked = [urlsplit(url) for url in tab.requests if not url.startswith("data:")]
        assert {url.netloc for url in asked} == {f"127.0.0.1:{running.port}"}
        assert {url.path for url in asked} >= {"/docs", "/docs/start.js", "/docs/openapi.json", "/ready"}


async def test_every_part_comes_with_the_policy() -> None:
    for word in ("unsafe", "http", "*"):
        assert word not in POLICY
    assert POLICY.startswith("default-src 'none'; ")
    async with running_edge(make_deps()) as running:
        for path in ("/docs", *(f"/docs/{name}" for name in (*ASSETS, "start.js", "openapi.json"))):
            reply = await get(running.port, path)
            assert (reply.status, reply.headers["content-security-policy"]) == (200, POLICY), path
            assert reply.headers["x-content-type-options"] == "nosniff"
        page = (await get(running.port, "/docs")).body.decode()
        assert "<style" not in page
        assert page.count("<script") == page.count('<script src="docs/') == 2


@pytest.mark.parametrize("name", ["index.html", "..", "..%2F__init__.py", "%2e%2e%2f__init__.py", "swagger-ui.css.map"])
async def test_no_other_file_is_given_away(name: str) -> None:
    async with running_edge(make_deps()) as running:
        assert (await get(running.port, f"/docs/{name}")).status == 404
