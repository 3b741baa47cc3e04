"""docs/asyncapi.yaml is what the types say, valid by AsyncAPI's own schema, and tells of everything there is."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
import yaml  # type: ignore[import-untyped]

from ops import asyncapi_schemas
from ops.asyncapi_doc import PAGE, page
from ops.asyncapi_examples import EXAMPLES, Example
from ops.asyncapi_schemas import ECHO_MESSAGES, field_docstrings, schemas, summary_of, tag_of
from service.failures import CATALOGUE, NORMAL_CLOSE, Slug
from service.stream import protocol
from service.stream.outcome import End, Outcome
from service.stream.protocol import CLIENT_MESSAGES, SERVER_MESSAGES, ServerMessage
from service.stream.upgrade import bearer_of, chosen_subprotocol
from service.web import echo, voice

ROOT = Path(__file__).parents[2]
REWRITE = "write it anew: python -m ops.asyncapi_doc"
DOCUMENT: dict[str, Any] = yaml.safe_load(PAGE.read_text(encoding="utf-8"))
COMPONENTS: dict[str, Any] = DOCUMENT["components"]
STREAM: dict[str, Any] = DOCUMENT["channels"]["voiceStream"]
SPECIFICATION = jsonschema.Draft7Validator(json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text()))


def refs(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from refs(value)


def resolved(ref: str) -> Any:
    node: Any = DOCUMENT
    for part in ref.removeprefix("#/").split("/"):
        node = node[part]
    return node


def type_name(kind: type[msgspec.Struct]) -> str:
    """The `type` of a message, of either side."""
    said: dict[type[msgspec.Struct], str] = {kind: tag for tag, kind in CLIENT_MESSAGES.items()}
    return said.get(kind) or str(kind.__struct_config__.tag)


def payload_check(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({**COMPONENTS["messages"][name]["payload"], "components": COMPONENTS})


def test_the_page_is_what_the_types_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), REWRITE


# -- a document of AsyncAPI --------------------------------------------------------------------------------------------


def test_it_follows_the_specification() -> None:
    SPECIFICATION.validate(DOCUMENT)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["asyncapi"], "3.5.0"),
        (["info", "title"], None),
        (["channels", "voiceStream", "adress"], "/"),
        (["channels", "voiceStream", "bindings", "ws", "method"], "PATCH"),
        (["operations", "start", "action"], "publish"),
        (["components", "schemas", "Welcome", "properties", "resume", "type"], "bool"),
        (["components", "messages", "welcome", "payloads"], {}),
        (["components", "securitySchemes", "bearer", "type"], "jwt"),
    ],
)
def test_the_specification_would_refuse_what_is_wrong(path: list[str], value: object) -> None:
    wrong = copy.deepcopy(DOCUMENT)
    node = wrong
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    assert not SPECIFICATION.is_valid(wrong)


def test_every_reference_leads_somewhere() -> None:
    found = set(refs(DOCUMENT))
    assert len(found) > 60
    assert all(resolved(ref) for ref in found)


@pytest.mark.parametrize("name", COMPONENTS["schemas"])
def test_every_schema_is_one_of_draft_7(name: str) -> None:
    jsonschema.Draft7Validator.check_schema(COMPONENTS["schemas"][name])


def test_messages_of_an_operation_are_those_of_its_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        inside = operation["channel"]["$ref"] + "/messages/"
        named = operation["messages"] + operation.get("reply", {}).get("messages", [])
        assert all(message["$ref"].startswith(inside) for message in named)


# -- everything that is said -------------------------------------------------------------------------------------------


def test_every_type_of_the_service_is_there() -> None:
    said = {kind for kind in ServerMessage.__subclasses__() if kind.__module__.startswith("service.")}
    assert said == {*SERVER_MESSAGES, *ECHO_MESSAGES}
    binary_and_text = {"audioFrame", "text", "binary"}
    assert set(COMPONENTS["messages"]) == {*map(type_name, said), *CLIENT_MESSAGES} | binary_and_text


@pytest.mark.parametrize("side", ["client", "service"])
def test_who_says_what(side: str) -> None:
    """An operation of the service is `receive` for what the client says, and its reply is what the service says."""
    said = set()
    for operation in DOCUMENT["operations"].values():
        is_client = operation["action"] == "receive"
        assert operation["summary"].startswith("The client sends" if is_client else "The service sends")
        part = operation if is_client == (side == "client") else operation.get("reply", {})
        said |= {message["$ref"].rpartition("/")[2] for message in part.get("messages", ())}
    kinds = CLIENT_MESSAGES.values() if side == "client" else (*SERVER_MESSAGES, *ECHO_MESSAGES)
    assert said - {"audioFrame", "text", "binary"} == {type_name(kind) for kind in kinds}
    assert ("audioFrame" in said) == (side == "client")


def test_the_routes_are_those_of_the_service() -> None:
    addresses = {channel["address"] for channel in DOCUMENT["channels"].values()}
    assert addresses == {voice.PATH, *echo.PATHS}
    assert DOCUMENT["info"]["version"] == str(protocol.PROTOCOL_VERSION)


def test_a_field_without_a_docstring_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {key: text for key, text in field_docstrings(protocol).items() if key != ("GoAway", "reason")}
    monkeypatch.setattr(asyncapi_schemas, "field_docstrings", lambda module: words)
    with pytest.raises(LookupError, match=r"^GoAway\.reason has no docstring$"):
        schemas()


def test_every_field_and_type_is_described() -> None:
    for name, schema in COMPONENTS["schemas"].items():
        assert schema["description"], name
        for field, value in schema["properties"].items():
            assert field == "type" or value["description"].endswith("."), (name, field)


def test_the_page_for_people_names_every_field() -> None:
    """docs/protocol.md explains what docs/asyncapi.yaml lists."""
    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert "](asyncapi.yaml)" in text
    examples = {"word", "weight", "startMs", "endMs", "stable"}  # those in objects are named within their examples
    for name, schema in COMPONENTS["schemas"].items():
        for field in set(schema["properties"]) - {"type"} - ({"timestamp", "data"} if name == "Echoed" else set()):
            assert f"`{field}`" in text or (field in examples and re.search(rf"\b{field}\b", text)), (name, field)


def test_names_of_fields_are_those_of_json() -> None:
    assert summary_of(protocol.Finalized) == "Everything before `audioMs` is settled."


# -- failures and closes -----------------------------------------------------------------------------------------------


def test_every_failure_of_a_stream_is_there() -> None:
    """Read from the file, and not by way of the generator."""
    found = STREAM["x-failures"]
    assert {Slug(slug) for slug in found} == {row.slug for row in CATALOGUE.values() if not row.http_only}
    assert COMPONENTS["schemas"]["ErrorMessage"]["properties"]["code"]["enum"] == list(found)
    for slug, said in found.items():
        row = CATALOGUE[Slug(slug)]
        expected = (row.fatal, row.retryable, str(row.blame), row.when, row.remedy)
        assert (said["fatal"], said["retryable"], said["blame"], said["when"], said["remedy"]) == expected
        assert said.get("fatalAt") == row.fatal_at
        assert said.get("closeCode") == (row.close_code if row.fatal or row.fatal_at else None)


def test_every_close_code_is_there() -> None:
    codes = {int(code): meaning for code, meaning in STREAM["x-closeCodes"].items()}
    outcomes = [Outcome(end) for end in End] + [Outcome(row.slug) for row in CATALOGUE.values()]
    assert {outcome.close_code for outcome in outcomes} <= set(codes)
    assert list(codes) == sorted(codes)
    assert codes.pop(NORMAL_CLOSE) == "after `stopped` or `cancel`"
    assert {codes.pop(code) for code in (1002, 1007)}  # of the WebSocket itself: no failure is behind them
    for code, slugs in codes.items():
        assert all(CATALOGUE[Slug(slug)].close_code == code for slug in slugs), code


def test_the_goodbyes_are_those_that_come() -> None:
    reasons = COMPONENTS["schemas"]["GoAway"]["properties"]["reason"]["enum"]
    early = (End.TIME_LIMIT, End.DRAINED, Slug.TOKEN_EXPIRED, Slug.QUOTA_EXCEEDED)
    assert set(reasons) == {Outcome(end).close_reason for end in early}


# -- security ----------------------------------------------------------------------------------------------------------


def test_a_token_is_found_where_the_document_says() -> None:
    schemes = COMPONENTS["securitySchemes"]
    assert set(schemes) == {"bearer", "tokenHeader", "subprotocol"}
    secured = DOCUMENT["operations"]["start"]["security"]
    assert {item["$ref"].rpartition("/")[2] for item in secured} == set(schemes)
    headers = STREAM["bindings"]["ws"]["headers"]["properties"]
    assert {scheme.get("name", "Authorization") for scheme in schemes.values()} == set(headers)

    (offered,) = re.findall(r"`(\S+, \S+)`", schemes["subprotocol"]["description"])
    names = offered.split(", ")
    assert bearer_of("", "", names) == "TOKEN"
    assert chosen_subprotocol(names) == "voice.v1"
    assert offered in headers["Sec-WebSocket-Protocol"]["description"]
    assert bearer_of("Bearer TOKEN", "", []) == "TOKEN"
    assert re.search(headers["Authorization"]["pattern"], "Bearer TOKEN")
    assert bearer_of("", "TOKEN", []) == "TOKEN"


# -- examples ----------------------------------------------------------------------------------------------------------


def test_every_type_has_an_example() -> None:
    assert {type(example.message) for example in EXAMPLES} == {
        *CLIENT_MESSAGES.values(),
        *SERVER_MESSAGES,
        *ECHO_MESSAGES,
    }


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: f"{type_name(type(one.message))}-{one.name}")
def test_an_example_is_a_real_message(example: Example) -> None:
    """What stands in the file is decoded again, by the service's own parser or its type, and is by its schema."""
    name = type_name(type(example.message))
    (written,) = (one for one in COMPONENTS["messages"][name]["examples"] if one["name"] == example.name)
    text = json.dumps(written["payload"])
    if isinstance(example.message, ServerMessage):
        assert msgspec.json.decode(text, type=type(example.message)) == example.message
        assert json.loads(example.message.encode()) == written["payload"]
    else:
        assert protocol.parse(text) == example.message
    payload_check(name).validate(written["payload"])


@pytest.mark.parametrize("kind", [*SERVER_MESSAGES, *ECHO_MESSAGES], ids=tag_of)
def test_the_schema_refuses_a_message_with_a_field_less(kind: type[ServerMessage]) -> None:
    check = payload_check(tag_of(kind))
    for example in EXAMPLES:
        if type(example.message) is kind:
            payload = example.payload
            optional = {"resume", "resumedFrom", "settledMs", "fromMs", "toMs"} & set(payload)
            for field in set(payload) - optional:
                assert not check.is_valid({name: value for name, value in payload.items() if name != field}), field
            for field in optional:
                assert check.is_valid({name: value for name, value in payload.items() if name != field}), field
