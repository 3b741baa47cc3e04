"""What audio bytes are, told by the bytes themselves. Pure.

What a client or a file name says is not believed: recorders deliver other containers than asked for. Two kinds of
evidence are kept apart. A signature at the beginning is proof. Two consecutive frame headers of mp3 or ADTS are good
evidence in a file, but PCM may hold them by chance, so that an announcement of PCM outweighs them.
"""

import enum
from dataclasses import dataclass
from typing import Final


class AudioFormat(enum.Enum):
    """A container or a bare coding. Where Tencent takes a format, the value is Tencent's name for it."""

    WAV = "wav"
    MP3 = "mp3"
    M4A = "m4a"
    AAC = "aac"
    AMR = "amr"
    AMR_WB = "amr-wb"
    SILK = "silk"
    OGG_OPUS = "ogg-opus"
    SPEEX = "speex"
    OGG = "ogg"
    """Ogg with neither Opus nor Speex in it."""
    WEBM = "webm"
    FLAC = "flac"
    PCM = "pcm"
    """Never recognized, only announced: PCM has no mark."""
    UNKNOWN = "unknown"

    @property
    def title(self) -> str:
        """The name for people."""
        return _TITLES[self]


_TITLES: Final = {
    AudioFormat.WAV: "wav",
    AudioFormat.MP3: "mp3",
    AudioFormat.M4A: "m4a (MPEG-4)",
    AudioFormat.AAC: "aac (ADTS)",
    AudioFormat.AMR: "AMR",
    AudioFormat.AMR_WB: "AMR-WB",
    AudioFormat.SILK: "silk",
    AudioFormat.OGG_OPUS: "Ogg with Opus",
    AudioFormat.SPEEX: "Ogg with Speex",
    AudioFormat.OGG: "Ogg",
    AudioFormat.WEBM: "WebM, which the WeChat developer tools deliver whatever the format: try on a phone",
    AudioFormat.FLAC: "FLAC",
    AudioFormat.PCM: "PCM",
    AudioFormat.UNKNOWN: "of an unknown format",
}

TENCENT_FORMATS: Final = frozenset(
    {
        AudioFormat.WAV,
        AudioFormat.PCM,
        AudioFormat.OGG_OPUS,
        AudioFormat.SPEEX,
        AudioFormat.SILK,
        AudioFormat.MP3,
        AudioFormat.M4A,
        AudioFormat.AAC,
        AudioFormat.AMR,
    }
)
"""What SentenceRecognition takes as it is. Source: Tencent's document 1093/35646, VoiceFormat."""

WEBM_SEARCH_BYTES: Final = 65536
"""How far a WebM header is looked for: the developer tools deliver up to one earlier frame (51 200 bytes) before it."""
_EBML: Final = b"\x1a\x45\xdf\xa3"
_DOCUMENT_TYPES: Final = (b"webm", b"matroska")
_DOCUMENT_TYPE_WITHIN_BYTES: Final = 64  # an EBML header has some 40 bytes


def identify(data: bytes) -> AudioFormat:
    """What the bytes are: by signature, else by frame headers. UNKNOWN where neither shows anything."""
    found = by_signature(data)
    return by_frames(data) if found is AudioFormat.UNKNOWN else found


def by_signature(data: bytes) -> AudioFormat:
    """What a signature proves the bytes to be, stale bytes before a WebM header allowed; else UNKNOWN."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return AudioFormat.WAV
    if data[:4] == b"OggS":
        return _inside_ogg(data)
    if data[:3] == b"ID3":
        # An ID3 tag may stand before ADTS too.
        return AudioFormat.AAC if by_frames(data) is AudioFormat.AAC else AudioFormat.MP3
    for place, magic, found in _MAGIC:
        if data[place : place + len(magic)] == magic:
            return found
    return AudioFormat.UNKNOWN if webm_start(data) is None else AudioFormat.WEBM


_MAGIC: Final = (
    (0, _EBML, AudioFormat.WEBM),
    (0, b"fLaC", AudioFormat.FLAC),
    (0, b"#!AMR-WB\n", AudioFormat.AMR_WB),
    (0, b"#!AMR\n", AudioFormat.AMR),
    (0, b"#!SILK", AudioFormat.SILK),
    (0, b"\x02#!SILK", AudioFormat.SILK),  # WeChat's variant
    (4, b"ftyp", AudioFormat.M4A),
)


def _inside_ogg(data: bytes) -> AudioFormat:
    # RFC 3533 section 6: 27 bytes, the last being the number of segments; the first packet follows their table.
    first_packet = 27 + data[26] if len(data) > 26 else len(data)
    if data[first_packet : first_packet + 8] == b"OpusHead":
        return AudioFormat.OGG_OPUS
    return AudioFormat.SPEEX if data[first_packet : first_packet + 8] == b"Speex   " else AudioFormat.OGG


def webm_start(data: bytes) -> int | None:
    """Where a WebM (or Matroska) header begins in the first 64 KiB; None where there is none.

    Four bytes alone may occur in anything, so away from the beginning the document type must follow them.
    """
    if data.startswith(_EBML):
        return 0
    place = data.find(_EBML, 0, WEBM_SEARCH_BYTES)
    while place >= 0:
        header = data[place : place + _DOCUMENT_TYPE_WITHIN_BYTES]
        if any(name in header for name in _DOCUMENT_TYPES):
            return place
        place = data.find(_EBML, place + 1, WEBM_SEARCH_BYTES)
    return None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of mp3 or ADTS, as its header tells it."""

    format: AudioFormat
    length_bytes: int
    samples: int
    sample_rate: int
    kind: int
    """What all frames of a file have in common: version, layer and rate."""


def by_frames(data: bytes) -> AudioFormat:
    """MP3 or AAC where two consecutive frames begin the data (behind an ID3 tag), else UNKNOWN."""
    place = after_id3(data)
    first = frame_at(data, place)
    if first is None:
        return AudioFormat.UNKNOWN
    second = frame_at(data, place + first.length_bytes)
    agree = second is not None and (second.format, second.kind) == (first.format, first.kind)
    return first.format if agree else AudioFormat.UNKNOWN


def after_id3(data: bytes) -> int:
    """Where the audio begins: behind an ID3v2 tag where there is one. Its size has 7 bits a byte (ID3v2.4, 3.1)."""
    if data[:3] != b"ID3" or len(data) < 10:
        return 0
    size = 0
    for byte in data[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size + (10 if data[5] & 0x10 else 0)


def frame_at(data: bytes, place: int) -> Frame | None:
    """The frame whose header is at this place; None where there is no valid one."""
    if place + 7 > len(data) or data[place] != 0xFF or data[place + 1] & 0xE0 != 0xE0:
        return None
    # The layer bits of mp3 are never 0, those of ADTS always are.
    return _adts_at(data, place) if data[place + 1] & 0x06 == 0 else mpeg_at(data, place)


_ADTS_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


def _adts_at(data: bytes, place: int) -> Frame | None:
    """ISO 14496-3, 1.A.2.2: adts_fixed_header and adts_variable_header."""
    rate_index = data[place + 2] >> 2 & 0x0F
    length = (data[place + 3] & 3) << 11 | data[place + 4] << 3 | data[place + 5] >> 5
    if data[place + 1] & 0xF0 != 0xF0 or rate_index >= len(_ADTS_RATES) or length < 7:
        return None
    blocks = (data[place + 6] & 3) + 1
    kind = data[place + 1] << 8 | data[place + 2] & 0xFC
    return Frame(AudioFormat.AAC, length, 1024 * blocks, _ADTS_RATES[rate_index], kind)


# ISO 11172-3 and 13818-3, in kbit/s, by (lower sampling frequencies, layer); index 0 is "free", which nobody writes.
_KBITS: Final = {
    (False, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (False, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (True, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (True, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES: Final = (44100, 48000, 32000)
_RATE_DIVISORS: Final = {3: 1, 2: 2, 0: 4}  # by the version bits: MPEG 1, 2 and 2.5; 1 is reserved


def mpeg_at(data: bytes | bytearray, place: int) -> Frame | None:
    """The MPEG audio frame whose header of four bytes, sync bits seen by the caller, is here; None if it is not valid.

    A free bit rate, which nobody writes, is not.
    """
    version, layer = data[place + 1] >> 3 & 3, 4 - (data[place + 1] >> 1 & 3)
    kbits_index, rate_index = data[place + 2] >> 4, data[place + 2] >> 2 & 3
    if version == 1 or kbits_index in (0, 15) or rate_index == 3 or data[place + 3] & 3 == 2:
        return None
    low = version != 3
    rate = _MPEG_RATES[rate_index] // _RATE_DIVISORS[version]
    bits_per_s = 1000 * _KBITS[low, layer][kbits_index]
    padding = data[place + 2] >> 1 & 1
    if layer == 1:
        samples, length = 384, (12 * bits_per_s // rate + padding) * 4
    else:
        samples = 576 if low and layer == 3 else 1152
        length = samples // 8 * bits_per_s // rate + padding
    return Frame(AudioFormat.MP3, length, samples, rate, data[place + 1] << 8 | data[place + 2] & 0x0C)
