"""miniprogram/lib/slugs.js is what the catalogue says, with words for every row."""

import re

from ops.client_slugs import CLIENT_WORDS, PATH, SERVICE_WORDS, module
from service.failures import CATALOGUE

REWRITE = "write it anew: python -m ops.client_slugs"


def test_every_failure_has_words_for_a_person() -> None:
    missing = set(map(str, CATALOGUE)) - set(SERVICE_WORDS)
    assert not missing, "ops/client_slugs.py: SERVICE_WORDS"
    assert not set(CLIENT_WORDS) & set(map(str, CATALOGUE)), "a slug of the service is not the phone's"
    for words in (SERVICE_WORDS, CLIENT_WORDS):
        assert all(re.search(r"[\u4e00-\u9fff]", zh) and en.isascii() for zh, en in words.values())


def test_the_file_is_what_the_catalogue_says() -> None:
    assert PATH.read_text(encoding="utf-8") == module(), REWRITE


def test_the_file_has_every_slug() -> None:
    """Read from the file, and not by way of the generator."""
    text = PATH.read_text(encoding="utf-8")
    slugs = dict(re.findall(r'^  ([A-Z_]+): "(\w+)",$', text, re.MULTILINE))
    assert set(slugs.values()) == set(map(str, CATALOGUE)) | set(CLIENT_WORDS)
    assert all(name.lower() == slug for name, slug in slugs.items())
