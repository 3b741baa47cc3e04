"""The console: a page at `/console` that shows the service at work in a browser.

Plain files, read once and kept: HTML, modules of JavaScript without a build step, and a few recordings. The page gets
everything from here, and its policy lets it ask nobody else. It needs no token of its own: it is a client like others.
"""

import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from quart import Response, abort, request
from quart_trio import QuartTrio

CONSOLE_PATH: Final = "/console"
_FOLDER: Final = Path(__file__).with_name("console")
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
}
"""What is served; the notes beside the recordings are not. A system's own table of types may differ."""
_REQUIRED: Final = re.compile(rb'\brequire\("(\./[\w-]+\.js)"\)')
_HEADERS: Final = {
    # 'self' in connect-src covers ws: and wss: of the same host (CSP 3, section 6.7.2.8).
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "media-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), display-capture=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    # Kept by the browser, and asked for again each time: 304 in most cases, and never an old page on a new service.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str
    etag: str


def register_console(app: QuartTrio) -> None:
    """Adds `/console` and what belongs to it to the application."""
    files = console_files()

    @app.get(CONSOLE_PATH)
    async def console() -> Response:
        """The page. Its addresses are relative, so a proxy may put the service below a path."""
        return await _reply(files["index.html"])

    @app.get(f"{CONSOLE_PATH}/")
    async def console_folder() -> Response:
        """The page's relative addresses would be wrong here."""
        return _see_other(f"..{CONSOLE_PATH}", status=308)

    @app.get(f"{CONSOLE_PATH}/<path:name>")
    async def console_file(name: str) -> Response:
        """A style, a module, a recording."""
        if name not in files:
            abort(404)
        return await _reply(files[name])


def prefers_page() -> bool:
    """Whether the request wants HTML rather than JSON: a person's browser says so, probes and programs do not."""
    return request.accept_mimetypes.best_match(("application/json", "text/html")) == "text/html"


def see_console() -> Response:
    """The way from `/` to the console."""
    return _see_other(CONSOLE_PATH.removeprefix("/"), status=303)


def _see_other(location: str, *, status: int) -> Response:
    return Response(b"", status=status, headers={"Location": location, "Vary": "Accept"}, content_type="text/plain")


async def _reply(file: _File) -> Response:
    response = Response(file.content, headers=_HEADERS, content_type=file.content_type)
    response.set_etag(file.etag)
    await response.make_conditional(request)
    return response


def as_module(common: bytes) -> bytes:
    """The ECMAScript module with the code of a CommonJS one; its `module.exports` is the default export.

    The client library is CommonJS, as WeChat wants it. What is put around its bytes adds no line before their end, so
    that the numbers of lines in a browser's console are those of the file. `require` takes files of the same folder.
    """
    names = dict.fromkeys(_REQUIRED.findall(common))
    imports = b"".join(b'import $%d from "%s"; ' % (place, name) for place, name in enumerate(names))
    table = b", ".join(b'"%s": $%d' % (name, place) for place, name in enumerate(names))
    head = b"%sconst require = (name) => ({%s})[name], module = {exports: {}}; " % (imports, table)
    return head + common + b"\nexport default module.exports;\n"


@functools.cache
def console_files() -> dict[str, _File]:
    """Every file of the console by its name below `/console/`. Reads them from the disk, the first time only."""
    found = {}
    for path in sorted(_FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            content = path.read_bytes()
            if path.parent.name == "lib":
                content = as_module(content)
            name = path.relative_to(_FOLDER).as_posix()
            found[name] = _File(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:32])
    return found
