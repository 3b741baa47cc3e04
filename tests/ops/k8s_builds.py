"""The Kubernetes manifests as kustomize builds them, and as they lie in their files."""

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # without types, as it comes with the tools

from tests.conftest import NOT_HERE

K8S = Path(__file__).parents[2] / "ops" / "k8s"
BUILDS = ("base", "overlays/example", "overlays/local")
Resource = dict[str, Any]

_KUBECTL = shutil.which("kubectl")
_KUSTOMIZE = shutil.which("kustomize")
needs_kustomize = pytest.mark.skipif(
    _KUBECTL is None and _KUSTOMIZE is None, reason=f"{NOT_HERE}neither kubectl nor kustomize is on PATH"
)


def build(directory: Path) -> list[Resource]:
    """What `kubectl apply -k` would send. Needs kubectl or kustomize; no cluster."""
    command = [_KUSTOMIZE, "build"] if _KUSTOMIZE else [_KUBECTL or "kubectl", "kustomize"]
    made = subprocess.run(
        [*command, str(directory)], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    assert made.returncode == 0, made.stderr
    return [dict(document) for document in yaml.safe_load_all(made.stdout)]


@functools.cache
def built(name: str) -> tuple[Resource, ...]:
    """One of BUILDS. Not to be changed."""
    return tuple(build(K8S / name))


def the(resources: tuple[Resource, ...], kind: str) -> Resource:
    """The only one of its kind."""
    (found,) = [resource for resource in resources if resource["kind"] == kind]
    return found


def pod_template(resources: tuple[Resource, ...]) -> Resource:
    """What the Deployment makes its pods from."""
    return dict(the(resources, "Deployment")["spec"]["template"])


def container(resources: tuple[Resource, ...]) -> Resource:
    """The only container of a pod."""
    (only,) = pod_template(resources)["spec"]["containers"]
    return dict(only)


def settings(resources: tuple[Resource, ...]) -> dict[str, str]:
    """The environment that the ConfigMap gives."""
    return dict(the(resources, "ConfigMap")["data"])


def sources() -> list[Path]:
    """The files of whole resources: no kustomizations, no values of Helm."""
    found = [path for path in K8S.glob("*/**/*.yaml") if path.name != "kustomization.yaml"]
    assert found
    return sorted(found)
