"""Requests, answers and codes of the one-sentence API."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Slug
from service.recognizer.formats import AudioFormat
from service.recognizer.splitting import Sentence, Word
from service.recognizer.tencent_api import (
    GARBLED,
    Options,
    Refused,
    decode_answer,
    is_retried,
    meaning,
    problem_of,
    request_of,
)

REJECTED, UNAVAILABLE, BUSY = Slug.RECOGNIZER_REJECTED, Slug.RECOGNIZER_UNAVAILABLE, Slug.RECOGNIZER_BUSY
AUDIO, LONG, BAD, ENGINE = (
    Slug.UNSUPPORTED_AUDIO, Slug.AUDIO_TOO_LONG, Slug.BAD_REQUEST, Slug.ENGINE_NOT_SUPPORTED,
)  # fmt: skip

# Every code that Tencent documents for this action, for the product and for the platform: meaning, retried.
CODES = {
    "FailedOperation.ErrorRecognize": (UNAVAILABLE, True),
    "FailedOperation.ServiceIsolate": (REJECTED, False),
    "FailedOperation.UserHasNoAmount": (REJECTED, False),
    "FailedOperation.UserHasNoFreeAmount": (REJECTED, False),
    "FailedOperation.UserNotRegistered": (REJECTED, False),
    "FailedOperation.CheckAuthInfoFailed": (REJECTED, False),
    "FailedOperation.ErrorDownFile": (UNAVAILABLE, False),
    "FailedOperation.NoSuchTask": (UNAVAILABLE, False),
    "InternalError": (UNAVAILABLE, True),
    "InternalError.ErrorConfigure": (UNAVAILABLE, True),
    "InternalError.ErrorCreateLog": (UNAVAILABLE, True),
    "InternalError.ErrorDownFile": (UNAVAILABLE, True),
    "InternalError.ErrorFailNewprequest": (UNAVAILABLE, True),
    "InternalError.ErrorFailWritetodb": (UNAVAILABLE, True),
    "InternalError.ErrorFileCannotopen": (UNAVAILABLE, True),
    "InternalError.ErrorGetRoute": (UNAVAILABLE, True),
    "InternalError.ErrorMakeLogpath": (UNAVAILABLE, True),
    "InternalError.ErrorRecognize": (UNAVAILABLE, True),
    "InvalidParameter": (BAD, False),
    "InvalidParameter.ErrorContentlength": (LONG, False),
    "InvalidParameter.ErrorParamsMissing": (REJECTED, False),
    "InvalidParameter.ErrorParsequest": (REJECTED, False),
    "InvalidParameterValue": (BAD, False),
    "InvalidParameterValue.ErrorInvalidAppid": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidClientip": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidEngservice": (ENGINE, False),
    "InvalidParameterValue.ErrorInvalidProjectid": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidRequestid": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidSourcetype": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidSubservicetype": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidUrl": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidUseraudiokey": (REJECTED, False),
    "InvalidParameterValue.ErrorInvalidVoiceFormat": (AUDIO, False),
    "InvalidParameterValue.ErrorInvalidVoicedata": (AUDIO, False),
    "InvalidParameterValue.ErrorVoicedataTooLong": (LONG, False),
    "AuthFailure": (REJECTED, False),
    "AuthFailure.CheckResourceResponseCodeError": (REJECTED, False),
    "AuthFailure.InvalidAuthorization": (REJECTED, False),
    "AuthFailure.UnauthorizedOperation": (REJECTED, False),
    "AuthFailure.SecretIdNotFound": (REJECTED, False),
    "AuthFailure.SignatureFailure": (REJECTED, False),
    "AuthFailure.SignatureExpire": (REJECTED, False),
    "AuthFailure.TokenFailure": (REJECTED, False),
    "AuthFailure.InvalidSecretId": (REJECTED, False),
    "AuthFailure.MFAFailure": (REJECTED, False),
    "LimitExceeded.VocabFull": (REJECTED, False),
    "MissingParameter": (REJECTED, False),
    "UnknownParameter": (REJECTED, False),
    "InvalidAction": (REJECTED, False),
    "NoSuchVersion": (REJECTED, False),
    "UnsupportedRegion": (REJECTED, False),
    "RequestLimitExceeded": (BUSY, True),
    "RequestLimitExceeded.UinLimitExceeded": (BUSY, True),
    "RequestLimitExceeded.IPLimitExceeded": (BUSY, True),
    "RequestLimitExceeded.GlobalRegionUinLimitExceeded": (BUSY, True),
    "RequestSizeLimitExceeded": (LONG, False),
    "ClientNetworkError": (UNAVAILABLE, True),
    "ServerNetworkError": (UNAVAILABLE, True),
    "Garbled": (UNAVAILABLE, True),
    "InvalidCredential": (REJECTED, False),
    "NobodyHasHeardOfIt": (UNAVAILABLE, False),
}


@pytest.mark.parametrize(("code", "expected"), CODES.items(), ids=list(CODES))
def test_every_code(code: str, expected: tuple[Slug, bool]) -> None:
    refused = Refused(code, "secret words")
    assert (meaning(refused), is_retried(refused)) == expected
    told = problem_of(refused, engine="16k_en", retry_after_ms=1500)
    assert told.slug is expected[0]
    assert code in told.message
    assert "secret words" not in told.message
    assert told.retry_after_ms == (1500 if told.slug is BUSY else None)


def test_data_in_another_format_than_it_was_said_to_be() -> None:
    refused = Refused("FailedOperation.ErrorRecognize", "Failed to recognize audio!")
    assert (meaning(refused), is_retried(refused)) == (AUDIO, False)


def test_what_is_to_be_fixed_is_named() -> None:
    for code, words in (
        ("AuthFailure.SignatureExpire", "clock"),
        ("AuthFailure.SignatureFailure", "credentials"),
        ("InvalidCredential", "credentials"),
        ("FailedOperation.UserHasNoAmount", "account"),
    ):
        assert words in problem_of(Refused(code), engine="x", retry_after_ms=1).message
    assert (
        "16k_xx"
        in problem_of(
            Refused("InvalidParameterValue.ErrorInvalidEngservice"), engine="16k_xx", retry_after_ms=1
        ).message
    )


@given(st.text(max_size=200), st.text(max_size=50))
def test_any_code_has_a_meaning_and_is_not_echoed_blindly(code: str, message: str) -> None:
    told = problem_of(Refused(code, message), engine="16k_en", retry_after_ms=1)
    assert told.message.isascii()
    assert len(told.message) < 250


def test_requests() -> None:
    assert request_of(b"abc", AudioFormat.MP3, 0, Options("16k_zh")) == {
        "EngSerViceType": "16k_zh",
        "SourceType": 1,
        "VoiceFormat": "mp3",
        "Data": "YWJj",
        "DataLen": 3,
    }
    everything = Options("16k_zh", 2, 1, 2, 1, 0, (("a", 1), ("b", 2)))
    fields = request_of(b"abc", AudioFormat.PCM, 8000, everything)
    assert {name: fields[name] for name in list(fields)[5:]} == {
        "WordInfo": 2,
        "FilterDirty": 1,
        "FilterModal": 2,
        "FilterPunc": 1,
        "ConvertNumMode": 0,
        "HotwordList": "a|1,b|2",
        "InputSampleRate": 8000,
    }
    for engine, rate, sent_as in (
        ("8k_zh", 8000, AudioFormat.PCM),
        ("16k_zh", 16000, AudioFormat.PCM),
        ("16k_zh", 8000, AudioFormat.WAV),
    ):
        assert "InputSampleRate" not in request_of(b"abc", sent_as, rate, Options(engine))


def test_answers() -> None:
    words = [{"Word": "go", "StartTime": 1, "EndTime": 2}]
    good = {"Result": "go", "AudioDuration": 5, "WordSize": 1, "WordList": words, "RequestId": "r"}
    assert decode_answer(json.dumps({"Response": good}).encode()) == Sentence("go", 5, (Word("go", 1, 2),))
    bare = {"Result": "", "AudioDuration": None, "WordList": None}
    assert decode_answer(json.dumps({"Response": bare}).encode()) == Sentence("", 0)
    failed = {"Error": {"Code": "InternalError", "Message": "no"}, "RequestId": "r"}
    assert decode_answer(json.dumps({"Response": failed}).encode()) == Refused("InternalError", "no")
    for garbled in (b"", b"{}", b"[]", b'{"Response": {}}', b"\xff", b"[" * 100_000):
        assert decode_answer(garbled) == Refused(GARBLED)
