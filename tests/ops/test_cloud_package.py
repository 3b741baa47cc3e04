"""What is uploaded is the commit, and never a secret."""

import shutil
from pathlib import Path

import pytest

from ops.cloud.package import secrets_among
from tests.support.cloud_operator import Operator
from tests.support.cloudbase import CloudBase


def test_what_is_not_committed_is_not_uploaded(operator: Operator, cloud: CloudBase) -> None:
    operator.write(".env", "JWT_SECRET=x")
    operator.write("voice.env", "JWT_SECRET=x")
    operator.write("id_ed25519", "x")
    assert operator.deploy().code == 0
    assert sorted(cloud.names_in_package()) == ["Dockerfile", "service/", "service/main.py"]


@pytest.mark.parametrize("name", [".env", "deploy/.env.production", "voice.env", "tls/site.pem", "id_rsa", ".npmrc"])
def test_secrets_that_are_committed_are_refused(operator: Operator, cloud: CloudBase, name: str) -> None:
    operator.write(name, "secret")
    operator.commit()
    said = operator.deploy()
    assert said.code == 2
    assert name in said.errors
    assert "git rm --cached" in said.errors
    assert not cloud.calls
    assert operator.deploy("--allow-file", name).code == 0
    assert name in cloud.names_in_package()


def test_export_ignore_keeps_a_file_out(operator: Operator, cloud: CloudBase) -> None:
    operator.write(".gitattributes", ".env export-ignore\n")
    operator.write(".env", "secret")
    operator.commit()
    assert operator.deploy().code == 0
    assert ".env" not in cloud.names_in_package()


def test_examples_are_no_secrets() -> None:
    assert secrets_among([".env.example", "docs/key.md", "service/environment.py", "keys/", "a.env/"]) == []


def test_changes_that_are_not_committed_stop_it(operator: Operator, cloud: CloudBase) -> None:
    operator.write("service/main.py", "print('changed')\n")
    said = operator.deploy()
    assert said.code == 2
    assert "service/main.py" in said.errors
    assert "--allow-dirty" in said.errors
    said = operator.deploy("--allow-dirty")
    assert said.code == 0
    assert "as they are in the commit" in said.out
    assert b"changed" not in next(iter(cloud.packages.values()))


def test_no_dockerfile(operator: Operator, cloud: CloudBase) -> None:
    (operator.checkout / "Dockerfile").unlink()
    operator.commit()
    said = operator.deploy()
    assert said.code == 2
    assert "no Dockerfile" in said.errors
    assert not cloud.calls


def test_no_repository(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    shutil.rmtree(operator.checkout / ".git")
    said = operator.deploy()
    assert said.code == 2
    assert "checkout of the project" in said.errors
