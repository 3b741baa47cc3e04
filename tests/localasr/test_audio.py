import array
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.localasr.audio import AudioRejectedError, PcmDecoder, WavDecoder, doubled

PCM = bytes(range(200))


def wav(
    pcm: bytes = PCM,
    *,
    tag: int = 1,
    channels: int = 1,
    rate_hz: int = 16000,
    bits: int = 16,
    extra: bytes = b"",
    size: int | None = None,
) -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, tag, channels, rate_hz, rate_hz * 2, 2, bits)
    data = struct.pack("<4sI", b"data", len(pcm) if size is None else size) + pcm
    body = b"WAVE" + fmt + extra + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


chunkings = st.lists(st.integers(0, 60), max_size=30)


@settings(deadline=None)
@given(chunkings)
def test_pcm_in_any_cut_is_the_same_whole_samples(sizes: list[int]) -> None:
    decoder = PcmDecoder(16000)
    decoded = [decoder.feed(piece) for piece in cut(PCM + b"x", sizes)]
    assert b"".join(decoded) == PCM
    assert all(len(piece) % 2 == 0 for piece in decoded)


@settings(deadline=None)
@given(chunkings, st.sampled_from([b"", struct.pack("<4sI", b"LIST", 3) + b"abc\0"]), st.booleans())
def test_wav_in_any_cut_is_its_samples(sizes: list[int], extra: bytes, streamed: bool) -> None:
    file = wav(extra=extra, size=0xFFFFFFFF) if streamed else wav(extra=extra) + b"LIST trailing chunk"
    decoder = WavDecoder(16000)
    assert b"".join(decoder.feed(piece) for piece in cut(file, sizes)) == PCM


@pytest.mark.parametrize(
    "file",
    [
        b"ID3\4 not a wav",
        b"RIFF\0\0\0\0AVI ",
        wav(channels=2),
        wav(bits=8),
        wav(rate_hz=8000),
        wav(tag=85),
        b"RIFF\0\0\0\0WAVEdata\0\0\0\0",
        struct.pack("<4sI4s4sI", b"RIFF", 0, b"WAVE", b"LIST", 10**6) + bytes(70000),
    ],
)
def test_other_bytes_are_rejected(file: bytes) -> None:
    with pytest.raises(AudioRejectedError):
        WavDecoder(16000).feed(file)


def test_8_khz_is_16_khz_with_every_sample_twice() -> None:
    assert (
        doubled(array.array("h", [1, -2, 32767]).tobytes()) == array.array("h", [1, 1, -2, -2, 32767, 32767]).tobytes()
    )
    assert doubled(b"") == b""
