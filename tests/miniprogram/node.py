"""Node's tests of the mini-program, run from pytest: tests/node/ has them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "tests" / "node"
TOOLS: Final = FOLDER / "node_modules" / ".bin"
GUARD_S: Final = 110
"""Less than pytest's own guard for a test, so that the programs that Node has started are ended, too."""

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not TOOLS.is_dir(), reason="needs node, and `npm ci` in tests/node"
)


def node_test(file: str, guard_s: float = GUARD_S, **settings: str) -> str:
    """What Node's tests in a file of tests/node print; fails when none of them ran, or one failed or was skipped."""
    node = subprocess.Popen(
        ("node", "--test-force-exit", "--test-reporter=tap", str(FOLDER / file)),
        cwd=ROOT,
        env=os.environ | {"PYTHON": sys.executable} | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = node.communicate(timeout=guard_s)
    finally:
        node.terminate()  # it ends what it has started
    assert node.returncode == 0, output
    counts = dict(re.findall(r"^# (\w+) (\d+)$", output, re.MULTILINE))
    assert int(counts["pass"]) > 0, output
    assert [counts[kind] for kind in ("fail", "skipped", "todo", "cancelled")] == ["0", "0", "0", "0"], output
    return output
