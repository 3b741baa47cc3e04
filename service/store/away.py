"""What is said of a history that cannot do its work. Pure: whoever says it needs no database."""

from typing import Final

LOST: Final = ("full", "stopped", "damaged", "refused")
"""Reasons, as the label of voice_history_lost has them."""


class DatabaseAwayError(Exception):
    """The database does not answer, or says no to everything."""
