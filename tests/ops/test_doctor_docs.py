"""The tables in the docs are those of the code, and of the faults that the tests plant."""

import pytest

from tests.ops.doctor_docs import DOCS, PAGES, page


@pytest.mark.parametrize(("name", "language"), PAGES.items())
def test_the_page_is_what_the_code_says(name: str, language: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == page(written, language), "run: python -m tests.ops.doctor_docs"
