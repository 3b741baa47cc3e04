"""The OpenAPI document, made from the types that the routes are described with, and `GET /openapi.json`.

quart-schema walks the routes; what it does not know of msgspec (generic envelopes, types inside of types), of files in
forms and of answers that are no JSON is added here. WebSockets have no place in OpenAPI: docs/protocol.md has them.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from importlib import metadata
from typing import Any, Final, TypeVar

import msgspec
import trio
from quart import Response
from quart_schema import (
    DataSource,
    Info,
    OpenAPIProvider,
    QuartSchema,
    Tag,
    document_querystring,
    document_request,
    document_response,
    hide,
    security_scheme,
    tag,
)
from quart_schema.openapi import APIKeySecurityScheme, HttpSecurityScheme
from quart_trio import QuartTrio
from werkzeug.routing import Rule

from service.failures import CATALOGUE, Slug
from service.settings import AuthMode, Settings
from service.web.contract import Envelope, ErrorData

PATH: Final = "/openapi.json"
METRICS_SECURITY: Final = "metricsToken"
_DESCRIBED: Final = "_described_route"
_REF: Final = "#/components/schemas/{name}"
_ABOUT: Final = """\
The HTTP side of a voice gateway for WeChat mini-programs. Speech is streamed over a WebSocket, \
`/api/realtime-voice/stream`, which OpenAPI cannot describe: see `docs/protocol.md` of the project.

Every answer is `{code, message, data, timestamp}`; of a refusal, `data.error` is the field for programs.\
"""
_TAGS: Final = (
    Tag("login", "A code of `wx.login` for a token."),
    Tag("recognition", "The words of a whole recording."),
    Tag("history", "What one user has had recognized."),
    Tag("operation", "For platforms and monitoring."),
)

Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer that is no JSON."""

    content_type: str
    about: str


@dataclass(frozen=True, slots=True)
class _Refused:
    """Answers of one status that refuse."""

    slugs: tuple[Slug, ...]


@dataclass(frozen=True, slots=True)
class _Described:
    summary: str
    needs_token: bool


def describe(
    summary: str,
    answer: type[msgspec.Struct] | Plain,
    *,
    section: str,
    takes: type[msgspec.Struct] | None = None,
    form: type[msgspec.Struct] | None = None,
    query: type[msgspec.Struct] | None = None,
    refusals: Iterable[Slug] = (),
    also: dict[int, type[msgspec.Struct] | None] | None = None,
    needs_token: bool = False,
    secured_by: str | None = None,
) -> Callable[[Handler], Handler]:
    """Describes a route: its answer's `data` (in the envelope), and what it takes as JSON, as a form, or as a query.

    `refusals` are the failures of the catalogue it answers with, `also` its other answers by status. A route that
    `needs_token` may refuse as every such route does; that is added here. `secured_by` names another kind of token.
    """

    def described(handler: Handler) -> Handler:
        setattr(handler, _DESCRIBED, _Described(summary, needs_token))
        tag([section])(handler)
        if not needs_token:
            security_scheme([{secured_by: []}] if secured_by else [])(handler)
        if takes is not None:
            document_request(_as_model(takes))(handler)
        if form is not None:
            document_request(_as_model(form), source=DataSource.FORM_MULTIPART)(handler)
        if query is not None:
            document_querystring(_as_model(query))(handler)
        document_response(_as_model(answer), HTTPStatus.OK)(handler)
        for status, data in (also or {}).items():
            document_response(_as_model(data), status)(handler)
        for status, slugs in _by_status((*refusals, *(_OF_TOKENS if needs_token else ()))).items():
            document_response(_as_model(_Refused(slugs)), status)(handler)
        return handler

    return described


class Document:
    """The OpenAPI document of an application. It is made when it is asked for first, and stays as it is."""

    def __init__(self, schema: QuartSchema) -> None:
        self._schema = schema
        self._made: dict[str, Any] | None = None

    async def read(self) -> dict[str, Any]:
        """The document, not to be changed."""
        if self._made is None:
            self._made = await trio.to_thread.run_sync(self._schema.openapi_provider.schema)  # 30 ms
        return self._made


def register_openapi(app: QuartTrio, settings: Settings) -> Document:
    """Adds the route to the application. Register it after the routes that the document is to have."""
    schema = QuartSchema(
        openapi_path=None,
        redoc_ui_path=None,
        scalar_ui_path=None,
        swagger_ui_path=None,
        info=Info("miniapp-backend", metadata.version("miniapp-backend"), description=_ABOUT),
        tags=list(_TAGS),
        security_schemes=_security_schemes(settings),  # type: ignore[arg-type] # dict is invariant
        security=_security(settings),
        conversion_preference="msgspec",
        openapi_provider_class=_Provider,
    )
    schema.init_app(app)
    document = Document(schema)

    @app.get(PATH)
    @hide
    async def openapi() -> Response:
        """The document, in version 3.1."""
        return Response(msgspec.json.encode(await document.read()), content_type="application/json")

    return document


class _Provider(OpenAPIProvider):
    """Makes the document from described routes; others have no place in it."""

    def schema(self) -> dict[str, Any]:
        """The document, OpenAPI 3.1."""
        document = super().schema()
        document["paths"] = dict(sorted(document["paths"].items()))
        return document

    def generate_rules(self) -> Iterable[Rule]:
        """Described routes only."""
        return [rule for rule in super().generate_rules() if hasattr(self._view(rule), _DESCRIBED)]

    def build_paths(self, rule: Rule) -> tuple[dict[str, Any], dict[str, Any]]:
        """As quart-schema, with our summary: docstrings of routes speak to readers of the code."""
        paths, components = super().build_paths(rule)
        described: _Described = getattr(self._view(rule), _DESCRIBED)
        for operations in paths.values():
            for operation in operations.values():
                operation["summary"] = described.summary
                del operation["description"]
        return paths, components

    def operation_id(self, method: str, path: str, func: Callable[..., Any]) -> str:
        """One that is different for two paths of one route."""
        words = re.findall("[A-Za-z0-9]+", path) or ["index"]
        return "_".join([method.lower(), *words])

    def build_response_object(self, model: Any, headers_model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """An answer: in the envelope, or plain."""
        if isinstance(model, Plain):
            return {"description": model.about, "content": {model.content_type: {"schema": {"type": "string"}}}}, {}
        if isinstance(model, _Refused):
            schema, components = _schema_of(Envelope[ErrorData])
            answer = _json_answer("\n".join(f"* `{slug}`: {CATALOGUE[slug].when}" for slug in model.slugs), schema)
            answer["headers"] = _headers_of(model.slugs)
            return answer, components
        schema, components = _schema_of(Envelope[model])
        return _json_answer(model.__doc__ or "" if model else "No more than the envelope.", schema), components

    def build_request_body(self, model: Any, source: DataSource) -> tuple[dict[str, Any], dict[str, Any]]:
        """A body, which has to be there."""
        body, _ = super().build_request_body(model, source)
        schema, components = _schema_of(model)
        for content in body["content"].values():
            content["schema"] = schema
        return body | {"required": True}, components

    def _view(self, rule: Rule) -> Callable[..., Any]:
        view: Callable[..., Any] = self._app.view_functions[rule.endpoint]
        return view


def _as_model(described: object) -> Any:
    """quart-schema's decorators keep what they are given for our provider; their own types know no msgspec."""
    return described


_OF_TOKENS: Final = (Slug.UNAUTHENTICATED, Slug.TOKEN_EXPIRED, Slug.FORBIDDEN, Slug.NOT_CONFIGURED)


def _by_status(slugs: Iterable[Slug]) -> dict[int, tuple[Slug, ...]]:
    rows = {slug: CATALOGUE[slug].http_status for slug in dict.fromkeys(slugs)}
    return {status: tuple(slug for slug in rows if rows[slug] == status) for status in sorted(set(rows.values()))}


def _json_answer(about: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _headers_of(slugs: Iterable[Slug]) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if any(CATALOGUE[slug].retryable for slug in slugs):
        headers["Retry-After"] = {"description": "seconds", "schema": {"type": "integer", "minimum": 0}}
    if any(CATALOGUE[slug].http_status == HTTPStatus.UNAUTHORIZED for slug in slugs):
        headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
    return headers


def _schema_of(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    (schema,), components = msgspec.json.schema_components([model], ref_template=_REF)
    _type_choices(components)
    return schema, components


def _type_choices(schema: Any) -> None:
    """Gives choices of strings their type, which msgspec leaves out and programs that make clients look for."""
    if isinstance(schema, dict):
        if all(isinstance(choice, str) for choice in schema.get("enum", [None])):
            schema["type"] = "string"
        for inner in schema.values():
            _type_choices(inner)


def _security_schemes(settings: Settings) -> dict[str, APIKeySecurityScheme | HttpSecurityScheme]:
    schemes: dict[str, APIKeySecurityScheme | HttpSecurityScheme] = {}
    if settings.auth_mode is not AuthMode.OFF:
        schemes["bearer"] = HttpSecurityScheme("bearer", bearer_format="JWT")
        schemes["tokenHeader"] = APIKeySecurityScheme("token", "header")
    if settings.metrics_token:
        schemes[METRICS_SECURITY] = HttpSecurityScheme("bearer")
    return schemes


def _security(settings: Settings) -> list[dict[str, list[str]]]:
    """What routes that need a token ask for: either header. None with `AUTH_MODE=off`, when nobody is asked."""
    return [] if settings.auth_mode is AuthMode.OFF else [{"bearer": []}, {"tokenHeader": []}]
