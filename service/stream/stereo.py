"""Two channels announced as one: recognized at half speed, such audio gives nonsense. Pure.

WeChat's recorder defaults to two channels, and a phone with one microphone puts the same into both. Interleaved, every
second sample then repeats the one before it, while from pair to pair the sound moves on. In sound of one channel the
two kinds of step are alike (their ratio is 0.98 to 1.04 in recorded speech, and 0.00 in the same with both channels
equal). Two microphones differ (0.14 to 0.96): those are not told apart, since sound of one channel must not be accused.
"""

from array import array
from operator import sub
from typing import Final

BLOCK_BYTES: Final = 8192  # 0.26 s at 16 kHz
JUDGED_BYTES: Final = 2048  # of each block, its beginning: a judgment of 0.2 ms, in which the event loop stands still
BLOCKS_THAT_AGREE: Final = 3
MAX_BLOCKS: Final = 40  # 10 s: whoever is silent for longer is not judged
STEP: Final = 20  # louder than the hiss of a recorder
SHARE: Final = 0.3  # of samples that must move at all: a square wave of a test signal stands still
RATIO: Final = 0.1


class StereoWatch:
    """Listens to the first seconds of a stream's PCM."""

    def __init__(self) -> None:
        self._block = bytearray()
        self._blocks_left = MAX_BLOCKS
        self._agreed = 0

    @property
    def is_done(self) -> bool:
        """Whether it has judged, or given up."""
        return not self._blocks_left

    def take(self, pcm: bytes) -> bool:
        """Whether these bytes complete the suspicion; true once at most."""
        if not self._blocks_left:
            return False
        self._block += pcm
        while self._blocks_left and len(self._block) >= BLOCK_BYTES:
            judged = looks_interleaved(bytes(self._block[:JUDGED_BYTES]))
            del self._block[:BLOCK_BYTES]
            self._blocks_left -= 1
            self._agreed += judged is True
            suspected = self._agreed == BLOCKS_THAT_AGREE
            if suspected or judged is False:
                self._blocks_left = 0
                self._block.clear()
                return suspected
        return False


def looks_interleaved(pcm: bytes) -> bool | None:
    """Whether 16-bit PCM is two equal channels, sample by sample; None where it is too quiet to say."""
    samples = array("h", pcm)
    left, right = samples[0::2], samples[1::2]
    within: int = sum(map(abs, map(sub, right, left)))
    steps = list(map(abs, map(sub, left[1:], right)))
    between: int = sum(steps)
    if between < STEP * len(steps) or sum(step > 0 for step in steps) < SHARE * len(steps):
        return None
    return within < RATIO * between
