"""The answers that docs/history.md shows are answers of the routes."""

import json
import re
from pathlib import Path

import msgspec
import pytest

from service.web.contract import Deleted, Envelope, HistoryPage, HistoryRecord, Stats

DOCS = Path(__file__).parents[2] / "docs"
SHOWN = (HistoryPage, HistoryRecord, Deleted, Stats)


def examples(name: str) -> list[str]:
    """The answers of the page, below the request of each."""
    return re.findall(r"^\$ curl .+\n((?:.+\n)+?)```$", (DOCS / name).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", ["history.md", "history.zh-CN.md"])
def test_examples_have_the_fields_of_the_contract(name: str) -> None:
    found = examples(name)
    assert len(found) == len(SHOWN)
    for text, shown in zip(found, SHOWN, strict=True):
        envelope = msgspec.json.decode(text, type=Envelope[shown])  # type: ignore[valid-type]
        assert json.loads(text)["data"] == msgspec.to_builtins(envelope.data)


def test_both_languages_show_the_same() -> None:
    assert examples("history.md") == examples("history.zh-CN.md")
