"""The rules: Prometheus takes them, their own tests pass, they count what the catalogue says, and each is explained."""

import re
import subprocess
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from service.failures import CATALOGUE, Blame, Slug
from service.recognizer.tencent import ERROR_LABELS
from service.stream.outcome import OUTCOME_LABELS, End
from service.telemetry.push import JOB
from tests.ops.prometheus_world import RULES, needs_promtool
from tests.support.processes import ROOT

PAGES = ("operations.md", "operations.zh-CN.md")


def rules(name: str) -> list[dict[str, Any]]:
    whole = yaml.safe_load((RULES / name).read_text(encoding="utf-8"))
    return [rule for group in whole["groups"] for rule in group["rules"]]


ALERTS = rules("alerts.yml")
RECORDED = rules("recording.yml")
FAILED = {
    slug for slug, row in CATALOGUE.items() if row.blame is not Blame.CLIENT and row.fatal and not row.http_only
}  # fmt: skip


def promtool(*command: str) -> None:
    done = subprocess.run(["promtool", *command], cwd=RULES, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_accepts_the_rules() -> None:
    promtool("check", "rules", "recording.yml", "alerts.yml")


@needs_promtool
@pytest.mark.parametrize("name", sorted(path.name for path in RULES.glob("*_test.yml")))
def test_promtool_test_rules(name: str) -> None:
    promtool("test", "rules", name)


def test_every_alert_is_tested_firing_and_silent() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for path in RULES.glob("*_test.yml"):
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for check in case.get("alert_rule_test", ()):
                (fires if check["exp_alerts"] else silent).add(check["alertname"])
                if (
                    len({re.sub(r".*instance=\"([^\"]+)\".*", r"\1", one["series"]) for one in case["input_series"]})
                    > 1
                ):
                    silent.add(check["alertname"])  # for the other instance, which is well
    assert fires == {rule["alert"] for rule in ALERTS}
    assert silent == {rule["alert"] for rule in ALERTS} - {"VoiceFirstPartialBurnSlow"}  # as that of finalization


def matched(pattern: str, values: tuple[str, ...]) -> set[str]:
    return {value for value in values if re.fullmatch(pattern, value)}


@pytest.mark.parametrize("window", ["5m", "30m", "1h", "6h"])
def test_success_counts_what_the_catalogue_blames_on_us(window: str) -> None:
    by_name = {rule["record"]: rule["expr"] for rule in RECORDED}
    failed = by_name[f"job:voice_streams_failed:rate{window}"]
    (outcomes,) = re.findall(r'outcome=~"([^"]+)"', failed)
    (slugs,) = re.findall(r'slug=~"([^"]+)"', failed)
    assert matched(outcomes, OUTCOME_LABELS) == FAILED
    assert matched(slugs, tuple(CATALOGUE)) == FAILED - {Slug.RESTARTING}
    (well,) = re.findall(r'outcome=~"([^"]+)"', by_name[f"job:voice_streams_counted:rate{window}"])
    assert matched(well, OUTCOME_LABELS) == {*End} - {End.CANCELED, End.CLIENT_LEFT}
    assert f"[{window}]" in failed
    assert len(re.findall(r"\[\w+\]", failed)) == failed.count(f"[{window}]")


def test_the_codes_of_the_account_are_codes() -> None:
    (expr,) = [rule["expr"] for rule in ALERTS if rule["alert"] == "VoiceRecognizerAccountRefused"]
    (codes,) = re.findall(r'code=~"([^"]+)"', expr)
    assert matched(codes, ERROR_LABELS) == {"4002", "4003", "4004", "4005", "4010", "6001"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_every_alert_is_explained(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    name, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert name == "docs/operations.md"
    assert anchor == rule["alert"].lower()
    for page in PAGES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        (paragraph,) = re.findall(rf"^### {rule['alert']}\n\n(.+?)(?=\n##|\Z)", text, re.MULTILINE | re.DOTALL)
        assert len(paragraph) > 40
        assert f"**{rule['labels']['severity']}**" in paragraph


@pytest.mark.parametrize("page", PAGES)
def test_no_alert_is_explained_that_is_not_there(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert re.findall(r"^### (Voice\w+)$", text, re.MULTILINE) == [rule["alert"] for rule in ALERTS]


def test_all_know_the_service_by_one_name() -> None:
    named = re.findall(r'job="([^"]+)"', str(ALERTS))
    assert set(named) == {JOB, "voice-certificate"}
    for name in ("prometheus.yml", "compose.yml"):
        jobs = [job["job_name"] for job in yaml.safe_load((RULES / name).read_text())["scrape_configs"]]
        assert jobs[0] == JOB
