"""Audio of any format into PCM, with PyAV where it is installed (extra `local`).

Uploads come from strangers, so the demuxer is named (FFmpeg would otherwise also try playlists, which open files and
addresses), no protocol may be used beside the bytes at hand, and the size of the result and the time are bounded.
"""

import importlib.util
import io
import time
from typing import Any, Final

from service.recognizer.formats import AudioFormat, webm_start
from service.recognizer.preparation import MAX_AUDIO_MS, Decode, TooLongError, UndecodableError

MAX_DECODE_S: Final = 10.0
"""600 s of mp3 or AAC take below 2 s on a slow CPU; the rest of the 25 s of a request is the recognizer's."""
_MAX_PACKETS: Final = 2_000_000  # empty ones cost time, too; 600 s of the shortest frames (2.5 ms Opus) are 240 000

_DEMUXERS: Final = {
    AudioFormat.WAV: "wav",
    AudioFormat.MP3: "mp3",
    AudioFormat.M4A: "mov",
    AudioFormat.AAC: "aac",
    AudioFormat.AMR: "amr",
    AudioFormat.AMR_WB: "amr",
    AudioFormat.OGG_OPUS: "ogg",
    AudioFormat.SPEEX: "ogg",
    AudioFormat.OGG: "ogg",
    AudioFormat.WEBM: "matroska",
    AudioFormat.FLAC: "flac",
}
"""Those without one here (silk) cannot be decoded."""


def available_decoder() -> Decode | None:
    """The decoder, or None where PyAV is not installed."""
    return decode if importlib.util.find_spec("av") is not None else None


def decode(data: bytes, audio_format: AudioFormat, sample_rate: int, *, max_decode_s: float = MAX_DECODE_S) -> bytes:
    """16-bit mono PCM of the first audio track. Blocks: for worker threads.

    Raises UndecodableError when there is none, and TooLongError over MAX_AUDIO_MS or `max_decode_s`. Damaged frames are
    passed over.
    """
    import av  # optional, and 0.3 s to load

    demuxer = _DEMUXERS.get(audio_format)
    if demuxer is None:
        raise UndecodableError(audio_format)
    if audio_format is AudioFormat.WEBM:
        data = data[webm_start(data) :]
    deadline = time.monotonic() + max_decode_s
    pcm = bytearray()
    try:
        # A whitelist must have an entry; this one names nothing.
        with av.open(io.BytesIO(data), format=demuxer, options={"protocol_whitelist": "none"}) as container:
            _decode_into(pcm, container, av.AudioResampler(format="s16", layout="mono", rate=sample_rate), deadline)
    except (av.FFmpegError, ValueError, IndexError, MemoryError, NotImplementedError):
        if not pcm:
            raise UndecodableError(audio_format) from None
    if not pcm:
        raise UndecodableError(audio_format)
    return bytes(pcm)


def _decode_into(pcm: bytearray, container: Any, resampler: Any, deadline: float) -> None:
    import av

    most_bytes = MAX_AUDIO_MS * resampler.rate // 1000 * 2
    (track, *_) = container.streams.audio  # ValueError without one
    for number, packet in enumerate(container.demux(track)):
        if time.monotonic() > deadline or number > _MAX_PACKETS:
            raise TooLongError
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:  # one damaged frame, or an mp3 that was cut: its first frame lacks its past
            continue
        for frame in frames:
            for resampled in resampler.resample(frame):
                pcm += bytes(resampled.planes[0])[: resampled.samples * 2]
            if len(pcm) > most_bytes:
                raise TooLongError
    for resampled in resampler.resample(None):
        pcm += bytes(resampled.planes[0])[: resampled.samples * 2]
