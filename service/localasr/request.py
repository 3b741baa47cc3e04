"""The request line of a stream into checked parameters (Tencent doc 1093/48982, "请求参数"). Pure."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Collection, Mapping

import msgspec

from service.localasr.audio import DECODERS
from service.localasr.codes import Refusal, bad_parameter
from service.localasr.engine import StreamSettings

PATH_PREFIX = "/asr/v2/"
MAX_PARAMETERS = 64
KNOWN_FORMATS = {1: "pcm", 4: "speex", 6: "silk", 8: "mp3", 10: "opus", 12: "wav", 14: "m4a", 16: "aac"}
# Tencent doc 1093/48982, "engine_model_type", 2025-26 copy.
# fmt: off
DOCUMENTED_ENGINES = (
    "8k_zh", "8k_en", "8k_zh_large", "16k_zh_en", "16k_zh_large", "16k_multi_lang", "16k_en_large", "16k_zh",
    "16k_zh-TW", "16k_zh_edu", "16k_zh_medical", "16k_zh_court", "16k_yue", "16k_en", "16k_en_game",
    "16k_en_edu", "16k_ko", "16k_ja", "16k_th", "16k_id", "16k_vi", "16k_ms", "16k_fil", "16k_pt", "16k_tr",
    "16k_ar", "16k_es", "16k_hi", "16k_fr", "16k_de",
)
# fmt: on
_REQUIRED = ("secretid", "timestamp", "expired", "nonce", "engine_model_type", "voice_id", "signature")
_CHOICES = {
    "needvad": {"0", "1"},
    "filter_dirty": {"0", "1", "2"},
    "filter_modal": {"0", "1", "2"},
    "filter_punc": {"0", "1"},
    "filter_empty_result": {"0", "1"},
    "convert_num_mode": {"0", "1", "3"},
    "word_info": {"0", "1", "2", "100"},
    "input_sample_rate": {"8000"},
    "emotion_recognition": {"0", "1", "2"},
}
_MAX_VOICE_ID = 128
# 0 means "unset": the vendor's Go SDK always sends max_speak_time=0.
_RANGES_MS = {"vad_silence_time": (500, 2000), "max_speak_time": (5000, 90000)}
_MAX_HOTWORDS, _MAX_HOTWORD_CHARS, _MAX_HOTWORD_CHINESE = 128, 30, 10
_CHINESE = re.compile("[一-鿿]")
# A segment is cut at 60 s when voice activity detection is off.
UNSPLIT_SEGMENT_MS = 60000


class Target(msgspec.Struct, frozen=True):
    """The request target, decoded."""

    app_id: str
    parameters: dict[str, str]


class StreamRequest(msgspec.Struct, frozen=True):
    """What a client asked for, within the documented ranges."""

    voice_id: str
    engine_model_type: str
    voice_format: int
    with_words: bool
    filter_empty: bool
    settings: StreamSettings


def parse_target(target: str) -> Target | Refusal:
    """``/asr/v2/<appid>?<query>`` decoded; 4001 for a name given twice or more than 64 parameters."""
    path, _, query = target.partition("?")
    try:
        pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    except ValueError:
        return bad_parameter("too many parameters")
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        return bad_parameter("a parameter is given twice")
    return Target(urllib.parse.unquote(path.removeprefix(PATH_PREFIX)), parameters)


def parse_request(
    parameters: Mapping[str, str],
    engines: tuple[str, ...],
    *,
    list_engines: bool,
    formats: Collection[int] = tuple(DECODERS),
) -> StreamRequest | Refusal:
    """The stream that ``parameters`` ask for, or 4001 that names the first bad one.

    ``engines`` are those on offer; ``list_engines`` names them in the refusal of another one. ``formats`` are the
    ``voice_format`` values that can be decoded.
    """
    for name in _REQUIRED:
        if not parameters.get(name):
            return bad_parameter(f"{name}: is required")
    bad = _first_bad(parameters)
    if bad is not None:
        return bad_parameter(f"Invalid [{bad}: {parameters[bad][:64]}]")
    engine = parameters["engine_model_type"]
    if engine not in engines:
        known = f", supported: {' '.join(engines)}" if list_engines else ""
        return bad_parameter(f"Not support [engine_model_type: {engine[:64]}]{known}")
    voice_format = int(parameters.get("voice_format", "4"))
    if voice_format not in formats:
        known = " ".join(str(number) for number in sorted(formats))
        return bad_parameter(f"Not support [voice_format: {voice_format}], supported: {known}")
    needs_vad = parameters.get("needvad") == "1"
    narrow = engine.startswith("8k_") or "input_sample_rate" in parameters
    settings = StreamSettings(
        sample_rate_hz=8000 if narrow else 16000,
        silence_ms=(_number(parameters, "vad_silence_time") or 1000) if needs_vad else None,
        max_sentence_ms=(_number(parameters, "max_speak_time") or 60000) if needs_vad else UNSPLIT_SEGMENT_MS,
    )
    return StreamRequest(
        voice_id=parameters["voice_id"],
        engine_model_type=engine,
        voice_format=voice_format,
        with_words=parameters.get("word_info", "0") != "0",
        filter_empty=parameters.get("filter_empty_result", "1") == "1",
        settings=settings,
    )


def _first_bad(parameters: Mapping[str, str]) -> str | None:
    checks = {
        "timestamp": _is_unix_s,
        "expired": _is_unix_s,
        # Positive, at most 10 digits.
        "nonce": lambda value: re.fullmatch("[0-9]{1,10}", value) is not None and int(value) > 0,
        "voice_id": lambda value: len(value) <= _MAX_VOICE_ID,
        "voice_format": lambda value: value in {str(number) for number in KNOWN_FORMATS},
        "noise_threshold": _is_noise_threshold,
        "hotword_list": are_hotwords,
    }
    for name, value in parameters.items():
        if name in _CHOICES and value not in _CHOICES[name]:
            return name
        if name in _RANGES_MS and not _in_range(value, *_RANGES_MS[name]):
            return name
        if name in checks and not checks[name](value):
            return name
    return None


def _is_unix_s(value: str) -> bool:
    return re.fullmatch("[0-9]{1,12}", value) is not None


def _in_range(value: str, low: int, high: int) -> bool:
    return re.fullmatch("[0-9]{1,6}", value) is not None and (int(value) == 0 or low <= int(value) <= high)


def _is_noise_threshold(value: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]{1,3}(\.[0-9]{0,9})?", value) is not None and -2 <= float(value) <= 2


def are_hotwords(value: str) -> bool:
    """``word|weight,word|weight``: up to 128 words of up to 30 characters (10 Chinese), weight 1 to 11 or 100, no
    spaces.
    """
    items = value.split(",") if value else []
    return len(items) <= _MAX_HOTWORDS and all(_is_hotword(item) for item in items)


def _is_hotword(item: str) -> bool:
    word, _, weight = item.rpartition("|")
    if not 1 <= len(word) <= _MAX_HOTWORD_CHARS or len(_CHINESE.findall(word)) > _MAX_HOTWORD_CHINESE:
        return False
    if any(char.isspace() for char in word):
        return False
    return re.fullmatch("[0-9]{1,3}", weight) is not None and (1 <= int(weight) <= 11 or int(weight) == 100)


def _number(parameters: Mapping[str, str], name: str) -> int:
    return int(parameters.get(name, "0"))
