"""The indexed Job runs parts of one plan with options that the load tester has, as a plain user, with enough CPU."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # without types, as it comes with the tools

from loadtest.run_options import add_command, read_options

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "ops" / "k8s" / "loadtest-job.yaml"
BEGIN_AT = "32472144000"  # a time to come: one that is past is refused


def documents() -> list[dict[str, Any]]:
    """As `envsubst` leaves them."""
    text = MANIFEST.read_text(encoding="utf-8").replace("${RUN}", "120000").replace("${BEGIN_AT}", BEGIN_AT)
    return [dict(document) for document in yaml.safe_load_all(text)]


def job() -> dict[str, Any]:
    (found,) = [document for document in documents() if document["kind"] == "Job"]
    assert found["apiVersion"] == "batch/v1"
    return dict(found["spec"])


def pod() -> dict[str, Any]:
    return dict(job()["template"]["spec"])


def container() -> dict[str, Any]:
    (only,) = pod()["containers"]
    return dict(only)


def command_line(index: int) -> list[str]:
    """What the pod of an index runs, with `$(NAME)` as the kubelet expands it."""
    environment = {item["name"]: item["value"] for item in container()["env"]} | {"JOB_COMPLETION_INDEX": str(index)}
    words = container()["command"] + container()["args"]
    return [re.sub(r"\$\((\w+)\)", lambda name: environment[name[1]], word) for word in words]


def shards() -> int:
    number = job()["completions"]
    assert isinstance(number, int)
    return number


def parsed(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_command(parser.add_subparsers(required=True))
    return parser.parse_args(words)


def test_every_shard_has_its_pod_at_once_and_one_chance() -> None:
    spec = job()
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == shards() > 1
    assert spec["backoffLimitPerIndex"] == 0
    assert "backoffLimit" not in spec
    assert pod()["restartPolicy"] == "Never"
    assert spec["activeDeadlineSeconds"] > 0


def test_the_load_tester_takes_the_command_line() -> None:
    directories = set()
    for index in range(shards()):
        words = command_line(index)
        assert words[:4] == ["python", "-m", "loadtest", "run"]
        options = read_options(parsed(words[3:]), {})
        assert options.settings.shard == (index, shards())
        assert options.as_json
        directories.add(options.directory)
    assert len(directories) == shards()


def test_shards_are_parts_of_one_plan() -> None:
    """They differ in the number of the shard and in where results go, and begin together."""
    first, second = command_line(0), command_line(1)
    differing = [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]]
    assert differing == [
        (f"--shard=0/{shards()}", f"--shard=1/{shards()}"),
        ("--out=/results/120000/shard-0", "--out=/results/120000/shard-1"),
    ]
    assert f"--begin-at={BEGIN_AT}" in first
    assert any(word.startswith("--seed=") for word in first)


def test_only_what_envsubst_is_told_to_replace() -> None:
    text = MANIFEST.read_text(encoding="utf-8")
    assert "envsubst '$RUN $BEGIN_AT'" in text
    assert set(re.findall(r"\$\{(\w+)\}", text)) == {"RUN", "BEGIN_AT"}
    assert f"for i in {' '.join(map(str, range(shards())))}; do" in text


def test_a_plain_user_without_rights() -> None:
    spec, own = pod(), container()["securityContext"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_its_cpu_is_its_own_and_as_much_as_its_processes_use() -> None:
    resources = container()["resources"]
    assert resources["requests"] == resources["limits"]
    assert f"--processes={resources['limits']['cpu']}" in command_line(0)


def test_the_token_comes_from_a_secret_and_is_in_no_argument() -> None:
    (command,) = [word.partition("=")[2] for word in command_line(0) if word.startswith("--token")]
    assert command_line(0)[-1] != command
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    (mount,) = [mount for mount in container()["volumeMounts"] if "secret" in volumes[mount["name"]]]
    assert mount["readOnly"] is True
    (item,) = volumes[mount["name"]]["secret"]["items"]
    assert shlex.split(command) == ["cat", f"{mount['mountPath']}/{item['path']}"]


def test_results_go_to_the_claim() -> None:
    (claim,) = [document for document in documents() if document["kind"] == "PersistentVolumeClaim"]
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    volumes = {volume["name"]: volume for volume in pod()["volumes"]}
    paths = {
        volumes[mount["name"]].get("persistentVolumeClaim", {}).get("claimName"): mount["mountPath"]
        for mount in container()["volumeMounts"]
    }
    (out,) = [word.partition("=")[2] for word in command_line(0) if word.startswith("--out=")]
    assert out.startswith(f"{paths[claim['metadata']['name']]}/")


def stages() -> dict[str, str]:
    """The parts of the Dockerfile by name, in order."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))


def test_the_image_has_a_target_and_the_gateway_stays_what_is_built_without_one() -> None:
    assert list(stages()) == ["base", "loadtest", "gateway"]
    assert "docker build --target loadtest" in MANIFEST.read_text(encoding="utf-8")
    assert 'CMD ["python", "-m", "loadtest"]' in stages()["loadtest"]
    assert 'CMD ["python", "-m", "service"]' in stages()["gateway"]
    # A file with capabilities cannot be executed by a container that dropped them all.
    assert "setcap" not in stages()["base"] + stages()["loadtest"]
    assert "--uid 10001" in stages()["base"]
    assert all("USER 10001:10001" in stages()[name] for name in ("loadtest", "gateway"))


def test_what_the_images_copy_reaches_the_build() -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    }
    copied = re.findall(r"^COPY (.*) \S+$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    names = {name.rstrip("/") for line in copied for name in line.split()}
    assert names == allowed
    assert all((ROOT / name).exists() for name in names)
