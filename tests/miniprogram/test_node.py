"""The mini-program's library and its demo, by its tests in Node. Types and rules: `make check`."""

import pytest

from tests.miniprogram.node import FOLDER, ROOT, needs_node, node_test

pytestmark = needs_node
# What a proof runs stands in tests/proof/test_phone_switches.py.
FILES = sorted(
    str(path.relative_to(FOLDER))
    for folder in ("unit", "gateway")
    for path in (FOLDER / folder).glob("*.test.js")
    if path.name != "switches.test.js"
)


@pytest.mark.parametrize("file", FILES)
def test_file(file: str) -> None:
    node_test(file)


def test_no_lock_names_a_registry() -> None:
    assert '"resolved"' not in (FOLDER / "package-lock.json").read_text(encoding="utf-8")


def test_the_library_is_what_a_mini_program_takes() -> None:
    """CommonJS, and nothing outside of its own folder."""
    for path in (ROOT / "miniprogram" / "lib").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        required = [line.split('require("')[1].split('"')[0] for line in text.splitlines() if 'require("' in line]
        assert all(name.startswith("./") and (path.parent / name).is_file() for name in required), path.name
        assert text.count("module.exports = {") == 1, path.name
