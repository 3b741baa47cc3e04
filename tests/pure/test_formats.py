"""What bytes are: by signature, by two frames, and never by chance alone."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.recognizer.formats import (
    TENCENT_FORMATS,
    WEBM_SEARCH_BYTES,
    AudioFormat,
    after_id3,
    by_frames,
    by_signature,
    frame_at,
    identify,
    webm_start,
)
from tests.support.recordings import EBML, OPUS_PAGE, SPEEX_PAGE, adts, id3, mp3_frame, ogg_page

F = AudioFormat
TWO_MP3 = mp3_frame() * 2
TWO_ADTS = adts(200) * 2


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", F.UNKNOWN),
        (bytes(64), F.UNKNOWN),
        (b"RIFF\0\0\0\0WAVEfmt ", F.WAV),
        (b"RIFF\0\0\0\0AVI LIST", F.UNKNOWN),
        (OPUS_PAGE, F.OGG_OPUS),
        (SPEEX_PAGE, F.SPEEX),
        (ogg_page(b"\x01vorbis", 0), F.OGG),
        (b"OggS", F.OGG),
        (id3(10), F.MP3),
        (id3(10) + TWO_MP3, F.MP3),
        (id3(10) + TWO_ADTS, F.AAC),
        (EBML, F.WEBM),
        (b"\x1a\x45\xdf\xa3", F.WEBM),
        (b"fLaC", F.FLAC),
        (b"#!AMR\n<", F.AMR),
        (b"#!AMR-WB\n", F.AMR_WB),
        (b"#!SILK_V3", F.SILK),
        (b"\x02#!SILK_V3", F.SILK),
        (b"\0\0\0\x20ftypM4A ", F.M4A),
        (bytes(1310) + EBML, F.WEBM),
        (bytes(51200) + b"\x1a\x45\xdf\xa3" + bytes(100) + EBML, F.WEBM),
        (bytes(WEBM_SEARCH_BYTES) + EBML, F.UNKNOWN),
        (bytes(100) + b"\x1a\x45\xdf\xa3" + bytes(100), F.UNKNOWN),
        (TWO_MP3, F.MP3),
        (mp3_frame(), F.UNKNOWN),
        (mp3_frame() + mp3_frame(rate_index=1), F.UNKNOWN),
        (mp3_frame() + bytes(500), F.UNKNOWN),
        (TWO_ADTS, F.AAC),
        (adts(200), F.UNKNOWN),
    ],
)
def test_identify(data: bytes, expected: AudioFormat) -> None:
    assert identify(data) is expected


def test_frames_alone_are_no_signature() -> None:
    assert by_signature(TWO_MP3) is F.UNKNOWN
    assert by_frames(TWO_MP3) is F.MP3


@given(st.binary(max_size=300))
def test_anything_can_be_looked_at(data: bytes) -> None:
    found = identify(data)
    assert by_signature(data) in (found, F.UNKNOWN)
    assert found is not F.PCM
    frame = frame_at(data, 0)
    assert frame is None or (frame.length_bytes >= 7 and frame.samples > 0 and frame.sample_rate > 0)


@given(st.integers(0, 65000), st.binary(max_size=64))
def test_webm_is_found_where_it_begins(before: int, after: bytes) -> None:
    data = bytes(before) + EBML + after
    assert webm_start(data) == before
    assert identify(data) is F.WEBM


@given(st.lists(st.integers(-300, 300), min_size=8, max_size=400))
def test_quiet_pcm_is_not_taken_for_something(samples: list[int]) -> None:
    """No signature occurs in it. Frame headers do (0xFF is the upper half of every small negative sample)."""
    pcm = struct.pack(f"<{len(samples)}h", *samples)
    assert by_signature(pcm) is F.UNKNOWN


@pytest.mark.parametrize(
    ("second", "third", "fourth", "expected"),
    [
        (0xFB, 0x90, 0x00, (417, 1152, 44100)),  # MPEG 1 layer 3, 128 kbit/s
        (0xFB, 0x92, 0x00, (418, 1152, 44100)),  # with padding
        (0xF3, 0x48, 0x00, (144, 576, 16000)),  # MPEG 2 layer 3, 32 kbit/s
        (0xE3, 0x48, 0x00, (288, 576, 8000)),  # MPEG 2.5 layer 3
        (0xFD, 0x54, 0x00, (240, 1152, 48000)),  # layer 2, 80 kbit/s
        (0xFF, 0x54, 0x00, (160, 384, 48000)),  # layer 1, 160 kbit/s
        (0xEB, 0x90, 0x00, None),  # reserved version
        (0xFB, 0x00, 0x00, None),  # free format
        (0xFB, 0xF0, 0x00, None),  # forbidden bit rate
        (0xFB, 0x9C, 0x00, None),  # reserved rate
        (0xFB, 0x90, 0x02, None),  # reserved emphasis
        (0x0B, 0x90, 0x00, None),  # no sync
    ],
)
def test_mpeg_headers(second: int, third: int, fourth: int, expected: tuple[int, int, int] | None) -> None:
    frame = frame_at(bytes([0xFF, second, third, fourth]) + bytes(8), 0)
    assert (frame and (frame.length_bytes, frame.samples, frame.sample_rate)) == expected
    assert frame is None or frame.format is F.MP3


def test_adts_headers() -> None:
    frame = frame_at(adts(300, blocks=2), 0)
    assert frame is not None
    assert (frame.format, frame.length_bytes, frame.samples, frame.sample_rate) == (F.AAC, 300, 2048, 16000)
    assert frame_at(adts(300, rate_index=13), 0) is None
    assert frame_at(adts(6), 0) is None
    assert frame_at(b"\xff\xe0" + adts(300)[2:], 0) is None
    assert frame_at(adts(300), 295) is None, "cut"
    assert frame_at(b"\xfe" + adts(300)[1:], 0) is None


def test_id3() -> None:
    assert after_id3(b"") == after_id3(b"ID3") == after_id3(b"TAG" + bytes(20)) == 0
    assert after_id3(id3(200)) == 210
    assert after_id3(id3(200, footer=True)) == 220


def test_titles() -> None:
    assert all(found.title for found in AudioFormat)
    assert "WebM" in F.WEBM.title
    assert {found.value for found in TENCENT_FORMATS} == {
        "wav", "pcm", "ogg-opus", "speex", "silk", "mp3", "m4a", "aac", "amr",
    }  # fmt: skip
