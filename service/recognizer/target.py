"""Where the recognizer is, and what it is known to have."""

from dataclasses import dataclass

from service.failures import Slug, StreamFailed, problem
from service.settings import RecognizerKind, TencentCredentials


@dataclass(frozen=True, slots=True)
class RecognizerTarget:
    """A recognizer that can be dialed."""

    kind: RecognizerKind
    url: str
    """`ws://` or `wss://`, host and port, no path."""
    credentials: TencentCredentials
    engines: tuple[str, ...]
    """The engines it is known to have: named to a client that asks for another one."""


class RecognizerDirectory:
    """The recognizer in use: fixed in production, replaced when the local child is started again."""

    def __init__(self, target: RecognizerTarget | None = None) -> None:
        self.target = target
        """None while there is none: not configured, or the child is not up."""

    def required(self) -> RecognizerTarget:
        """Raises StreamFailed while there is none."""
        if self.target is None:
            raise StreamFailed(problem(Slug.RECOGNIZER_UNAVAILABLE, "The recognizer is not up."))
        return self.target

    @property
    def state(self) -> str:
        """For `/ready`: "up" or "down"."""
        return "up" if self.target else "down"
