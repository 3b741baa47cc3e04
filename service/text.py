"""Texts of sentences, put together. Pure."""

from collections.abc import Iterable


def joined(sentences: Iterable[str]) -> str:
    """Sentences as one text: a space between two that meet in ASCII, nothing where Chinese stands on either side."""
    text = ""
    for sentence in sentences:
        if text and sentence and text[-1].isascii() and sentence[0].isascii():
            text += " "
        text += sentence
    return text
