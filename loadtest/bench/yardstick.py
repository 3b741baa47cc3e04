"""The yardstick: what the plainest relaying of a frame costs on this machine, in CPU time.

A frame of 40 ms is read from a socket, unmasked, masked again and written to another, one after the other and with
nothing around it: no event loop, no pacing, no accounts. It moves with the speed of the CPU, of the kernel's sockets
and of the interpreter, and never with our code, so figures of CPU time that are divided by it can be compared between
machines: roughly, but far better than microseconds.
"""

import socket
import time
from typing import Final

from websockets.speedups import apply_mask

_FRAME: Final = bytes(1280)  # 40 ms of 16 kHz, 16-bit, mono
_FRAMES: Final = 4000
_ROUNDS: Final = 7
_HEAD: Final = b"\x82\xfe\x05\x00\x01\x02\x03\x04"


def yardstick_us(frames: int = _FRAMES, rounds: int = _ROUNDS) -> float:
    """CPU microseconds for one frame: the least of some rounds, since noise only adds. Takes about 0.3 s."""
    pairs = [socket.socketpair(), socket.socketpair()]
    try:
        return min(_round_us(pairs, frames) for _ in range(rounds))
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


def _round_us(pairs: list[tuple[socket.socket, socket.socket]], frames: int) -> float:
    (phone, reading), (writing, recognizer) = pairs
    message = _HEAD + _FRAME
    began_s = time.process_time()
    for _ in range(frames):
        phone.send(message)
        data = reading.recv(65536)
        payload = apply_mask(data[8:], data[4:8])
        writing.send(_HEAD + apply_mask(payload, _HEAD[4:]))
        recognizer.recv(65536)
    return 1e6 * (time.process_time() - began_s) / frames
