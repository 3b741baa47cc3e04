"""How long audio is, by its container."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.recognizer.durations import duration_ms, read_wav
from service.recognizer.formats import AudioFormat
from tests.support.recordings import (
    OPUS_PAGE,
    SPEEX_HEADER,
    SPEEX_PAGE,
    adts,
    box,
    id3,
    movie_header,
    mp3_frame,
    ogg_page,
    wav_file,
)

F = AudioFormat
AMR = b"#!AMR\n"


@pytest.mark.parametrize(
    ("audio_format", "data", "expected"),
    [
        (F.SILK, b"#!SILK_V3", None),
        (F.UNKNOWN, bytes(100), None),
        (F.WAV, wav_file(bytes(32000)), 1000),
        (F.WAV, wav_file(bytes(32000), rate=0), 0),
        (F.WAV, b"RIFF\0\0\0\0WAVE", None),
        (F.MP3, mp3_frame() * 100 + b"TAG" + bytes(125), 2612),
        (F.MP3, id3(50) + mp3_frame(1) * 125, 3000),
        (F.MP3, bytes(100), None),
        (F.AAC, adts(100) * 125, 8000),
        (F.AMR, AMR + (b"\x3c" + bytes(31)) * 50, 1000),
        (F.AMR, AMR + b"\x7c" * 10 + (b"\x04" + bytes(12)) * 5, 300),
        (F.AMR, AMR + b"\x5c", None),
        (F.OGG_OPUS, OPUS_PAGE + ogg_page(b"x", 96000), 2000),
        (F.OGG_OPUS, OPUS_PAGE + ogg_page(b"x", -1), None),
        (F.OGG_OPUS, b"OggS", None),
        (F.OGG_OPUS, b"", None),
        (F.SPEEX, SPEEX_PAGE + ogg_page(b"x", 32000), 2000),
        (F.SPEEX, ogg_page(b"x", 32000), None),
        (F.SPEEX, ogg_page(b"Speex   ", 32000), None),
        (F.SPEEX, ogg_page(SPEEX_HEADER.replace(struct.pack("<i", 16000), bytes(4)), 5), None),
        (F.M4A, box(b"ftyp", b"M4A ") + box(b"moov", box(b"mvhd", movie_header(1000, 2787))), 2787),
        (F.M4A, box(b"moov", box(b"mvhd", movie_header(16000, 32000, version=1)), form="long"), 2000),
        (F.M4A, box(b"moov", box(b"mvhd", movie_header(1000, 5)), form="open"), 5),
        (F.M4A, box(b"moov", box(b"mvhd", movie_header(0, 5))), None),
        (F.M4A, box(b"moov", box(b"mvhd", movie_header(1000, 0))), None),
        (F.M4A, box(b"moov", box(b"mvhd", bytes(10))), None),
        (F.M4A, box(b"moov", box(b"trak", bytes(10))), None),
        (F.M4A, struct.pack(">I4s", 4, b"free") + bytes(20), None),
        (F.M4A, struct.pack(">I4s", 400, b"moov") + bytes(20), None),
        (F.M4A, struct.pack(">I4s", 1, b"moov"), None),
    ],
)
def test_duration(audio_format: AudioFormat, data: bytes, expected: int | None) -> None:
    assert duration_ms(data, audio_format) == expected


@given(st.sampled_from(list(AudioFormat)), st.binary(max_size=200))
def test_anything_can_be_measured(audio_format: AudioFormat, data: bytes) -> None:
    length_ms = duration_ms(data, audio_format)
    assert length_ms is None or length_ms >= 0


def test_wav_layout() -> None:
    wav = read_wav(wav_file(b"abcd", extra=b"LIST" + struct.pack("<I", 3) + b"abc\0"))
    assert wav is not None
    assert (wav.begin, wav.end, wav.is_plain) == (56, 60, True)
    extensible = read_wav(wav_file(bytes(8), tag=0xFFFE))
    assert extensible is not None
    assert extensible.is_plain
    stereo = read_wav(wav_file(bytes(8), channels=2))
    assert stereo is not None
    assert not stereo.is_plain


def test_wav_of_unknown_length() -> None:
    for size in (0, 0xFFFFFFFF, 1000):
        data = wav_file(bytes(100))
        data = data[:40] + struct.pack("<I", size) + data[44:]
        wav = read_wav(data)
        assert wav is not None
        assert wav.end - wav.begin == 100


def test_wav_without_a_description() -> None:
    assert read_wav(b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd") is None
