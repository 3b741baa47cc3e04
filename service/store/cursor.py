"""Where a page of the history ended, as text that clients hand back and do not read. Pure."""

import base64
import binascii
import re
from typing import Final, NamedTuple

_PLAIN: Final = re.compile(rb"([0-9]{1,16})\.([0-9A-Za-z_-]{1,64})")
_MOST_CHARACTERS: Final = 120


class Cursor(NamedTuple):
    """The last record of a page. Times can be equal, so the id decides between them."""

    started_at_ms: int
    id: str

    def encode(self) -> str:
        """As text, safe in a URL."""
        return base64.urlsafe_b64encode(f"{self.started_at_ms}.{self.id}".encode()).decode().rstrip("=")


def decode(text: str) -> Cursor | None:
    """The cursor that was encoded; None for anything else."""
    if len(text) > _MOST_CHARACTERS:
        return None
    try:
        plain = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    found = _PLAIN.fullmatch(plain)
    return Cursor(int(found[1]), found[2].decode()) if found else None
