"""Tables of what a service said, which a hostile service cannot make large. Pure."""

from typing import Final

MAX_SLUGS: Final = 100
MAX_PROBLEMS: Final = 50
MAX_SLUG_CHARACTERS: Final = 64
MAX_PROBLEM_CHARACTERS: Final = 200
OTHER: Final = "other"


def count(
    table: dict[str, int], key: str, times: int = 1, *, limit: int | None = None, characters: int = MAX_SLUG_CHARACTERS
) -> None:
    """Count a key, printable and cut. Beyond `limit` different ones, new keys are `other`: no stream is left out."""
    key = "".join(character if character.isprintable() else " " for character in key[:characters])
    if limit is not None and key not in table and len(table) - (OTHER in table) >= limit:
        key = OTHER
    table[key] = table.get(key, 0) + times
