"""Messages of a stream into 16-bit samples, and 8 kHz samples into 16 kHz ones. Pure.

What needs a codec is in ``compressed``, behind the same two methods; ``decoders`` knows what is installed.
"""

from __future__ import annotations

import array
import struct
from collections.abc import Callable
from typing import Protocol

_MAX_HEADER_BYTES = 65536
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what a recorder writes when it does not know the length yet
_PCM, _EXTENSIBLE = 1, 0xFFFE


class AudioRejectedError(Exception):
    """The bytes are not audio of the announced format. The client is told 4007."""


class AudioDecoder(Protocol):
    """Turns the messages of one stream, cut anywhere, into whole 16-bit mono samples."""

    def feed(self, data: bytes) -> bytes:
        """The samples that ``data`` completes. Raises ``AudioRejectedError``."""

    def finish(self) -> bytes:
        """The samples still held back. Raises ``AudioRejectedError`` when all of it was no such audio."""


class PcmDecoder:
    """``voice_format=1``: the bytes are the samples; keeps the odd byte of a cut sample."""

    def __init__(self, sample_rate_hz: int) -> None:
        del sample_rate_hz  # nothing in raw samples could contradict it
        self._odd = b""

    def feed(self, data: bytes) -> bytes:
        """Whole samples; a last odd byte waits for its other half."""
        data = self._odd + data
        whole = len(data) & ~1
        self._odd = data[whole:]
        return data[:whole]

    def finish(self) -> bytes:
        """Nothing: half a sample is none."""
        return b""


class WavDecoder:
    """``voice_format=12``: PCM behind a RIFF header, which must say 16-bit mono at the rate of the engine."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._sample_rate_hz = sample_rate_hz
        self._header = b""
        self._left: int | None = None  # bytes of the data chunk to come; None: unknown length
        self._in_data = False
        self._samples = PcmDecoder(sample_rate_hz)

    def feed(self, data: bytes) -> bytes:
        """The samples of the data chunk; chunks before and after it are skipped."""
        if not self._in_data:
            self._header += data
            data_at = self._find_data()
            if data_at is None:
                if len(self._header) > _MAX_HEADER_BYTES:
                    raise AudioRejectedError("the wav header does not end")
                return b""
            data, self._header, self._in_data = self._header[data_at:], b"", True
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return self._samples.feed(data)

    def finish(self) -> bytes:
        """Nothing."""
        return b""

    def _find_data(self) -> int | None:
        header = self._header
        if not b"RIFF".startswith(header[:4]) or not b"WAVE".startswith(header[8:12]):
            raise AudioRejectedError("not a wav file")
        at, described = 12, False
        while len(header) >= at + 8:
            name, size = struct.unpack_from("<4sI", header, at)
            at += 8
            if name == b"data":
                if not described:
                    raise AudioRejectedError("a wav file without a format")
                self._left = None if size in _UNKNOWN_SIZES else size
                return at
            if name == b"fmt ":
                if len(header) < at + 16:
                    return None
                self._check_format(header[at : at + 16])
                described = True
            at += size + (size & 1)
        return None

    def _check_format(self, chunk: bytes) -> None:
        tag, channels, rate_hz, _, _, bits = struct.unpack("<HHIIHH", chunk)
        if tag not in (_PCM, _EXTENSIBLE) or (channels, rate_hz, bits) != (1, self._sample_rate_hz, 16):
            raise AudioRejectedError("wav must be 16-bit mono PCM at the engine's rate")


DECODERS: dict[int, Callable[[int], AudioDecoder]] = {1: PcmDecoder, 12: WavDecoder}
"""Those that need nothing installed and keep every sample."""


def doubled(pcm: bytes) -> bytes:
    """8 kHz samples as 16 kHz ones: each twice (``input_sample_rate=8000``, and whatever was recorded at 8 kHz).

    That leaves a mirror image above 4 kHz, which is what it is for: an acoustic model of 16 kHz speech takes an empty
    upper half for another sound. Of the nine words of two clips through AMR, PocketSphinx gets all nine this way, eight
    with straight lines between the samples, and none with the mirror filtered out.
    """
    samples = array.array("h", pcm)
    twice = array.array("h", bytes(2 * len(pcm)))
    twice[0::2] = samples
    twice[1::2] = samples
    return twice.tobytes()
