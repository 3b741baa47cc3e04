"""The doctor's stages from the stream on: configuration, recognizer, clocks, speech, account, mini-program."""

from typing import Final

from ops.doctor.stage import Stage
from ops.doctor.stages_stream import clock, credentials, locked, miniprogram, recognizer, stream

STAGES: Final[tuple[Stage, ...]] = (
    locked.STAGE,
    recognizer.STAGE,
    clock.STAGE,  # before those that are told 4002, which is said of a wrong clock, too
    stream.STAGE,
    credentials.STAGE,
    miniprogram.STAGE,
)
"""In the order in which they are run."""
