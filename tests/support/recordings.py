"""The beginnings and frames of audio files, byte by byte: what a test wants to see told apart."""

import struct

EBML = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm"


def ogg_page(packet: bytes, granule: int) -> bytes:
    """One page with one packet."""
    return b"OggS\0\x02" + struct.pack("<qIII", granule, 7, 0, 0) + bytes([1, len(packet)]) + packet


OPUS_PAGE = ogg_page(b"OpusHead\x01\x01", 0)
SPEEX_HEADER = b"Speex   " + bytes(28) + struct.pack("<i", 16000) + bytes(40)
SPEEX_PAGE = ogg_page(SPEEX_HEADER, 0)


def mp3_frame(rate_index: int = 0) -> bytes:
    """MPEG 1 layer 3 at 128 kbit/s; by rate index 417 (44.1 kHz) or 384 (48 kHz) bytes."""
    length = {0: 417, 1: 384}[rate_index]
    return bytes([0xFF, 0xFB, 0x90 | rate_index << 2, 0]).ljust(length, b"\0")


def adts(length: int, *, rate_index: int = 8, blocks: int = 1) -> bytes:
    """An ADTS frame of that many bytes, at 16 kHz unless said otherwise."""
    head = [
        0xFF, 0xF1, 0x40 | rate_index << 2, 0x40 | length >> 11, length >> 3 & 0xFF, (length & 7) << 5 | 0x1F,
        0xFC | blocks - 1,
    ]  # fmt: skip
    return bytes(head).ljust(length, b"\0")


def id3(size: int, *, footer: bool = False) -> bytes:
    """An ID3v2 tag with that many bytes in it."""
    sizes = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0" + bytes([0x10 if footer else 0]) + sizes + bytes(size + (10 if footer else 0))


def box(name: bytes, content: bytes, *, form: str = "short") -> bytes:
    """A box of an MPEG-4 file; its size may be given in 64 bits, or as "until the end"."""
    if form == "long":
        return struct.pack(">I4sQ", 1, name, 16 + len(content)) + content
    return struct.pack(">I4s", 0 if form == "open" else 8 + len(content), name) + content


def movie_header(scale: int, length: int, *, version: int = 0) -> bytes:
    """The body of `mvhd`."""
    if version == 1:
        return b"\x01" + bytes(19) + struct.pack(">IQ", scale, length) + bytes(80)
    return bytes(12) + struct.pack(">II", scale, length) + bytes(80)


def wav_file(
    audio: bytes, *, tag: int = 1, channels: int = 1, rate: int = 16000, bits: int = 16, extra: bytes = b""
) -> bytes:
    """A wav whose header says what a test wants; `extra` are chunks before the audio."""
    described = struct.pack("<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits)
    if tag == 0xFFFE:
        described += struct.pack("<HHI", 22, bits, 0) + b"\x01\0" + bytes(14)
    chunk = b"fmt " + struct.pack("<I", len(described)) + described
    return b"RIFF\0\0\0\0WAVE" + chunk + extra + b"data" + struct.pack("<I", len(audio)) + audio
