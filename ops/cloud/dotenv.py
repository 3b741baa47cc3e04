"""Files of environment variables, as `docker run --env-file` and shells write them. Pure."""

import re
from typing import Final

from ops.cloud import exits
from ops.cloud.exits import CloudError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DOUBLE_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_SINGLE_QUOTED: Final = re.compile(r"'([^']*)'\s*(?:#.*)?")
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}


def parse_dotenv(text: str) -> dict[str, str]:
    """The variables of a file: `NAME=value`, `export NAME="value"`, comments. The last of two of the same name counts.

    Raises CloudError, with the line's number and never its value.
    """
    variables = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, separator, value = stripped.removeprefix("export ").partition("=")
        if not separator or not _NAME.fullmatch(name.strip()):
            raise CloudError(f"Line {number} of the file is not NAME=value.", exit_code=exits.USAGE)
        variables[name.strip()] = _unquoted(value.strip(), number)
    return variables


def parse_assignment(text: str) -> tuple[str, str]:
    """`NAME=value` as it is given to `env set`; the value is taken as it is. Raises CloudError."""
    name, separator, value = text.partition("=")
    if not separator or not _NAME.fullmatch(name):
        raise CloudError("Expected NAME=value.", exit_code=exits.USAGE)
    return name, value


def _unquoted(value: str, number: int) -> str:
    if value.startswith('"'):
        if quoted := _DOUBLE_QUOTED.fullmatch(value):
            return re.sub(r"\\(.)", lambda escape: _ESCAPES.get(escape[1], escape[1]), quoted[1])
    elif value.startswith("'"):
        if quoted := _SINGLE_QUOTED.fullmatch(value):
            return quoted[1]
    else:
        return re.split(r"\s#", value, maxsplit=1)[0].rstrip()
    raise CloudError(f"Line {number} of the file: the quotation mark is not closed.", exit_code=exits.USAGE)
