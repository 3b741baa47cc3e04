"""`list`, `status`, `logs`, `rollback` and `env` against the stand-in, and Ctrl-C while a rollout runs."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ops.cloud.logs_command import china_time
from tests.support import processes
from tests.support.cloud_operator import JWT_SECRET, QUICK, Operator, environment
from tests.support.cloudbase import CloudBase, Service

NAME = "miniapp-backend"
ROOT = Path(__file__).parents[2]
GUARD_S = 60


def test_list_reads_every_page(operator: Operator, cloud: CloudBase) -> None:
    assert "no services" in operator.ops("list").out
    for number in range(35):
        cloud.services[f"s-{number}"] = Service(f"s-{number}", {"OpenAccessTypes": ["MINIAPP"]})
    said = operator.ops("list")
    assert said.code == 0
    assert len(said.out.splitlines()) == 35
    assert "MINIAPP" in said.out


def test_status(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--env-file", operator.env_file(JWT_SECRET=JWT_SECRET)).code == 0
    said = operator.ops("status")
    assert said.code == 0
    for part in (
        "normal, container",
        "PUBLIC, MINIAPP",
        cloud.domain,
        "port 80, 1.0 CPU, 2.0 GiB, 1 to 1 instances",
        f"{NAME}-001: 100 % of the traffic",
        f"{NAME}-001-pod-1: Running",
        f"last deploy {NAME}-001: running",
        "JWT_SECRET",
    ):
        assert part in said.out
    assert JWT_SECRET not in said.out


def test_status_of_a_service_that_is_not_there(operator: Operator) -> None:
    said = operator.ops("status", "--service", "other")
    assert said.code == 1
    assert "ops list" in said.errors


def test_status_follows_a_rollout_to_its_failure(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_breaks = "never"
    assert operator.deploy("--deadline", "0.05").code == 5
    cloud.services[NAME].rollouts[-1].breaks = "probe"
    said = operator.ops("status", "--follow", *QUICK)
    assert said.code == 1
    assert "Readiness probe failed" in said.out
    assert "rollout" in operator.ops("status").out


def test_logs_are_paged_in_order_and_made_harmless(operator: Operator, cloud: CloudBase) -> None:
    now_s = time.time()
    cloud.log = [(now_s - 500 + number, f"line {number}\x1b]0;owned\x07") for number in range(250)]
    cloud.log.insert(0, (now_s - 4000, "too old"))
    said = operator.ops("logs")
    assert said.code == 0
    lines = said.out.splitlines()
    assert [line.split("line ")[1].split("\\")[0] for line in lines] == [str(number) for number in range(250)]
    assert lines[0].startswith(china_time(now_s - 500))
    assert "\x1b" not in said.out
    assert [given["Limit"] for action, given in cloud.calls] == [100, 100, 100]
    said = operator.ops("logs", "--limit", "120")
    assert said.code == 1
    assert "more than 120" in said.out
    assert "too old" in operator.ops("logs", "--since", "2h", "--query", "too old").out


def test_china_time() -> None:
    assert china_time(0) == "1970-01-01 08:00:00"


def test_logs_follow_tells_each_line_once(operator: Operator, cloud: CloudBase) -> None:
    cloud.log.append((time.time() - 5, "first"))

    def later() -> None:
        cloud.log.append((time.time(), "second"))
        seen = len(cloud.actions("SearchClsLog"))
        while len(cloud.actions("SearchClsLog")) < seen + 3:
            time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)

    helper = threading.Timer(0.2, later)
    helper.start()
    said = operator.ops("logs", "--follow", "--poll", "0.01")
    helper.join(GUARD_S)
    assert said.code == 130
    assert [line.split()[-1] for line in said.out.splitlines()] == ["first", "second"]


def test_rollback(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy().code == 0
    assert operator.ops("rollback", "--yes").code == 1  # there is no version before
    operator.commit(new__txt="new")
    assert operator.deploy().code == 0
    said = operator.ops("rollback")
    assert said.code == 2
    assert "--yes" in said.errors
    assert cloud.services[NAME].online == f"{NAME}-002"
    said = operator.ops("rollback", "--yes", *QUICK)
    assert said.code == 0, said
    assert cloud.services[NAME].online == f"{NAME}-001"
    assert operator.ops("rollback", "--yes", "--to", f"{NAME}-001").out.startswith("Nothing to do")
    said = operator.ops("rollback", "--yes", "--to", f"{NAME}-009")
    assert said.code == 1
    assert "no version" in said.errors


def test_a_rollback_that_fails_shows_the_log_without_secrets(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--env-file", operator.env_file(JWT_SECRET=JWT_SECRET)).code == 0
    operator.commit(new__txt="new")
    assert operator.deploy().code == 0
    cloud.next_breaks = "probe"
    said = operator.ops("rollback", "--yes", *QUICK)
    assert said.code == 1
    assert "(secret)" in said.out
    assert JWT_SECRET not in said.out + said.errors


def test_env_set_takes_no_environment_for_a_file(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy().code == 0
    said = operator.ops("env", "set", "--env", "voice-7gabc1234567", "LOG_LEVEL=DEBUG")
    assert said.code == 2
    assert "unrecognized arguments: --env" in said.errors


def test_env(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--env-file", operator.env_file(JWT_SECRET=JWT_SECRET, LOG_LEVEL="INFO")).code == 0
    masked = operator.ops("env", "get").out
    assert "LOG_LEVEL=INFO" in masked
    assert JWT_SECRET not in masked
    assert f"JWT_SECRET={JWT_SECRET}\n" == operator.ops("env", "get", "--show", "JWT_SECRET").out
    assert operator.ops("env", "get", "NO_SUCH").code == 1

    said = operator.ops("env", "set", "LOG_LEVEL=DEBUG")
    assert said.code == 2
    assert "cut" in said.out
    assert cloud.services[NAME].environment["LOG_LEVEL"] == "INFO"

    said = operator.ops("env", "--yes", *QUICK, "set", "LOG_LEVEL=DEBUG", "MAX_STREAMS=7")
    assert said.code == 0, said
    now = cloud.services[NAME].environment
    assert (now["LOG_LEVEL"], now["MAX_STREAMS"], now["JWT_SECRET"]) == ("DEBUG", "7", JWT_SECRET)
    assert cloud.services[NAME].online == f"{NAME}-002"

    assert operator.ops("env", "--yes", *QUICK, "unset", "MAX_STREAMS").code == 0
    assert "MAX_STREAMS" not in cloud.services[NAME].environment
    assert operator.ops("env", "--yes", "set", "LOG_LEVEL=DEBUG").out.startswith("Nothing to do")
    said = operator.ops("env", "--yes", "set", "JWT_SECRET=short")
    assert said.code == 2
    assert "JWT_SECRET has 5 bytes" in said.errors


def test_a_change_of_the_environment_that_does_not_start(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy().code == 0
    cloud.next_breaks = "probe"
    said = operator.ops("env", "--yes", *QUICK, "set", "LOG_LEVEL=DEBUG")
    assert said.code == 1
    assert "probe" in said.errors


def test_ctrl_c_leaves_the_rollout_running_and_says_how_to_follow_it(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_breaks = "never"
    command = [sys.executable, "-m", "ops", "deploy", "--source", str(operator.checkout), "--no-doctor", *QUICK]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=processes.environment(**environment(cloud)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(GUARD_S, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "download_package: running" in line:
                    process.send_signal(signal.SIGINT)
                    break
            out, errors = process.communicate()
        finally:
            guard.cancel()
    assert process.returncode == 130, errors
    assert "The rollout goes on" in out
    assert "ops status" in out
    assert "Traceback" not in errors
    assert cloud.services[NAME].rollouts[-1].status == "running"


@pytest.mark.parametrize("command", ["deploy", "list", "status", "logs", "rollback", "env"])
def test_every_command_has_help_with_its_exit_codes(operator: Operator, command: str) -> None:
    said = operator.ops(command, "--help")
    assert said.code == 0
    assert "exit codes:" in said.out.replace("\n", " ")
