"""The Kubernetes manifests are what an API server takes, and their parts refer to each other."""

import shutil
import subprocess
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # without types
import pytest
import yaml  # type: ignore[import-untyped]  # without types, as it comes with the tools

from tests.ops.k8s_builds import (
    BUILDS,
    K8S,
    Resource,
    build,
    built,
    container,
    needs_kustomize,
    pod_template,
    settings,
    sources,
    the,
)

OLDEST, NEWEST = "1.27", kubernetes_validate.latest_version()
VERSIONS = pytest.mark.parametrize("version", [OLDEST, NEWEST])
MONITORING = "monitoring.coreos.com/v1"
ALL = pytest.mark.parametrize("name", BUILDS)


def validate(resource: Resource, version: str) -> None:
    """Against the API's schema, unknown fields forbidden. That of the Prometheus operator's kind is not there."""
    if resource["apiVersion"] != MONITORING:
        kubernetes_validate.validate(resource, version, strict=True)


@VERSIONS
@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(K8S)))
def test_a_file_is_a_valid_resource(path: Path, version: str) -> None:
    for resource in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        validate(resource, version)


def test_the_validation_is_strict() -> None:
    deployment = yaml.safe_load((K8S / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(deployment, NEWEST)


@needs_kustomize
@ALL
def test_what_is_built_is_valid(name: str) -> None:
    for resource in built(name):
        validate(resource, NEWEST)


@needs_kustomize
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("base", set()),
        ("overlays/example", {"HorizontalPodAutoscaler", "ServiceMonitor", "Ingress"}),
        ("overlays/local", {"Namespace"}),
    ],
)
def test_the_kinds(name: str, more: set[str]) -> None:
    """A cluster without Prometheus' operator takes the base and the local overlay."""
    kinds = [resource["kind"] for resource in built(name)]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} | more


@needs_kustomize
@ALL
def test_labels_and_names_lead_to_each_other(name: str) -> None:
    resources = built(name)
    labels = pod_template(resources)["metadata"]["labels"].items()
    service = the(resources, "Service")
    selectors = [
        the(resources, "Deployment")["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        the(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    constraints = pod_template(resources)["spec"]["topologySpreadConstraints"]
    selectors += [constraint["labelSelector"]["matchLabels"] for constraint in constraints]
    assert all(selector and selector.items() <= labels for selector in selectors)
    (port,) = container(resources)["ports"]
    (service_port,) = service["spec"]["ports"]
    (allowed,) = the(resources, "NetworkPolicy")["spec"]["ingress"][0]["ports"]
    assert service_port["targetPort"] == allowed["port"] == port["name"]
    references = [next(iter(source.values()))["name"] for source in container(resources)["envFrom"]]
    assert references[0] == the(resources, "ConfigMap")["metadata"]["name"]


@needs_kustomize
def test_the_example_is_reached_scraped_and_scaled() -> None:
    resources = built("overlays/example")
    deployment, service = the(resources, "Deployment"), the(resources, "Service")
    assert len({resource["metadata"]["namespace"] for resource in resources}) == 1
    # The autoscaler alone says how many.
    assert "replicas" not in deployment["spec"]
    target = the(resources, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {key: deployment[key] for key in ("apiVersion", "kind")} | {"name": deployment["metadata"]["name"]}
    monitor = the(resources, "ServiceMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    names = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["endpoints"]} <= names
    ingress = the(resources, "Ingress")["spec"]
    (rule,) = ingress["rules"]
    assert ingress["tls"][0]["hosts"] == [rule["host"]]
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == service["metadata"]["name"]
    assert backend["port"]["name"] in names
    assert container(resources)["image"] == "registry.example.com/voice-gateway:0.1.0"


@needs_kustomize
def test_the_example_changes_only_what_it_says() -> None:
    """A patch that had replaced a list would have lost the probes, the port or the environment."""
    ours, base = container(built("overlays/example")), container(built("base"))
    changed = {key for key in base if ours[key] != base[key]}
    assert changed == {"image", "resources", "envFrom"}  # envFrom by the hash of the ConfigMap
    assert ours["envFrom"][1] == base["envFrom"][1] == {"secretRef": {"name": "voice-gateway"}}
    assert settings(built("overlays/example")).keys() == settings(built("base")).keys()


@needs_kustomize
def test_the_local_one_needs_no_secret_and_no_registry() -> None:
    resources = built("overlays/local")
    assert [*container(resources)["envFrom"][0]] == ["configMapRef"]
    assert len(container(resources)["envFrom"]) == 1
    assert container(resources)["image"] == "voice-gateway:local"  # a tag other than latest is not pulled
    assert the(resources, "Deployment")["spec"]["replicas"] == 1
    assert settings(resources)["AUTH_MODE"] == "off"  # YAML 1.1 reads a bare `off` as a boolean
    namespaces = {resource["metadata"].get("namespace") for resource in resources if resource["kind"] != "Namespace"}
    assert namespaces == {the(resources, "Namespace")["metadata"]["name"]}


@needs_kustomize
def test_a_changed_setting_is_a_rollout(tmp_path: Path) -> None:
    shutil.copytree(K8S / "base", tmp_path / "base")
    before = pod_template(tuple(build(tmp_path / "base")))
    path = tmp_path / "base" / "settings.env"
    path.write_text(path.read_text(encoding="utf-8") + "LOG_LEVEL=DEBUG\n", encoding="utf-8")
    assert pod_template(tuple(build(tmp_path / "base"))) != before


@needs_kustomize
@ALL
def test_pods_meet_the_restricted_standard(name: str) -> None:
    """The Pod Security Standard `restricted`, as far as it concerns these pods."""
    spec, own = pod_template(built(name))["spec"], container(built(name))["securityContext"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert [volume.keys() - {"name"} for volume in spec["volumes"]] == [{"emptyDir"}]
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"]["drop"] == ["ALL"]
    assert own["capabilities"]["add"] == ["NET_BIND_SERVICE"]  # the only one that it lets be added
    assert spec["automountServiceAccountToken"] is False


def test_the_service_monitor_sends_the_token_of_the_secret() -> None:
    """By hand, since no schema of it is installed: exactly these fields of the operator's reference, and no typo."""
    monitor = service_monitor()
    assert (monitor["apiVersion"], monitor["kind"]) == (MONITORING, "ServiceMonitor")
    assert monitor["spec"].keys() == {"selector", "endpoints"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint.keys() == {"port", "path", "interval", "scrapeTimeout", "authorization"}
    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "voice-gateway", "key": "METRICS_TOKEN"},
    }


def service_monitor() -> Resource:
    path = K8S / "components" / "monitoring" / "service-monitor.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not on PATH")
def test_prometheus_answers_the_query_of_the_adapter(tmp_path: Path) -> None:
    """The template as the adapter fills it in for two pods, of three that have the metric."""
    values = yaml.safe_load((K8S / "prometheus-adapter-values.yaml").read_text(encoding="utf-8"))
    (rule,) = values["rules"]["custom"]
    query = rule["metricsQuery"]
    for name, value in {
        "Series": rule["name"]["as"],
        "LabelMatchers": 'namespace="voice",pod=~"a|b"',
        "GroupBy": "pod",
    }.items():
        query = query.replace(f"<<.{name}>>", value)
    assert "<<" not in query
    series = [
        {"series": f'voice_streams_active{{namespace="{space}",pod="{pod}"}}', "values": value}
        for space, pod, value in (("voice", "a", "10"), ("voice", "b", "32"), ("other", "a", "500"))
    ]
    samples = [{"labels": '{pod="a"}', "value": 10}, {"labels": '{pod="b"}', "value": 32}]
    tests = [
        {
            "input_series": series,
            "promql_expr_test": [{"expr": query, "eval_time": "0s", "exp_samples": samples}],
        },
        {
            "input_series": series,
            "promql_expr_test": [
                {"expr": f"count({rule['seriesQuery']})", "eval_time": "0s", "exp_samples": [{"value": 3}]}
            ],
        },
    ]
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": tests}), encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "test", "rules", str(tmp_path / "test.yml")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
