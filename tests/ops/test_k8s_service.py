"""The Kubernetes manifests fit the service: settings, routes, clocks, metrics, image, and what was measured."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml  # type: ignore[import-untyped]  # without types, as it comes with the tools

from ops.capacity import CPU_USE, FRAMES_PER_S, memory_mib
from service.deps import Deps
from service.edge.voice import PING_EVERY_S
from service.settings import AuthMode, RecognizerKind, Settings
from service.settings_reader import KNOWN_NAMES
from service.stream.clocks import IDLE_S
from service.telemetry.loop_watch import STUCK_AFTER_S
from service.web.recognize import MAX_FORM_BYTES, MAX_PENDING_BYTES, MAX_UPLOAD_BYTES
from tests.conftest import NOT_HERE
from tests.ops.k8s_builds import (
    BUILDS,
    K8S,
    Resource,
    built,
    container,
    needs_kustomize,
    pod_template,
    settings,
    the,
)
from tests.support.edge import get
from tests.support.processes import ACCOUNT_SETTINGS, ROOT, gateway

ALL = pytest.mark.parametrize("name", BUILDS)
IN_PRODUCTION = pytest.mark.parametrize("name", ["base", "overlays/example"])
EXIT_MARGIN_S = 10
"""From the hard end of a drain to the end of the process: children are ended, the log is written."""
SECRET = {
    "JWT_SECRET": "0123456789abcdef0123456789abcdef",
    "METRICS_TOKEN": "metrics-token",
    **{name: value for name, value in ACCOUNT_SETTINGS.items() if name.startswith("TENCENT")},
}
SUFFIXES = {"Mi": 2**20, "Gi": 2**30, "m": 0.001, "": 1.0}


def quantity(text: str) -> float:
    """A Kubernetes quantity as a number: bytes, or CPUs."""
    found = re.fullmatch(r"(\d+)(Mi|Gi|m|)", text)
    assert found is not None
    return int(found[1]) * SUFFIXES[found[2]]


def configured(name: str) -> Settings:
    """As the process in the pod reads them: ConfigMap, and the Secret unless it has none."""
    resources = built(name)
    secret = SECRET if len(container(resources)["envFrom"]) > 1 else {}
    return Settings.from_env({**settings(resources), **secret}, local_available=True)


def replicas(resources: tuple[Resource, ...]) -> int:
    """The most that there are, rollouts aside."""
    if any(resource["kind"] == "HorizontalPodAutoscaler" for resource in resources):
        return int(the(resources, "HorizontalPodAutoscaler")["spec"]["maxReplicas"])
    return int(the(resources, "Deployment")["spec"]["replicas"])


@needs_kustomize
@ALL
def test_settings_are_known_and_good(name: str) -> None:
    assert settings(built(name)).keys() <= set(KNOWN_NAMES)
    mode, recognizer = (
        (AuthMode.OFF, RecognizerKind.LOCAL) if name.endswith("local") else (AuthMode.TOKEN, RecognizerKind.TENCENT)
    )
    assert configured(name).auth_mode is mode
    assert configured(name).recognizer is recognizer
    assert not re.search("SECRET|TOKEN|KEY", " ".join(settings(built(name))))


@needs_kustomize
def test_the_command_of_the_docs_makes_the_secret_that_is_read() -> None:
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    command = text.split("create secret generic ")[1].split("```")[0]
    assert command.split()[0] == container(built("base"))["envFrom"][1]["secretRef"]["name"]
    assert re.findall(r"--from-literal=(\w+)=", command) == [*SECRET]
    assert SECRET.keys() <= set(KNOWN_NAMES)


@needs_kustomize
@ALL
def test_a_pod_is_not_killed_while_it_drains(name: str) -> None:
    spec = pod_template(built(name))["spec"]
    (program, seconds) = container(built(name))["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert int(seconds) >= 5
    grace_s = spec["terminationGracePeriodSeconds"]
    assert grace_s >= int(seconds) + configured(name).drain_s + EXIT_MARGIN_S
    # or a rollout would have many replicas drain, and hold slots, at a time
    assert the(built(name), "Deployment")["spec"]["minReadySeconds"] >= grace_s


@needs_kustomize
@ALL
def test_the_port_is_the_one_the_service_listens_on(name: str) -> None:
    (port,) = container(built(name))["ports"]
    assert port["containerPort"] == configured(name).port >= 1024
    probes = [container(built(name))[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    assert [probe["httpGet"]["port"] for probe in probes] == [port["name"]] * 3


@needs_kustomize
def test_the_watchdog_comes_before_the_liveness_probe() -> None:
    probe = container(built("base"))["livenessProbe"]
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) + probe["timeoutSeconds"] > STUCK_AFTER_S
    assert probe["httpGet"]["path"] == "/health"


@needs_kustomize
@IN_PRODUCTION
def test_the_replicas_share_what_the_account_has(name: str) -> None:
    annotations = the(built(name), "Deployment")["metadata"]["annotations"]
    account = int(annotations["voice-gateway/account-concurrency"])
    assert replicas(built(name)) * configured(name).upstream_concurrency == account
    if name == "base":
        assert account == Settings().upstream_concurrency


@needs_kustomize
def test_the_component_fits_the_base() -> None:
    path = K8S / "components" / "autoscaling" / "horizontal-pod-autoscaler.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
    assert spec["maxReplicas"] == the(built("base"), "Deployment")["spec"]["replicas"]
    assert target_of(spec) == CPU_USE * configured("base").upstream_concurrency


def target_of(spec: Resource) -> float:
    (metric,) = spec["metrics"]
    return quantity(metric["pods"]["target"]["averageValue"])


@needs_kustomize
def test_the_autoscaler_follows_a_gauge_that_there_is() -> None:
    spec = the(built("overlays/example"), "HorizontalPodAutoscaler")["spec"]
    (metric,) = spec["metrics"]
    families = {family.name: family.type for family in Deps.from_settings(Settings()).metrics.registry.collect()}
    assert families[metric["pods"]["metric"]["name"]] == "gauge"
    values = yaml.safe_load((K8S / "prometheus-adapter-values.yaml").read_text(encoding="utf-8"))
    assert values["rules"]["custom"][0]["name"]["as"] == metric["pods"]["metric"]["name"]
    example = configured("overlays/example")
    assert target_of(spec) == CPU_USE * example.max_streams
    assert 1 < spec["minReplicas"] < spec["maxReplicas"]
    down = spec["behavior"]["scaleDown"]
    assert down["stabilizationWindowSeconds"] >= example.max_stream_s
    assert down["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]


@needs_kustomize
@IN_PRODUCTION
def test_requests_and_limits_are_what_was_measured(name: str) -> None:
    resources, own = container(built(name))["resources"], configured(name)
    measured = json.loads((ROOT / "loadtest" / "bench" / "baseline.json").read_text(encoding="utf-8"))["rows"]
    # The cost of a frame falls with the load, so the row below is the dearer one.
    row = max((row for row in measured if row["tls"] and row["streams"] <= own.max_streams), key=lambda r: r["streams"])
    needed = own.max_streams * FRAMES_PER_S * row["cpu_us_per_frame"] / 1e6 / CPU_USE
    assert needed <= quantity(resources["requests"]["cpu"]) <= 1
    assert "cpu" not in resources["limits"]
    live, stalled = (memory_mib(own.max_streams, stalled=stalled) * 2**20 for stalled in (False, True))
    assert live <= quantity(resources["requests"]["memory"])
    assert stalled + MAX_PENDING_BYTES <= quantity(resources["limits"]["memory"])


@needs_kustomize
def test_the_way_through_the_ingress_is_long_and_wide_enough() -> None:
    annotations = the(built("overlays/example"), "Ingress")["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/"
    for name in ("proxy-read-timeout", "proxy-send-timeout"):
        assert int(annotations[prefix + name]) > 2 * max(IDLE_S, PING_EVERY_S)
    body = annotations[prefix + "proxy-body-size"]
    assert int(body.removesuffix("m")) * 2**20 >= MAX_UPLOAD_BYTES + MAX_FORM_BYTES


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8").split("AS gateway")[1]


@needs_kustomize
@ALL
def test_the_user_and_the_capability_are_those_of_the_image(name: str) -> None:
    context = pod_template(built(name))["spec"]["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile()
    (added,) = container(built(name))["securityContext"]["capabilities"]["add"]
    assert f"setcap cap_{added.lower()}=+ep" in dockerfile()


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setcap") is None or shutil.which("setpriv") is None,
    reason=f"{NOT_HERE}needs root, setcap and setpriv",
)
@pytest.mark.parametrize(("bounding", "runs"), [("-all", False), ("-all,+net_bind_service", True)])
def test_why_the_capability_is_added(bounding: str, runs: bool, tmp_path: Path) -> None:
    """A file with a capability that the bounding set lacks is not executed, by a user without privileges either."""
    program = shutil.copy(shutil.which("true") or "/bin/true", tmp_path)
    marked = subprocess.run(
        ["setcap", "cap_net_bind_service=+ep", program], check=False, timeout=10, capture_output=True
    )
    if marked.returncode:
        pytest.skip(f"{NOT_HERE}this file system keeps no capabilities")
    confined = ["setpriv", "--inh-caps=-all", f"--bounding-set={bounding}", "--no-new-privs", str(program)]
    done = subprocess.run(confined, check=False, timeout=10, capture_output=True)
    assert (done.returncode == 0) is runs


@needs_kustomize
async def test_a_process_with_the_settings_of_a_pod_answers_its_probes_and_its_scrape() -> None:
    resources = built("overlays/example")
    probes = [container(resources)[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")]
    (endpoint,) = the(resources, "ServiceMonitor")["spec"]["endpoints"]
    token = SECRET[endpoint["authorization"]["credentials"]["key"]]
    here = {"HOST": "127.0.0.1", "PORT": "0", "AUTH_MODE": "token", "TENCENT_ASR_URL": "ws://127.0.0.1:9"}
    async with gateway(**{**settings(resources), **SECRET, **here}) as (_, url):
        port = urlsplit(url).port or 0
        for probe in probes:
            assert (await get(port, probe["httpGet"]["path"])).status == 200
        bearer = f"Authorization: {endpoint['authorization']['type']} {token}"
        assert (await get(port, endpoint["path"], [bearer])).status == 200
        assert (await get(port, endpoint["path"])).status == 401
