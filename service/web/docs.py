"""`GET /docs`: the OpenAPI document to read and to try, without a byte from other hosts.

Swagger UI comes with the package swagger-ui-bundle (Apache-2.0). Its page is ours, so that it needs no inline script
and the policy can be strict: what would be smuggled into the document cannot run or call home.
"""

from typing import Final

import msgspec
from quart import Response, abort, send_from_directory
from quart_trio import QuartTrio
from swagger_ui_bundle import swagger_ui_path  # type: ignore[import-untyped] # it has no types

from service.web.openapi import Document
from service.web.openapi_30 import as_30

PATH: Final = "/docs"
ASSETS: Final = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png")
_MAX_AGE_S: Final = 3600
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""`data:` images are those of Swagger UI's style sheet."""
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# Relative addresses: a platform may serve all this below a path of its own.
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>miniapp-backend: HTTP API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START: Final = """\
SwaggerUIBundle({
  url: 'docs/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
})
"""


def register_docs(app: QuartTrio, document: Document) -> None:
    """Adds the page and its parts to the application."""

    @app.get(PATH)
    async def docs() -> Response:
        """The page."""
        return Response(_PAGE, content_type="text/html; charset=utf-8", headers=_HEADERS)

    @app.get(f"{PATH}/start.js")
    async def docs_start() -> Response:
        """What the page runs."""
        return Response(_START, content_type="text/javascript; charset=utf-8", headers=_HEADERS)

    @app.get(f"{PATH}/openapi.json")
    async def docs_document() -> Response:
        """The document as this Swagger UI reads it."""
        document_30 = msgspec.json.encode(as_30(await document.read()))
        return Response(document_30, content_type="application/json", headers=_HEADERS)

    @app.get(f"{PATH}/<name>")
    async def docs_asset(name: str) -> Response:
        """A file of Swagger UI."""
        if name not in ASSETS:
            abort(404)
        response = await send_from_directory(swagger_ui_path, name, cache_timeout=_MAX_AGE_S)
        response.headers.update(_HEADERS)
        return response
