"""What the server says, understood or refused."""

import json

import pytest

from loadtest.messages import (
    AudioAccount,
    Result,
    ServerError,
    ServerMessageError,
    Stopped,
    Welcome,
    Word,
    decode,
    encode,
)


def test_known_messages_become_values_and_unknown_fields_are_ignored() -> None:
    assert decode('{"type":"welcome","protocol":1,"heartbeatMs":5000,"later":true}') == Welcome(1, 5000)
    assert decode('{"type":"result","text":"go","isFinal":false,"index":3,"startMs":10,"endMs":20}') == Result(
        "go", is_final=False, index=3, start_ms=10, end_ms=20
    )
    final = (
        '{"type":"result","text":"go","isFinal":true,"endMs":20,"settledMs":20,"wordList":[{"word":"go","endMs":18}]}'
    )
    assert decode(final) == Result("go", is_final=True, end_ms=20, word_list=(Word(18),), settled_ms=20)
    assert decode('{"type":"error","code":"overloaded","retryable":true,"retryAfterMs":900}') == ServerError(
        "overloaded", retryable=True, retry_after_ms=900
    )
    assert decode('{"type":"stopped","text":"go","sentences":1,"audio":{"receivedMs":40}}') == Stopped(
        "go", 1, audio=AudioAccount(40)
    )


@pytest.mark.parametrize("message", ['{"type":"pong","t":1}', '{"type":"newer","timeLeftMs":1}', "{}", '{"type":1}'])
def test_types_that_are_not_acted_on_are_ignored(message: str) -> None:
    assert decode(message) is None


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "",
        "[]",
        "not json",
        '{"type":[]}',
        '{"type":"result"}',
        '{"type":"welcome","protocol":"one"}',
        '{"type":"welcome","protocol":1,"heartbeatMs":1' + "0" * 400 + "}",
        '{"type":"result","text":"","isFinal":true,"endMs":9007199254740992}',
        '{"type":"result","text":"","isFinal":true,"index":-1}',
        '{"type":"stopped","text":"","sentences":1' + "0" * 30 + "}",
        '{"type":"stopped","text":"","audio":{"receivedBytes":-1}}',
        '{"type":"later","deep":' + "[" * 100_000,
    ],
)
def test_what_is_no_message_of_the_protocol_is_refused(message: str | bytes) -> None:
    with pytest.raises(ServerMessageError):
        decode(message)


def test_fields_that_are_not_given_are_not_sent() -> None:
    assert json.loads(encode("start", voiceFormat="pcm", engineType=None)) == {"type": "start", "voiceFormat": "pcm"}
