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


def with_rules(folder: Path, text: str) -> Path:
    """A changed configuration, beside copies of the rules."""
    for name in ("recording.yml", "alerts.yml"):
        shutil.copy(CONFIG.parent / name, folder)
    (folder / "prometheus.yml").write_text(text)
    return folder / "prometheus.yml"


@needs_promtool
def test_promtool_accepts_the_configuration() -> None:
    check(CONFIG)


@needs_promtool
def test_promtool_accepts_the_variant_that_probes_the_certificate(tmp_path: Path) -> None:
    head, _, commented = CONFIG.read_text(encoding="utf-8").partition("  # - job_name: voice-certificate")
    assert commented
    uncommented = re.sub(r"^  # ", "  ", "  # - job_name: voice-certificate" + commented, flags=re.MULTILINE)
    check(with_rules(tmp_path, head + uncommented))


@needs_promtool
@pytest.mark.parametrize("name", ["compose.yml", "remote-write.yml"])
def test_promtool_accepts_the_other_configurations(tmp_path: Path, name: str) -> None:
    (tmp_path / "token").write_text("secret")
    text = (CONFIG.parent / name).read_text(encoding="utf-8")
    check(with_rules(tmp_path, re.sub(r"credentials_file: /run.*", f"credentials_file: {tmp_path / 'token'}", text)))


@needs_promtool
def test_promtool_accepts_remote_write_with_an_account(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    text = (CONFIG.parent / "remote-write.yml").read_text(encoding="utf-8")
    text = re.sub(r"^    # (basic_auth:|  username:|  password_file:)", r"    \1", text, flags=re.MULTILINE)
    text = re.sub(r"password_file: .*", f"password_file: {tmp_path / 'password'}", text)
    assert text.count("\n    basic_auth:") == 1
    check(with_rules(tmp_path, text))


@needs_promtool
def test_promtool_accepts_the_variant_with_a_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    text = CONFIG.read_text(encoding="utf-8")
    uncommented = re.sub(
        r"^    # (authorization:|  type:|  credentials_file:|scheme:)", r"    \1", text, flags=re.MULTILINE
    )
    assert uncommented.count("authorization:") == 1
    assert "    # scheme" not in uncommented
    check(with_rules(tmp_path, re.sub(r"credentials_file: .*", f"credentials_file: {tmp_path / 'token'}", uncommented)))


def test_the_scrape_goes_to_the_port_of_make_serve() -> None:
    makefile = (CONFIG.parents[2] / "Makefile").read_text(encoding="utf-8")
    port = re.search(r"^PORT \?= (\d+)$", makefile, re.MULTILINE)
    assert port is not None
    assert f'targets: ["127.0.0.1:{port[1]}"]' in CONFIG.read_text(encoding="utf-8")
