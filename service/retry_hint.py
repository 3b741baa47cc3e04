"""When a refused client should come back."""

import random
from typing import Final

_RANGE_MS: Final = (1000, 4000)  # a place is free again after a sentence or two


def retry_hint_ms() -> int:
    """A hint in milliseconds, spread out so that those refused together do not return together."""
    return random.randint(*_RANGE_MS)  # noqa: S311 - spreads load; nothing secret
