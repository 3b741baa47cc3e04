import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.api import ApiError, SentenceAnswer, WordTime, answer_text
from service.localasr.sentence_request import SentenceRequest, parse_sentence

ENGINES, FORMATS = ("16k_zh", "8k_zh"), ("pcm", "wav")
AUDIO = bytes(range(100))
GOOD = {
    "EngSerViceType": "16k_zh",
    "SourceType": 1,
    "VoiceFormat": "pcm",
    "Data": base64.b64encode(AUDIO).decode(),
    "DataLen": len(AUDIO),
}


def parse(**changes: Any) -> SentenceRequest | ApiError:
    fields = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return parse_sentence(json.dumps(fields).encode(), ENGINES, FORMATS)


def test_a_request() -> None:
    assert parse() == SentenceRequest("16k_zh", "pcm", AUDIO, with_words=False, pcm_rate_hz=16000)
    everything = parse(WordInfo=2, FilterDirty=0, ConvertNumMode=1, ProjectId=0, HotwordList="a|1", Url=None)
    assert everything == SentenceRequest("16k_zh", "pcm", AUDIO, with_words=True, pcm_rate_hz=16000)
    for narrow in (parse(InputSampleRate=8000), parse(EngSerViceType="8k_zh")):
        assert isinstance(narrow, SentenceRequest)
        assert narrow.pcm_rate_hz == 8000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"EngSerViceType": ...}, "MissingParameter"),
        ({"SourceType": ...}, "MissingParameter"),
        ({"VoiceFormat": None}, "MissingParameter"),
        ({"Data": ...}, "MissingParameter"),
        ({"DataLen": ...}, "MissingParameter"),
        ({"Surprise": 1}, "UnknownParameter"),
        ({"DataLen": "100"}, "InvalidParameter"),
        ({"EngSerViceType": "16k_xx"}, "InvalidParameterValue.ErrorInvalidEngservice"),
        ({"SourceType": 0, "Url": "https://example.com/a.wav"}, "InvalidParameterValue.ErrorInvalidSourcetype"),
        ({"SourceType": 2}, "InvalidParameterValue.ErrorInvalidSourcetype"),
        ({"VoiceFormat": "webm"}, "InvalidParameterValue.ErrorInvalidVoiceFormat"),
        ({"VoiceFormat": "silk"}, "InvalidParameterValue.ErrorInvalidVoiceFormat"),
        ({"WordInfo": 3}, "InvalidParameterValue"),
        ({"InputSampleRate": 16000}, "InvalidParameterValue"),
        ({"InputSampleRate": 8000, "VoiceFormat": "wav"}, "InvalidParameterValue"),
        ({"Data": "A" * (3 * 1024 * 1024 + 4)}, "InvalidParameterValue.ErrorVoicedataTooLong"),
        ({"Data": "AA\nAA"}, "InvalidParameterValue.ErrorInvalidVoicedata"),
        ({"Data": "声"}, "InvalidParameterValue.ErrorInvalidVoicedata"),
        ({"Data": "", "DataLen": 0}, "InvalidParameterValue.ErrorInvalidVoicedata"),
        ({"DataLen": 99}, "InvalidParameter.ErrorContentlength"),
    ],
)
def test_a_bad_one(changes: dict[str, Any], code: str) -> None:
    answer = parse(**changes)
    assert isinstance(answer, ApiError)
    assert answer.code == code
    assert answer.message


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_answered(body: bytes) -> None:
    assert isinstance(parse_sentence(body, ENGINES, FORMATS), ApiError)


@pytest.mark.parametrize("body", [b"", b"audio", b"{"])
def test_what_is_not_json(body: bytes) -> None:
    answer = parse_sentence(body, ENGINES, FORMATS)
    assert isinstance(answer, ApiError)
    assert answer.code == "InvalidParameter.ErrorParsequest"


def test_answers() -> None:
    assert json.loads(answer_text(SentenceAnswer("go", 1200), "R")) == {
        "Response": {"Result": "go", "AudioDuration": 1200, "WordSize": None, "WordList": None, "RequestId": "R"}
    }
    with_words = SentenceAnswer("go", 1200, 1, [WordTime("go", 10, 20)])
    assert json.loads(answer_text(with_words, "R"))["Response"]["WordList"] == [
        {"Word": "go", "StartTime": 10, "EndTime": 20}
    ]
    assert json.loads(answer_text(ApiError("InternalError", "m"), "R")) == {
        "Response": {"Error": {"Code": "InternalError", "Message": "m"}, "RequestId": "R"}
    }
