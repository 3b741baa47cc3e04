"""What is in force for one stream: the client's wishes, brought into the recognizer's ranges. Pure.

A number outside Tencent's range is clamped, and `ready` shows what became of it; a value that cannot be meant (an
unknown format, a hotword against the rules) is refused. Ranges: Tencent's document 1093/48982, request parameters.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeVar

from msgspec import UNSET

from service.failures import Problem, Slug, problem
from service.settings_reader import ENGINE_NAME
from service.stream.protocol import Hotword, Ready, Resume, Start

SAMPLE_RATES: Final = (16000, 8000)
VAD_SILENCE_MS: Final = (500, 2000)
SENTENCE_MS: Final = (5000, 90_000)
MAX_HOTWORDS: Final = 128
MAX_HOTWORD_CHARACTERS: Final = 30
MAX_CHINESE_CHARACTERS: Final = 10
SUPER_WEIGHT: Final = 100  # replaces what sounds alike; two engines know it
SUPER_WEIGHT_ENGINES: Final = ("8k_zh", "16k_zh")
MAX_SETTLED_MS: Final = 24 * 60 * 60 * 1000
"""Where a resumed stream may begin: `MAX_STREAM_S` counts for each stream of a chain, and a day is the longest that it
can be set to. The bound keeps positions and times in the sizes that everything else was made for."""
MAX_SENTENCES: Final = 100_000
"""More than one for each second of that day."""

PCM: Final = "pcm"
WAV: Final = "wav"
MP3: Final = "mp3"
BY_CONTENT: Final = "auto"
"""The old service's numbers 4 and 6 said wav and mp3, Tencent's say speex and silk: only the bytes can tell."""
_FORMATS: Final[dict[str, str]] = {
    "pcm": PCM, "1": PCM, "wav": WAV, "12": WAV, "mp3": MP3, "8": MP3, "4": BY_CONTENT, "6": BY_CONTENT,
}  # fmt: skip
STREAM_FORMATS: Final = "pcm (1) or wav (12) with 16 bit, or mp3 (8), one channel"

_STREAM_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Ours are UUIDs. It goes into a line of the log, so it must be an id and not a text."""
_Value = TypeVar("_Value")
_IDEOGRAPHS: Final = (("\u3400", "\u4dbf"), ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003ffff"))


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Everything that the recognizer is told about one stream, and the format in which its audio comes."""

    engine_type: str
    voice_format: str = PCM
    sample_rate: int = 16000
    need_vad: bool = True
    vad_silence_ms: int = 1000
    max_sentence_ms: int = 60_000
    word_info: int = 0
    hotwords: tuple[Hotword, ...] = ()
    filter_dirty: int = 0
    filter_modal: int = 0
    filter_punc: int = 0
    convert_num_mode: int = 1
    resume: Resume | None = None
    """Where indexes and times begin, if not at 0; nothing that the recognizer is told."""

    @property
    def resumed_from(self) -> str | None:
        """The stream that this one continues."""
        return None if self.resume is None else self.resume.stream_id

    @property
    def is_mp3(self) -> bool:
        """Whether the recognizer is sent mp3 rather than PCM."""
        return self.voice_format == MP3

    @property
    def bytes_per_ms(self) -> int:
        """Bytes of one millisecond of 16-bit mono PCM."""
        return self.sample_rate * 2 // 1000

    def recognizer_parameters(self) -> dict[str, str]:
        """The parameters of Tencent's request. Its own defaults are left out: fewer ways to be refused."""
        parameters = {
            "engine_model_type": self.engine_type,
            "voice_format": "8" if self.is_mp3 else "1",
            "needvad": str(int(self.need_vad)),
        }
        # Tencent takes the rate of PCM only (document 1093/48982); mp3 says its own.
        if self.sample_rate == 8000 and not self.is_mp3 and not self.engine_type.startswith("8k_"):
            parameters["input_sample_rate"] = "8000"
        if self.need_vad and self.vad_silence_ms != 1000:
            parameters["vad_silence_time"] = str(self.vad_silence_ms)
        if self.hotwords:
            parameters["hotword_list"] = ",".join(f"{hotword.word}|{hotword.weight}" for hotword in self.hotwords)
        numbers = {
            "max_speak_time": (self.max_sentence_ms, 60_000),
            "word_info": (self.word_info, 0),
            "filter_dirty": (self.filter_dirty, 0),
            "filter_modal": (self.filter_modal, 0),
            "filter_punc": (self.filter_punc, 0),
            "convert_num_mode": (self.convert_num_mode, 1),
        }
        parameters.update({name: str(value) for name, (value, default) in numbers.items() if value != default})
        return parameters

    def ready(self, stream_id: str, voice_id: str) -> Ready:
        """The message that tells the client what is in force."""
        return Ready(
            stream_id=stream_id,
            voice_id=voice_id,
            engine_type=self.engine_type,
            voice_format=self.voice_format,
            sample_rate=self.sample_rate,
            need_vad=self.need_vad,
            vad_silence_ms=self.vad_silence_ms,
            max_sentence_ms=self.max_sentence_ms,
            word_info=self.word_info,
            hotwords=self.hotwords,
            filter_dirty=self.filter_dirty,
            filter_modal=self.filter_modal,
            filter_punc=self.filter_punc,
            convert_num_mode=self.convert_num_mode,
            resumed_from=self.resumed_from or UNSET,
        )


def settle(start: Start, default_engine: str) -> StreamSettings | Problem:
    """The settings in force for a `start`, or why it is refused."""
    engine = start.engine_type or default_engine
    voice_format = _FORMATS.get("pcm" if start.voice_format is None else str(start.voice_format).lower())
    sample_rate = _first(start.sample_rate, default=8000 if engine.startswith("8k_") else 16000)
    refused = (
        _refused_engine(engine)
        or _refused_rate(engine, sample_rate)
        or _refused_hotwords(engine, start.hotwords)
        or _refused_resume(start.resume)
    )
    if refused is not None:
        return refused
    if voice_format is None:
        return problem(
            Slug.UNSUPPORTED_AUDIO,
            f"voiceFormat {_brief(start.voice_format)} cannot be streamed: use {STREAM_FORMATS}.",
        )
    need_vad = _first(start.need_vad, start.old_need_vad, default=True)
    return StreamSettings(
        engine_type=engine,
        voice_format=voice_format,
        sample_rate=sample_rate,
        need_vad=need_vad,
        vad_silence_ms=_clamped(_first(start.vad_silence_ms, start.old_vad_silence_ms, default=1000), *VAD_SILENCE_MS),
        max_sentence_ms=_clamped(_first(start.max_sentence_ms, default=60_000), *SENTENCE_MS),
        word_info=nearest(_first(start.word_info, default=0), (0, 1, 2, 100)),
        hotwords=tuple(start.hotwords),
        filter_dirty=nearest(_first(start.filter_dirty, default=0), (0, 1, 2)),
        filter_modal=nearest(_first(start.filter_modal, default=0), (0, 1, 2)),
        filter_punc=nearest(_first(start.filter_punc, default=0), (0, 1)),
        convert_num_mode=nearest(_first(start.convert_num_mode, default=1), (0, 1, 3)),
        resume=start.resume,
    )


def _refused_engine(engine: str) -> Problem | None:
    if ENGINE_NAME.fullmatch(engine):
        return None
    return problem(Slug.BAD_START, "engineType is not the name of an engine, such as 16k_zh.")


def _refused_rate(engine: str, sample_rate: int) -> Problem | None:
    if sample_rate not in SAMPLE_RATES:
        return problem(Slug.BAD_START, f"sampleRate {_brief(sample_rate)}: expected 16000 or 8000.")
    if sample_rate == 16000 and engine.startswith("8k_"):
        return problem(Slug.BAD_START, f"engineType {engine} takes a sampleRate of 8000, not 16000.")
    return None


def _refused_resume(resume: Resume | None) -> Problem | None:
    """Nothing is clamped here: a client whose numbers were changed would put its words in the wrong places."""
    if resume is None:
        return None
    if not _STREAM_ID.fullmatch(resume.stream_id):
        return problem(Slug.BAD_START, "resume.streamId is not the id of a stream, as ready gave it.")
    for name, value, most in (
        ("sentences", resume.sentences, MAX_SENTENCES),
        ("settledMs", resume.settled_ms, MAX_SETTLED_MS),
    ):
        if not 0 <= value <= most:
            return problem(Slug.BAD_START, f"resume.{name} {_brief(value)}: expected 0 to {most}.")
    return None


def _refused_hotwords(engine: str, hotwords: list[Hotword]) -> Problem | None:
    complaint = hotwords_complaint(hotwords, engine)
    return problem(Slug.BAD_START, complaint) if complaint else None


def hotwords_complaint(hotwords: list[Hotword], engine: str) -> str:
    """What is wrong with a list of hotwords, as a sentence; empty when nothing is."""
    if len(hotwords) > MAX_HOTWORDS:
        return f"{len(hotwords)} hotwords: at most {MAX_HOTWORDS} are allowed."
    for number, hotword in enumerate(hotwords):
        complaint = hotword_complaint(hotword, engine)
        if complaint:
            return f"hotwords[{number}] {complaint}."
    return ""


def hotword_complaint(hotword: Hotword, engine: str) -> str:
    """What is wrong with a hotword, as the end of a sentence; empty when nothing is."""
    word = hotword.word
    chinese = sum(_is_chinese(character) for character in word)
    if not word or any(character in " |," or not character.isprintable() for character in word):
        return "must be a word without spaces, commas and bars"
    if len(word) > MAX_HOTWORD_CHARACTERS or chinese > MAX_CHINESE_CHARACTERS:
        return f"is longer than {MAX_HOTWORD_CHARACTERS} characters or {MAX_CHINESE_CHARACTERS} Chinese characters"
    if hotword.weight == SUPER_WEIGHT:
        return "" if engine in SUPER_WEIGHT_ENGINES else f"has weight {SUPER_WEIGHT}, which {engine} does not know"
    return (
        "" if 1 <= hotword.weight <= 11 else f"has weight {_brief(hotword.weight)}: expected 1 to 11, or {SUPER_WEIGHT}"
    )


def _is_chinese(character: str) -> bool:
    """Whether it is a CJK ideograph: the unified ones, extension A, the compatibility ones, or a later extension."""
    return any(low <= character <= high for low, high in _IDEOGRAPHS)


def _first(*given: _Value | None, default: _Value) -> _Value:
    return next((value for value in given if value is not None), default)


def _clamped(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def nearest(value: int, allowed: tuple[int, ...]) -> int:
    """The allowed number that is nearest to a client's."""
    return min(allowed, key=lambda candidate: abs(candidate - value))


def _brief(value: object) -> str:
    """A client's own value for its error message, no longer than a reader needs."""
    return repr(value[:20] if isinstance(value, str) else value)[:24]
