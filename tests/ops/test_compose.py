"""compose.yaml: valid by the specification's own schema, and its parts fit each other and the files they name."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import yaml  # type: ignore[import-untyped]

from ops.dashboard import PATH
from service.settings_reader import KNOWN_NAMES
from tests.support.processes import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((ROOT / "ops" / "prometheus" / "compose.yml").read_text(encoding="utf-8"))


def test_it_follows_the_specification() -> None:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_image_has_the_local_recognizer() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (name,) = SERVICES["voice-gateway"]["build"]["args"]
    assert re.search(rf"^ARG {name}=", dockerfile, re.MULTILINE)
    assert re.search(r"^EXPOSE 80$", dockerfile, re.MULTILINE)
    assert SERVICES["voice-gateway"]["ports"] == ["127.0.0.1:8000:80"]


def test_every_setting_is_one_of_the_service() -> None:
    assert set(SERVICES["voice-gateway"]["environment"]) <= set(KNOWN_NAMES)


def test_the_token_goes_to_both_and_has_no_default() -> None:
    assert SERVICES["voice-gateway"]["environment"]["METRICS_TOKEN"].startswith("${METRICS_TOKEN:?")
    assert COMPOSE["secrets"] == {"metrics_token": {"environment": "METRICS_TOKEN"}}
    assert SERVICES["prometheus"]["secrets"] == ["metrics_token"]
    assert PROMETHEUS["scrape_configs"][0]["authorization"]["credentials_file"] == "/run/secrets/metrics_token"


def test_prometheus_finds_the_gateway_and_grafana_finds_prometheus() -> None:
    (found,) = PROMETHEUS["scrape_configs"][0]["dns_sd_configs"]
    assert found["names"][0] in SERVICES
    source = yaml.safe_load((ROOT / "ops" / "grafana" / "datasource.yml").read_text(encoding="utf-8"))
    (prometheus,) = source["datasources"]
    assert prometheus["url"] == "http://prometheus:9090"
    (variable,) = [one for one in json.loads(PATH.read_text())["templating"]["list"] if one["name"] == "datasource"]
    assert variable["current"]["value"] == prometheus["uid"]
    (provider,) = yaml.safe_load((ROOT / "ops" / "grafana" / "dashboards.yml").read_text())["providers"]
    inside = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert f"{provider['options']['path']}/{PATH.name}" in inside


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


def test_nothing_is_open_to_the_network() -> None:
    assert all(port.startswith("127.0.0.1:") for service in SERVICES.values() for port in service["ports"])


def test_the_platform_waits_longer_than_the_drain() -> None:
    from service.settings import Settings

    assert int(SERVICES["voice-gateway"]["stop_grace_period"].removesuffix("s")) > Settings().drain_s
