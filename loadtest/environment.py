"""Where a run was measured: enough to judge its figures, and nothing that names the machine or its owner.

A report is passed on, so there is no host name and no path in it; `host` is what the operator calls the machine.
"""

import math
import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from loadtest.printing import printable
from loadtest.summary import Environment

DISTRIBUTION: Final = "miniapp-backend"
PACKAGES: Final = (
    "trio",
    "trio-websocket",
    "wsproto",
    "msgspec",
    "hdrhistogram",
    "picows",
    "httpx2",
    "prometheus-client",
    "rich",
)
"""Those that can move a figure."""

_LABEL_CHARACTERS: Final = 100
_GIB: Final = 2**30


def describe_environment(label: str = "", *, root: Path = Path("/")) -> Environment:
    """This machine and this program. What cannot be found out is left empty; never raises.

    `label` is what the operator calls the machine, such as `c7i.large, same zone`. `root` is for tests: where /proc,
    /sys and /etc are. Reads a few small files, so it blocks for well under a millisecond.
    """
    cpus, limit = _cpus(root)
    cpu = _cpu_model(_text(root / "proc/cpuinfo")) or platform.machine()
    if limit is not None:
        cpu += f" (limited to {limit:.4g} CPUs)"
    return Environment(
        host=" ".join(printable(label).split())[:_LABEL_CHARACTERS],
        system=_system(root),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        cpu=cpu,
        cpus=cpus,
        memory_gib=round(_memory_bytes(root) / _GIB, 1),
        load_tester=_version(DISTRIBUTION) or "unknown",
        packages={name: version for name in PACKAGES if (version := _version(name))},
    )


def _system(root: Path) -> str:
    kernel = f"{platform.system()} {platform.release()} {platform.machine()}"
    for line in _text(root / "etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return printable(f"{kernel} ({value.strip().strip(chr(34))})")
    return kernel


def _cpu_model(cpuinfo: str) -> str:
    """The model in the text of /proc/cpuinfo; empty when there is none, as on most ARM machines."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return printable(" ".join(value.split()))
    return ""


def _cpus(root: Path) -> tuple[int, float | None]:
    """How many CPUs this process may use, and the limit of its control group if that is less than those it may run on.

    A limit is shares of time on any of them, so a part of one counts as one.
    """
    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    limit = min(_cpu_limits(root), default=math.inf)
    return (usable, None) if limit >= usable else (max(1, math.ceil(limit)), limit)


def _cpu_limits(root: Path) -> Iterator[float]:
    for directory in _groups(root, "cpu"):
        quota, _, period = _text(directory / "cpu.max").strip().partition(" ")  # version 2; `max` for none
        if not quota:  # version 1; -1 for none
            quota, period = (_text(directory / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
            yield int(quota) / int(period)


def _memory_bytes(root: Path) -> int:
    """Memory of the machine, or the limit of this process's control group where that is lower; 0 for unknown."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not on this system
        machine = 0
    limits = [
        int(text)
        for directory in _groups(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")  # version 2 and 1
        if (text := _text(directory / name).strip()).isdecimal()
    ]
    return min([*limits, machine]) if machine > 0 else 0


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Directories of this process's control groups for one controller, outer ones included: each can set a limit.

    In a container the path may be the one outside of it, which is not there; its root is then the group.
    """
    mounted = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":  # version 2, alone or beside version 1
            bases = [mounted, mounted / "unified"]
        elif controller in controllers.split(","):
            bases = [mounted / controllers, mounted / controller]
        else:
            continue
        relative = Path(path.lstrip("/"))
        for base in bases:
            yield from (base / part for part in (relative, *relative.parents))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
