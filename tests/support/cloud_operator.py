"""Somebody with a checkout and an account, who types `python -m ops …`, against the stand-in of the cloud."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.__main__ import main
from tests.support.cloudbase import ENV_ID, SECRET_ID, SECRET_KEY, CloudBase

DOCKERFILE = "FROM scratch\n"
JWT_SECRET = "a-secret-of-the-tests-with-enough-bytes"
QUICK = ("--poll", "0.01", "--deadline", "20")


@dataclass
class Said:
    """How a command ended."""

    code: int
    out: str
    errors: str


@dataclass
class Operator:
    """Runs commands of ours in this process."""

    cloud: CloudBase
    checkout: Path
    capture: pytest.CaptureFixture[str]

    def ops(self, *arguments: str) -> Said:
        self.capture.readouterr()
        try:
            code = main(arguments)
        except SystemExit as ended:  # argparse
            code = int(ended.code or 0)
        captured = self.capture.readouterr()
        return Said(code, captured.out, captured.err)

    def deploy(self, *arguments: str) -> Said:
        return self.ops("deploy", "--source", str(self.checkout), "--no-doctor", *QUICK, *arguments)

    def write(self, name: str, text: str) -> Path:
        path = self.checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def commit(self, **files: str) -> str:
        """Commit files, `__` standing for a dot in their names; the commit's hash."""
        for name, text in files.items():
            self.write(name.replace("__", "."), text)
        git(self.checkout, "add", "--all", "--force")
        git(self.checkout, "commit", "--quiet", "--allow-empty", "--message", "more")
        return git(self.checkout, "rev-parse", "HEAD").strip()

    def env_file(self, **variables: str) -> str:
        """A file with variables, beside the checkout."""
        path = self.checkout.parent / "voice.env"
        path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()), encoding="utf-8")
        return str(path)


def git(directory: Path, *arguments: str) -> str:
    """Run git without the machine's configuration."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", "-C", str(directory), *identity, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout


def make_checkout(directory: Path) -> Path:
    """A repository with one commit."""
    checkout = directory / "checkout"
    (checkout / "service").mkdir(parents=True)
    git(checkout, "init", "--quiet")
    (checkout / "Dockerfile").write_text(DOCKERFILE)
    (checkout / "service" / "main.py").write_text("print('hello')\n")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "first")
    return checkout


def environment(cloud: CloudBase) -> dict[str, str]:
    """What the commands read from the environment."""
    return {
        "TENCENTCLOUD_SECRET_ID": SECRET_ID,
        "TENCENTCLOUD_SECRET_KEY": SECRET_KEY,
        "CLOUDBASE_ENV_ID": ENV_ID,
        "CLOUDBASE_ENDPOINT": cloud.url,
    }
