import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.audio import AudioRejectedError
from service.localasr.mp3_frames import MAX_SKIPPED_BYTES, Mp3Framer, Mp3Header, parse_header
from service.localasr.sniff import looks_like
from tests.localasr.test_audio import chunkings, cut

HEADER = bytes([0xFF, 0xF3, 0x68, 0xC4])  # MPEG 2, layer III, 48 kbit/s, 16 kHz, mono: 216 bytes
FRAMES = [HEADER + bytes([number]) * 212 for number in range(1, 6)]
TAG = b"ID3\4\0\0" + bytes([0, 0, 2, 3]) + b"\xff\xf3\x68\xc4" * 64 + b"abc"


def frames_of(pieces: list[bytes]) -> list[bytes]:
    framer = Mp3Framer()
    found = [frame for piece in pieces for frame in framer.feed(piece)]
    found += framer.finish()
    assert all(frame.header == Mp3Header(216, 576, 16000) for frame in found)
    return [frame.data for frame in found]


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (HEADER, Mp3Header(216, 576, 16000)),
        (bytes([0xFF, 0xFB, 0x90, 0x00]), Mp3Header(417, 1152, 44100)),
        (bytes([0xFF, 0xFB, 0x92, 0x00]), Mp3Header(418, 1152, 44100)),
        (bytes([0xFF, 0xFB, 0xEA, 0x00]), Mp3Header(1441, 1152, 32000)),
        (bytes([0xFF, 0xE3, 0x48, 0x00]), Mp3Header(288, 576, 8000)),
        (HEADER[:3], None),
        (b"RIFF", None),
        (bytes([0xFF, 0xF5, 0x68, 0xC4]), None),  # layer II
        (bytes([0xFF, 0xEB, 0x68, 0xC4]), None),  # reserved version
        (bytes([0xFF, 0xF3, 0x08, 0xC4]), None),  # free bit rate
        (bytes([0xFF, 0xF3, 0xF8, 0xC4]), None),
        (bytes([0xFF, 0xF3, 0x6C, 0xC4]), None),  # reserved rate
        (b"\xff\xff\xff\xff", None),
    ],
)
def test_headers(data: bytes, header: Mp3Header | None) -> None:
    assert parse_header(data) == header


@settings(deadline=None)
@given(chunkings, st.sampled_from([b"", TAG, b"\x00garbage\xff\xf3", FRAMES[0][100:]]))
def test_any_cut_gives_the_same_frames(sizes: list[int], before: bytes) -> None:
    recorded_again = b"".join(FRAMES) + TAG + b"".join(FRAMES) + b"TAG and more that is no audio"
    assert frames_of(cut(before + recorded_again, sizes)) == FRAMES * 2


def test_one_frame_alone_is_taken_at_the_end() -> None:
    assert frames_of([FRAMES[0]]) == [FRAMES[0]]
    assert frames_of([]) == []


def test_a_frame_that_describes_the_file_is_left_out() -> None:
    about = HEADER + bytes(9) + b"Info" + bytes(199)
    assert frames_of([about, *FRAMES]) == FRAMES


def test_a_header_in_the_middle_of_noise_is_no_frame() -> None:
    assert frames_of([HEADER + bytes(300) + b"".join(FRAMES)]) == FRAMES
    other_rate = bytes([0xFF, 0xF3, 0x64, 0xC4])
    assert frames_of([HEADER + bytes(212) + other_rate + bytes(20) + b"".join(FRAMES)]) == FRAMES


def test_other_bytes_are_rejected() -> None:
    with pytest.raises(AudioRejectedError):
        Mp3Framer().feed(bytes(MAX_SKIPPED_BYTES + 5))
    framer = Mp3Framer()
    framer.feed(b"".join(FRAMES))
    with pytest.raises(AudioRejectedError):
        framer.feed(bytes(MAX_SKIPPED_BYTES + 5))
    for short in (bytes(10), HEADER + bytes(20)):
        framer = Mp3Framer()
        framer.feed(short)
        with pytest.raises(AudioRejectedError):
            framer.finish()


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_rejected(data: bytes) -> None:
    framer = Mp3Framer()
    framer.feed(data)
    try:
        framer.finish()
    except AudioRejectedError:
        assert data


@pytest.mark.parametrize(
    ("voice_format", "head"),
    [
        ("wav", b"RIFF\0\0\0\0WAVEfmt "),
        ("mp3", HEADER),
        ("mp3", TAG),
        ("aac", b"\xff\xf1\x60\x40"),
        ("m4a", b"\0\0\0\x1cftypM4A "),
        ("amr", b"#!AMR\n<"),
        ("ogg-opus", b"OggS" + bytes(24) + b"OpusHead"),
        ("speex", b"OggS" + bytes(24) + b"Speex   1.2"),
    ],
)
def test_a_file_looks_like_its_format_alone(voice_format: str, head: bytes) -> None:
    formats = ("wav", "mp3", "aac", "m4a", "amr", "ogg-opus", "speex", "silk")
    assert [name for name in formats if looks_like(name, head)] == [voice_format]
    assert not looks_like(voice_format, b"")
