"""`deploy` against a stand-in of CloudBase's APIs: what is done, what is not, the exit code, and what it says to do."""

import json

import pytest

from ops.cloud.deploy_command import doctors_environment
from tests.support.cloud_operator import JWT_SECRET, Operator
from tests.support.cloudbase import CloudBase, Service

NAME = "miniapp-backend"


def test_first_deploy(operator: Operator, cloud: CloudBase) -> None:
    commit = operator.commit()
    said = operator.deploy("--env-file", operator.env_file(JWT_SECRET=JWT_SECRET, LOG_LEVEL="DEBUG"))
    assert said.code == 0, said
    assert sorted(cloud.names_in_package()) == ["Dockerfile", "service/", "service/main.py"]
    items = cloud.items_of("CreateCloudRunServer")
    environment = json.loads(items.pop("EnvParam"))
    assert environment == {"DEPLOYED_COMMIT": commit, "JWT_SECRET": JWT_SECRET, "LOG_LEVEL": "DEBUG"}
    assert items == {
        "Port": 80,
        "CpuSpecs": 1.0,
        "MemSpecs": 2.0,
        "MinNum": 1,
        "MaxNum": 1,
        "PolicyDetails": [{"PolicyType": "cpu", "PolicyThreshold": 60}],
        "InitialDelaySeconds": 2,
        "HasDockerfile": True,
        "Dockerfile": "Dockerfile",
        "BuildDir": "",
        "AccessTypes": ["PUBLIC", "MINIAPP"],
    }
    for step in ("build_image: finished", "check_ready: finished", "serves, with 100 %"):
        assert step in said.out
    assert JWT_SECRET not in said.out + said.errors
    assert f"https://{cloud.domain}" in said.out


def test_an_update_merges_the_environment_and_keeps_the_access_types(operator: Operator, cloud: CloudBase) -> None:
    first = operator.env_file(JWT_SECRET=JWT_SECRET, LOG_LEVEL="DEBUG")
    assert operator.deploy("--env-file", first, "--access", "MINIAPP", "--min", "2", "--mem", "4").code == 0
    second = operator.commit(new__txt="new")
    said = operator.deploy("--env-file", operator.env_file(LOG_LEVEL="INFO", MAX_STREAMS="50"), "--max", "3")
    assert said.code == 0, said
    items = cloud.items_of("UpdateCloudRunServer")
    assert "AccessTypes" not in items
    assert cloud.services[NAME].config["OpenAccessTypes"] == ["MINIAPP"]
    assert (items["MinNum"], items["MaxNum"], items["MemSpecs"]) == (2, 3, 4.0)
    assert cloud.services[NAME].environment == {
        "DEPLOYED_COMMIT": second,
        "JWT_SECRET": JWT_SECRET,
        "LOG_LEVEL": "INFO",
        "MAX_STREAMS": "50",
    }
    assert "new.txt" in cloud.names_in_package()


def test_the_same_again_does_nothing(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--cpu", "2").code == 0
    before = len(cloud.packages)
    said = operator.deploy()
    assert (said.code, len(cloud.packages)) == (0, before)
    assert "Nothing to do" in said.out
    assert not cloud.actions("Update")
    assert operator.deploy("--force").code == 0
    assert cloud.actions("Update")


def test_after_a_failure_and_after_a_rollback_the_same_is_deployed_again(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy().code == 0
    operator.commit(new__txt="new")
    cloud.next_breaks = "build"
    assert operator.deploy().code == 1
    assert operator.deploy().code == 0
    assert operator.ops("rollback", "--yes", "--poll", "0.01").code == 0
    said = operator.deploy()
    assert "Nothing to do" not in said.out
    assert len(cloud.actions("Update")) == 3


def test_dry_run_writes_nothing_and_masks(operator: Operator, cloud: CloudBase) -> None:
    said = operator.deploy("--dry-run", "--env-file", operator.env_file(JWT_SECRET=JWT_SECRET, MAX_STREAMS="9"))
    assert said.code == 0
    assert all(action.startswith("Describe") for action in cloud.actions())
    assert not cloud.packages
    assert not cloud.actions("DescribeCloudBaseBuildService")
    for shown in ("CreateCloudRunServer", "MinNum = 1", "MAX_STREAMS = 9", f"(set, {len(JWT_SECRET)} characters)"):
        assert shown in said.out
    assert JWT_SECRET not in said.out


def test_a_failed_build_shows_its_log_and_what_to_do(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_breaks = "build"
    said = operator.deploy()
    assert said.code == 1
    assert "no matching distribution" in said.out
    for advice in ("build_image", "locks", "docker build"):
        assert advice in said.errors


def test_a_failed_probe_shows_its_log_without_secrets_or_escapes(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_breaks = "probe"
    said = operator.deploy("--env-file", operator.env_file(JWT_SECRET=JWT_SECRET))
    assert said.code == 1
    assert "Readiness probe failed" in said.out
    assert "\x1b" not in said.out
    assert JWT_SECRET not in said.out + said.errors
    for advice in ("port", "0.0.0.0", "--check", "--initial-delay"):  # noqa: S104
        assert advice in said.errors


def test_another_port_is_told_to_the_service_too(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--port", "9000").code == 0  # the stand-in's probe fails when they disagree
    assert cloud.services[NAME].environment["PORT"] == "9000"
    operator.commit(new__txt="new")
    assert operator.deploy().code == 0
    assert cloud.services[NAME].config["Port"] == 9000


def test_busy(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy().code == 0
    operator.commit(new__txt="new")
    cloud.next_breaks = "never"
    assert operator.deploy("--deadline", "0.05").code == 5
    stored = len(cloud.packages)
    said = operator.deploy()
    assert said.code == 3
    assert "--wait-busy" in said.errors
    assert "download_package" in said.errors
    assert len(cloud.packages) == stored
    cloud.services[NAME].rollouts[-1].breaks = ""
    assert operator.deploy("--wait-busy", "--force").code == 0


def test_busy_between_the_look_and_the_submission(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_faults["CreateCloudRunServer"] = ["ResourceInUse"]
    said = operator.deploy()
    assert said.code == 3
    assert "--wait-busy" in said.errors
    cloud.next_faults["CreateCloudRunServer"] = ["ResourceInUse"]
    assert operator.deploy("--wait-busy").code == 0


@pytest.mark.parametrize(
    ("name", "value", "clock_off_s", "expected"),
    [
        ("TENCENTCLOUD_SECRET_KEY", "another", 0, "TENCENTCLOUD_SECRET_KEY"),
        ("TENCENTCLOUD_SECRET_ID", "another", 0, "deleted"),
        ("TENCENTCLOUD_TOKEN", "old", 0, "expired"),
        ("LANG", "C", 600, "clock"),
        ("TENCENTCLOUD_SECRET_KEY", "", 0, "not both set"),
    ],
    ids=["wrong key", "unknown id", "expired token", "clock", "missing"],
)
def test_refused_credentials(
    operator: Operator,
    cloud: CloudBase,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    clock_off_s: int,
    expected: str,
) -> None:
    monkeypatch.setenv(name, value)
    cloud.clock_off_s = clock_off_s
    cloud.token = "fresh" if name == "TENCENTCLOUD_TOKEN" else None
    said = operator.deploy()
    assert said.code == 4
    assert expected in said.errors
    assert "Traceback" not in said.errors


def test_temporary_credentials_and_the_other_spellings(
    operator: Operator, cloud: CloudBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part, injected in (("ID", "ID"), ("KEY", "KEY")):
        monkeypatch.setenv(
            f"TENCENTCLOUD_SECRET{injected}", "AKID-of-the-tests" if part == "ID" else "key-of-the-tests"
        )
        monkeypatch.delenv(f"TENCENTCLOUD_SECRET_{part}")
    monkeypatch.setenv("TENCENTCLOUD_SESSIONTOKEN", "fresh")
    cloud.token = "fresh"
    assert operator.deploy().code == 0


@pytest.mark.parametrize(
    ("arguments", "state", "expected"),
    [
        (("--env", "voice-other"), {}, "--region"),
        ((), {"EnvType": "baas"}, "never used for Cloud Run"),
        ((), {"Status": "isolated"}, "arrears"),
    ],
)
def test_wrong_environments(
    operator: Operator, cloud: CloudBase, arguments: tuple[str, ...], state: dict[str, str], expected: str
) -> None:
    cloud.env |= state
    said = operator.deploy(*arguments)
    assert said.code == 1
    assert expected in said.errors
    assert cloud.actions() == ["DescribeEnvBaseInfo"]


def test_a_function_service_is_not_deployed_to(operator: Operator, cloud: CloudBase) -> None:
    cloud.services[NAME] = Service(NAME, type="function")
    said = operator.deploy()
    assert said.code == 1
    assert "port 3000" in said.errors


def test_a_rollout_that_never_ends(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_breaks = "never"
    said = operator.deploy("--deadline", "0.1")
    assert said.code == 5
    assert "status --env" in said.errors
    assert "goes on" in said.errors


def test_transient_failures_do_not_end_the_waiting(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_faults["DescribeCloudRunDeployRecord"] = ["InternalError", "RequestLimitExceeded"]
    assert operator.deploy().code == 0


def test_a_refused_upload(operator: Operator, cloud: CloudBase) -> None:
    cloud.upload_status = 403
    said = operator.deploy()
    assert said.code == 1
    assert "403" in said.errors
    assert not cloud.actions("Create")


def test_unknown_refusals_are_told_as_they_are(operator: Operator, cloud: CloudBase) -> None:
    cloud.next_faults["CreateCloudRunServer"] = ["UnsupportedOperation"]
    said = operator.deploy()
    assert said.code == 1
    assert "CreateCloudRunServer: UnsupportedOperation: refused" in said.errors


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--min", "0"), "--allow-cold-starts"),
        (("--min", "3", "--max", "2"), "less than the minimum"),
        (("--port", "70000"), "1 to 65535"),
        (("--service", "Not_A_Name"), "lower case"),
        (("--policy", "disk=3"), "--policy"),
        (("--access", "EVERYBODY"), "--access"),
        (("--endpoint", "http://example.com"), "https://"),
        (("--env-file", "/nowhere"), "FileNotFoundError"),
    ],
)
def test_bad_usage(operator: Operator, cloud: CloudBase, arguments: tuple[str, ...], expected: str) -> None:
    said = operator.deploy(*arguments)
    assert said.code == 2
    assert expected in said.errors
    assert not cloud.packages


def test_cold_starts_when_they_are_meant(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--min", "0", "--allow-cold-starts").code == 0
    assert cloud.services[NAME].config["MinNum"] == 0


def test_an_environment_that_the_service_would_refuse(operator: Operator, cloud: CloudBase) -> None:
    said = operator.deploy("--env-file", operator.env_file(JWT_SECRET="too short", MAX_STREAM="5"))
    assert said.code == 2
    for problem in ("JWT_SECRET has 9 bytes", "is MAX_STREAM"):
        assert problem in said.errors
    assert "too short" not in said.errors
    assert not cloud.packages


def test_access_types_of_a_service_that_exists_are_not_changed(operator: Operator, cloud: CloudBase) -> None:
    assert operator.deploy("--access", "MINIAPP").code == 0
    said = operator.deploy("--access", "PUBLIC", "--force")
    assert said.code == 2
    assert "console" in said.errors


def test_a_doctor_that_finds_something_has_an_exit_code_of_its_own(operator: Operator, cloud: CloudBase) -> None:
    pytest.importorskip("ops.doctor.command", reason="the doctor is not there yet")
    cloud.domain = "127.0.0.1:1"  # nobody listens there
    arguments = [argument for argument in ("--poll", "0.01") if argument]
    said = operator.ops("deploy", "--source", str(operator.checkout), *arguments)
    assert said.code == 6
    assert "ops rollback" in said.errors


def test_what_is_not_open_to_all_is_not_examined_from_here(operator: Operator) -> None:
    said = operator.deploy("--access", "MINIAPP")
    assert said.code == 0
    assert "not examined" in said.out


def test_the_doctor_gets_a_token_where_the_secret_is_known() -> None:
    made = doctors_environment({"PATH": "/bin"}, {"JWT_SECRET": JWT_SECRET})
    assert (made.pop("TOKEN").count("."), made) == (2, {"PATH": "/bin"})
    assert doctors_environment({"TOKEN": "given"}, {"JWT_SECRET": JWT_SECRET}) == {"TOKEN": "given"}
    assert doctors_environment({}, {"AUTH_MODE": "off"}) == {}
