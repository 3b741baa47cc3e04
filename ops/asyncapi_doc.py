"""Writes docs/asyncapi.yaml, the WebSocket contract as AsyncAPI 3: `python -m ops.asyncapi_doc`. Pure but for `main`.

Messages and schemas come from the types of service/stream/protocol.py and service/web/echo.py, close codes and
failures from service/failures.py. What is here are the channels, the operations, and who says what when.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

from ops.asyncapi_examples import EXAMPLES
from ops.asyncapi_schemas import ECHO_MESSAGES, SCHEMAS, Schema, schemas, summary_of, tag_of
from service.failures import CATALOGUE, NORMAL_CLOSE, Failure
from service.stream.clocks import IDLE_S
from service.stream.endpoint import START_S
from service.stream.protocol import CLIENT_MESSAGES, PROTOCOL_VERSION, SERVER_MESSAGES
from service.stream.upgrade import SUBPROTOCOL
from service.web import echo, voice

PAGE: Final = Path(__file__).parents[1] / "docs" / "asyncapi.yaml"
ASYNCAPI: Final = "3.0.0"
_WS_BINDING: Final = "0.1.0"
_BROWSERS: Final = f"`{SUBPROTOCOL}, bearer.TOKEN`"
"""The subprotocols that a browser offers, see `service.stream.upgrade`."""
_HEAD: Final = "# Written by `python -m ops.asyncapi_doc` from the types of the service: change it there.\n"

_ABOUT: Final = f"""\
A voice gateway for WeChat mini-programs: speech goes up one WebSocket, words come down while the person is talking.
This is protocol {PROTOCOL_VERSION}, for programs. People read docs/protocol.md, and docs/failures.md for the failures.

The application of this document is the service: with `action: receive` the client speaks and the service hears,
with `action: send` the service speaks and the client hears.

A stream goes so:

    connect → welcome → start → ready → audio … → result … → stop → result (final) → stopped → close 1000

Audio goes as binary frames, everything else as JSON text with a `type`. Unknown fields and unknown types are ignored
in both directions, so that each side can be newer than the other. A connection that cannot be taken at all gets
HTTP 503 with `Retry-After` instead of an upgrade; everything else is said in-band, in an `error` message, since
neither a mini-program nor a browser can read the answer to a failed upgrade.

After a break of the connection, or a fatal error that is retryable, the client opens a new one and says `start` with
`resume`; it sends again the audio since the last `settledMs`.
"""

_BROKEN: Final = {1002: "a frame is not as RFC 6455 has it", 1007: "a text message is not UTF-8"}
"""What the WebSocket itself closes with, without an `error` before."""

_STREAM_ABOUT: Final = f"""\
One connection carries one stream. Times are milliseconds on the clock of the client's own audio. `start` must come
within {START_S:g} s, any byte within {IDLE_S:g} s. A fatal `error` is followed by a close with the code that
`x-failures` has for it. A close that neither `error` nor `stopped` came before is a broken link.
"""

_ECHO_ABOUT: Final = """\
For finding out what a network or a platform does to a WebSocket. It needs no token. Text comes back as `echo`,
binary as it came.
"""


@dataclass(frozen=True, slots=True)
class _Operation:
    """Something that one side says to the other, and what the other answers."""

    name: str
    by_client: bool
    messages: tuple[str, ...]
    purpose: str
    replies: tuple[str, ...] = ()


def _client(name: str, *messages: str, purpose: str, replies: tuple[str, ...] = ()) -> _Operation:
    return _Operation(name, True, messages, purpose, replies)


def _service(name: str, *messages: str, purpose: str) -> _Operation:
    return _Operation(name, False, messages, purpose)


_STREAM_OPERATIONS: Final = (
    _service("greet", "welcome", purpose="At once, and only once."),
    _client("start", "start", purpose="Asks for the stream; the token is checked here.", replies=("ready", "error")),
    _client("sendAudio", "audioFrame", "audio", purpose="Speech, as it is recorded; before `ready` it is kept."),
    _service("tellResult", "result", purpose="Words, as they are recognized."),
    _client(
        "finalize", "finalize", purpose="Settles what was said so far; the stream goes on.", replies=("finalized",)
    ),
    _client("stop", "stop", purpose="Ends the audio. The rest is settled, then close 1000.", replies=("stopped",)),
    _client("cancel", "cancel", purpose="Drops the stream: close 1000, and no results are owed."),
    _client("ping", "ping", purpose="Heartbeat: every `heartbeatMs` while nothing else is sent.", replies=("pong",)),
    _service("tellProblem", "error", purpose="Whatever is wrong; a fatal one is followed by the close."),
    _service("sayGoodbye", "goaway", purpose="The stream will end soon: finish the sentence, `stop`, connect again."),
)
_ECHO_OPERATIONS: Final = (
    _service("greetEcho", "connected", purpose="At once; not with `raw`."),
    _client("echoText", "text", purpose="Comes back as `echo`; with `raw` as it came.", replies=("echo", "text")),
    _client("echoBinary", "binary", purpose="Comes back as it came.", replies=("binary",)),
)


def document() -> dict[str, Any]:
    """The whole document."""
    messages = _messages()
    stream = ["audioFrame", *CLIENT_MESSAGES, *map(tag_of, SERVER_MESSAGES)]
    echoed = ["text", "binary", *map(tag_of, ECHO_MESSAGES)]
    channels = {
        "voiceStream": _channel(voice.PATH, "A voice stream", _STREAM_ABOUT, stream, _stream_binding())
        | {"x-closeCodes": _close_codes(), "x-failures": _failures()},
    }
    for name, path in zip(("echo", "echoAlias"), echo.PATHS, strict=True):
        channels[name] = _channel(path, "An echo", _ECHO_ABOUT, echoed, _echo_binding()) | {
            "x-closeCodes": {
                "1009": "a message is larger than the service's `TEST_WS_MAX_BYTES`",
                "1013": f"all {echo.MAX_ECHOES} places are taken",
                "4408": f"nothing came for {echo.IDLE_S:.0f} s, with `quiet` for {echo.QUIET_IDLE_S:.0f} s",
            }
        }
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "miniapp-backend: voice streams",
            "version": str(PROTOCOL_VERSION),
            "description": _ABOUT,
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": channels,
        "operations": _operations("voiceStream", _STREAM_OPERATIONS)
        | _operations("echo", _ECHO_OPERATIONS)
        | _operations("echoAlias", _ECHO_OPERATIONS, suffix="Alias"),
        "components": {"messages": messages, "schemas": schemas(), "securitySchemes": _security_schemes()},
    }


def _servers() -> dict[str, Any]:
    return {
        "deployment": {
            "host": "{host}",
            "protocol": "wss",
            "description": "Where it is deployed; mini-programs in production need wss and a registered domain.",
            "variables": {
                "host": {"description": "The host, with its port unless that is 443.", "default": "localhost"}
            },
        },
        "local": {
            "host": "127.0.0.1:8000",
            "protocol": "ws",
            "description": "A developer's machine, after `make serve`: no token is needed.",
        },
    }


def _channel(path: str, title: str, about: str, messages: Iterable[str], binding: Schema) -> dict[str, Any]:
    return {
        "address": path,
        "title": title,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": binding},
    }


def _stream_binding() -> Schema:
    return {
        "method": "GET",
        "headers": {
            "type": "object",
            "properties": {
                "Authorization": {"type": "string", "pattern": "^[Bb]earer .+$", "description": "`Bearer TOKEN`."},
                "token": {"type": "string", "description": "The token, for clients of the former service."},
                "Sec-WebSocket-Protocol": {
                    "type": "string",
                    "description": f"{_BROWSERS}, for browsers, which cannot set headers; "
                    f"the service chooses `{SUBPROTOCOL}`.",
                },
            },
        },
        "bindingVersion": _WS_BINDING,
    }


def _echo_binding() -> Schema:
    flag = {"type": "string", "enum": ["0", "1", "true"], "default": "0"}
    return {
        "method": "GET",
        "query": {
            "type": "object",
            "properties": {
                "raw": {**flag, "description": "`1`: no `connected`, and text comes back as it came."},
                "quiet": {**flag, "description": "`1`: no pings of the server, and a longer limit without a byte."},
            },
        },
        "bindingVersion": _WS_BINDING,
    }


def _operations(channel: str, operations: Iterable[_Operation], *, suffix: str = "") -> dict[str, Any]:
    place = f"#/channels/{channel}"
    found: dict[str, Any] = {}
    for one in operations:
        way = "The client sends, the service receives" if one.by_client else "The service sends, the client receives"
        operation: dict[str, Any] = {
            "action": "receive" if one.by_client else "send",
            "channel": {"$ref": place},
            "summary": f"{way}. {one.purpose}",
            "messages": [{"$ref": f"{place}/messages/{message}"} for message in one.messages],
        }
        if one.replies:
            answers = [{"$ref": f"{place}/messages/{message}"} for message in one.replies]
            operation["reply"] = {"channel": {"$ref": place}, "messages": answers}
        if one.name == "start":
            operation["security"] = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _security_schemes()]
        found[one.name + suffix] = operation
    return found


def _security_schemes() -> dict[str, Any]:
    """One of them, or `token` in `start`, where the service asks for authentication (`AUTH_MODE=token`)."""
    return {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A JWT (HS256, with `exp`). It may also stand in `token` of `start`; that of the request "
            "goes first. Never in the query string: addresses end up in logs.",
        },
        "tokenHeader": {
            "type": "httpApiKey",
            "in": "header",
            "name": "token",
            "description": "The same token, as clients of the former service send it.",
        },
        "subprotocol": {
            "type": "httpApiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": f"The same token among the subprotocols: {_BROWSERS}.",
        },
    }


def _messages() -> dict[str, Any]:
    found: dict[str, Any] = {
        "audioFrame": _frame(
            "audioFrame", "Client to service. Audio in any cut, odd lengths and empty frames included."
        ),
        "text": {
            "name": "text",
            "title": "text",
            "summary": "Either way, in an echo: any text frame.",
            "contentType": "text/plain",
            "payload": {"type": "string"},
        },
        "binary": _frame("binary", "Either way, in an echo: any binary frame."),
    }
    for tag, kind in CLIENT_MESSAGES.items():
        found[tag] = _message(tag, kind, "Client to service")
    for said in (*SERVER_MESSAGES, *ECHO_MESSAGES):
        found[tag_of(said)] = _message(tag_of(said), said, "Service to client")
    return found


def _frame(name: str, summary: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": "application/octet-stream",
        "payload": {"type": "string", "format": "binary"},
    }


def _message(tag: str, kind: type[Any], way: str) -> dict[str, Any]:
    return {
        "name": tag,
        "title": tag,
        "summary": f"{way}. {summary_of(kind)}",
        "contentType": "application/json",
        "payload": {"$ref": f"{SCHEMAS}{kind.__name__}"},
        "examples": [
            {"name": example.name, "summary": example.summary, "payload": example.payload}
            for example in EXAMPLES
            if type(example.message) is kind
        ],
    }


def _in_streams() -> list[Failure]:
    return [row for row in CATALOGUE.values() if not row.http_only]


def _close_codes() -> dict[str, Any]:
    """Every code that the service closes a stream with, and the failures behind it."""
    codes: dict[int, Any] = {NORMAL_CLOSE: "after `stopped` or `cancel`", **_BROKEN}
    for row in _in_streams():
        if row.fatal or row.fatal_at is not None:
            codes.setdefault(row.close_code, []).append(str(row.slug))
    return {str(code): codes[code] for code in sorted(codes)}


def _failures() -> dict[str, Any]:
    """The catalogue, without what is said over HTTP only."""
    return {
        str(row.slug): {
            "when": row.when,
            "remedy": row.remedy,
            "blame": str(row.blame),
            "fatal": row.fatal,
            **({} if row.fatal_at is None else {"fatalAt": row.fatal_at}),
            "retryable": row.retryable,
            **({"closeCode": row.close_code} if row.fatal or row.fatal_at is not None else {}),
        }
        for row in _in_streams()
    }


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # the library has no types
    """Texts of several lines as blocks, and nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> object:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def page() -> str:
    """The document as YAML."""
    return _HEAD + str(yaml.dump(document(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=118))


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
