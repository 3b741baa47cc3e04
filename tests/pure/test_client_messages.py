"""What docs/asyncapi.yaml lets a client say is what the service understands: any message by its schemas is accepted."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import assume, given
from hypothesis import strategies as st

from service.failures import Problem
from service.stream.protocol import CLIENT_MESSAGES, Start, parse
from service.stream.stream_settings import SUPER_WEIGHT, StreamSettings, settle
from tests.pure.test_protocol import WRONG_OTHERS, WRONG_START, _messages, wire
from tests.support.contract_check import DOCUMENT

Schema = dict[str, Any]
COMPONENTS: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))["components"]
TYPES = {"integer": int, "string": str, "boolean": bool}
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=5,
)


def check_of(name: str) -> jsonschema.Draft7Validator:
    return jsonschema.Draft7Validator({**COMPONENTS["messages"][name]["payload"], "components": COMPONENTS})


CHECKS = {name: check_of(name) for name in CLIENT_MESSAGES}


def values(schema: Schema) -> st.SearchStrategy[Any]:
    """Anything that a schema of the document allows; it knows the words that the document uses."""
    if "$ref" in schema:
        return values(COMPONENTS["schemas"][schema["$ref"].rpartition("/")[2]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([values(choice) for choice in schema["anyOf"]])
    kinds = schema.get("type")
    if kinds is None:
        return _json
    if isinstance(kinds, list):
        return st.one_of([values({**schema, "type": kind}) for kind in kinds])
    match kinds:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -(2**53) + 1), schema.get("maximum", 2**53 - 1))
        case "string" if "pattern" in schema:
            texts = st.from_regex(schema["pattern"], fullmatch=True)
            return texts.filter(lambda text: len(text) <= schema.get("maxLength", 1000))
        case "string":
            return st.text(st.characters(exclude_categories=["Cs"]), max_size=schema.get("maxLength", 100))
        case "array":
            return st.lists(values(schema["items"]), max_size=min(schema.get("maxItems", 5), 5))
        case "object":
            return objects(schema)
    raise NotImplementedError(kinds)


def objects(schema: Schema) -> st.SearchStrategy[Any]:
    """Objects with all that is required, some of the rest, and something that nobody knows."""
    properties = {name: values(value) for name, value in schema["properties"].items()}
    required = {name: properties.pop(name) for name in schema.get("required", ())}
    known = st.fixed_dictionaries(required, optional=properties)
    unknown = st.dictionaries(st.sampled_from(["x", "userId", "newer"]), _json, max_size=1)
    return st.builds(lambda one, other: {**other, **one}, known, unknown)


said = st.sampled_from(sorted(CLIENT_MESSAGES)).flatmap(lambda name: values(COMPONENTS["messages"][name]["payload"]))


@given(said)
def test_what_the_schemas_allow_is_understood(message: dict[str, Any]) -> None:
    CHECKS[message["type"]].validate(message)
    assume(len(json.dumps(message.get("t"))) <= 128)  # the size of `t` is nothing that a schema can say
    answer = parse(json.dumps(message))
    assert type(answer) is CLIENT_MESSAGES[message["type"]], answer


@given(values(COMPONENTS["schemas"]["Start"]))
def test_a_start_by_the_schema_is_in_force_as_it_was_said(message: dict[str, Any]) -> None:
    """Nothing is clamped, and nothing is refused but what depends on two fields or on the script of a word."""
    start = parse(json.dumps(message))
    assert isinstance(start, Start)
    settings = settle(start, "16k_zh")
    if isinstance(settings, Problem):
        assert depends_on_more(message), settings.message
        return
    ready = json.loads(settings.ready("s", "v").encode())
    for name in ("sampleRate", "vadSilenceMs", "maxSentenceMs", "wordInfo", "filterDirty", "convertNumMode", "needVad"):
        if message.get(name) is not None:
            assert ready[name] == message[name]
    assert settings.resume == start.resume


def depends_on_more(message: dict[str, Any]) -> bool:
    """Whether a `start` may be refused for what a schema does not say."""
    engine = message.get("engineType") or "16k_zh"
    words = message.get("hotwords", [])
    return (
        (engine.startswith("8k_") and message.get("sampleRate") == 16000)
        or any(word.get("weight") == SUPER_WEIGHT and engine not in ("8k_zh", "16k_zh") for word in words)
        or any(not word["word"].isprintable() or not word["word"].isascii() for word in words)
    )


def test_the_defaults_of_the_schema_are_those_in_force() -> None:
    ready = json.loads(StreamSettings("16k_zh").ready("s", "v").encode())
    defaults = {
        name: schema["default"]
        for name, schema in COMPONENTS["schemas"]["Start"]["properties"].items()
        if "default" in schema
    }
    assert set(defaults) == set(ready) - {"type", "streamId", "voiceId", "engineType", "hotwords"}
    assert defaults == {name: ready[name] for name in defaults}


# -- and what the service refuses, the schemas refuse ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "value"), [*(("start", field, value) for field, value in WRONG_START), *WRONG_OTHERS]
)
def test_a_wrong_field_is_wrong_by_the_schema(name: str, field: str, value: object) -> None:
    assert isinstance(parse(wire(type=name, **{field: value})), Problem)
    assert not CHECKS[name].is_valid({"type": name, field: value})


@pytest.mark.parametrize("data", ["A", "AAA", "AA=A", "-_8=", "AAAA!", "监理", "AAAA" * 1000 + "A"])
def test_invalid_base64_is_wrong_by_the_schema(data: str) -> None:
    assert isinstance(parse(wire(type="audio", data=data)), Problem)
    assert not CHECKS["audio"].is_valid({"type": "audio", "data": data})


@pytest.mark.parametrize(
    "resume",
    [{"streamId": "a b", "sentences": 0, "settledMs": 0}, {"streamId": "a", "sentences": -1, "settledMs": 0},
     {"streamId": "a", "sentences": 0, "settledMs": 86_400_001}, {"streamId": "a", "sentences": 0}, {}, "a"],
)  # fmt: skip
def test_a_wrong_resume_is_wrong_by_the_schema(resume: object) -> None:
    start = parse(wire(type="start", resume=resume))
    assert isinstance(start, Problem) or isinstance(settle(start, "16k_zh"), Problem)  # type: ignore[arg-type]
    assert not CHECKS["start"].is_valid({"type": "start", "resume": resume})


@pytest.mark.parametrize("name", ["", "Start", "pause", "welcome", None, 5])
def test_an_unknown_type_is_wrong_by_every_schema(name: object) -> None:
    assert isinstance(parse(wire(type=name)), Problem)
    assert not [check for check in CHECKS.values() if check.is_valid({"type": name})]


@given(_messages)
def test_what_is_refused_is_wrong_by_the_schema(text: str) -> None:
    """Any fields of any types: whatever the schemas allow of it, the service accepts, but for what they cannot say."""
    message = json.loads(text)
    answer = parse(text)
    if isinstance(answer, Problem) and "NaN" not in text and "Infinity" not in text:  # neither is JSON
        is_unsaid = "longer than" in answer.message or any(
            isinstance(value, float) and value.is_integer() for value in message.values()
        )
        assert is_unsaid or message["type"] not in CHECKS or not CHECKS[message["type"]].is_valid(message), answer


@pytest.mark.parametrize("text", ['{"type":"finalize","id":1.0}', '{"type":"audio","isEnd":1.0}'])
def test_what_a_schema_cannot_say(text: str) -> None:
    """That 1 is not to be written as 1.0, which is the same number; no encoder of JavaScript does."""
    message = json.loads(text)
    assert isinstance(parse(text), Problem)
    assert CHECKS[message["type"]].is_valid(message)
