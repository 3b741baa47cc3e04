"""Tencent's side: the signature against published vectors, its messages, and what its codes mean for our clients."""

import base64
import hashlib
import hmac
import json
import re
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug, problem
from service.localasr import signature as verifier
from service.recognizer import tencent
from service.recognizer.tencent import (
    ERROR_LABELS,
    KNOWN_CODES,
    Accepted,
    GarbledError,
    HeardWord,
    Refused,
    SentenceResult,
    Settled,
    Trouble,
    code_label,
    decode,
    problem_of,
    resource,
    signature,
)
from service.settings import TencentCredentials

APP_ID, SECRET_ID = "1250000000", "AKIDEXAMPLE0000000000000000000000000"
SECRET_KEY = "SECRETKEYEXAMPLE0000000000000000"
ACCOUNT = TencentCredentials(APP_ID, SECRET_ID, SECRET_KEY)
NOW_S = 1_700_000_000

# The vectors, computed with the vendor's own SDK. It lets a signature live for a day.
COMMON = {
    "engine_model_type": "16k_zh",
    "needvad": "1",
    "voice_format": "1",
    "voice_id": "c64385ee-3e5c-4fc5-bbfd-7c71addb35b0",
}
MORE = {"filter_empty_result": "0", "hotword_list": "腾讯云|10,ASR|11", "noise_threshold": "0.5"}
DAY_S = 86400
VECTORS = {
    "A": (
        COMMON,
        1234567890,
        "dxOQ4QGTNmXhXEReSGscA8QlWS0=",
        "/asr/v2/1250000000?engine_model_type=16k_zh&expired=1700086400&needvad=1&nonce=1234567890"
        "&secretid=AKIDEXAMPLE0000000000000000000000000&timestamp=1700000000&voice_format=1"
        "&voice_id=c64385ee-3e5c-4fc5-bbfd-7c71addb35b0&signature=dxOQ4QGTNmXhXEReSGscA8QlWS0%3D",
    ),
    "B": (
        COMMON | MORE,
        1234567890,
        "tzYLXaQREHBtGNJSmdNQCPk5mko=",
        "/asr/v2/1250000000?engine_model_type=16k_zh&expired=1700086400&filter_empty_result=0"
        "&hotword_list=%E8%85%BE%E8%AE%AF%E4%BA%91%7C10%2CASR%7C11&needvad=1&noise_threshold=0.5&nonce=1234567890"
        "&secretid=AKIDEXAMPLE0000000000000000000000000&timestamp=1700000000&voice_format=1"
        "&voice_id=c64385ee-3e5c-4fc5-bbfd-7c71addb35b0&signature=tzYLXaQREHBtGNJSmdNQCPk5mko%3D",
    ),
    "C": (
        COMMON,
        3,
        "5idmIdGu0WRHYDMmOoIG+/5NoR4=",
        "/asr/v2/1250000000?engine_model_type=16k_zh&expired=1700086400&needvad=1&nonce=3"
        "&secretid=AKIDEXAMPLE0000000000000000000000000&timestamp=1700000000&voice_format=1"
        "&voice_id=c64385ee-3e5c-4fc5-bbfd-7c71addb35b0&signature=5idmIdGu0WRHYDMmOoIG%2B%2F5NoR4%3D",
    ),
}


def signed_parameters(parameters: dict[str, str], nonce: int) -> dict[str, str]:
    times = {"timestamp": str(NOW_S), "expired": str(NOW_S + DAY_S)}
    return parameters | times | {"secretid": SECRET_ID, "nonce": str(nonce)}


@pytest.mark.parametrize("vector", VECTORS)
def test_signature_vector(vector: str) -> None:
    parameters, nonce, expected, _ = VECTORS[vector]
    assert signature(APP_ID, signed_parameters(parameters, nonce), SECRET_KEY) == expected


@pytest.mark.parametrize("vector", VECTORS)
def test_wire_vector(vector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, nonce, _, wire = VECTORS[vector]
    monkeypatch.setattr(tencent, "SIGNATURE_LIFETIME_S", DAY_S)
    assert resource(ACCOUNT, parameters, now_s=NOW_S, nonce=nonce) == wire


def test_encoded_values_give_the_documented_wrong_signature() -> None:
    """The slip of some SDKs: it shows with anything but ASCII, so a test with plain values would not find it."""
    parameters, nonce, right, _ = VECTORS["B"]
    encoded = {name: quote(value, safe="") for name, value in signed_parameters(parameters, nonce).items()}
    wrong = signature(APP_ID, encoded, SECRET_KEY)
    assert wrong == "qi0sj4jKfJAYYpiUFW++yLyBsOY="
    assert wrong != right


def test_the_signature_lives_five_minutes() -> None:
    query = dict(parse_qsl(urlsplit(resource(ACCOUNT, COMMON, now_s=NOW_S, nonce=1)).query))
    assert (query["timestamp"], query["expired"]) == ("1700000000", "1700000300")


def test_neither_key_nor_token_is_in_the_address() -> None:
    account = TencentCredentials(APP_ID, SECRET_ID, SECRET_KEY, "temporary")
    address = resource(account, COMMON, now_s=NOW_S, nonce=1)
    assert address == resource(ACCOUNT, COMMON, now_s=NOW_S, nonce=1)
    assert SECRET_KEY not in address


_names = st.from_regex(r"[a-z_]{1,20}", fullmatch=True).filter(
    lambda name: name not in ("secretid", "timestamp", "expired", "nonce", "signature")
)
_values = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.text("+/=&%? #", max_size=10)


@given(st.dictionaries(_names, _values, max_size=8), st.integers(1, 9_999_999_999), st.text("0123456789", min_size=1))
def test_any_parameters_arrive_as_they_were_signed(parameters: dict[str, str], nonce: int, app_id: str) -> None:
    account = TencentCredentials(app_id, SECRET_ID, SECRET_KEY)
    path, _, query = resource(account, parameters, now_s=NOW_S, nonce=nonce).partition("?")
    assert path == f"/asr/v2/{app_id}"
    pairs = [pair.split("=") for pair in query.split("&")]
    assert all(re.fullmatch(r"([A-Za-z0-9_.~-]|%[0-9A-F]{2})*", value) for _, value in pairs)
    assert pairs[-1][0] == "signature"
    arrived = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True))
    signed_as = arrived.pop("signature")
    assert arrived == {
        **parameters,
        "secretid": SECRET_ID,
        "timestamp": "1700000000",
        "expired": "1700000300",
        "nonce": str(nonce),
    }
    plain = f"asr.cloud.tencent.com/asr/v2/{app_id}?" + "&".join("=".join(pair) for pair in sorted(arrived.items()))
    digest = hmac.digest(SECRET_KEY.encode(), plain.encode(), hashlib.sha1)
    assert base64.b64decode(signed_as) == digest
    assert verifier.sign(SECRET_KEY, app_id, arrived) == signed_as


# -- messages ----------------------------------------------------------------------------------------------------------

WORDS = [
    {"word": "实时", "start_time": 0, "end_time": 620, "stable_flag": 1},
    {"word": "语音", "start_time": 620, "end_time": 1240, "stable_flag": 0},
    {"word": "只有字"},
]


def message(**fields: object) -> str:
    return json.dumps({"code": 0, "message": "success", "voice_id": "V", **fields}, ensure_ascii=False)


def result(slice_type: int, **fields: object) -> dict[str, Any]:
    times = {"start_time": 10, "end_time": 1240}
    return {"slice_type": slice_type, "index": 3, **times, "voice_text_str": "实时", "word_size": 0, **fields}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (message(), Accepted()),
        (message(final=0), Accepted()),
        (message(speaker_context_id="x", result=None), Accepted()),
        ('{"code":0}', Accepted()),
        (message(message_id="V_241", final=1), Settled()),
        (message(result=result(0)), SentenceResult(3, "实时", 10, 1240, settled=False)),
        (message(result=result(1)), SentenceResult(3, "实时", 10, 1240, settled=False)),
        (message(result=result(2)), SentenceResult(3, "实时", 10, 1240, settled=True)),
        (message(result=result(2, word_list=[])), SentenceResult(3, "实时", 10, 1240, settled=True)),
        (message(result=result(2, word_list=None)), SentenceResult(3, "实时", 10, 1240, settled=True)),
        (message(result={"slice_type": 2, "index": 0}), SentenceResult(0, "", 0, 0, settled=True)),
        (
            message(result=result(1, emotion_type=["happy"], speaker_info=[{}])),
            SentenceResult(3, "实时", 10, 1240, False),
        ),
        (
            message(result=result(1, word_list=WORDS)),
            SentenceResult(
                3,
                "实时",
                10,
                1240,
                False,
                (
                    HeardWord("实时", 0, 620, True),
                    HeardWord("语音", 620, 1240, False),
                    HeardWord("只有字", 0, 0, False),
                ),
            ),
        ),
        (message(code=4002, message="鉴权失败"), Refused(4002, "鉴权失败")),
        ('{"code":4008}', Refused(4008, "")),
        (message(code=-1), Refused(-1, "success")),
        (message(final=1, result=result(2)), [decode(message(result=result(2)))[0], Settled()]),
        ('{"code":0,"message":null,"final":null}', Accepted()),
        # An error is an error, whatever else it says.
        (message(code=5000, final=1, result=result(2)), Refused(5000, "success")),
    ],
)
def test_decode(text: str, expected: object) -> None:
    said = expected if isinstance(expected, list) else [expected]
    assert decode(text) == said
    assert decode(text.encode()) == said


GARBAGE: list[str | bytes] = [
    "",
    "hello",
    "null",
    "[]",
    "{}",
    '{"code":null}',
    '{"code":"0"}',
    '{"code":0.5}',
    '{"code":0,"result":[]}',
    '{"code":0,"result":{"slice_type":2,"index":-1}}',
    '{"code":0,"result":{}}',
    '{"code":0,"result":{"slice_type":1}}',
    '{"code":0,"result":{"index":1}}',
    '{"code":0,"result":{"slice_type":1,"index":0,"word_list":[null]}}',
    '{"code":0,"result":{"slice_type":1,"index":0,"word_list":[{}]}}',
    '{"code":0,"message":5}',
    '{"code":0}{"code":0}',
    '{"code":' + "9" * 5000 + "}",
    b'{"code":0,"message":"\xff"}',
    b"\xff\xfe",
    '{"code":0,"message":"\ud800"}',
    "[" * 100_000,
    '{"code":0,"x":' + "[" * 100_000,
    '{"code":0,"result":' * 10_000,
]


@pytest.mark.parametrize("text", GARBAGE, ids=range(len(GARBAGE)))
def test_decode_garbage(text: str | bytes) -> None:
    with pytest.raises(GarbledError, match=r"^not a message of the recognizer's protocol$") as caught:
        decode(text)
    assert caught.value.__suppress_context__  # the cause quotes the message, which may be a transcript


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_keys = st.sampled_from(
    ["code", "message", "result", "final", "slice_type", "index", "start_time", "voice_text_str", "word_list", "word"]
)
_nearly = st.recursive(
    st.none() | st.integers(-1, 6001) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=8),
)


@given(
    st.binary()
    | st.text()
    | _json.map(json.dumps)
    | st.builds(lambda value: json.dumps({"code": 0, "result": value}), _nearly)
)
def test_any_bytes_are_a_message_or_garbled(data: str | bytes) -> None:
    try:
        heard = decode(data)
    except GarbledError:
        return
    assert all(isinstance(said, Accepted | SentenceResult | Settled | Refused) for said in heard)
    wire = json.loads(data)
    assert isinstance(heard[0], Refused) == (wire["code"] != 0)
    assert isinstance(heard[0], SentenceResult) == (wire["code"] == 0 and wire.get("result") is not None)


# -- codes -------------------------------------------------------------------------------------------------------------

ENGINES = ("16k_zh", "16k_en")
REJECTED = "The recognizer refuses this service: "
# code: (slug, message, whether the client gets a hint)
TABLE = {
    4000: (Slug.RECOGNIZER_UNAVAILABLE, "Audio reached the recognizer too fast.", False),
    4001: (Slug.BAD_START, "The recognizer refuses a value of start.", False),
    4002: (Slug.RECOGNIZER_REJECTED, REJECTED + "credentials, account or clock.", False),
    4003: (Slug.RECOGNIZER_REJECTED, REJECTED + "recognition is not activated for the account.", False),
    4004: (Slug.RECOGNIZER_REJECTED, REJECTED + "the resource pack is used up.", False),
    4005: (Slug.RECOGNIZER_REJECTED, REJECTED + "the account is in arrears.", False),
    4006: (Slug.RECOGNIZER_BUSY, "The recognizer's account has no free stream.", True),
    4007: (Slug.UNSUPPORTED_AUDIO, "The audio is not of the format that start announced.", False),
    4008: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    4009: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    4010: (Slug.RECOGNIZER_REJECTED, REJECTED + "it did not understand a message.", False),
    5000: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    5001: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    5002: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    6001: (Slug.RECOGNIZER_REJECTED, REJECTED + "calls from outside mainland China are not served.", False),
    # Not in the vendor's table.
    1: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    -1: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    4011: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
    10**30: (Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.", False),
}


def meaning(code: int, said: str, engine: str = "16k_zh") -> Problem:
    return problem_of(Refused(code, said), engine=engine, engines=ENGINES, retry_after_ms=2500)


@pytest.mark.parametrize("code", TABLE)
def test_what_a_code_means(code: int) -> None:
    slug, text, hint = TABLE[code]
    assert meaning(code, "内部错误: secret") == problem(
        slug, f"{text} (recognizer code {code})", retry_after_ms=2500 if hint else None, recognizer_code=code
    )


def test_the_table_has_every_known_code() -> None:
    assert set(KNOWN_CODES) <= set(TABLE)
    assert len(KNOWN_CODES) == 15


@pytest.mark.parametrize(
    ("said", "engine"),
    [
        ("参数不合法(Not support [engine_model_type: 16k_zh])", "16k_zh"),  # known, but the account lacks it
        ("参数不合法", "16k_klingon"),  # wordings change: an unknown engine is the likely cause
    ],
)
def test_an_engine_that_the_recognizer_lacks(said: str, engine: str) -> None:
    assert meaning(4001, said, engine) == problem(
        Slug.ENGINE_NOT_SUPPORTED,
        f"The recognizer has no engine {engine}: use 16k_zh, 16k_en. (recognizer code 4001)",
        recognizer_code=4001,
    )


def test_labels() -> None:
    assert (*(str(code) for code in KNOWN_CODES), *Trouble) == ERROR_LABELS
    assert list(Trouble) == [
        "connect", "upgrade", "connect_timeout", "first_message_timeout", "send_timeout", "final_timeout", "lost",
        "garbled", "other",
    ]  # fmt: skip
    assert len(set(ERROR_LABELS)) == len(ERROR_LABELS)
    assert {code_label(code) for code in KNOWN_CODES} == {str(code) for code in KNOWN_CODES}


@given(st.integers() | st.integers(3990, 6010))
def test_the_labels_cover_every_code(code: int) -> None:
    label = code_label(code)
    assert label in ERROR_LABELS
    assert label == (str(code) if code in KNOWN_CODES else "other")
