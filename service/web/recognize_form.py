"""The fields of an upload: strings, as forms have them, into what is in force. Pure.

The names are those of the service being replaced; `needvad` and `vadSilenceTime` mean nothing for one sentence and are
ignored, as is every name that is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from service.failures import Problem, Slug, problem
from service.recognizer.tencent_api import Options
from service.settings_reader import ENGINE_NAME
from service.stream.protocol import Hotword
from service.stream.stream_settings import SAMPLE_RATES, hotwords_complaint, nearest

WORD_INFO: Final = 2  # as in the service being replaced: words with times
_PCM: Final = ("pcm", "1")
_OTHER_FORMATS: Final = (
    "wav", "12", "mp3", "8", "m4a", "14", "mp4", "aac", "16", "amr", "silk", "6", "speex", "4", "ogg", "ogg-opus",
    "opus", "10", "webm", "flac", "auto",
)  # fmt: skip
"""Names and numbers that clients use. They are not believed: the bytes tell."""
_NUMBERS: Final = {
    "wordInfo": (WORD_INFO, (0, 1, 2)),
    "filterDirty": (0, (0, 1, 2)),
    "filterModal": (0, (0, 1, 2)),
    "filterPunc": (0, (0, 1, 2)),
    "convertNumMode": (1, (0, 1)),
}
_WORDS: Final = {"true": 1, "false": 0}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the client wants, brought into the recognizer's ranges."""

    options: Options
    announced_pcm: bool
    sample_rate: int
    """Of PCM that is announced."""


class _Refused(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def read_form(form: Mapping[str, str], default_engine: str) -> Wishes | Problem:
    """The wishes in a form, or why it is refused. A number outside its range becomes the nearest one in it."""
    fields = {name: value.strip() for name, value in form.items() if value.strip()}
    try:
        engine = _engine(fields.get("engineType", default_engine))
        return Wishes(
            Options(
                engine=engine,
                word_info=_number(fields, "wordInfo"),
                filter_dirty=_number(fields, "filterDirty"),
                filter_modal=_number(fields, "filterModal"),
                filter_punc=_number(fields, "filterPunc"),
                convert_num_mode=_number(fields, "convertNumMode"),
                hotwords=_hotwords(fields.get("hotwords", "[]"), engine),
            ),
            _is_pcm(fields.get("voiceFormat", "auto")),
            _sample_rate(fields, engine),
        )
    except _Refused as refused:
        return problem(Slug.BAD_REQUEST, refused.message)


def _engine(given: str) -> str:
    if not ENGINE_NAME.fullmatch(given):
        raise _Refused("engineType is not the name of an engine, such as 16k_zh.")
    return given


def _number(fields: Mapping[str, str], name: str) -> int:
    default, allowed = _NUMBERS[name]
    value = _whole(fields.get(name, str(default)), name)
    return nearest(value, allowed)


def _whole(given: str, name: str) -> int:
    try:
        return _WORDS[given.lower()] if given.lower() in _WORDS else int(given[:20])
    except ValueError:
        raise _Refused(f"{name} {given[:20]!r}: expected a whole number.") from None


def _is_pcm(given: str) -> bool:
    name = given.lower()
    if name not in _PCM and name not in _OTHER_FORMATS:
        raise _Refused(f"voiceFormat {given[:20]!r} is not known: leave it out, or say pcm for bare PCM.")
    return name in _PCM


def _sample_rate(fields: Mapping[str, str], engine: str) -> int:
    only_8k = engine.startswith("8k_")
    rate = _whole(fields.get("sampleRate", "8000" if only_8k else "16000"), "sampleRate")
    if rate not in SAMPLE_RATES:
        raise _Refused(f"sampleRate {rate}: expected 16000 or 8000.")
    if only_8k and rate != 8000 and _is_pcm(fields.get("voiceFormat", "auto")):
        raise _Refused(f"engineType {engine} takes a sampleRate of 8000, not {rate}.")
    return rate


def _hotwords(given: str, engine: str) -> tuple[tuple[str, int], ...]:
    try:
        hotwords = msgspec.json.decode(given, type=list[Hotword])
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _Refused('hotwords is not JSON like [{"word": "ten", "weight": 10}].') from None
    complaint = hotwords_complaint(hotwords, engine)
    if complaint:
        raise _Refused(complaint)
    return tuple((hotword.word, hotword.weight) for hotword in hotwords)
