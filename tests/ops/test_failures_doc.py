"""docs/failures.md and its Chinese twin are what the catalogue says."""

import re
from pathlib import Path

import pytest

from ops.failures_doc import CHINESE, DOCS, ENGLISH, PAGES, page
from service.failures import CATALOGUE, Blame, Slug

ROOT = Path(__file__).parents[2]
REWRITE = "write it anew: python -m ops.failures_doc"
ELSEWHERE = {
    "authentication": {Slug.LOGIN_REFUSED, Slug.LOGIN_REJECTED, Slug.LOGIN_UNAVAILABLE},
    "history": {Slug.NOT_FOUND, Slug.HISTORY_UNAVAILABLE},
}
"""What is said over HTTP, and not of uploads: the page that explains it."""
_ROW = re.compile(r"^\| `(\w+)` \|(.*)\|$", re.MULTILINE)


def rows(text: str) -> dict[str, list[str]]:
    """The rows of a page's tables: slug → the cells behind it."""
    found = [(slug, [cell.strip() for cell in cells.split("|")]) for slug, cells in _ROW.findall(text)]
    found = [(slug, cells) for slug, cells in found if slug != "code"]  # the heads of the tables
    assert len(dict(found)) == len(found), "a slug has two rows"
    return dict(found)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_catalogue_says(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == page(PAGES[name]), REWRITE


@pytest.mark.parametrize(("name", "no", "yes"), [("failures.md", "no", "yes"), ("failures.zh-CN.md", "否", "是")])
def test_the_page_has_every_row_of_the_catalogue(name: str, no: str, yes: str) -> None:
    """Read from the file, and not by way of the generator."""
    table = rows((DOCS / name).read_text(encoding="utf-8"))
    assert set(table) == set(Slug)
    for slug, (_when, _by, fatal, retryable, close, http_status, _remedy) in table.items():
        row = CATALOGUE[Slug(slug)]
        assert retryable == (yes if row.retryable else no), slug
        assert http_status == str(row.http_status), slug
        if row.http_only:
            assert (fatal, close) == ("–", "–"), slug
        elif row.fatal:
            assert (fatal, close) == (yes, str(row.close_code)), slug
        elif row.slug is Slug.BAD_MESSAGE:
            assert fatal == no, slug
            assert re.fullmatch(r".*\b10\D*4400", close), slug
        else:
            assert (fatal, close) == (no, "–"), slug


def test_a_row_stands_where_its_reader_looks() -> None:
    sections = {heading.partition("\n")[0]: set(rows(heading)) for heading in page(ENGLISH).split("\n## ")[1:]}
    assert list(sections) == [
        "The stream goes on",
        "Try again",
        "Something has to change first",
        "Only over HTTP",
    ]
    assert {"bad_message", "audio_lost"} < sections["The stream goes on"]
    assert {"overloaded", "restarting", "internal"} < sections["Try again"]
    assert {"bad_start", "token_expired", "not_configured"} < sections["Something has to change first"]
    uploads = {"bad_request", "audio_too_long", "too_many_requests"}
    assert sections["Only over HTTP"] == uploads | {slug for slugs in ELSEWHERE.values() for slug in slugs}


@pytest.mark.parametrize("name", PAGES)
def test_each_language_has_words_for_everything(name: str) -> None:
    language = PAGES[name]
    assert list(language.words) == list(CATALOGUE)
    assert set(language.blames) == set(Blame)
    assert not [cell for cells in language.words.values() for cell in cells if not cell or "|" in cell]


def test_chinese_rows_are_chinese() -> None:
    for slug, cells in CHINESE.words.items():
        assert all(re.search("[\u4e00-\u9fff]", cell) and cell.endswith("。") for cell in cells), slug


def test_the_names_in_code_are_the_same_in_both_languages() -> None:
    """What stands in backticks is a field or a value: a translation neither adds nor loses one in the remedy."""
    for slug in CATALOGUE:
        names = [set(re.findall("`[^`]+`", language.words[slug][1])) for language in (ENGLISH, CHINESE)]
        assert names[0] == names[1], slug


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("docs/protocol.md", "failures.md"),
        ("docs/protocol.zh-CN.md", "failures.zh-CN.md"),
        ("docs/metrics.md", "failures.md"),
        ("README.md", "docs/failures.md"),
        ("README.zh-CN.md", "docs/failures.zh-CN.md"),
    ],
)
def test_other_pages_point_to_it_and_have_no_table_of_their_own(name: str, link: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert f"]({link})" in text
    assert not {name for name, _ in _ROW.findall(text)} & set(Slug)


@pytest.mark.parametrize("suffix", [".md", ".zh-CN.md"])
@pytest.mark.parametrize("name", ["recognize", *ELSEWHERE])
def test_the_answers_over_http_have_the_status_of_the_catalogue(name: str, suffix: str) -> None:
    text = (DOCS / f"{name}{suffix}").read_text(encoding="utf-8")
    said = {slug: int(status) for slug, status in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE)}
    for status, slugs in re.findall(r"^\| (\d{3}) \| (`[^|]+`) \|", text, re.MULTILINE):
        said |= dict.fromkeys(re.findall(r"`(\w+)`", slugs), int(status))
    elsewhere = {slug for slugs in ELSEWHERE.values() for slug in slugs}
    of_uploads = {row.slug for row in CATALOGUE.values() if row.http_only} - elsewhere
    assert {Slug(slug) for slug in said} >= ELSEWHERE.get(name, of_uploads)
    assert said == {slug: CATALOGUE[Slug(slug)].http_status for slug in said}
