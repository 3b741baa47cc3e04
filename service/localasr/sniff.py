"""Whether a file is of the announced format, by its first bytes. Pure.

Asked before a decoder is: a demuxer that is told what to expect finds it in almost anything.
"""

from __future__ import annotations

from service.localasr.mp3_frames import parse_header

_HEAD_BYTES = 64


def looks_like(voice_format: str, data: bytes) -> bool:
    """Whether ``data`` may be a file of ``voice_format`` (one of Tencent's names but raw ``pcm``)."""
    head = data[:_HEAD_BYTES]
    if voice_format == "wav":
        return head.startswith(b"RIFF") and head[8:12] == b"WAVE"
    if voice_format == "mp3":
        return head.startswith(b"ID3") or parse_header(head) is not None
    if voice_format == "aac":  # ADTS: twelve ones, layer 0
        return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    if voice_format == "m4a":
        return head[4:8] == b"ftyp"
    if voice_format == "amr":
        return head.startswith(b"#!AMR")
    signature = {"ogg-opus": b"OpusHead", "speex": b"Speex   "}.get(voice_format)
    return signature is not None and head.startswith(b"OggS") and signature in head
