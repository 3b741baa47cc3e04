"""The scrape configuration is one that Prometheus takes, and so is its variant with a token."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CONFIG = Path(__file__).parents[2] / "ops" / "prometheus" / "prometheus.yml"

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not on PATH (Debian: apt-get install prometheus)"
)


def check(path: Path) -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", str(path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_promtool
def test_promtool_accepts_the_configuration() -> None:
    check(CONFIG)


@needs_promtool
def test_promtool_accepts_the_variant_with_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    text = CONFIG.read_text(encoding="utf-8")
    uncommented = re.sub(
        r"^    # (authorization:|  type:|  credentials_file:|scheme:)", r"    \1", text, flags=re.MULTILINE
    )
    assert uncommented.count("authorization:") == 1
    assert "    # scheme" not in uncommented
    variant = tmp_path / "prometheus.yml"
    variant.write_text(re.sub(r"credentials_file: .*", f"credentials_file: {tmp_path / 'token'}", uncommented))
    check(variant)


def test_the_scrape_goes_to_the_port_of_make_serve() -> None:
    makefile = (CONFIG.parents[2] / "Makefile").read_text(encoding="utf-8")
    port = re.search(r"^PORT \?= (\d+)$", makefile, re.MULTILINE)
    assert port is not None
    assert f'targets: ["127.0.0.1:{port[1]}"]' in CONFIG.read_text(encoding="utf-8")
