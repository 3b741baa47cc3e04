"""The doctor's judgements, without a network: who answered, and why an upgrade was refused."""

import datetime
import errno
import socket

import pytest
import trio

from ops.doctor.address import base_url, host_header, target_of
from ops.doctor.answerer import Answerer, answerer
from ops.doctor.exchange import Answer, NoAnswer
from ops.doctor.finding import Text, Verdict
from ops.doctor.stage import Context, Target
from ops.doctor.stages_network import http, idle, messages, reach, tls
from ops.doctor.upgrade_verdict import Surroundings, causes_of, silence_causes
from tests.ops.doctor_support import server

ALONE = Surroundings()
BESIDE = Surroundings(gateway_answers=True)
STRIPPED = Surroundings(prefix_is_stripped=True)
PASSED_ON = Surroundings(prefix_is_passed_on=True)
CLOUD = {"server": "tcbgw", "x-cloudbase-upstream-type": "Tencent-CloudBaseRun"}


def answer(status: int, body: str = "", **headers: str) -> Answer:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, named, body.encode(), "1.1", 0.01)


def ours(status: int, message: str = "ok", data: str = "null", **headers: str) -> Answer:
    return answer(status, f'{{"code":{status},"message":"{message}","data":{data},"timestamp":1}}', **headers)


@pytest.mark.parametrize(
    ("given", "who"),
    [
        (ours(404), Answerer.GATEWAY),
        (ours(404, **CLOUD, x_cloudbase_upstream_status_code="404"), Answerer.GATEWAY),
        (answer(400, "Failed to open a WebSocket connection: missing Sec-WebSocket-Key header."), Answerer.GATEWAY),
        (answer(404, "no", **CLOUD), Answerer.FRONT_DOOR),
        (answer(502, "no", **CLOUD, x_cloudbase_upstream_status_code="404"), Answerer.FRONT_DOOR),
        (answer(404, "no", **CLOUD, x_cloudbase_upstream_status_code="404"), Answerer.CONTAINER),
        (answer(200, "{}", server="tcbgw", x_cloudbase_upstream_type="Tencent-SCF"), Answerer.FUNCTION),
        (answer(404, "no", server="nginx/1.24.0"), Answerer.PROXY),
        (answer(503, "no"), Answerer.PROXY),
        (answer(404, "no", via="1.1 cache"), Answerer.PROXY),
        (answer(200, "[1]"), Answerer.OTHER),
        (ours(200, x_powered_by="Express"), Answerer.OTHER),
    ],
)
def test_who_answered(given: Answer, who: Answerer) -> None:
    assert answerer(given) is who


@pytest.mark.parametrize(
    ("given", "around", "cause"),
    [
        (ours(404), BESIDE, "path_rewritten"),
        (ours(404), STRIPPED, "prefix_stripped"),
        (ours(404), PASSED_ON, "prefix_passed_on"),
        (answer(404, "<pre>Cannot GET /test-ws</pre>"), ALONE, "routes_before_upgrade"),
        (answer(404, "", x_powered_by="Express"), ALONE, "routes_before_upgrade"),
        (answer(404, **CLOUD), ALONE, "no_route"),
        (answer(404, **CLOUD), STRIPPED, "prefix_stripped"),
        (answer(404, **CLOUD, x_cloudbase_upstream_status_code="404"), ALONE, "routes_before_upgrade"),
        (answer(404, server="nginx"), BESIDE, "no_route"),
        (answer(404), ALONE, "other_service"),
        (answer(404), BESIDE, "no_route"),
        (answer(200, "{}", **CLOUD), ALONE, "function_type"),
        (answer(200, "page"), ALONE, "other_service"),
        (answer(200, "page"), BESIDE, "no_route"),
        (ours(200), BESIDE, "path_rewritten"),
        (ours(400, "Bad Request"), BESIDE, "upgrade_dropped"),
        (answer(400, "Failed to open a WebSocket connection: x"), BESIDE, "upgrade_headers_changed"),
        (answer(400, "bad"), BESIDE, "upgrade_dropped"),
        (answer(400, "bad"), ALONE, "upgrade_refused"),
        (answer(400, "The plain HTTP request was sent to HTTPS port"), ALONE, "tls_port"),
        (answer(307, location="https://h/test-ws"), ALONE, "redirected_to_https"),
        (answer(301, location="/login"), ALONE, "redirected"),
        (answer(302, location="http://["), ALONE, "redirected"),
        (ours(426, "A WebSocket needs HTTP/1.1, and this request came as HTTP/1.0"), BESIDE, "http10_proxy"),
        (answer(426, "Failed to open a WebSocket connection: x"), BESIDE, "upgrade_headers_changed"),
        (answer(426), BESIDE, "upgrade_dropped"),
        (answer(426), ALONE, "other_service"),
        (answer(401), BESIDE, "access_denied"),
        (answer(403), BESIDE, "access_denied"),
        (answer(429), BESIDE, "rate_limited"),
        (ours(503, "This instance is being stopped; connect again."), BESIDE, "not_ready"),
        (ours(503, "All 400 connections of this instance are taken."), BESIDE, "connections_full"),
        (answer(502), ALONE, "service_down"),
        (answer(503, **CLOUD), ALONE, "service_down"),
        (answer(504), ALONE, "service_down"),
        (answer(502), BESIDE, "upgrade_refused"),
        (ours(500), BESIDE, "service_error"),
        (answer(405), BESIDE, "upgrade_refused"),
        (answer(501), ALONE, "other_service"),
        (answer(404, server="tcbgw", x_cloudbase_upstream_type="Tencent-SCF"), ALONE, "function_type"),
    ],
)
def test_why_an_upgrade_was_refused(given: Answer, around: Surroundings, cause: str) -> None:
    assert causes_of(given, around)[0] == cause


@pytest.mark.parametrize(
    ("kind", "around", "cause"),
    [
        ("timeout", BESIDE, "upgrade_swallowed"),
        ("timeout", ALONE, "cold_start"),
        ("closed", BESIDE, "upgrade_refused"),
        ("closed", ALONE, "not_http"),
        ("not_http", ALONE, "not_http"),
        ("refused", ALONE, "nothing_listens"),
        ("tls", ALONE, "tls_broken"),
        ("unreachable", ALONE, "no_connection"),
    ],
)
def test_why_there_was_no_answer(kind: str, around: Surroundings, cause: str) -> None:
    assert silence_causes(NoAnswer(kind, ""), around)[0] == cause


def test_http_says_what_the_gateway_says_of_itself() -> None:
    finding = http.judge(ours(200), ours(200, data='{"version":"1.2"}'), ours(200, data='{"phase":"serving"}'), 1)
    assert finding.verdict is Verdict.PASS
    assert (finding.facts["version"], finding.facts["phase"]) == ("1.2", "serving")
    draining = http.judge(ours(200), None, ours(503, data='{"phase":"draining"}'), 1)
    assert (draining.verdict, draining.causes) == (Verdict.WARN, ("not_ready",))
    late = http.judge(ours(200), None, None, 2)
    assert (late.verdict, late.causes) == (Verdict.WARN, ("cold_start",))


def life(lived_s: float, *, cut: bool = False, code: int | None = None, problem: str = "") -> idle._Life:
    return idle._Life(lived_s, is_cut=cut, close_code=code, problem=problem)


@pytest.mark.parametrize(
    ("silent", "beating", "verdict", "causes"),
    [
        (life(150), life(150), Verdict.PASS, ()),
        (life(60, cut=True), life(150), Verdict.WARN, ("idle_cut",)),
        (life(180, cut=True, code=4408), life(200), Verdict.PASS, ()),
        (life(60, cut=True), life(61, cut=True), Verdict.FAIL, ("connection_cut",)),
        (life(0, problem="503 in place of 101"), life(150), Verdict.FAIL, ("echo_lost",)),
    ],
)
def test_idle(silent: idle._Life, beating: idle._Life, verdict: Verdict, causes: tuple[str, ...]) -> None:
    finding = idle.judge(silent, beating, 150)
    assert (finding.verdict, finding.causes) == (verdict, causes)


def test_echo_figures() -> None:
    finding = messages.judge_echo([0.3, 0.1, 0.2])
    assert (finding.facts["min_ms"], finding.facts["median_ms"], finding.facts["max_ms"]) == (100.0, 200.0, 300.0)
    assert messages.judge_echo([0.6]).causes == ("slow_echo",)


def test_addresses() -> None:
    target = Target(scheme="https", host="voice.example.com", port=443)
    good = reach.judge_addresses(target, ["1.1.1.1", "2606:4700:4700::1111"], 0.1)
    assert (good.verdict, good.facts["ipv4"], good.facts["ipv6"]) == (Verdict.PASS, 1, 1)
    assert reach.judge_addresses(target, ["10.0.0.1"], 3.0).causes == ("slow_dns", "private_address")
    behind_a_proxy = reach.judge_addresses(target, ["198.18.0.7"], 0.0)
    assert (behind_a_proxy.verdict, behind_a_proxy.causes) == (Verdict.PASS, ())
    assert "VPN or proxy" in behind_a_proxy.summary.en


async def test_an_address_without_a_route_from_here_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_ipv6(address: str) -> socket.AddressFamily:
        if ":" in address:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6 here")  # as `socket` does, where it is switched off
        return socket.AF_INET

    monkeypatch.setattr(reach, "_family", no_ipv6)
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        target = Target(scheme="http", host="h.example.com", port=listener.socket.getsockname()[1])
        context = Context(target=target, found={"addresses": ["127.0.0.1", "2606:4700:4700::1111"]})
        finding = await reach.TCP.check(context)
        assert (finding.verdict, finding.causes, finding.facts["no_route"]) == (Verdict.PASS, (), 1)
        assert "no route from here to 2606:4700:4700::1111" in finding.summary.en
        context.found["addresses"] = ["127.0.0.1", "127.0.0.2"]  # which refuses, and so is one
        assert (await reach.TCP.check(context)).causes == ("some_addresses_fail",)
        context.found["addresses"] = ["2606:4700:4700::1111"]
        assert (await reach.TCP.check(context)).causes[0] == "unreachable"


async def test_a_proxy_that_is_not_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy:1")
    target = Target(scheme="https", host="voice.example.com", port=1)
    finding = await reach.TCP.check(Context(target=target, found={"addresses": ["127.0.0.1"]}))
    assert "HTTPS_PROXY is set here, and not used" in finding.summary.en
    assert "secret" not in finding.summary.en


@pytest.mark.parametrize(("location", "where"), [("https://h/", "to https"), ("http://login/", "to another address")])
async def test_a_redirect_says_where_it_leads(location: str, where: str) -> None:
    page = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
    async with server(lambda _head: page) as port:
        target = Target(scheme="https", host="127.0.0.1", port=1)
        finding = await http.REDIRECT.check(Context(target=target, plain_port=port))
    assert where in finding.summary.en


def test_certificates_of_this_machine_may_end_soon() -> None:
    now = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
    shown = tls.Shown("CN=h", "CN=a", ("h",), now, now + datetime.timedelta(days=20))
    assert tls.judge(shown, "TLSv1.3", now).causes == ("certificate_expires_soon",)
    assert tls.judge(shown, "TLSv1.3", now, is_loopback=True).verdict is Verdict.PASS
    assert tls.judge(shown, "TLSv1.3", now - datetime.timedelta(days=1)).verdict is Verdict.PASS


def test_targets() -> None:
    assert target_of("ws://[::1]:8080/x/") == Target(scheme="http", host="::1", port=8080, prefix="/x")
    assert base_url(target_of("wss://h/x")) == "https://h/x"
    assert base_url(target_of("https://h:8443"), is_websocket=True) == "wss://h:8443"
    assert host_header("::1", 80, is_secure=True) == "[::1]:80"
    assert http.shown(answer(404, "<html><title>Not  Found</title>")) == "404 (Not Found)"
    assert Text("a", "b").in_language("zh") == "b"
