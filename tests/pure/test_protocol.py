"""The client's contract: any text is understood or refused; the server's messages have the documented keys alone."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, problem
from service.stream import protocol
from service.stream.protocol import Audio, Cancel, ClientMessage, Finalize, Hotword, Ping, Resume, Start, Stop, parse
from service.stream.stream_settings import StreamSettings


def refused(text: str) -> Problem:
    answer = parse(text)
    assert isinstance(answer, Problem), text[:100]
    return answer


def wire(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False)


# -- what is understood ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"start"}', Start()),
        ('{"type":"audio"}', Audio(None, False)),
        ('{"type":"finalize"}', Finalize(None)),
        ('{"type":"stop"}', Stop()),
        ('{"type":"cancel"}', Cancel()),
        (' {"x": [1, {"type": "stop"}], "type" : "cancel" }\n', Cancel()),
        (wire(type="stop", reason="unknown fields are ignored", nested={"a": [None]}), Stop()),
        (wire(type="start", userId="never believed", volume=3), Start()),
        (wire(type="audio", data="AAECAw=="), Audio(b"\0\1\2\3", False)),
        (wire(type="audio", data=""), Audio(b"")),
        (wire(type="audio", data=None, isEnd=True), Audio(None, True)),
        (wire(type="audio", data="/+8=", isEnd=1), Audio(b"\xff\xef", True)),
        (wire(type="audio", isEnd=0), Audio(None, False)),
        (wire(type="audio", isEnd="true"), Audio(None, True)),
        (wire(type="finalize", id="field-1"), Finalize("field-1")),
        (wire(type="finalize", id="字" * 128), Finalize("字" * 128)),
        (wire(type="finalize", id=""), Finalize("")),
        (wire(type="finalize", id=-7), Finalize(-7)),
        (wire(type="finalize", id=10**127), Finalize(10**127)),
        (wire(type="finalize", id=None), Finalize(None)),
        (wire(type="start", sampleRate="8000", voiceFormat=12.0), Start(sample_rate=8000, voice_format=12)),
        (wire(type="start", voiceFormat="12"), Start(voice_format="12")),
        (wire(type="start", token="5", engineType="16k_en"), Start(token="5", engine_type="16k_en")),
        (wire(type="start", needvad=1, vadSilenceTime=700), Start(old_need_vad=True, old_vad_silence_ms=700)),
        (wire(type="start", needVad=0), Start(need_vad=False)),
        (wire(type="start", need_vad=False), Start()),  # names are camelCase
        (wire(type="start", hotwords=[{"word": "监理"}]), Start(hotwords=[Hotword("监理", 10)])),
        (
            wire(
                type="start", engineType="16k_zh", voiceFormat="pcm", sampleRate=16000, token="t", needVad=True,
                vadSilenceMs=800, maxSentenceMs=9000, wordInfo=2, hotwords=[{"word": "a", "weight": 3, "x": 0}],
                filterDirty=1, filterModal=2, filterPunc=True, convertNumMode=False,
            ),
            Start(
                "16k_zh", "pcm", 16000, "t", True, 800, 9000, 2, [Hotword("a", 3)], 1, 2, True, False
            ),
        ),
        (wire(type="start", **dict.fromkeys(["engineType", "voiceFormat", "sampleRate", "token", "needVad"])), Start()),
    ],
)  # fmt: skip
def test_understood(text: str, expected: ClientMessage) -> None:
    assert parse(text) == expected
    assert type(parse(text)) is type(expected)


def test_what_start_leaves_out_is_none() -> None:
    answer = parse('{"type":"start"}')
    assert isinstance(answer, Start)
    fields = msgspec.structs.asdict(answer)
    assert fields.pop("hotwords") == []
    assert len(fields) == 15
    assert set(fields.values()) == {None}


@pytest.mark.parametrize(
    "fields",
    [
        {"streamId": "a", "sentences": 3, "settledMs": 1200},
        {"streamId": "a", "sentences": "3", "settledMs": "1200"},
        {"streamId": "a", "sentences": 3.0, "settledMs": 1200.0, "x": [1]},
    ],
)
def test_resume_is_read_as_leniently_as_the_rest(fields: dict[str, object]) -> None:
    answer = parse(wire(type="start", resume=fields))
    assert isinstance(answer, Start)
    assert answer.resume == Resume("a", 3, 1200)


@pytest.mark.parametrize(
    "resume",
    [
        "x", True, 5, [], {}, {"streamId": "a"}, {"streamId": "a", "sentences": 3}, {"sentences": 3, "settledMs": 1200},
        {"streamId": 7, "sentences": 3, "settledMs": 1200}, {"streamId": None, "sentences": 3, "settledMs": 1200},
        {"streamId": "a", "sentences": 3.5, "settledMs": 1200}, {"streamId": "a", "sentences": 3, "settledMs": "late"},
        {"streamId": "a", "sentences": True, "settledMs": 1200}, {"streamId": "a", "sentences": 3, "settledMs": None},
    ],
)  # fmt: skip
def test_a_resume_that_cannot_be_read_is_a_bad_start(resume: object) -> None:
    answer = parse(wire(type="start", resume=resume))
    assert isinstance(answer, Problem)
    assert (answer.slug, answer.message[:22]) == (Slug.BAD_START, "Wrong field in start: ")


# -- what is refused ---------------------------------------------------------------------------------------------------

NOT_A_MESSAGE = [
    "", " ", "hello", "{", "[]", "null", "5", '"stop"', "NaN", "{}", '{"type":null}', '{"type":5}', '{"type":["stop"]}',
    "{'type':'stop'}", '{"type":"stop"}x', '{"type":"stop"}{"type":"stop"}', '{"type":"stop",}', '{"Type":"stop"}',
    '\ufeff{"type":"stop"}', '{"type":"stop","t":01}', '{"type":"stop","t":"a\tb"}', '{"type":"stop","t":"\\ud800"}',
    '{"type":"\ud800"}', "\udfff", '{"type":"ping","t":"\ud83d"}',
    "[" * 100_000, '{"type":' * 10_000, '{"type":"ping","t":' + "[" * 100_000, '{"type":"start","resume":' * 10_000,
    '{"type":"ping","t":' + "[" * 5000 + "]" * 5000 + "}", '{"type":"stop","x":' + '{"a":' * 5000 + "1" + "}" * 5001,
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_A_MESSAGE, ids=range(len(NOT_A_MESSAGE)))
def test_not_a_message(text: str) -> None:
    occurred = refused(text)
    assert occurred.message.startswith('Expected a JSON object with a "type": ')
    assert occurred == problem(Slug.BAD_MESSAGE, occurred.message)
    assert len(occurred.message) < 200


@pytest.mark.parametrize("name", ["", "Start", "START", "pause", "welcome", "result", "start "])
def test_unknown_type(name: str) -> None:
    expected = problem(
        Slug.BAD_MESSAGE, "Unknown type: expected one of start, audio, finalize, stop, cancel, ping"
    )  # fmt: skip
    assert refused(wire(type=name)) == expected


WRONG_START = [
    ("engineType", 5), ("engineType", []), ("voiceFormat", True), ("voiceFormat", 1.5), ("voiceFormat", {}),
    ("sampleRate", True), ("sampleRate", "fast"), ("sampleRate", 8000.5), ("token", 5), ("needVad", 2),
    ("needVad", "yes"), ("needVad", []), ("needvad", 7), ("vadSilenceMs", "soon"), ("vadSilenceTime", {}),
    ("maxSentenceMs", [1]), ("wordInfo", "all"), ("hotwords", None), ("hotwords", {}), ("hotwords", "监理|10"),
    ("filterDirty", "mask"), ("filterModal", [0]), ("filterPunc", {}), ("convertNumMode", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG_START)
def test_a_wrong_field_in_start(field: str, value: object) -> None:
    occurred = refused(wire(type="start", **{field: value}))
    assert occurred == problem(Slug.BAD_START, occurred.message)
    assert occurred.message.startswith("Wrong field in start: ")
    assert occurred.message.endswith(f"`$.{field}`")


@pytest.mark.parametrize(
    ("hotword", "place"),
    [({}, ""), ("a", ""), (None, ""), ({"word": 5}, ".word"), ({"word": "a", "weight": None}, ".weight"),
     ({"word": "a", "weight": 1.5}, ".weight")],
)  # fmt: skip
def test_a_wrong_hotword_is_located(hotword: object, place: str) -> None:
    occurred = refused(wire(type="start", hotwords=[{"word": "good"}, hotword]))
    assert occurred.slug is Slug.BAD_START
    assert occurred.message.endswith(f"`$.hotwords[1]{place}`" if place else "`$.hotwords[1]`") or (
        hotword == {} and occurred.message.endswith("`word` - at `$.hotwords[1]`")
    )


@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 5000, "1e30"])
@pytest.mark.parametrize("field", ["sampleRate", "vadSilenceMs", "voiceFormat", "wordInfo"])
def test_numbers_beyond_all_bounds(field: str, number: str) -> None:
    occurred = refused(f'{{"type":"start","{field}":{number}}}')
    assert occurred == problem(Slug.BAD_START, occurred.message)
    assert len(occurred.message) < 200


WRONG_OTHERS = [
    ("audio", "data", 5), ("audio", "data", []), ("audio", "isEnd", 2), ("audio", "isEnd", "maybe"),
    ("audio", "isEnd", None), ("finalize", "id", 1.5), ("finalize", "id", True), ("finalize", "id", ["a"]),
    ("finalize", "id", {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "field", "value"), WRONG_OTHERS)
def test_a_wrong_field_in_a_running_stream(name: str, field: str, value: object) -> None:
    occurred = refused(wire(type=name, **{field: value}))
    assert occurred == problem(Slug.BAD_MESSAGE, occurred.message)
    assert occurred.message.startswith(f"Wrong field in {name}: ")
    assert occurred.message.endswith(f"`$.{field}`")


@pytest.mark.parametrize("data", ["A", "AAA", "AA=A", "AAAA\n", "-_8=", "AAAA!", "监理", "AAAA" * 1000 + "A"])
def test_invalid_base64(data: str) -> None:
    assert refused(wire(type="audio", data=data)) == problem(
        Slug.BAD_MESSAGE, "Wrong field in audio: Invalid base64 encoded string - at `$.data`"
    )


def test_a_problem_does_not_repeat_what_was_sent() -> None:
    secret = "eyJhbGciOi-secret"
    texts = [wire(type=secret), secret, wire(type="start", token=[secret]), wire(type="start", sampleRate=secret),
             wire(type="audio", data=secret), wire(type="finalize", id=[secret])]  # fmt: skip
    assert not [text for text in texts if secret in refused(text).message]


@pytest.mark.parametrize("id", ["x" * 129, "字" * 129, 10**128, -(10**127)])
def test_a_finalize_with_a_long_id(id: object) -> None:
    expected = problem(Slug.BAD_MESSAGE, "finalize.id is longer than 128 characters")
    assert refused(wire(type="finalize", id=id)) == expected


@pytest.mark.parametrize("t", ["x" * 127, "字" * 43, list(range(100)), 10**128])
def test_a_ping_with_a_long_t(t: object) -> None:
    """128 bytes of JSON, the quotes included."""
    assert refused(wire(type="ping", t=t)) == problem(Slug.BAD_MESSAGE, "ping.t is longer than 128 bytes")


@pytest.mark.parametrize("t", ["x" * 126, "字" * 42, 10**127])
def test_a_ping_with_the_longest_t(t: object) -> None:
    answer = parse(wire(type="ping", t=t))
    assert isinstance(answer, Ping)
    assert len(bytes(answer.t)) == 128


def pong_to(text: str) -> str:
    answer = parse(text)
    assert isinstance(answer, Ping)
    return protocol.Pong(answer.t).encode()


@pytest.mark.parametrize(
    "t",
    ["null", "true", "0", "-0", "1.50", "1e999", "12345678901234567890123", '""', '"\\u5b57\\n"', '"字"', '[1,\n 2]',
     '{"a": {}}', "[[[[[[[[]]]]]]]]"],
)  # fmt: skip
def test_the_echo_is_verbatim(t: str) -> None:
    assert pong_to(f'{{"type":"ping","t": {t} }}') == f'{{"type":"pong","t":{t}}}'


def test_a_ping_without_t() -> None:
    assert pong_to('{"type":"ping"}') == '{"type":"pong","t":null}'


_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _text.filter(lambda text: len(text) < 11)
)
def test_any_scalar_comes_back_as_it_is(t: object) -> None:
    sent = json.dumps(t)
    assert pong_to(f'{{"t":{sent},"type":"ping"}}') == f'{{"type":"pong","t":{sent}}}'


@given(st.binary(max_size=300), st.booleans())
def test_any_audio_arrives(audio: bytes, is_end: bool) -> None:
    text = wire(type="audio", data=base64.b64encode(audio).decode(), isEnd=is_end)
    assert parse(text) == Audio(audio, is_end)


_types = st.sampled_from(["start", "audio", "finalize", "stop", "cancel", "ping", "other"])
_fields = st.sampled_from(
    ["engineType", "voiceFormat", "sampleRate", "token", "needVad", "vadSilenceMs", "maxSentenceMs", "wordInfo",
     "hotwords", "filterDirty", "convertNumMode", "resume", "needvad", "vadSilenceTime", "data", "isEnd", "id", "t",
     "word", "weight", "x"]
)  # fmt: skip
_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1", "null", "true", "AAAA"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_fields | st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
_messages = st.builds(
    lambda name, fields, ascii_only: json.dumps({"type": name, **fields}, ensure_ascii=ascii_only),
    _types,
    st.dictionaries(_fields, _values, max_size=4),
    st.booleans(),
)
_any_text = st.text(st.characters(exclude_categories=[]))  # lone surrogates included


def check(text: str) -> None:
    answer = parse(text)
    if isinstance(answer, Problem):
        assert answer == problem(answer.slug, answer.message)
        assert answer.slug in (Slug.BAD_MESSAGE, Slug.BAD_START)
        if answer.slug is Slug.BAD_START:
            assert json.loads(text)["type"] == "start"
        return
    sent: dict[str, Any] = json.loads(text)
    assert isinstance(answer, Start | Audio | Finalize | Stop | Cancel | Ping)
    assert type(answer).__name__.lower() == sent["type"]
    if isinstance(answer, Finalize):
        assert answer.id == sent.get("id")
    if isinstance(answer, Ping):
        assert json.loads(protocol.Pong(answer.t).encode()) == {"type": "pong", "t": sent.get("t")}


@given(_messages)
def test_any_fields_are_understood_or_refused(text: str) -> None:
    check(text)


@given(
    _any_text | _values.map(json.dumps) | st.tuples(_messages, st.integers(0, 50)).map(lambda pair: pair[0][: -pair[1]])
)
def test_any_text_is_understood_or_refused(text: str) -> None:
    check(text)


@given(_types, st.integers(0, 1100), st.sampled_from(["[", '{"a":']))
def test_any_nesting_is_understood_or_refused(name: str, depth: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    for text in (
        f'{{"type":"{name}","x":{opening * depth}0{closing * depth}}}',
        f'{{"resume":{opening * depth}0{closing * depth},"type":"{name}"}}',
    ):
        answer = parse(text)
        assert isinstance(answer, Start | Audio | Finalize | Stop | Cancel | Ping | Problem)


# -- what the server says ----------------------------------------------------------------------------------------------

ACCOUNT = protocol.AudioAccount(
    received_ms=10, relayed_ms=9, recognized_ms=8, dropped_ms=1, received_bytes=320, relayed_bytes=290, dropped_bytes=30
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            protocol.Welcome(timestamp=1767225600000, max_stream_ms=600000),
            '{"type":"welcome","timestamp":1767225600000,"maxStreamMs":600000,"protocol":1,"heartbeatMs":10000,'
            '"maxMessageBytes":65536}',
        ),
        (
            protocol.Welcome(timestamp=0, max_stream_ms=1000, resume=True),
            '{"type":"welcome","timestamp":0,"maxStreamMs":1000,"protocol":1,"heartbeatMs":10000,'
            '"maxMessageBytes":65536,"resume":true}',
        ),
        (
            protocol.Ready(
                stream_id="s", voice_id="v", engine_type="16k_zh", voice_format="pcm", sample_rate=16000, need_vad=True,
                vad_silence_ms=500, max_sentence_ms=60000, word_info=0, hotwords=(Hotword("监理", 11),), filter_dirty=0,
                filter_modal=1, filter_punc=0, convert_num_mode=1,
            ),
            '{"type":"ready","streamId":"s","voiceId":"v","engineType":"16k_zh","voiceFormat":"pcm","sampleRate":16000,'
            '"needVad":true,"vadSilenceMs":500,"maxSentenceMs":60000,"wordInfo":0,'
            '"hotwords":[{"word":"监理","weight":11}],"filterDirty":0,"filterModal":1,"filterPunc":0,"convertNumMode":1}',
        ),
        (
            StreamSettings("16k_zh", resume=Resume("old", 1, 2)).ready("s", "v"),
            '{"type":"ready","streamId":"s","voiceId":"v","engineType":"16k_zh","voiceFormat":"pcm","sampleRate":16000,'
            '"needVad":true,"vadSilenceMs":1000,"maxSentenceMs":60000,"wordInfo":0,"hotwords":[],"filterDirty":0,'
            '"filterModal":0,"filterPunc":0,"convertNumMode":1,"resumedFrom":"old"}',
        ),
        (
            protocol.Result("v", 0, "go", False, 410, 700),
            '{"type":"result","voiceId":"v","index":0,"text":"go","isFinal":false,"startMs":410,"endMs":700,'
            '"wordList":[]}',
        ),
        (
            protocol.Result("v", 1, "go\n", True, 410, 700, (protocol.Word("go", 410, 700, True),), settled_ms=700),
            '{"type":"result","voiceId":"v","index":1,"text":"go\\n","isFinal":true,"startMs":410,"endMs":700,'
            '"wordList":[{"word":"go","startMs":410,"endMs":700,"stable":true}],"settledMs":700}',
        ),
        (protocol.Finalized("a", 1600, 1), '{"type":"finalized","id":"a","audioMs":1600,"sentences":1}'),
        (protocol.Finalized(7, 0, 0), '{"type":"finalized","id":7,"audioMs":0,"sentences":0}'),
        (protocol.Finalized(None, 0, 0), '{"type":"finalized","id":null,"audioMs":0,"sentences":0}'),
        (
            protocol.Stopped("go", 1, 3350, ACCOUNT),
            '{"type":"stopped","text":"go","sentences":1,"durationMs":3350,"audio":{"receivedMs":10,"relayedMs":9,'
            '"recognizedMs":8,"droppedMs":1,"receivedBytes":320,"relayedBytes":290,"droppedBytes":30},"logId":null}',
        ),
        (
            protocol.ErrorMessage.of(problem(Slug.OVERLOADED, "Full.", retry_after_ms=1840)),
            '{"type":"error","code":"overloaded","message":"Full.","retryable":true,"retryAfterMs":1840,"fatal":true}',
        ),
        (
            protocol.ErrorMessage.of(problem(Slug.BAD_MESSAGE, "Eh?")),
            '{"type":"error","code":"bad_message","message":"Eh?","retryable":false,"retryAfterMs":null,"fatal":false}',
        ),
        (
            protocol.ErrorMessage.of(
                Problem(problem(Slug.BAD_MESSAGE, "").failure, "Eh?", recognizer_code=4001, fatal_now=True)
            ),
            '{"type":"error","code":"bad_message","message":"Eh?","retryable":false,"retryAfterMs":null,"fatal":true}',
        ),
        (
            protocol.ErrorMessage.of(Problem(problem(Slug.AUDIO_LOST, "").failure, "Lost.", from_ms=0, to_ms=1200)),
            '{"type":"error","code":"audio_lost","message":"Lost.","retryable":false,"retryAfterMs":null,"fatal":false,'
            '"fromMs":0,"toMs":1200}',
        ),
        (
            protocol.GoAway(time_left_ms=12_000, reason="restarting"),
            '{"type":"goaway","timeLeftMs":12000,"reason":"restarting"}',
        ),
        (protocol.Pong(msgspec.Raw(b'"x"')), '{"type":"pong","t":"x"}'),
    ],
)  # fmt: skip
def test_server_message(message: Any, expected: str) -> None:
    assert message.encode() == expected
