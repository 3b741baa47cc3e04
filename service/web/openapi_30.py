"""An OpenAPI document of version 3.1 as one of 3.0. Pure.

swagger-ui-bundle 1.1.0, its newest release, has Swagger UI 4.15.5, which refuses 3.1; Swagger UI 5 reads it. What
differs in our documents: 3.0 has no type `null`, and nothing may stand beside `$ref`.
https://spec.openapis.org/oas/v3.0.3#schema-object
"""

from typing import Any, Final

VERSION: Final = "3.0.3"
_NULL: Final = {"type": "null"}


def as_30(document: dict[str, Any]) -> dict[str, Any]:
    """The same document in version 3.0; the one that is given stays as it is."""
    return {**_converted(document), "openapi": VERSION}


def _converted(value: Any) -> Any:
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if not isinstance(value, dict):
        return value
    value = {key: _converted(item) for key, item in value.items() if key != "anyOf"} | _choice(value)
    if value == _NULL:
        return {"type": "object", "nullable": True, "enum": [None]}
    if isinstance(value.get("$ref"), str) and len(value) > 1:
        return {"allOf": [{"$ref": value.pop("$ref")}], **value}
    return value


def _choice(schema: dict[str, Any]) -> dict[str, Any]:
    """What `anyOf` becomes: without null, `nullable` in its place; of one choice, that choice."""
    if "anyOf" not in schema:
        return {}
    choices = [_converted(choice) for choice in schema["anyOf"] if choice != _NULL]
    nullable = {"nullable": True} if len(choices) < len(schema["anyOf"]) else {}
    return (choices[0] if len(choices) == 1 else {"anyOf": choices}) | nullable
