"""The JSON schemas of docs/asyncapi.yaml: of msgspec from the message types, with their docstrings and limits. Pure.

A client's schema has what a client should send. The service takes more: numbers as text, and what is out of range.
"""

import ast
import copy
import inspect
import types
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from service.failures import CATALOGUE, Slug
from service.settings_reader import ENGINE_NAME
from service.stream import protocol, stream_settings
from service.stream.outcome import End, Outcome
from service.stream.protocol import (
    CLIENT_MESSAGES,
    SERVER_MESSAGES,
    Audio,
    AudioAccount,
    ErrorMessage,
    Finalize,
    GoAway,
    Hotword,
    Ready,
    Resume,
    ServerMessage,
    Start,
    Welcome,
    Word,
)
from service.stream.stream_settings import StreamSettings
from service.web import echo
from service.web.echo import Connected, Echoed

Schema = dict[str, Any]
"""A JSON schema, draft 7."""
SCHEMAS: Final = "#/components/schemas/"

ECHO_MESSAGES: Final[tuple[type[ServerMessage], ...]] = (Connected, Echoed)
_PARTS: Final = (Hotword, Resume, Word, AudioAccount)
_SAFE: Final = 2**53 - 1  # ECMAScript's Number.MAX_SAFE_INTEGER: what a client in JavaScript can say exactly
_MODES: Final[Mapping[str, tuple[int, ...]]] = {
    "word_info": (0, 1, 2, 100),
    "filter_dirty": (0, 1, 2),
    "filter_modal": (0, 1, 2),
    "filter_punc": (0, 1),
    "convert_num_mode": (0, 1, 3),
}
_RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "vad_silence_ms": stream_settings.VAD_SILENCE_MS,
    "old_vad_silence_ms": stream_settings.VAD_SILENCE_MS,
    "max_sentence_ms": stream_settings.SENTENCE_MS,
}
_ENGINE: Final[Schema] = {"pattern": f"^{ENGINE_NAME.pattern}$"}
_STREAM_ID: Final[Schema] = {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
_FLAG: Final[Schema] = {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}]}
_FLAG_OR_NULL: Final[Schema] = {"anyOf": [{"type": ["boolean", "null"]}, {"enum": [0, 1]}]}
_FORMATS: Final = (
    stream_settings.PCM, stream_settings.WAV, stream_settings.MP3, 1, 12, 8, 4, 6,
)  # fmt: skip
_REASONS: Final = [
    str(Outcome(end).close_reason) for end in (End.TIME_LIMIT, End.DRAINED, Slug.TOKEN_EXPIRED, Slug.QUOTA_EXCEEDED)
]


def _limits() -> Iterator[tuple[type[msgspec.Struct], str, Schema]]:
    """What the types do not say, by field; a `type` or `anyOf` replaces that of the type."""
    for name, modes in _MODES.items():
        yield Start, name, {"type": ["integer", "null"], "enum": [*modes, None]}
        yield Ready, name, {"enum": list(modes)}
    for name, (low, high) in _RANGES.items():
        yield Start, name, {"minimum": low, "maximum": high}
        if name in Ready.__struct_fields__:
            yield Ready, name, {"minimum": low, "maximum": high}
    yield Start, "engine_type", _ENGINE
    yield Ready, "engine_type", _ENGINE
    yield Start, "voice_format", {"type": ["string", "integer", "null"], "enum": [*_FORMATS, None]}
    yield Ready, "voice_format", {"enum": [*_FORMATS[:3], stream_settings.BY_CONTENT]}
    yield Start, "sample_rate", {"enum": [*stream_settings.SAMPLE_RATES, None]}
    yield Ready, "sample_rate", {"enum": list(stream_settings.SAMPLE_RATES)}
    yield Start, "need_vad", _FLAG_OR_NULL
    yield Start, "old_need_vad", _FLAG_OR_NULL | {"deprecated": True}
    yield Start, "old_vad_silence_ms", {"deprecated": True}
    yield Start, "hotwords", {"maxItems": stream_settings.MAX_HOTWORDS}
    yield Ready, "resumed_from", _STREAM_ID
    longest = stream_settings.MAX_HOTWORD_CHARACTERS
    yield Hotword, "word", {"minLength": 1, "maxLength": longest, "pattern": r"^[^\s|,]+$"}
    yield Hotword, "weight", {"enum": [*range(1, 12), stream_settings.SUPER_WEIGHT]}
    yield Resume, "stream_id", _STREAM_ID
    yield Resume, "sentences", {"minimum": 0, "maximum": stream_settings.MAX_SENTENCES}
    yield Resume, "settled_ms", {"minimum": 0, "maximum": stream_settings.MAX_SETTLED_MS}
    base64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
    yield Audio, "data", {"pattern": base64}
    yield Audio, "is_end", _FLAG
    yield Finalize, "id", {"maxLength": protocol.MAX_ECHO_BYTES, "minimum": -_SAFE, "maximum": _SAFE}
    yield Welcome, "protocol", {"const": protocol.PROTOCOL_VERSION}
    slugs = [str(row.slug) for row in CATALOGUE.values() if not row.http_only]
    yield ErrorMessage, "code", {"type": "string", "enum": slugs}
    yield GoAway, "reason", {"enum": _REASONS}


def schemas() -> dict[str, Schema]:
    """The schema of every message and of their parts, by the names of their types.

    Raises LookupError for a field without a docstring.
    """
    servers = (*SERVER_MESSAGES, *ECHO_MESSAGES)
    documented: dict[type[msgspec.Struct], type[msgspec.Struct]] = {
        kind: _documentable(kind) for kind in (*CLIENT_MESSAGES.values(), *servers, *_PARTS)
    }
    _, found = msgspec.json.schema_components(documented.values(), ref_template=SCHEMAS + "{name}")
    words = field_docstrings(protocol) | field_docstrings(echo)
    limits: dict[tuple[type[msgspec.Struct], str], Schema] = {}
    for kind, name, limit in _limits():
        limits[kind, name] = limits.get((kind, name), {}) | limit
    tags: dict[type[msgspec.Struct], str] = {kind: tag for tag, kind in CLIENT_MESSAGES.items()} | {
        kind: tag_of(kind) for kind in servers
    }
    described = {}
    for kind in documented:
        schema = found[kind.__name__]
        properties: dict[str, Schema] = {}
        if kind in tags:
            properties["type"] = {"const": tags[kind]}
        for item in msgspec.structs.fields(kind):
            try:
                description = words[kind.__name__, item.name]
            except KeyError:
                raise LookupError(f"{kind.__name__}.{item.name} has no docstring") from None
            plain = _flat(schema["properties"][item.encode_name])
            plain.pop("default", None)
            limited = _limited(plain, limits.get((kind, item.name), {}))
            properties[item.encode_name] = limited | _default(kind, item) | {"description": description}
        described[kind.__name__] = {
            "type": "object",
            "description": summary_of(kind),
            "required": [name for name in properties if name == "type" or name in _required(kind, schema)],
            "properties": properties,
        }
    return described


def tag_of(kind: type[ServerMessage]) -> str:
    """The `type` of a server's message."""
    return str(kind.__struct_config__.tag)


def summary_of(kind: type[msgspec.Struct]) -> str:
    """What a type is: the first paragraph of its docstring, with the names of fields as they are in JSON."""
    text = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    for item in msgspec.structs.fields(kind):
        text = text.replace(f"`{item.name}`", f"`{item.encode_name}`")
    return text


def field_docstrings(module: types.ModuleType) -> dict[tuple[str, str], str]:
    """The docstrings of the fields of a module's classes, by the names of class and field."""
    found = {}
    for cls in ast.parse(inspect.getsource(module)).body:
        if isinstance(cls, ast.ClassDef):
            for before, after in zip(cls.body, cls.body[1:], strict=False):
                match before, after:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found[cls.name, name] = " ".join(text.split())
    return found


def _documentable(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The type itself, or its like: msgspec cannot write the default of a field of raw JSON into a schema."""
    fields = msgspec.structs.fields(kind)
    if not any(isinstance(item.default, msgspec.Raw) for item in fields):
        return kind
    like = msgspec.defstruct(kind.__name__, [(item.name, Any, None) for item in fields])
    like.__doc__ = kind.__doc__
    return like


def _required(kind: type[msgspec.Struct], schema: Schema) -> set[str]:
    """What a client has to send; of a server's message all that it always has."""
    if not issubclass(kind, ServerMessage | Word | AudioAccount):
        return set(schema.get("required", ()))
    return {item.encode_name for item in msgspec.structs.fields(kind) if item.default is not msgspec.UNSET}


def _default(kind: type[msgspec.Struct], item: msgspec.structs.FieldInfo) -> Schema:
    """What holds where a client leaves the field out. A server leaves nothing out that has a default."""
    if kind is Start:
        value = getattr(StreamSettings(engine_type=""), item.name, None)
        return {"default": value} if value not in ("", (), None) else {}
    return {"default": item.default} if kind in (Hotword, Audio) and isinstance(item.default, int) else {}


def _flat(schema: Schema) -> Schema:
    """`anyOf` of plain types as a list of types; a reference that takes a description beside it."""
    if "$ref" in schema:
        return {"allOf": [schema]}
    choices = schema.get("anyOf", ())
    if choices and all(set(choice) <= {"type", "minimum", "contentEncoding"} for choice in choices):
        merged: Schema = {key: value for choice in choices for key, value in choice.items()}
        merged["type"] = [choice["type"] for choice in choices]
        return {**merged, **{key: value for key, value in schema.items() if key != "anyOf"}}
    return dict(schema)


def _limited(schema: Schema, limit: Schema) -> Schema:
    if {"type", "anyOf"} & set(limit):
        schema = {key: value for key, value in schema.items() if key not in ("type", "anyOf", "allOf")}
    return schema | copy.deepcopy(limit)
