"""The body of a SentenceRecognition call into a checked request (Tencent doc 1093/35646). Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

import msgspec

from service.localasr.api import ApiError

ACTION = "SentenceRecognition"
VERSION = "2019-06-14"
VOICE_FORMATS = ("wav", "pcm", "ogg-opus", "speex", "silk", "mp3", "m4a", "aac", "amr")
# Of the base64 text, not of the audio.
MAX_DATA_CHARS = 3 << 20
MAX_SENTENCE_MS = 60_000
# An encoder fills its last packet: with two of 2048 samples, compressed audio of 60 s may last a little longer.
PADDING_MS = 256
TOO_LONG = ApiError("InvalidParameterValue.ErrorVoicedataTooLong", "The audio is longer than 60 s, or above 3 MB.")
NOT_RECOGNIZED = "FailedOperation.ErrorRecognize"
_SOURCE_URL, _SOURCE_DATA = 0, 1


class _Body(msgspec.Struct, forbid_unknown_fields=True, rename="pascal"):
    """The fields of the call. Those that change nothing here are checked for their type alone."""

    eng_service_type: str | None = msgspec.field(default=None, name="EngSerViceType")
    source_type: int | None = None
    voice_format: str | None = None
    url: str | None = None
    data: str | None = None
    data_len: int | None = None
    word_info: int | None = None
    filter_dirty: int | None = None
    filter_modal: int | None = None
    filter_punc: int | None = None
    convert_num_mode: int | None = None
    hotword_id: str | None = None
    hotword_list: str | None = None
    customization_id: str | None = None
    replace_text_id: str | None = None
    input_sample_rate: int | None = None
    project_id: int | None = None
    sub_service_type: int | None = None
    usr_audio_key: str | None = None
    reinforce_hotword: int | None = None


class SentenceRequest(msgspec.Struct, frozen=True):
    """What a client asked for, within the documented ranges; ``audio`` is the file as it was recorded."""

    engine_model_type: str
    voice_format: str
    audio: bytes
    with_words: bool
    pcm_rate_hz: int


def parse_sentence(body: bytes, engines: Collection[str], formats: Collection[str]) -> SentenceRequest | ApiError:
    """The sentence that ``body`` asks for. ``engines`` and ``formats`` are those on offer."""
    try:
        given = msgspec.json.decode(body, type=_Body)
    except msgspec.ValidationError as error:  # names a field, quotes no value
        unknown = "unknown field" in str(error)
        return ApiError("UnknownParameter" if unknown else "InvalidParameter", str(error))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ApiError("InvalidParameter.ErrorParsequest", "The body is not JSON.")
    wrong = _first_error(given, engines, formats)
    if wrong is not None:
        return wrong
    audio = _audio(given)
    if isinstance(audio, ApiError):
        return audio
    engine = given.eng_service_type or ""
    narrow = engine.startswith("8k_") or given.input_sample_rate is not None
    return SentenceRequest(
        engine_model_type=engine,
        voice_format=given.voice_format or "",
        audio=audio,
        with_words=bool(given.word_info),
        pcm_rate_hz=8000 if narrow else 16000,
    )


def _first_error(given: _Body, engines: Collection[str], formats: Collection[str]) -> ApiError | None:
    required = {"EngSerViceType": given.eng_service_type, "VoiceFormat": given.voice_format}
    for name, value in (required | {"SourceType": given.source_type}).items():
        if value is None:
            return ApiError("MissingParameter", f"{name} is required.")
    if given.eng_service_type not in engines:
        return _bad("ErrorInvalidEngservice", f"EngSerViceType must be one of: {' '.join(engines)}.")
    if given.source_type == _SOURCE_URL:
        return _bad("ErrorInvalidSourcetype", "SourceType 0 (Url) is not served here: send SourceType 1 with Data.")
    if given.source_type != _SOURCE_DATA:
        return _bad("ErrorInvalidSourcetype", "SourceType must be 0 or 1.")
    if given.voice_format not in VOICE_FORMATS:
        return _bad("ErrorInvalidVoiceFormat", f"VoiceFormat must be one of: {' '.join(VOICE_FORMATS)}.")
    if given.voice_format not in formats:
        return _bad("ErrorInvalidVoiceFormat", f"This server decodes only: {' '.join(sorted(formats))}.")
    choices = {
        "WordInfo": (given.word_info, (0, 1, 2)),
        "FilterDirty": (given.filter_dirty, (0, 1, 2)),
        "FilterModal": (given.filter_modal, (0, 1, 2)),
        "FilterPunc": (given.filter_punc, (0, 1, 2)),
        "ConvertNumMode": (given.convert_num_mode, (0, 1)),
        "InputSampleRate": (given.input_sample_rate, (8000,)),
    }
    for name, (value, allowed) in choices.items():
        if value is not None and value not in allowed:
            return ApiError("InvalidParameterValue", f"{name} must be one of {', '.join(map(str, allowed))}.")
    if given.input_sample_rate is not None and given.voice_format != "pcm":
        return ApiError("InvalidParameterValue", "InputSampleRate goes with VoiceFormat pcm only.")
    return None


def _audio(given: _Body) -> bytes | ApiError:
    if given.data is None or given.data_len is None:
        return ApiError("MissingParameter", "Data and DataLen are required with SourceType 1.")
    if len(given.data) > MAX_DATA_CHARS:
        return TOO_LONG
    try:
        audio = base64.b64decode(given.data, validate=True)
    except (binascii.Error, ValueError):  # ValueError: characters beyond ASCII
        return _bad("ErrorInvalidVoicedata", "Data is not base64.")
    if not audio:
        return _bad("ErrorInvalidVoicedata", "Data is empty.")
    if len(audio) != given.data_len:
        return ApiError("InvalidParameter.ErrorContentlength", "DataLen is not the length of Data before base64.")
    return audio


def _bad(kind: str, message: str) -> ApiError:
    return ApiError(f"InvalidParameterValue.{kind}", message)
