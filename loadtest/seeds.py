"""Randomness that depends on names, not on the order in which it is taken. Pure."""

import hashlib
from typing import Final

_WORD: Final = 8  # bytes of a seed


def seed_of(*names: int | str) -> int:
    """64 bits that depend on these names alone, the same on every machine."""
    return _words(names)[0]


def shares_of(*names: int | str) -> tuple[float, ...]:
    """Four independent numbers from 0 up to 1."""
    return tuple((word >> 11) / (1 << 53) for word in _words(names))  # 53 bits: what a float holds exactly


def _words(names: tuple[int | str, ...]) -> tuple[int, ...]:
    digest = hashlib.sha256("\0".join(map(str, names)).encode()).digest()
    return tuple(int.from_bytes(digest[at : at + _WORD], "big") for at in range(0, len(digest), _WORD))
