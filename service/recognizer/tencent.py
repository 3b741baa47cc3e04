"""Tencent's real-time recognition: the signed URL, the messages, and what its codes mean for our clients. Pure.

Source: Tencent's document 1093/48982 ("real-time speech recognition (WebSocket)") and its official SDKs.
"""

import base64
import enum
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

import msgspec

from service.failures import Problem, Slug, problem
from service.settings import TencentCredentials

SIGNED_HOST: Final = "asr.cloud.tencent.com"  # the signature names the real host, whichever address is dialed
SIGNATURE_LIFETIME_S: Final = (
    300  # needed for the handshake only; short, because the URL is a credential while it lasts
)
END_MESSAGE: Final = '{"type": "end"}'

ENGINES: Final = (
    "16k_zh", "16k_zh_en", "16k_zh_large", "16k_multi_lang", "16k_en", "16k_en_large", "16k_en_game", "16k_en_edu",
    "16k_yue", "16k_zh-TW", "16k_zh_edu", "16k_zh_medical", "16k_zh_court", "16k_ko", "16k_ja", "16k_th", "16k_id",
    "16k_vi", "16k_ms", "16k_fil", "16k_pt", "16k_tr", "16k_ar", "16k_es", "16k_hi", "16k_fr", "16k_de", "8k_zh",
    "8k_en", "8k_zh_large",
)  # fmt: skip
"""The documented engines. The list changes often, so it is named to a client, never used to refuse one."""

Parameters = dict[str, str]


def signature(app_id: str, parameters: Parameters, secret_key: str) -> str:
    """The signature over the parameters, sorted and with raw values: base64 of HMAC-SHA1, not yet percent-encoded."""
    joined = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
    plain = f"{SIGNED_HOST}/asr/v2/{app_id}?{joined}"
    return base64.b64encode(hmac.new(secret_key.encode(), plain.encode(), hashlib.sha1).digest()).decode()


def resource(credentials: TencentCredentials, parameters: Parameters, *, now_s: int, nonce: int) -> str:
    """Path and query of a connection: a credential until it expires, never to be logged.

    Values are percent-encoded completely: an unescaped `+` in the signature makes the authentication fail every third
    time. `now_s` is Unix time, `nonce` a positive number of at most 10 digits.
    """
    signed = {
        **parameters,
        "secretid": credentials.secret_id,
        "timestamp": str(now_s),
        "expired": str(now_s + SIGNATURE_LIFETIME_S),
        "nonce": str(nonce),
    }
    signed_as = signature(credentials.app_id, signed, credentials.secret_key)
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(signed.items()))
    return f"/asr/v2/{credentials.app_id}?{query}&signature={quote(signed_as, safe='')}"


class HeardWord(msgspec.Struct, frozen=True):
    """A word of a sentence, on the clock of its connection."""

    text: str
    start_ms: int
    end_ms: int
    stable: bool


class SentenceResult(msgspec.Struct, frozen=True):
    """A sentence as far as it is heard; it is replaced by the next result of its index until it is settled."""

    index: int
    text: str
    start_ms: int
    end_ms: int
    settled: bool
    words: tuple[HeardWord, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The first message: the parameters and the credentials are good."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Everything that was sent is recognized; the recognizer closes."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An error; the recognizer closes. `message` is for people, and its wording changes."""

    code: int
    message: str


RecognizerMessage = Accepted | SentenceResult | Settled | Refused


class GarbledError(ValueError):
    """A message that is not of Tencent's protocol. It holds nothing of the message."""


class _WireWord(msgspec.Struct):
    word: str
    start_time: int = 0
    end_time: int = 0
    stable_flag: int = 0


class _WireResult(msgspec.Struct):
    slice_type: int
    index: int
    start_time: int = 0
    end_time: int = 0
    voice_text_str: str | None = None
    word_list: list[_WireWord] | None = None


class _WireMessage(msgspec.Struct):
    code: int
    message: str | None = None
    result: _WireResult | None = None
    final: int | None = None


_SETTLED_SLICE: Final = 2
_decode: Final = msgspec.json.Decoder(_WireMessage).decode


def decode(text: str | bytes) -> list[RecognizerMessage]:
    """What a message of the recognizer says, at least one thing. Raises GarbledError for anything else."""
    try:
        wire = _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise GarbledError("not a message of the recognizer's protocol") from None
    if wire.code:
        return [Refused(wire.code, wire.message or "")]
    said: list[RecognizerMessage] = [Settled()] if wire.final else []
    if wire.result is not None:
        said.insert(0, _sentence(wire.result))
    return said or [Accepted()]


def _sentence(heard: _WireResult) -> SentenceResult:
    if heard.index < 0:
        raise GarbledError("not a message of the recognizer's protocol") from None
    return SentenceResult(
        heard.index,
        heard.voice_text_str or "",
        heard.start_time,
        heard.end_time,
        heard.slice_type == _SETTLED_SLICE,
        tuple(
            HeardWord(word.word, word.start_time, word.end_time, bool(word.stable_flag))
            for word in heard.word_list or ()
        ),
    )


class Trouble(enum.StrEnum):
    """What can happen to a connection beside the recognizer's own codes; with those, the labels of the error metric."""

    CONNECT = "connect"
    """No TCP or TLS connection."""
    UPGRADE = "upgrade"
    """The upgrade was answered with something else than 101."""
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_MESSAGE_TIMEOUT = "first_message_timeout"
    SEND_TIMEOUT = "send_timeout"
    FINAL_TIMEOUT = "final_timeout"
    LOST = "lost"
    """Closed without a final message or an error."""
    GARBLED = "garbled"
    OTHER_CODE = "other"
    """A code that the documentation does not have."""


KNOWN_CODES: Final = (
    4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008, 4009, 4010, 5000, 5001, 5002, 6001,
)  # fmt: skip
ERROR_LABELS: Final[tuple[str, ...]] = (*map(str, KNOWN_CODES), *Trouble)
"""Every value of the error metric's `code` label."""


def code_label(code: int) -> str:
    """The label of a code that the recognizer gave."""
    return str(code) if code in KNOWN_CODES else Trouble.OTHER_CODE


def problem_of(refused: Refused, *, engine: str, engines: tuple[str, ...], retry_after_ms: int) -> Problem:
    """What an error of the recognizer means for our client. `engines` are those the recognizer is known to have."""
    code = refused.code

    def said(slug: Slug, message: str, hint_ms: int | None = None) -> Problem:
        return problem(slug, f"{message} (recognizer code {code})", retry_after_ms=hint_ms, recognizer_code=code)

    match code:
        case 4001 if engine in refused.message or engine not in engines:
            return said(Slug.ENGINE_NOT_SUPPORTED, f"The recognizer has no engine {engine}: use {', '.join(engines)}.")
        case 4001:
            return said(Slug.BAD_START, "The recognizer refuses a value of start.")
        case 4007:
            return said(Slug.UNSUPPORTED_AUDIO, "The audio is not of the format that start announced.")
        case 4006:
            return said(Slug.RECOGNIZER_BUSY, "The recognizer's account has no free stream.", retry_after_ms)
        case 4000:  # we keep the pace; a network that stalled and delivers late does not
            return said(Slug.RECOGNIZER_UNAVAILABLE, "Audio reached the recognizer too fast.")
        case 4002 | 4003 | 4004 | 4005 | 4010 | 6001:
            return said(Slug.RECOGNIZER_REJECTED, f"The recognizer refuses this service: {_OURS_TO_FIX[code]}.")
        case _:
            return said(Slug.RECOGNIZER_UNAVAILABLE, "The recognizer failed.")


_OURS_TO_FIX: Final = {
    4002: "credentials, account or clock",
    4003: "recognition is not activated for the account",
    4004: "the resource pack is used up",
    4005: "the account is in arrears",
    4010: "it did not understand a message",
    6001: "calls from outside mainland China are not served",
}
