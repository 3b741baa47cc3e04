"""Tencent's one-sentence API: the request, the answer, and what its codes mean for our clients. Pure.

Source: Tencent's document 1093/35646 (SentenceRecognition, API 3.0) and its official SDK. Errors come with HTTP 200.
"""

import base64
from dataclasses import dataclass
from typing import Final

import msgspec

from service.failures import Problem, Slug, problem
from service.recognizer.formats import AudioFormat
from service.recognizer.splitting import Sentence, Word

ACTION: Final = "SentenceRecognition"

GARBLED: Final = "Garbled"
"""Our own code: an answer that is not of the protocol."""
CLIENT_NETWORK: Final = "ClientNetworkError"
SERVER_NETWORK: Final = "ServerNetworkError"
"""Codes of the SDK: no answer, and an answer with another status than 200."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a sentence is to be recognized."""

    engine: str
    word_info: int = 0
    filter_dirty: int = 0
    filter_modal: int = 0
    filter_punc: int = 0
    convert_num_mode: int = 1
    hotwords: tuple[tuple[str, int], ...] = ()


def request_of(audio: bytes, sent_as: AudioFormat, pcm_rate: int, options: Options) -> dict[str, str | int]:
    """The fields of a request. Its own defaults are left out: fewer ways to be refused."""
    fields: dict[str, str | int] = {
        "EngSerViceType": options.engine,
        "SourceType": 1,
        "VoiceFormat": sent_as.value,
        "Data": base64.b64encode(audio).decode(),
        "DataLen": len(audio),
    }
    numbers = {
        "WordInfo": (options.word_info, 0),
        "FilterDirty": (options.filter_dirty, 0),
        "FilterModal": (options.filter_modal, 0),
        "FilterPunc": (options.filter_punc, 0),
        "ConvertNumMode": (options.convert_num_mode, 1),
    }
    fields.update({name: value for name, (value, default) in numbers.items() if value != default})
    if options.hotwords:
        fields["HotwordList"] = ",".join(f"{word}|{weight}" for word, weight in options.hotwords)
    if sent_as is AudioFormat.PCM and pcm_rate == 8000 and not options.engine.startswith("8k_"):
        fields["InputSampleRate"] = 8000
    return fields


@dataclass(frozen=True, slots=True)
class Refused:
    """A code of the API, of the SDK, or of ours. `message` is for people, and its wording changes."""

    code: str
    message: str = ""


class _WireWord(msgspec.Struct, rename="pascal"):
    word: str = ""
    start_time: int = 0
    end_time: int = 0


class _WireError(msgspec.Struct, rename="pascal"):
    code: str
    message: str = ""


class _WireResponse(msgspec.Struct, rename="pascal"):
    error: _WireError | None = None
    result: str | None = None
    audio_duration: int | None = None
    word_list: list[_WireWord] | None = None


class _WireAnswer(msgspec.Struct, rename="pascal"):
    response: _WireResponse


_decode: Final = msgspec.json.Decoder(_WireAnswer).decode


def decode_answer(body: bytes) -> Sentence | Refused:
    """An answer with HTTP status 200.

    An error is found whatever its content type: the SDK looks for it only in `application/json` and would take one
    with a charset behind it for an empty result.
    """
    try:
        response = _decode(body).response
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Refused(GARBLED)
    if response.error is not None:
        return Refused(response.error.code, response.error.message)
    if response.result is None:
        return Refused(GARBLED)
    words = tuple(Word(word.word, word.start_time, word.end_time) for word in response.word_list or ())
    return Sentence(response.result, response.audio_duration or 0, words)


# What each code means, the longest beginning deciding. A code is "Group" or "Group.Detail".
_MEANINGS: Final[dict[str, Slug]] = {
    "AuthFailure": Slug.RECOGNIZER_REJECTED,
    "FailedOperation": Slug.RECOGNIZER_UNAVAILABLE,
    "FailedOperation.CheckAuthInfoFailed": Slug.RECOGNIZER_REJECTED,
    "FailedOperation.ErrorRecognize": Slug.RECOGNIZER_UNAVAILABLE,
    "FailedOperation.ServiceIsolate": Slug.RECOGNIZER_REJECTED,
    "FailedOperation.UserHasNoAmount": Slug.RECOGNIZER_REJECTED,
    "FailedOperation.UserHasNoFreeAmount": Slug.RECOGNIZER_REJECTED,
    "FailedOperation.UserNotRegistered": Slug.RECOGNIZER_REJECTED,
    "InternalError": Slug.RECOGNIZER_UNAVAILABLE,
    "InvalidAction": Slug.RECOGNIZER_REJECTED,
    "InvalidCredential": Slug.RECOGNIZER_REJECTED,
    "InvalidParameter": Slug.BAD_REQUEST,
    "InvalidParameter.ErrorContentlength": Slug.AUDIO_TOO_LONG,
    "InvalidParameter.ErrorParamsMissing": Slug.RECOGNIZER_REJECTED,
    "InvalidParameter.ErrorParsequest": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue": Slug.BAD_REQUEST,
    "InvalidParameterValue.ErrorInvalidAppid": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidClientip": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidEngservice": Slug.ENGINE_NOT_SUPPORTED,
    "InvalidParameterValue.ErrorInvalidProjectid": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidRequestid": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidSourcetype": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidSubservicetype": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidUrl": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidUseraudiokey": Slug.RECOGNIZER_REJECTED,
    "InvalidParameterValue.ErrorInvalidVoiceFormat": Slug.UNSUPPORTED_AUDIO,
    "InvalidParameterValue.ErrorInvalidVoicedata": Slug.UNSUPPORTED_AUDIO,
    "InvalidParameterValue.ErrorVoicedataTooLong": Slug.AUDIO_TOO_LONG,
    "LimitExceeded": Slug.RECOGNIZER_REJECTED,
    "MissingParameter": Slug.RECOGNIZER_REJECTED,
    "NoSuchVersion": Slug.RECOGNIZER_REJECTED,
    "OperationDenied": Slug.RECOGNIZER_REJECTED,
    "RequestLimitExceeded": Slug.RECOGNIZER_BUSY,
    "RequestSizeLimitExceeded": Slug.AUDIO_TOO_LONG,
    "ResourceInsufficient": Slug.RECOGNIZER_REJECTED,
    "ResourceUnavailable": Slug.RECOGNIZER_UNAVAILABLE,
    "UnauthorizedOperation": Slug.RECOGNIZER_REJECTED,
    "UnknownParameter": Slug.RECOGNIZER_REJECTED,
    "UnsupportedOperation": Slug.RECOGNIZER_REJECTED,
    "UnsupportedRegion": Slug.RECOGNIZER_REJECTED,
    CLIENT_NETWORK: Slug.RECOGNIZER_UNAVAILABLE,
    SERVER_NETWORK: Slug.RECOGNIZER_UNAVAILABLE,
    GARBLED: Slug.RECOGNIZER_UNAVAILABLE,
}

_RETRIED: Final = (
    "RequestLimitExceeded",
    "InternalError",
    "FailedOperation.ErrorRecognize",
    CLIENT_NETWORK,
    SERVER_NETWORK,
    GARBLED,
)
_WRONG_FORMAT: Final = "failed to recognize audio"  # what ErrorRecognize says of data in another format (its FAQ)


def meaning(refused: Refused) -> Slug:
    """The row of our catalogue for a code; one that nobody has documented is the recognizer's own failure."""
    if _is_wrong_format(refused):
        return Slug.UNSUPPORTED_AUDIO
    found = _MEANINGS.get(refused.code) or _MEANINGS.get(refused.code.partition(".")[0])
    return found or Slug.RECOGNIZER_UNAVAILABLE


def is_retried(refused: Refused) -> bool:
    """Whether the same request may succeed a moment later."""
    beginnings = (refused.code, refused.code.partition(".")[0])
    return any(beginning in _RETRIED for beginning in beginnings) and not _is_wrong_format(refused)


def _is_wrong_format(refused: Refused) -> bool:
    return refused.code == "FailedOperation.ErrorRecognize" and _WRONG_FORMAT in refused.message.lower()


def problem_of(refused: Refused, *, engine: str, retry_after_ms: int) -> Problem:
    """What a refusal means for our client. The recognizer's own message is not passed on: it may quote the request."""
    slug = meaning(refused)
    hint_ms = retry_after_ms if slug is Slug.RECOGNIZER_BUSY else None
    words = {
        Slug.ENGINE_NOT_SUPPORTED: f"The recognizer has no engine {engine} for single sentences.",
        Slug.BAD_REQUEST: "The recognizer refuses a value of this request.",
        Slug.UNSUPPORTED_AUDIO: "The recognizer cannot decode this audio.",
        Slug.AUDIO_TOO_LONG: "The audio is longer or larger than the recognizer takes.",
        Slug.RECOGNIZER_BUSY: "The recognizer's account has more requests than it may have.",
        Slug.RECOGNIZER_REJECTED: f"The recognizer refuses this service: {_ours_to_fix(refused.code)}.",
        Slug.RECOGNIZER_UNAVAILABLE: "The recognizer failed.",
    }[slug]
    return problem(slug, f"{words} (recognizer code {_known(refused.code)})", retry_after_ms=hint_ms)


def _ours_to_fix(code: str) -> str:
    if code == "AuthFailure.SignatureExpire":
        return "this machine's clock is more than 5 minutes off"
    if code.startswith("AuthFailure") or code == "InvalidCredential":
        return "credentials"
    return "account or request"


def _known(code: str) -> str:
    """The code, or its shape where it has another than a code has: it comes from outside."""
    return code if len(code) <= 80 and code.isascii() and code.replace(".", "").isalnum() else "of no known shape"
