"""What an upload becomes before the recognizer gets it: as it is, converted, cut, or refused. Pure.

Three limits are Tencent's (document 1093/35646): the formats, 60 s, and 3 MB after base64. Decoding is an argument,
since the library for it is optional.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.failures import Problem, Slug, problem
from service.recognizer.durations import Wav, duration_ms, read_wav
from service.recognizer.formats import TENCENT_FORMATS, AudioFormat, by_signature, identify
from service.recognizer.splitting import Part, split

MAX_SENTENCE_MS: Final = 60_000
MAX_BASE64_BYTES: Final = 3 * 1024 * 1024
MAX_RAW_BYTES: Final = MAX_BASE64_BYTES // 4 * 3
MAX_AUDIO_MS: Final = 600_000
"""Of a whole upload: 11 parts, which the recognizer does within the deadline."""
MIN_AUDIO_BYTES: Final = 16
"""Less is a slip of the client, and no format can be told from it."""
ACCEPTED: Final = "wav, mp3, m4a, aac, amr, silk, ogg-opus or speex; PCM with voiceFormat=pcm"

Decode = Callable[[bytes, AudioFormat, int], bytes]
"""Data, format, sample rate → 16-bit mono PCM. Raises UndecodableError or TooLongError."""


class UndecodableError(Exception):
    """The audio is damaged, or its coding is not known to the decoder."""


class TooLongError(Exception):
    """There is more audio than MAX_AUDIO_MS, or decoding it takes too long."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Audio as it came, and what the client said about it."""

    data: bytes
    announced_pcm: bool = False
    pcm_rate: int = 16000
    """Of PCM that is announced."""
    converted_rate: int = 16000
    """What audio is converted to: the rate of the engine."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What goes to the recognizer, part by part."""

    format: AudioFormat
    """As it came."""
    sent_as: AudioFormat
    parts: tuple[Part, ...]
    pcm_rate: int
    """Means something with PCM only."""
    duration_ms: int | None
    """None: the recognizer will tell."""


def kind_of(upload: Upload) -> AudioFormat:
    """What an upload is: a signature decides, else the announcement of PCM, else frames."""
    found = by_signature(upload.data) if upload.announced_pcm else identify(upload.data)
    return AudioFormat.PCM if upload.announced_pcm and found is AudioFormat.UNKNOWN else found


def prepare(upload: Upload, decode: Decode | None) -> Prepared | Problem:
    """What is sent for an upload, or why it is refused. `decode` is None where the decoder is not installed."""
    audio_format = kind_of(upload)
    if len(upload.data) < MIN_AUDIO_BYTES:
        return problem(Slug.UNSUPPORTED_AUDIO, "The upload holds no audio.")
    if audio_format is AudioFormat.UNKNOWN:
        return problem(Slug.UNSUPPORTED_AUDIO, f"The audio is {audio_format.title}: send {ACCEPTED}.")
    if audio_format is AudioFormat.PCM:
        return _of_pcm(upload, AudioFormat.PCM, upload.data[: len(upload.data) & ~1], upload.pcm_rate)
    wav = read_wav(upload.data) if audio_format is AudioFormat.WAV else None
    if wav is not None and wav.is_plain and wav.sample_rate in (8000, 16000):
        return _of_plain_wav(upload, wav)
    length_ms = duration_ms(upload.data, audio_format)
    if length_ms is not None and length_ms > MAX_AUDIO_MS:
        return _too_long(f"{length_ms // 1000} s")
    fits = len(upload.data) <= MAX_RAW_BYTES and (length_ms or 0) <= MAX_SENTENCE_MS
    if audio_format in TENCENT_FORMATS and fits and (wav is None or decode is None):
        return Prepared(audio_format, audio_format, (Part(0, upload.data),), 0, length_ms)
    if decode is None:
        return _undecoded(audio_format, fits)
    return _converted(upload, audio_format, decode)


def _undecoded(audio_format: AudioFormat, fits: bool) -> Problem:
    missing = "this service was installed without the converter (extra `local`)"
    if fits or audio_format not in TENCENT_FORMATS:
        return problem(Slug.UNSUPPORTED_AUDIO, f"The audio is {audio_format.title}, and {missing}: send {ACCEPTED}.")
    return problem(
        Slug.AUDIO_TOO_LONG,
        f"Over 60 s or {MAX_RAW_BYTES} bytes of {audio_format.title}, and {missing}: send less, or wav or PCM.",
    )


def _converted(upload: Upload, audio_format: AudioFormat, decode: Decode) -> Prepared | Problem:
    try:
        pcm = decode(upload.data, audio_format, upload.converted_rate)
    except TooLongError:
        return _too_long("too much")
    except UndecodableError:
        return problem(
            Slug.UNSUPPORTED_AUDIO, f"The audio is {audio_format.title} and cannot be decoded: send {ACCEPTED}."
        )
    return _of_pcm(upload, audio_format, pcm, upload.converted_rate)


def _of_plain_wav(upload: Upload, wav: Wav) -> Prepared | Problem:
    if wav.duration_ms <= MAX_SENTENCE_MS and len(upload.data) <= MAX_RAW_BYTES:
        return Prepared(AudioFormat.WAV, AudioFormat.WAV, (Part(0, upload.data),), 0, wav.duration_ms)
    even = (wav.end - wav.begin) & ~1
    return _of_pcm(upload, AudioFormat.WAV, upload.data[wav.begin : wav.begin + even], wav.sample_rate)


def _of_pcm(upload: Upload, audio_format: AudioFormat, pcm: bytes, rate: int) -> Prepared | Problem:
    length_ms = len(pcm) * 1000 // (2 * rate)
    if length_ms > MAX_AUDIO_MS:
        return _too_long(f"{length_ms // 1000} s")
    if not pcm:
        return problem(Slug.UNSUPPORTED_AUDIO, "The upload holds no audio.")
    whole = length_ms < MAX_SENTENCE_MS  # 60 s and a bit are rounded to 60 s
    parts = [Part(0, pcm)] if whole else split(pcm, rate)
    if audio_format is AudioFormat.PCM:
        return Prepared(audio_format, AudioFormat.PCM, tuple(parts), rate, length_ms)
    in_wav = tuple(Part(part.start_ms, wav_of(part.data, rate)) for part in parts)
    return Prepared(audio_format, AudioFormat.WAV, in_wav, rate, length_ms)


def wav_of(pcm: bytes, rate: int) -> bytes:
    """16-bit mono PCM behind the usual header of 44 bytes."""
    described = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(pcm), b"WAVE") + described + b"data" + _u32(len(pcm)) + pcm


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)


def _too_long(given: str) -> Problem:
    return problem(Slug.AUDIO_TOO_LONG, f"The upload holds {given} of audio: at most {MAX_AUDIO_MS // 1000} s.")
