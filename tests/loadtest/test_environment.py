"""Where a run was measured: from files as Linux has them, and from this machine."""

import os
import platform
import socket
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.environment import PACKAGES, describe_environment

USABLE = len(os.sched_getaffinity(0))


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_this_machine() -> None:
    here = describe_environment("  laptop\x1b[31m of\tA ")
    assert here.host == "laptop [31m of A"
    assert here.python == f"CPython {platform.python_version()}"
    assert here.system.startswith(f"Linux {platform.release()}")
    assert 1 <= here.cpus <= USABLE
    assert here.memory_gib > 0.1
    assert here.load_tester == metadata.version("miniapp-backend")
    assert here.packages == {name: metadata.version(name) for name in PACKAGES}


def test_a_report_does_not_name_the_machine() -> None:
    assert describe_environment().host == ""
    name = socket.gethostname()
    if len(name) > 3:  # a shorter one may well be part of a word
        assert name not in msgspec.json.encode(describe_environment()).decode()


def test_names_of_system_and_cpu(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "etc/os-release": 'NAME=x\nPRETTY_NAME="Example Linux 12"\n',
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: Example  CPU @ 3.00GHz\x07\n\nmodel name\t: another\n",
        },
    )
    found = describe_environment(root=tmp_path)
    assert found.cpu == "Example CPU @ 3.00GHz "
    assert found.system.endswith("(Example Linux 12)")
    assert found.cpus == USABLE


def test_nothing_can_be_read(tmp_path: Path) -> None:
    found = describe_environment(root=tmp_path)
    assert found.cpu == platform.machine()
    assert found.cpus == USABLE
    assert found.memory_gib > 0


VERSION_2 = "0::/pod/container\n"
VERSION_1 = "5:cpu,cpuacct:/pod\n4:memory:/pod\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        (VERSION_2, {"sys/fs/cgroup/pod/container/cpu.max": "50000 100000\n"}, 0.5),
        (VERSION_2, {"sys/fs/cgroup/pod/cpu.max": "50000 100000\n"}, 0.5),  # that of the group around it
        (VERSION_2, {"sys/fs/cgroup/cpu.max": "25000 100000\n"}, 0.25),  # the path is that outside of the container
        (VERSION_2, {"sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        (VERSION_2, {"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, None),  # more than there are
        (VERSION_2, {"sys/fs/cgroup/cpu.max": "10 0\n"}, None),
        (
            VERSION_1,
            {
                "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/pod/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            VERSION_1,
            {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ("", {}, None),
        ("garbage", {"sys/fs/cgroup/cpu.max": "50000 100000\n"}, None),
    ],
)
def test_cpus_of_a_control_group(tmp_path: Path, groups: str, files: dict[str, str], limit: float | None) -> None:
    write(tmp_path, {"proc/self/cgroup": groups, **files})
    found = describe_environment(root=tmp_path)
    if limit is None:
        assert (found.cpus, found.cpu) == (USABLE, platform.machine())
    else:
        assert (found.cpus, found.cpu) == (1, f"{platform.machine()} (limited to {limit} CPUs)")


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        (VERSION_2, "sys/fs/cgroup/pod/container/memory.max"),
        (VERSION_1, "sys/fs/cgroup/memory/pod/memory.limit_in_bytes"),
    ],
)
def test_memory_of_a_control_group(tmp_path: Path, groups: str, file: str) -> None:
    write(tmp_path, {"proc/self/cgroup": groups, file: str(2**28) + "\n"})
    assert describe_environment(root=tmp_path).memory_gib == 0.2
    write(tmp_path, {file: "9223372036854771712\n"})  # what stands for none in version 1
    assert describe_environment(root=tmp_path).memory_gib == describe_environment().memory_gib


@given(cpuinfo=st.text(), groups=st.text(), limit=st.text())
def test_never_raises(tmp_path_factory: pytest.TempPathFactory, cpuinfo: str, groups: str, limit: str) -> None:
    root = tmp_path_factory.mktemp("root")
    for path, text in (("proc/cpuinfo", cpuinfo), ("proc/self/cgroup", groups), ("sys/fs/cgroup/cpu.max", limit)):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode("utf-16-le", errors="surrogatepass"))
    assert 1 <= describe_environment(limit, root=root).cpus <= USABLE
