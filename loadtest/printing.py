"""Texts of others, made fit to be shown. Pure."""


def printable(text: str) -> str:
    """The text with a space for every control character: what a server sends must not steer the terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
