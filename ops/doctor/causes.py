"""Everything that the doctor can name as wrong."""

from collections.abc import Iterable
from typing import Final

from ops.doctor import causes_network, causes_stream
from ops.doctor.finding import Cause


def merged(causes: Iterable[Cause]) -> dict[str, Cause]:
    """The causes by slug, in their order. Raises ValueError when two have the same. Pure."""
    catalogue: dict[str, Cause] = {}
    for cause in causes:
        if cause.slug in catalogue:
            raise ValueError(f"two causes are called {cause.slug}")
        catalogue[cause.slug] = cause
    return catalogue


CATALOGUE: Final = merged((*causes_network.CAUSES, *causes_stream.CAUSES))
