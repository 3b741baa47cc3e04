"""Every message that the service sends in a test, held against docs/asyncapi.yaml.

`checking` replaces the one method through which messages leave (`ServerMessage.encode`) in this process. Gateways that
run as child processes are started through `python -m tests.support.contract_check DIRECTORY service …`, which does the
same in theirs and then runs the module as `python -m` would; who starts them from another language finds the directory
in the environment variable CONTRACT_NOTES. What was seen and what was wrong is written to files of
a directory as it comes, so that a child that is killed has told everything.

A client must ignore fields that it does not know. The service must not send one that is not documented, so here all
objects are closed.
"""

import contextlib
import copy
import functools
import json
import os
import runpy
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import fastjsonschema
import yaml  # type: ignore[import-untyped]

from service.stream.protocol import ServerMessage

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
VARIABLE: Final = "CONTRACT_NOTES"
_CHANNELS: Final = ("voiceStream", "echo")


class ContractBrokenError(AssertionError):
    """A message of the service is not as docs/asyncapi.yaml has it."""


class Notes:
    """What was seen and what was wrong, of this process and of its children."""

    def __init__(self, directory: Path) -> None:
        """Files of each process go into `directory`, which must exist."""
        self.directory = directory
        self._seen = self._file("seen")

    def _file(self, kind: str) -> int:
        path = self.directory / f"{os.getpid()}.{kind}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def close(self) -> None:
        """Note nothing more."""
        os.close(self._seen)

    def note(self, type_: str) -> None:
        """A message of this type was as it should be."""
        os.write(self._seen, type_.encode() + b"\n")

    def complain(self, complaint: str) -> None:
        """A message was not as it should be."""
        wrong = self._file("wrong")
        os.write(wrong, complaint.encode() + b"\n")
        os.close(wrong)

    @property
    def seen(self) -> Counter[str]:
        """How many messages of each type were right so far."""
        return Counter(line for path in self.directory.glob("*.seen") for line in path.read_text().split())

    def take_complaints(self) -> list[str]:
        """What was wrong since the last call."""
        found = []
        for path in self.directory.glob("*.wrong"):
            found += path.read_text().splitlines()
            path.unlink()
        return found


@functools.cache
def validators() -> dict[str, Callable[[object], object]]:
    """A compiled check for each type of message that the service sends; it raises JsonSchemaValueException."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(DOCUMENT.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - a safe loader
    components = {"schemas": {name: _closed(schema) for name, schema in document["components"]["schemas"].items()}}
    found = {}
    for name in sorted(_said(document)):
        payload = document["components"]["messages"][name]["payload"]
        if "$ref" in payload:
            whole = {"$schema": "http://json-schema.org/draft-07/schema#", **payload, "components": components}
            found[name] = fastjsonschema.compile(whole)
    return found


def _said(document: dict[str, Any]) -> set[str]:
    """The names of the messages that the service says, by the operations of the document."""
    found = set()
    for operation in document["operations"].values():
        if operation["channel"]["$ref"].rpartition("/")[2] in _CHANNELS:
            part = operation if operation["action"] == "send" else operation.get("reply", {})
            found |= {message["$ref"].rpartition("/")[2] for message in part.get("messages", ())}
    return found


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    closed = copy.deepcopy(schema)
    if "properties" in closed:
        closed["additionalProperties"] = False
    return closed


def type_of(text: str) -> str:
    """The type of a message of the service. Raises ContractBrokenError when the message is not as documented."""
    try:
        message = json.loads(text)
        validators()[message["type"]](message)
    except fastjsonschema.JsonSchemaValueException as error:
        raise ContractBrokenError(f"{error.message}: {text}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise ContractBrokenError(f"not a message of the contract ({error!r}): {text}") from None
    return str(message["type"])


_notes: list[Notes] = []
"""Those of the checks that are on, the last one in force."""


@contextlib.contextmanager
def checking(directory: Path) -> Iterator[Notes]:
    """Check every message that leaves an encoder of this process.

    One that is wrong raises ContractBrokenError, and is written down besides: the service may well survive the error.
    """
    original = ServerMessage.encode
    validators()
    notes = Notes(directory)

    def encode(self: ServerMessage) -> str:
        text = original(self)
        check(text)
        return text

    _notes.append(notes)
    before = os.environ.get(VARIABLE, "")
    os.environ[VARIABLE] = str(directory)
    ServerMessage.encode = encode  # type: ignore[method-assign]
    try:
        yield notes
    finally:
        ServerMessage.encode = original  # type: ignore[method-assign]
        os.environ[VARIABLE] = before
        _notes.pop().close()


def check(text: str, *, counts: bool = True) -> None:
    """A message that the service has sent; does nothing while nothing is checked. Raises ContractBrokenError.

    Without `counts` it is one that may have been counted where it was sent.
    """
    if not _notes:
        return
    try:
        type_ = type_of(text)
    except ContractBrokenError as broken:
        _notes[-1].complain(str(broken))
        raise
    if counts:
        _notes[-1].note(type_)


def checked(module: str) -> list[str]:
    """What stands behind `python -m` so that a child that runs `module` is checked, too."""
    return ["tests.support.contract_check", str(_notes[-1].directory), module] if _notes else [module]


def main() -> None:
    """Run a module with the check on: the words are the directory of the notes, the module, and its own words."""
    directory, module, *words = sys.argv[1:]
    sys.argv = [module, *words]
    # Under the name that others import it by: this file runs as `__main__`, and there is one list of notes.
    from tests.support import contract_check

    with contract_check.checking(Path(directory)):
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
