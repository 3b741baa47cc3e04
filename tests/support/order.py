"""In which order the files of tests run. Pure."""

from collections.abc import Iterable
from typing import Final

WAITING: Final = frozenset({"proof", "process", "browser", "miniprogram", "shared"})
"""Folders whose tests take seconds, since they wait for programs that really run."""


def places(files: Iterable[tuple[str, str]]) -> dict[tuple[str, str], float]:
    """A place from 0 to 1 for each file (its folder and its name): those that wait are dealt evenly among the others.

    Workers get equal shares of this order. With all that wait at its end, one of them would be left with those.
    """
    each = dict.fromkeys(files)
    kinds = [[file for file in each if (file[0] in WAITING) is waits] for waits in (False, True)]
    return {file: (number + 0.5) / len(kind) for kind in kinds for number, file in enumerate(kind)}
