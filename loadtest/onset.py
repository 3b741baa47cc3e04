"""Where speech begins in a recording. Pure.

The level of windows of 10 ms is compared with the noise of the same recording. A click is shorter than speech, so half
a dozen windows have to be loud, by their median. Recognizers put the beginning of a first word 30 to 60 ms earlier.
"""

import math
import statistics
import struct
from collections.abc import Sequence
from typing import Final

from loadtest.wav import Speech

_WINDOW_S: Final = 0.010
_SUSTAINED: Final = 6  # windows: the shortest syllables have 60 ms
_NOISE_QUANTILE: Final = 0.1  # people pause for more than a tenth of what they say
_OVER_NOISE_DB: Final = 10.0
_UNDER_LOUDEST_DB: Final = 35.0  # quieter is breath, and what a codec leaves before the speech
_NOISE_UNDER_LOUDEST_DB: Final = 15.0  # a recording without a pause has no noise to measure
_LEAST_RANGE_DB: Final = 12.0  # of noise, the loudest and the quietest window differ by some 5 dB
_QUIETEST_DB: Final = 20.0  # 10 of 32768: dither
_DIGITAL_SILENCE_DB: Final = 3.0  # the last bit


def speech_onset_s(speech: Speech) -> float | None:
    """Where speech begins, to 10 ms. None when there is none: silence, steady noise, or under 60 ms of anything."""
    levels_db = _levels_db(speech)
    sustained_db = [
        statistics.median_low(levels_db[at : at + _SUSTAINED]) for at in range(len(levels_db) - _SUSTAINED + 1)
    ]
    if not sustained_db:
        return None
    loudest_db = max(sustained_db)
    if loudest_db < _QUIETEST_DB or loudest_db - _noise_db(levels_db) < _LEAST_RANGE_DB:
        return None
    # Zeros, from a program that waits for its microphone, say nothing about the noise of the microphone.
    noise_db = _noise_db([level_db for level_db in levels_db if level_db > _DIGITAL_SILENCE_DB])
    threshold_db = max(
        min(noise_db + _OVER_NOISE_DB, loudest_db - _NOISE_UNDER_LOUDEST_DB), loudest_db - _UNDER_LOUDEST_DB
    )
    return _first(levels_db, sustained_db, threshold_db) * _WINDOW_S


def _noise_db(levels_db: Sequence[float]) -> float:
    return sorted(levels_db)[int(_NOISE_QUANTILE * len(levels_db))]


def _first(levels_db: Sequence[float], sustained_db: Sequence[float], threshold_db: float) -> int:
    """The first loud window of a loud stretch; there is one, because the loudest stretch is over the threshold."""
    at = next(at for at, level_db in enumerate(sustained_db) if level_db >= threshold_db)
    return next(window for window in range(at, len(levels_db)) if levels_db[window] >= threshold_db)


def _levels_db(speech: Speech) -> list[float]:
    """The level of each whole window, without its mean: cheap microphones add one. 0 is a difference of one bit."""
    samples = int(speech.sample_rate_hz * _WINDOW_S)
    window_bytes = samples * 2
    levels_db = []
    for begin in range(0, len(speech.pcm) - window_bytes + 1, window_bytes):
        values = struct.unpack_from(f"<{samples}h", speech.pcm, begin)
        mean = sum(values) / samples
        power = sum(value * value for value in values) / samples - mean * mean
        levels_db.append(10 * math.log10(max(power, 0.0) + 1))
    return levels_db
