"""A real Prometheus scrapes a real service under load: every query of the dashboard and every rule has its answer."""

import json
import math
import re
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from ops.dashboard import PATH, ROWS
from ops.grafana_panels import SELECTOR
from tests.ops.prometheus_world import RULES, Prometheus, needs_prometheus, prometheus
from tests.process.test_server import SAMPLES
from tests.support.processes import ACCOUNT_SETTINGS, gateway, scripted_recognizer
from tests.support.stream_world import words
from tests.support.wire_phone import connected

GUARD_S = 60
TOKEN = "token-of-the-test"
PHONES = 5


def rendered(folder: Path, target: str) -> Path:
    """The configuration of the repository, faster, for one service with a token."""
    text = (RULES / "prometheus.yml").read_text(encoding="utf-8")
    text = text.replace("interval: 15s", "interval: 500ms").replace("timeout: 5s", "timeout: 500ms")
    text = re.sub(r"^    # (authorization:|  type:|  credentials_file:)", r"    \1", text, flags=re.MULTILINE)
    (folder / "token").write_text(TOKEN)
    text = re.sub(r"credentials_file: .*", f"credentials_file: {folder / 'token'}", text)
    text = text.replace("127.0.0.1:8000", target).replace("127.0.0.1:9090", "127.0.0.1:1")
    for name in ("recording.yml", "alerts.yml"):
        rules = (RULES / name).read_text(encoding="utf-8")
        (folder / name).write_text(re.sub(r"for: \w+", "for: 1s", rules))
    (folder / "prometheus.yml").write_text(text)
    return folder / "prometheus.yml"


@needs_prometheus
async def test_the_dashboard_and_the_rules_under_load(tmp_path: Path) -> None:
    with trio.fail_after(GUARD_S):
        async with (
            scripted_recognizer() as recognizer,
            gateway(
                METRICS_TOKEN=TOKEN,
                DATABASE_URL=f"sqlite:///{tmp_path / 'voice.db'}",
                SPOOL_DIR=str(tmp_path / "spool"),
                TENCENT_ASR_URL=recognizer,
                TENCENT_API_URL=recognizer.replace("ws://", "http://"),
                **ACCOUNT_SETTINGS,
            ) as (service, url),
            prometheus(rendered(tmp_path, url.removeprefix("http://"))) as prom,
        ):
            await prom.until('up{job="voice-gateway"} == 1')
            await _load(url)
            await prom.until(f'voice_streams_ended_total{{outcome="completed"}} == {PHONES}')
            await prom.until('voice_sentences_total{outcome="completed"} == 1')
            await prom.until('voice_messages_rejected_total{slug="bad_message"} == 1')
            await prom.until('voice_logins_total{outcome="not_configured"} == 1')
            await prom.until(f"voice_history_written_total == {PHONES + 1} and voice_history_pending == 0")
            await prom.until('count_over_time(voice_streams_ended_total{outcome="completed"}[3s]) > 4')
            await prom.until('count({__name__=~"job:.+:ratio_rate.+"} >= 0) == 12')
            await _check_dashboard(prom)
            await _check_rules(prom)
            of_a_busy_machine = "VoiceFirstPartial.*|VoiceFinalization.*|VoiceEventLoopLag|VoiceCpuFull"
            assert not await prom.query(f'ALERTS{{alertname!~"{of_a_busy_machine}"}}')
            service.process.send_signal(signal.SIGKILL)
            await service.process.wait()
            (down,) = await prom.until('ALERTS{alertname="VoiceInstanceDown", alertstate="firing"}')
            assert down["metric"]["severity"] == "page"
            (alert,) = [
                one for one in (await prom.api("alerts"))["alerts"] if one["labels"]["alertname"] == "VoiceInstanceDown"
            ]
            assert alert["annotations"]["description"].startswith(url.removeprefix("http://"))


async def _load(url: str) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(PHONES):
            nursery.start_soon(_call, url, number)
        nursery.start_soon(_upload, url)
        nursery.start_soon(_log_in, url)


async def _call(url: str, number: int) -> None:
    async with connected(url) as phone:
        if number == 0:
            await phone.say(type="nonsense")
            assert (await phone.hear("error", "result"))["code"] == "bad_message"
        await phone.talk(words(1, 2, 3))
        await phone.say(type="stop")
        await phone.hear("stopped")
        assert await phone.closed() == (1000, "completed")


async def _upload(url: str) -> None:
    sample = (SAMPLES / "goforward.wav").read_bytes()
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/api/realtime-voice/recognize", files={"audio": ("a.wav", sample)})
    assert answer.status_code == 200, answer.text


async def _log_in(url: str) -> None:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/api/auth/wechat-login", json={"code": "0a1b"})
    assert answer.status_code == 501, answer.text


async def _check_dashboard(prom: Prometheus) -> None:
    shown = json.loads(PATH.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in shown["panels"] for target in panel.get("targets", ())]
    queries = {
        query.expr.replace("$selector", SELECTOR): query for row in ROWS for p in row.panels for query in p.queries
    }
    assert set(asked) == set(queries)
    without_data = []
    for expr in asked:
        found = await prom.query(filled(expr))
        has_data = any(not math.isnan(float(series["value"][1])) for series in found)
        if not has_data and queries[expr].needs != "failures":
            without_data.append(expr)
    assert not without_data, "\n".join(without_data)
    (instances,) = [one["query"]["query"] for one in shown["templating"]["list"] if one["name"] == "instance"]
    selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", instances).groups()  # type: ignore[union-attr]
    assert len(await prom.api(f"label/{label}/values", **{"match[]": selector})) == 1


def filled(expr: str) -> str:
    """A query as Grafana sends it."""
    return expr.replace("$__rate_interval", "1m").replace("$instance", ".*")


async def _check_rules(prom: Prometheus) -> None:
    groups: list[Any] = (await prom.api("rules"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == sum(
        len(re.findall(r"^ +- (?:alert|record):", (RULES / name).read_text(), re.MULTILINE))
        for name in ("recording.yml", "alerts.yml")
    )
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    for rule in rules:
        found = await prom.query(rule["query"])
        if rule["type"] == "recording":
            assert found, rule


@pytest.mark.parametrize("name", ["prometheus.yml"])
def test_the_rendered_configuration_is_still_that_of_the_repository(name: str, tmp_path: Path) -> None:
    text = rendered(tmp_path, "127.0.0.1:12345").read_text()
    assert text.count("127.0.0.1:12345") == 1
    assert text.count("interval: 500ms") == 2
    assert re.search(r"^    authorization:\n      type: Bearer\n      credentials_file: /", text, re.MULTILINE)
    assert " for: 1m" not in (tmp_path / "alerts.yml").read_text()
