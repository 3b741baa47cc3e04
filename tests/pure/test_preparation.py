"""What an upload becomes: as it is, converted, cut, or refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.failures import Problem, Slug
from service.recognizer.durations import read_wav
from service.recognizer.formats import AudioFormat
from service.recognizer.preparation import (
    MAX_AUDIO_MS,
    MAX_RAW_BYTES,
    Prepared,
    TooLongError,
    UndecodableError,
    Upload,
    prepare,
    wav_of,
)
from service.recognizer.splitting import Part
from tests.support.recordings import EBML, adts, mp3_frame, wav_file

F = AudioFormat
SECOND = bytes(32000)
MP3 = mp3_frame() * 100
WEBM = EBML + bytes(100)


def two_seconds(data: bytes, audio_format: AudioFormat, rate: int) -> bytes:
    return bytes(4 * rate)


def damaged(data: bytes, audio_format: AudioFormat, rate: int) -> bytes:
    raise UndecodableError


def endless(data: bytes, audio_format: AudioFormat, rate: int) -> bytes:
    raise TooLongError


def empty(data: bytes, audio_format: AudioFormat, rate: int) -> bytes:
    return b""


@pytest.mark.parametrize("decode", [None, two_seconds])
@pytest.mark.parametrize(
    ("data", "audio_format", "length_ms"),
    [
        (MP3, F.MP3, 2612),
        (adts(100) * 10, F.AAC, 640),
        (wav_file(SECOND), F.WAV, 1000),
        (wav_file(SECOND, rate=8000), F.WAV, 2000),
        (b"\x02#!SILK_V3" + bytes(100), F.SILK, None),
        (b"RIFF\0\0\0\0WAVEjunk", F.WAV, None),
    ],
)
def test_what_tencent_takes_goes_as_it_is(
    data: bytes, audio_format: AudioFormat, length_ms: int | None, decode: None
) -> None:
    assert prepare(Upload(data), decode) == Prepared(audio_format, audio_format, (Part(0, data),), 0, length_ms)


def test_what_it_does_not_take_is_converted() -> None:
    for data, audio_format in (
        (WEBM, F.WEBM),
        (wav_file(SECOND, channels=2), F.WAV),
        (wav_file(SECOND, rate=44100), F.WAV),
    ):
        for rate in (8000, 16000):
            prepared = prepare(Upload(data, converted_rate=rate), two_seconds)
            assert isinstance(prepared, Prepared)
            assert (prepared.format, prepared.sent_as, prepared.duration_ms) == (audio_format, F.WAV, 2000)
            (part,) = prepared.parts
            wav = read_wav(part.data)
            assert wav is not None
            assert (wav.sample_rate, wav.is_plain, wav.duration_ms) == (rate, True, 2000)


def test_a_strange_wav_goes_as_it_is_without_the_converter() -> None:
    prepared = prepare(Upload(wav_file(SECOND, channels=2)), None)
    assert isinstance(prepared, Prepared)
    assert prepared.sent_as is F.WAV


@pytest.mark.parametrize(
    ("upload", "decode", "slug", "words"),
    [
        (Upload(b""), two_seconds, Slug.UNSUPPORTED_AUDIO, "no audio"),
        (Upload(b"abc", announced_pcm=True), None, Slug.UNSUPPORTED_AUDIO, "no audio"),
        (Upload(bytes(100)), two_seconds, Slug.UNSUPPORTED_AUDIO, "voiceFormat=pcm"),
        (Upload(WEBM), None, Slug.UNSUPPORTED_AUDIO, "converter"),
        (Upload(WEBM + bytes(MAX_RAW_BYTES)), None, Slug.UNSUPPORTED_AUDIO, "converter"),
        (Upload(WEBM), damaged, Slug.UNSUPPORTED_AUDIO, "cannot be decoded"),
        (Upload(WEBM), endless, Slug.AUDIO_TOO_LONG, "at most 600 s"),
        (Upload(WEBM), empty, Slug.UNSUPPORTED_AUDIO, "no audio"),
        (Upload(mp3_frame() * 2400), None, Slug.AUDIO_TOO_LONG, "60 s"),
        (Upload(MP3 + bytes(MAX_RAW_BYTES)), None, Slug.AUDIO_TOO_LONG, "60 s"),
        (Upload(mp3_frame() * 24000), two_seconds, Slug.AUDIO_TOO_LONG, "626 s"),
        (Upload(SECOND * 601, announced_pcm=True), None, Slug.AUDIO_TOO_LONG, "601 s"),
    ],
    ids=[
        "empty", "short", "unknown", "webm", "large-webm", "damaged", "endless", "nothing-in-it", "long-mp3",
        "large-mp3", "far-too-long-mp3", "far-too-long-pcm",
    ],
)  # fmt: skip
def test_refused(upload: Upload, decode: None, slug: Slug, words: str) -> None:
    refused = prepare(upload, decode)
    assert isinstance(refused, Problem)
    assert refused.slug is slug
    assert words in refused.message


def test_long_audio_is_cut() -> None:
    for upload, sent_as in (
        (Upload(SECOND * 61, announced_pcm=True), F.PCM),
        (Upload(wav_file(SECOND * 61)), F.WAV),
        (Upload(wav_file(SECOND * 150)), F.WAV),
    ):
        prepared = prepare(upload, None)
        assert isinstance(prepared, Prepared)
        assert prepared.sent_as is sent_as
        assert len(prepared.parts) in (2, 3)
        for part in prepared.parts:
            assert len(part.data) <= 55_000 * 32 + 44
    prepared = prepare(Upload(mp3_frame() * 2400), lambda data, audio_format, rate: bytes(2 * rate * 62))
    assert isinstance(prepared, Prepared)
    assert (len(prepared.parts), prepared.format, prepared.sent_as) == (2, F.MP3, F.WAV)


def test_an_announcement_of_pcm_outweighs_frames_and_not_a_signature() -> None:
    for data, expected in ((MP3, F.PCM), (wav_file(SECOND), F.WAV), (bytes(101), F.PCM)):
        prepared = prepare(Upload(data, announced_pcm=True, pcm_rate=8000), None)
        assert isinstance(prepared, Prepared)
        assert (prepared.format, prepared.sent_as) == (expected, expected)
    odd = prepare(Upload(bytes(101), announced_pcm=True, pcm_rate=8000), None)
    assert odd == Prepared(F.PCM, F.PCM, (Part(0, bytes(100)),), 8000, 6)


@given(st.binary(max_size=200), st.booleans())
def test_anything_can_be_uploaded(data: bytes, announced_pcm: bool) -> None:
    for decode in (None, two_seconds, damaged):
        prepared = prepare(Upload(data, announced_pcm), decode)
        if isinstance(prepared, Prepared):
            assert prepared.parts
            assert prepared.sent_as is not F.UNKNOWN
            assert (prepared.duration_ms or 0) <= MAX_AUDIO_MS


def test_wav_header() -> None:
    assert wav_of(b"abcd", 8000) == wav_file(b"abcd", rate=8000).replace(b"RIFF\0\0\0\0", b"RIFF\x28\0\0\0")
