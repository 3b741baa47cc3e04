"""Text of others, made fit for a terminal; and secrets, made fit to be shown. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from service.settings_reader import KNOWN_NAMES

_SECRET_PARTS: Final = ("SECRET", "TOKEN", "KEY", "PASSWORD", "AUTH", "DATABASE_URL", "REDIS_URL")
_SHOWN: Final = frozenset(name for name in KNOWN_NAMES if not any(part in name for part in _SECRET_PARTS)) | {
    "AUTH_MODE",
    "TOKEN_TTL_S",
}
"""The service's own settings that are no secrets. What is not known is taken for one."""
_LEAST_SECRET_CHARACTERS: Final = 6
"""Shorter values are not looked for in logs: they would blank out half of every line."""


def one_line(text: str) -> str:
    """`text` with everything that moves a cursor, rings, or writes backwards shown as its code; a tab stays."""
    return "".join(
        letter if letter == "\t" or not unicodedata.category(letter).startswith(("C", "Zl", "Zp")) else _coded(letter)
        for letter in text
    )


def _coded(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def shown(name: str, value: str) -> str:
    """A variable's value, or how long it is where it may be a secret."""
    return one_line(value) if name in _SHOWN or name == "DEPLOYED_COMMIT" else f"(set, {len(value)} characters)"


def secrets_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values that must not appear in a log, and the passwords in those that are addresses; the longest first."""
    hidden = [value for name, value in environment.items() if name not in _SHOWN]
    values = {*hidden, *(password for value in hidden for password in _passwords(value))}
    return tuple(sorted((value for value in values if len(value) >= _LEAST_SECRET_CHARACTERS), key=len, reverse=True))


def _passwords(address: str) -> tuple[str, ...]:
    """The password of an URL, as it is written there and as it is meant; a driver may tell it without the rest."""
    _, has_scheme, rest = address.partition("://")
    user, has_user, _ = rest.partition("/")[0].rpartition("@")
    password = user.partition(":")[2]
    return (password, unquote(password)) if has_scheme and has_user else ()


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """`text` with each of the secrets blanked out."""
    for secret in secrets:
        text = text.replace(secret, "(secret)")
    return text
