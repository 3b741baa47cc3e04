"""From OpenAPI 3.1 to 3.0: what the older Swagger UI needs."""

import copy
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import pytest

from service.web.openapi_30 import as_30

ANY = TypeVar("ANY")


def schema_30(schema: dict[str, Any]) -> Any:
    return as_30({"openapi": "3.1.0", "components": {"schemas": {"It": schema}}})["components"]["schemas"]["It"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "integer", "minimum": 0}, {"type": "integer", "minimum": 0}),
        ({"type": "null"}, {"type": "object", "nullable": True, "enum": [None]}),
        (
            {"description": "d", "anyOf": [{"type": "integer"}, {"type": "null"}]},
            {"description": "d", "type": "integer", "nullable": True},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]},
            {"anyOf": [{"type": "integer"}, {"type": "string"}], "nullable": True},
        ),
        (
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
            {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        ),
        ({"$ref": "#/a"}, {"$ref": "#/a"}),
        ({"$ref": "#/a", "description": "d"}, {"allOf": [{"$ref": "#/a"}], "description": "d"}),
        (
            {"anyOf": [{"$ref": "#/a"}, {"type": "null"}]},
            {"allOf": [{"$ref": "#/a"}], "nullable": True},
        ),
        (
            {"type": "array", "items": {"anyOf": [{"type": "null"}, {"type": "string"}]}},
            {"type": "array", "items": {"type": "string", "nullable": True}},
        ),
        (  # a property may have any name
            {"type": "object", "properties": {"$ref": {"type": "string"}, "type": {"type": "null"}}},
            {
                "type": "object",
                "properties": {
                    "$ref": {"type": "string"},
                    "type": {"type": "object", "nullable": True, "enum": [None]},
                },
            },
        ),
    ],
)
def test_schemas(given: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy(given)
    assert schema_30(given) == expected
    assert given == before


def test_what_msgspec_makes() -> None:
    class Inner(msgspec.Struct):
        number: Annotated[int | None, msgspec.Meta(description="d")]

    class Outer(msgspec.Struct, Generic[ANY]):
        inner: Annotated[ANY, msgspec.Meta(description="d")]
        others: list[Inner | None] = msgspec.field(default_factory=list)

    _, components = msgspec.json.schema_components([Outer[Inner]], ref_template="#/components/schemas/{name}")
    converted = as_30({"openapi": "3.1.0", "info": {}, "components": {"schemas": components}})
    assert converted["openapi"] == "3.0.3"
    schemas = converted["components"]["schemas"]
    inner = {"$ref": "#/components/schemas/Inner"}
    assert schemas["Inner"]["properties"]["number"] == {"type": "integer", "nullable": True, "description": "d"}
    assert schemas["Outer_Inner_"]["properties"]["inner"] == {"allOf": [inner], "description": "d"}
    assert schemas["Outer_Inner_"]["properties"]["others"]["items"] == {"allOf": [inner], "nullable": True}
