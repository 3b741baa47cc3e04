"""Where the process stands, as the routes and the streams see it."""

import contextlib
import enum
from collections.abc import Callable, Iterator


class Phase(enum.StrEnum):
    """A process goes through these once, in this order."""

    STARTING = "starting"
    """The recognizer is not up yet."""
    SERVING = "serving"
    DRAINING = "draining"
    """Told to stop: no new streams."""


class Lifecycle:
    """The phase of this process. `/ready` answers 200 in SERVING only."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self._told: set[Callable[[], None]] = set()

    def serve(self) -> None:
        """The recognizer is up. Nothing happens in a process that is being stopped already."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def drain(self) -> None:
        """No new streams from now on; those that run are told."""
        self.phase = Phase.DRAINING
        for tell in tuple(self._told):
            tell()

    @contextlib.contextmanager
    def told(self, tell: Callable[[], None]) -> Iterator[None]:
        """While the `with` lasts, `tell` is called when the process is told to stop. It must not block or raise."""
        self._told.add(tell)
        try:
            yield
        finally:
            self._told.discard(tell)
