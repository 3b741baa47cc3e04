"""`deploy --via-cli`: with a program that behaves as `tcb` was seen to, and with the real one, offline, as far as its
arguments go."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.cloud.exits import CloudError
from ops.cloud.via_cli import Cli, command_of, find_cli, hints, reply_to, run_in_terminal
from tests.support.cloud_operator import Operator
from tests.support.cloudbase import CloudBase

NAME = "miniapp-backend"
ROOT = Path(__file__).parents[2]
NO_NETWORK = "http://127.0.0.1:9"


@pytest.fixture
def script(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    path = tmp_path / "tcb"
    path.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.support.tcb_script "$@"\n')
    path.chmod(0o755)
    monkeypatch.delenv("TCB_SCRIPT", raising=False)
    return str(path)


def test_an_update_from_a_clean_export_with_the_access_types_put_back(
    operator: Operator, cloud: CloudBase, script: str
) -> None:
    assert operator.deploy("--access", "MINIAPP").code == 0
    operator.commit(new__txt="new")
    operator.write(".env", "JWT_SECRET=x")
    said = operator.deploy("--via-cli", "--cli", script)
    assert said.code == 0, said
    assert "does not know --type" in said.out
    assert set(cloud.names_in_package()) >= {"Dockerfile", "new.txt", "service/main.py"}
    assert ".env" not in cloud.names_in_package()
    assert ".git/" not in cloud.names_in_package()
    assert cloud.services[NAME].config["OpenAccessTypes"] == ["MINIAPP"]
    assert "back to MINIAPP" in said.out


def test_a_first_deploy_does_not_stay_at_no_instances(operator: Operator, cloud: CloudBase, script: str) -> None:
    assert operator.deploy("--via-cli", "--cli", script, "--port", "80").code == 0
    assert cloud.services[NAME].config["MinNum"] == 1


def test_a_cli_that_lists_type_gets_it(
    operator: Operator, cloud: CloudBase, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TCB_SCRIPT", "type")
    assert operator.deploy("--via-cli", "--cli", script).code == 0


@pytest.mark.parametrize(("behavior", "expected"), [("lies", "nothing was deployed"), ("asks", "not ours to answer")])
def test_exit_code_0_is_not_believed(
    operator: Operator, cloud: CloudBase, script: str, monkeypatch: pytest.MonkeyPatch, behavior: str, expected: str
) -> None:
    monkeypatch.setenv("TCB_SCRIPT", behavior)
    said = operator.deploy("--via-cli", "--cli", script)
    assert said.code == 1
    assert expected in said.errors
    assert ("tcb login" in said.errors) == (behavior == "lies")
    assert not cloud.packages


def test_dry_run_shows_the_command(operator: Operator, cloud: CloudBase, script: str) -> None:
    said = operator.deploy("--via-cli", "--cli", script, "--dry-run")
    assert said.code == 0
    assert "cloudrun deploy -e" in said.out
    assert not cloud.packages


@pytest.mark.parametrize("arguments", [("--cpu", "2"), ("--min", "2"), ("--access", "PUBLIC")])
def test_what_the_cli_cannot_set_is_refused(
    operator: Operator, cloud: CloudBase, script: str, arguments: tuple[str, ...]
) -> None:
    said = operator.deploy("--via-cli", "--cli", script, *arguments)
    assert said.code == 2
    assert arguments[0] in said.errors


def test_no_cli(operator: Operator) -> None:
    said = operator.deploy("--via-cli", "--cli", "/nowhere/tcb")
    assert said.code == 2
    assert "npm install" in said.errors


def test_only_the_question_about_a_gray_release_is_answered() -> None:
    assert reply_to("? Enable gray deployment? (Use arrow keys)") == b"\r"
    assert reply_to("? 是否启用灰度部署？") == b"\r"
    assert reply_to("? 平台当前有部署发布任务正在运行中。确认继续部署 (Y/n)") is None


def test_a_program_that_does_not_end_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="did not come to an end"):
        run_in_terminal([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, limit_s=0.3)


def test_hints() -> None:
    assert "tcb login" in hints("No valid identity. Authorization login successful!")[0]
    assert "2.12" in hints("error: unknown option '--port'")[0]


# The real one.


@pytest.fixture(scope="module")
def real() -> Cli:
    path = os.environ.get("TEST_TCB") or shutil.which("tcb")
    if path is None:
        pytest.skip("@cloudbase/cli is not installed (npm install @cloudbase/cli; TEST_TCB=…/node_modules/.bin/tcb)")
    return find_cli(path)


def offline(real: Cli, directory: Path, *arguments: str) -> tuple[int, str]:
    """Run the CLI where it knows nobody and reaches nothing."""
    proxies = {f"{scheme}_{word}": NO_NETWORK for scheme in ("http", "https") for word in ("proxy",)}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("TENCENT", "CLOUDBASE"))}
    environ |= proxies | {name.upper(): value for name, value in proxies.items()} | {"HOME": str(directory)}
    done = subprocess.run(
        [real.path, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=directory,
        env=environ,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_real_cli_takes_every_argument_that_it_is_given(real: Cli, tmp_path: Path) -> None:
    command = command_of(real, "env-1", NAME, 80, tmp_path)[1:]
    code, said = offline(real, tmp_path, *command, "--help")  # parsed as a whole, and nothing is done
    assert code == 0
    assert "unknown option" not in said
    for option in (word for word in command if word.startswith("-")):
        assert option in real.deploy_help


def test_the_real_cli_refuses_what_the_old_notes_say(real: Cli, tmp_path: Path) -> None:
    if real.has_type:
        pytest.skip(f"{real.version} knows --type")
    code, said = offline(real, tmp_path, "cloudrun", "deploy", NAME, "--type", "container-websocket")
    assert code != 0
    assert "unknown option '--type'" in said
    assert "--type" not in command_of(real, "env-1", NAME, 80, tmp_path)


def test_the_real_cli_has_no_logs_of_a_service(real: Cli, tmp_path: Path) -> None:
    if not real.version.startswith("2."):
        pytest.skip(f"{real.version} has `cloudrun logs`")
    code, said = offline(real, tmp_path, "cloudrun", "logs", NAME)
    assert code != 0
    assert "unknown command 'logs'" in said
