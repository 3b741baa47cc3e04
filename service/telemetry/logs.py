"""Logs: one JSON object a line, on standard error.

Every line has `time`, `level` and `event`; the rest are the fields of the event. What strangers write never gets out:
of a library's record only the logger, the level and the type of the exception are kept, since its text may hold a
signed URL, a token or what somebody said. For the same reason an exception, ours or not, is told by its type and the
place in our code where it passed, not by its text.
"""

import datetime
import json
import logging
import sys
import traceback
from pathlib import Path
from typing import Final

from service.groups import leaves

ROOT: Final = "voice"
"""Loggers of this service are children of this one."""

Scalar = str | int | float | bool | None

_THIRD_PARTY_EVENT: Final = "third_party"
_FIELDS: Final = "voice_fields"
_OUR_FOLDERS: Final = tuple(str(Path(__file__).parents[2] / name) + "/" for name in ("service", "ops", "loadtest"))
_MOST_TYPES: Final = 5  # an exception group names no more than these


def get_logger(name: str) -> logging.Logger:
    """The logger of one part of the service, for example "edge"."""
    return logging.getLogger(f"{ROOT}.{name}")


def log_event(
    logger: logging.Logger, level: int, event: str, *, error: BaseException | None = None, **fields: Scalar
) -> None:
    """Logs one event. `event` names it for programs (snake_case); the fields are JSON scalars.

    With `error`, the fields `exception` (its type; of a group those of its members) and `at` (where it passed in our
    code) are added.
    """
    if not logger.isEnabledFor(level):
        return
    if error is not None:
        fields = {**fields, "exception": type_names(error), "at": place(error)}
    logger.log(level, event, extra={_FIELDS: fields})


def set_up(level: str) -> None:
    """Directs all logging of the process to standard error, as JSON lines.

    `level` is the threshold of our own loggers; libraries are heard from WARNING on. Called again, it replaces what
    the former call has set.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level)
    logging.raiseExceptions = False  # a closed standard error must not bring forth tracebacks


class JsonFormatter(logging.Formatter):
    """Renders a record as one line of JSON. Messages of strangers and their arguments are never rendered."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds")
        line: dict[str, Scalar] = {"time": time.replace("+00:00", "Z"), "level": record.levelname}
        if record.name == ROOT or record.name.startswith(ROOT + "."):
            line["event"] = str(record.msg)
            line["logger"] = record.name
            line |= getattr(record, _FIELDS, {})
        else:
            line["event"] = _THIRD_PARTY_EVENT
            line["logger"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            line |= {"exception": type_names(record.exc_info[1]), "at": place(record.exc_info[1])}
        return json.dumps(line, ensure_ascii=False, default=_type_name)


def type_names(error: BaseException) -> str:
    """The type of an exception; of a group the different types of its members."""
    names = sorted({_type_name(leaf) for leaf in leaves(error)})
    return ", ".join(names[:_MOST_TYPES] + ["…"] * (len(names) > _MOST_TYPES))


def place(error: BaseException) -> str | None:
    """Where an exception was last in our code, `file:line function`, or None when it never was.

    Of a group the first member that has been in our code counts.
    """
    for leaf in leaves(error):
        for frame, line in reversed(list(traceback.walk_tb(leaf.__traceback__))):
            name = frame.f_code.co_filename
            for folder in _OUR_FOLDERS:
                if name.startswith(folder):
                    return f"{Path(folder).name}/{name.removeprefix(folder)}:{line} {frame.f_code.co_name}"
    return None


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
