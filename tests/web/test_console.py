"""The console's files: what is served and how, and that the packages have them. tests/browser opens the page."""

import tomllib
from pathlib import Path

import pytest

from service.web.console import as_module, console_files
from tests.support.edge import HttpClient, get, make_deps, running_edge

ROOT = Path(__file__).parents[2]
CONSOLE = ROOT / "service/web/console"
LIBRARY = ROOT / "miniprogram/lib"
FROM_A_BROWSER = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


async def test_every_file_has_its_type_and_the_policy() -> None:
    async with running_edge(make_deps()) as running:
        client = await HttpClient.connect(running.port)
        for target, content_type in (
            ("/console", "text/html; charset=utf-8"),
            ("/console/css/base.css", "text/css; charset=utf-8"),
            ("/console/main.js", "text/javascript; charset=utf-8"),
            ("/console/lib/voice-stream.js", "text/javascript; charset=utf-8"),
            ("/console/icon.svg", "image/svg+xml"),
            ("/console/samples/goforward.wav", "audio/wav"),
        ):
            reply = await client.request("GET", target)
            assert (reply.status, reply.headers["content-type"]) == (200, content_type)
            policy = reply.headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} < {*policy}
            assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} < {*policy}
            assert not [rule for rule in policy if "unsafe" in rule or "*" in rule or "http" in rule]
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["referrer-policy"] == "no-referrer"
            assert reply.headers["permissions-policy"].startswith("microphone=(self)")
        recording = (await client.request("GET", "/console/samples/goforward.wav")).body
        assert recording == (ROOT / "loadtest/samples/goforward.wav").read_bytes()


async def test_what_a_browser_has_is_not_sent_again() -> None:
    async with running_edge(make_deps()) as running:
        first = await get(running.port, "/console/main.js")
        assert first.headers["cache-control"] == "no-cache"
        etag = first.headers["etag"]
        again = await get(running.port, "/console/main.js", [f"If-None-Match: {etag}"])
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", etag)
        assert (await get(running.port, "/console/main.js", ['If-None-Match: "other"'])).status == 200


@pytest.mark.parametrize(
    "name", ["samples/README.md", "nothing.js", "../console.py", "..%2fconsole.py", "css", "lib/types.d.ts"]
)
async def test_nothing_else_is_served(name: str) -> None:
    async with running_edge(make_deps()) as running:
        assert (await get(running.port, f"/console/{name}")).status == 404


async def test_a_browser_is_sent_from_the_root_to_the_console() -> None:
    async with running_edge(make_deps()) as running:
        sent = await get(running.port, "/", [FROM_A_BROWSER])
        assert (sent.status, sent.headers["location"], sent.headers["vary"]) == (303, "console", "Accept")
        assert (await get(running.port, "/console/")).headers["location"] == "../console"
        for accept in (
            [],
            ["Accept: */*"],
            ["Accept: application/json"],
            ["Accept: text/html;q=0.1, application/json"],
        ):
            reply = await get(running.port, "/", accept)
            assert reply.status == 200
            assert reply.envelope()["data"]["console"] == "/console"


def test_a_common_module_becomes_one_of_a_browser() -> None:
    common = (
        b'"use strict";\nconst { a } = require("./a.js");\nconst b = require("./b-c.js");\nmodule.exports = { a, b };\n'
    )
    lines = as_module(common).split(b"\n")
    assert lines[0] == (
        b'import $0 from "./a.js"; import $1 from "./b-c.js"; '
        b'const require = (name) => ({"./a.js": $0, "./b-c.js": $1})[name], module = {exports: {}}; "use strict";'
    )
    assert lines[1:-3] == common.split(b"\n")[1:-1]
    assert lines[-2] == b"export default module.exports;"


def test_the_library_is_that_of_the_mini_program() -> None:
    """One source for phones and browsers; the package has a copy, since `miniprogram/` is not in it."""
    copies = sorted((CONSOLE / "lib").glob("*.js"))
    assert [path.name for path in copies if path.read_bytes() != (LIBRARY / path.name).read_bytes()] == [], (
        "cp miniprogram/lib/NAME service/web/console/lib/"
    )
    served = console_files()
    for path in copies:
        for needed in path.read_text().split('require("./')[1:]:
            name, _, _ = needed.partition('"')
            assert f"lib/{name}" in served


def test_the_package_has_every_file() -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["service.web"]
    packed = {path for pattern in patterns for path in (ROOT / "service/web").glob(pattern) if path.is_file()}
    assert packed == {path for path in CONSOLE.rglob("*") if path.is_file()}
    assert (CONSOLE / "samples/README.md") in packed  # the note on whose recordings these are
