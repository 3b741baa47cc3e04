"""``python -m service.localasr.worker``: a PocketSphinx decoder in a process of its own.

A decode holds the GIL throughout, so it must not live in the process that serves connections. The process is a plain
blocking loop over standard input and output; it ends when standard input does, so that it never outlives its parent,
however that ended.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pocketsphinx

from service.localasr.audio import doubled
from service.localasr.engine import Event, StreamFinished
from service.localasr.speech import FRAME_BYTES, RATE_HZ, SentenceFinder, Timed
from service.localasr.worker_wire import (
    Abandon,
    Audio,
    Begin,
    Finish,
    FrameReader,
    FromWorker,
    Idle,
    Prepare,
    Ready,
    Taken,
    ToWorker,
    decode_to_worker,
    encode_frame,
)

_sphinx: Any = pocketsphinx  # an extension module: no types

CALIBRATION_CLIP = Path(__file__).with_name("calibration.wav")
# Decoders give way to the gateway, which shares the machine.
NICENESS = 10
# The decoder's frames are 10 ms.
_DECODER_FRAME_MS = 10
_VARIANT = re.compile(r"\(\d+\)$")
_FILLER = re.compile(r"^(<.*>|\[.*\]|\+\+.*\+\+)$")


def clean_words(segments: Sequence[tuple[str, int, int]]) -> list[Timed]:
    """The decoder's segments without silence, noise and pronunciation numbers; last frames become ends in ms."""
    return [
        (_VARIANT.sub("", word), first * _DECODER_FRAME_MS, (last + 1) * _DECODER_FRAME_MS)
        for word, first, last in segments
        if not _FILLER.match(word)
    ]


class SphinxDecoder:
    """PocketSphinx with the English model it brings along, as an ``UtteranceDecoder``."""

    def __init__(self) -> None:
        self._decoder = _sphinx.Decoder(
            hmm=_sphinx.get_model_path("en-us/en-us"),
            lm=_sphinx.get_model_path("en-us/en-us.lm.bin"),
            dict=_sphinx.get_model_path("en-us/cmudict-en-us.dict"),
            loglevel="FATAL",
        )

    def calibrate(self) -> tuple[float, str]:
        """Decode the bundled clip: its cost in CPU per second of speech, and the cepstral mean it leaves.

        A decoder without a settled mean hears "ten years" in the clip's "ten meters".
        """
        with wave.open(str(CALIBRATION_CLIP)) as clip:
            pcm = clip.readframes(clip.getnframes())
        started_s = time.process_time()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, no_search=False, full_utt=True)
        self._decoder.end_utt()
        cost = (time.process_time() - started_s) / (len(pcm) / (2 * RATE_HZ))
        return cost, str(self._decoder.get_cmn(True))

    def set_mean(self, mean: str) -> None:
        """Start from this cepstral mean, so that a stream does not depend on the one before it."""
        self._decoder.set_cmn(mean)

    def start(self) -> None:
        """See ``UtteranceDecoder``."""
        self._decoder.start_utt()

    def hear(self, pcm: bytes) -> None:
        """See ``UtteranceDecoder``."""
        self._decoder.process_raw(pcm, no_search=False, full_utt=False)

    def words(self) -> list[Timed]:
        """See ``UtteranceDecoder``."""
        if self._decoder.hyp() is None:
            return []
        return clean_words([(s.word, s.start_frame, s.end_frame) for s in self._decoder.seg()])

    def end(self) -> None:
        """See ``UtteranceDecoder``."""
        self._decoder.end_utt()


class Worker:
    """Answers the engine's messages; ``send`` writes one message and may block."""

    def __init__(self, send: Callable[[FromWorker], None]) -> None:
        self._send = send
        self._decoder: SphinxDecoder | None = None
        self._mean = ""
        self._finder: SentenceFinder | None = None
        self._narrow = False

    def handle(self, message: ToWorker) -> None:
        """Do what ``message`` says. Raises ``RuntimeError`` for one out of order."""
        if isinstance(message, Prepare):
            self._decoder = SphinxDecoder()
            cost, mean = (0.0, message.mean) if message.mean is not None else self._decoder.calibrate()
            self._mean = mean
            self._send(Ready(cost, mean))
            return
        if isinstance(message, Begin):
            self._begin(message)
            return
        if isinstance(message, Abandon):
            if self._finder is not None:
                self._finder.finish()
            self._finder = None
            self._send(Idle())
            return
        if self._finder is None:
            raise RuntimeError("audio outside a stream")
        if isinstance(message, Audio):
            pcm = doubled(message.pcm) if self._narrow else message.pcm
            self._send_all(self._finder.feed(pcm))
            self._send(Taken(len(message.pcm)))
        elif isinstance(message, Finish):
            self._send_all(self._finder.finish())
            self._finder = None
            self._send(StreamFinished())

    def _begin(self, message: Begin) -> None:
        if self._decoder is None:
            raise RuntimeError("a stream before the model")
        self._decoder.set_mean(self._mean)
        # Medium strict: strict misses soft words, loose takes breathing for speech (seen on the bundled clips).
        voice = _sphinx.Vad(mode=_sphinx.Vad.MEDIUM_STRICT, sample_rate=RATE_HZ)
        if voice.frame_bytes != FRAME_BYTES:
            raise RuntimeError("unexpected frame length of the voice detector")
        self._finder = SentenceFinder(message.settings, self._decoder, voice.is_speech)
        self._narrow = message.settings.sample_rate_hz == 8000

    def _send_all(self, events: list[Event]) -> None:
        for event in events:
            self._send(event)


def main() -> None:
    """Run until standard input ends."""
    # Ctrl-C in a terminal goes to the whole group; the parent decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(NICENESS)
    output = sys.stdout.buffer

    def send(message: FromWorker) -> None:
        output.write(encode_frame(message))
        output.flush()

    worker, reader = Worker(send), FrameReader()
    try:
        while data := os.read(0, 1 << 16):
            for frame in reader.feed(data):
                worker.handle(decode_to_worker(frame))
    except BrokenPipeError:
        # The parent is gone; what is buffered has no reader.
        os._exit(0)


if __name__ == "__main__":
    main()
