"""Which audio this installation can decode: raw samples and wav always, the rest where PyAV is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import msgspec

from service.localasr import audio
from service.localasr.audio import AudioDecoder, AudioRejectedError, PcmDecoder, WavDecoder
from service.localasr.sniff import looks_like

AV_IS_INSTALLED = importlib.util.find_spec("av") is not None

DECODERS: dict[int, Callable[[int], AudioDecoder]] = dict(audio.DECODERS)
"""A decoder for each ``voice_format`` of a stream."""
FILE_FORMATS = frozenset({"wav", "pcm"})
"""Each ``VoiceFormat`` of a sentence."""

if AV_IS_INSTALLED:
    # Imported with the program, not with the first stream: it takes 0.2 s.
    from service.localasr import compressed

    DECODERS[8] = compressed.Mp3Decoder
    FILE_FORMATS |= compressed.FILE_FORMATS


class Decoded(msgspec.Struct, frozen=True):
    """16-bit mono samples."""

    pcm: bytes
    rate_hz: int

    @property
    def duration_ms(self) -> int:
        """How long they last."""
        return len(self.pcm) * 1000 // (2 * self.rate_hz)


class _ExactOnly:
    """Instead of a decoder that does not give back the very samples that were encoded."""

    def feed(self, data: bytes) -> bytes:
        """Raises ``AudioRejectedError``."""
        del data
        raise AudioRejectedError("the coded mode hears pcm and wav only")

    def finish(self) -> bytes:
        """Nothing."""
        return b""


def stream_decoder(voice_format: int, sample_rate_hz: int, *, exact: bool) -> AudioDecoder:
    """A decoder for one stream; with ``exact``, one that takes nothing but formats that keep every sample."""
    if exact and voice_format not in audio.DECODERS:
        return _ExactOnly()
    return DECODERS[voice_format](sample_rate_hz)


def decode_sentence(voice_format: str, data: bytes, pcm_rate_hz: int, *, exact: bool) -> Decoded:
    """The samples of one whole file; ``pcm_rate_hz`` is that of raw ones. Blocks: call it in a thread.

    16-bit mono wav at 16 or 8 kHz is taken as it is; all else is converted to 16 kHz, at most 61 s of it, and refused
    with ``exact``. Raises ``AudioRejectedError``.
    """
    if voice_format == "pcm":
        return Decoded(PcmDecoder(pcm_rate_hz).feed(data), pcm_rate_hz)
    if not looks_like(voice_format, data):
        raise AudioRejectedError("other bytes than announced")
    if voice_format == "wav":
        for rate_hz in (16000, 8000):
            try:
                pcm = WavDecoder(rate_hz).feed(data)
            except AudioRejectedError:
                continue
            if pcm:
                return Decoded(pcm, rate_hz)
    if exact:
        raise AudioRejectedError("the coded mode hears pcm and 16-bit mono wav only")
    if not AV_IS_INSTALLED:
        raise AudioRejectedError("wav must be 16-bit mono PCM at 16 or 8 kHz")
    return Decoded(compressed.decode_file(voice_format, data), compressed.RATE_HZ)
