"""A worker that hears nothing: says ``<bytes>`` of each stream, and misbehaves when its audio says so."""

import os
import sys
import time

from service.localasr.engine import SentenceClosed, StreamFinished, Word
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
    decode_to_worker,
    encode_frame,
)


def send(message: FromWorker) -> None:
    sys.stdout.buffer.write(encode_frame(message))
    sys.stdout.buffer.flush()


def main() -> None:
    reader, heard = FrameReader(), 0
    while data := os.read(0, 65536):
        for frame in reader.feed(data):
            message = decode_to_worker(frame)
            if isinstance(message, Prepare):
                send(Ready(0.25, "mean"))
            elif isinstance(message, Begin):
                heard = 0
            elif isinstance(message, Abandon):
                send(Idle())
            elif isinstance(message, Finish):
                send(SentenceClosed((Word(f"{heard}@{os.getpid()}", 0, 1),)))
                send(StreamFinished())
            elif isinstance(message, Audio):
                if b"crash" in message.pcm:
                    os._exit(1)
                if b"stick" in message.pcm:
                    time.sleep(3600)
                if b"nonsense" in message.pcm:
                    os.write(1, b"\xff" * 64)
                heard += len(message.pcm)
                send(Taken(len(message.pcm)))


if __name__ == "__main__":
    main()
