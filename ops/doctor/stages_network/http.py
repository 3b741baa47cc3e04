"""Who answers plain requests, and whether that is the gateway, ready for traffic."""

import re
from http import HTTPStatus
from typing import Final

import trio

from loadtest.printing import printable
from ops.doctor.answerer import NAMES, Answerer, answerer, envelope_of, is_express
from ops.doctor.exchange import ANSWER_S, Answer, NoAnswer, get, path_of
from ops.doctor.finding import Fact, Finding, Text, Verdict
from ops.doctor.stage import Context, Stage
from ops.doctor.upgrade_verdict import Surroundings, redirect_causes, silence_causes, unavailable_causes

SLOW_S: Final = 3.0
"""A gateway that runs answers in a round trip; only one that has to be started takes longer."""
_PAUSES_S: Final = (1.0,)
_CLOUD_PAUSES_S: Final = (1.0, 4.0, 10.0)
"""Before asking again where a platform may be starting an instance."""
UNAVAILABLE: Final = frozenset({502, 503, 504})
"""Answers that may be over when an instance has started."""
_CLOUD: Final = frozenset({Answerer.FRONT_DOOR, Answerer.CONTAINER})
_MAX_SHOWN: Final = 160
_TITLE: Final = re.compile(r"<title>([^<]*)</title>", re.IGNORECASE)


async def _http(context: Context) -> Finding:
    asked = await _patiently(context, path_of(context, "/health"))
    health, tries = asked
    if isinstance(health, NoAnswer):
        summary = Text(f"/health: {health.detail}", f"/health：{health.detail}")
        return _fail(summary, *silence_causes(health, Surroundings()), facts={"tries": tries})
    home = await _quietly(context, path_of(context, "/"))
    ready = await _quietly(context, path_of(context, "/ready"))
    context.found["health"], context.found["home"] = health, home
    context.found["ready"] = None if ready is None else envelope_of(ready)
    return judge(health, home, ready, tries, has_prefix=bool(context.target.prefix))


def judge(
    health: Answer, home: Answer | None, ready: Answer | None, tries: int, *, has_prefix: bool = False
) -> Finding:
    """What the three answers come to. Pure."""
    facts = {
        "answered_by": str(answerer(health)),
        "health_status": health.status,
        "home_status": home.status if home else None,
        "ready_status": ready.status if ready else None,
        "health_ms": round(health.took_s * 1000, 1),
        "tries": tries,
        **_headers(health),
    }
    if envelope_of(health) is None or is_express(health):  # the old service has the same envelope
        return _not_the_gateway(health, facts)
    facts |= _told(home, ready)
    front = health.header("server") or health.header("x-cloudbase-upstream-type")
    behind_en = f" behind {front}" if front else ""
    behind_zh = f"（经由 {front}）" if front else ""
    version = facts.get("version") or "?"
    if health.status != HTTPStatus.OK:
        if health.status in UNAVAILABLE:
            causes = unavailable_causes(health)
        else:
            causes = ("prefix_passed_on", "path_rewritten") if has_prefix else ("path_rewritten", "prefix_stripped")
        message = f"the gateway answers /health with {health.status}"
        return _fail(Text(message, f"网关对 /health 返回 {health.status}"), *causes, facts=facts)
    if ready is not None and ready.status == HTTPStatus.SERVICE_UNAVAILABLE and envelope_of(ready):
        phase = facts.get("phase") or "?"
        summary = Text(f"the gateway {version}{behind_en} is {phase}", f"网关 {version}{behind_zh}，状态 {phase}")
        return Finding(stage="http", verdict=Verdict.WARN, summary=summary, causes=("not_ready",), facts=facts)
    if tries > 1 or health.took_s > SLOW_S:
        summary = Text(
            f"the gateway {version}{behind_en} answered try {tries}, in {health.took_s:.1f} s",
            f"网关 {version}{behind_zh} 在第 {tries} 次尝试时应答，用时 {health.took_s:.1f} 秒",
        )
        return Finding(stage="http", verdict=Verdict.WARN, summary=summary, causes=("cold_start",), facts=facts)
    took_ms = health.took_s * 1000
    summary = Text(
        f"the voice gateway {version}{behind_en} answers in {took_ms:.0f} ms",
        f"语音网关 {version}{behind_zh} 应答，{took_ms:.0f} 毫秒",
    )
    return Finding(stage="http", verdict=Verdict.PASS, summary=summary, facts=facts)


def shown(answer: Answer) -> str:
    """An answer in a few words, its own included."""
    envelope = envelope_of(answer)
    page = _TITLE.search(answer.text)  # of HTML, that says it
    said = str(envelope["message"]) if envelope else page[1] if page else answer.text
    said = printable(" ".join(said.split()))
    said = said if len(said) <= _MAX_SHOWN else said[: _MAX_SHOWN - 1] + "…"
    return f"{answer.status}" + (f" ({said})" if said else "")


def _not_the_gateway(health: Answer, facts: dict[str, Fact]) -> Finding:
    who = answerer(health)
    causes: tuple[str, ...]
    if "HTTPS port" in health.text or "HTTP request to an HTTPS" in health.text:
        causes = ("tls_port",)
    elif HTTPStatus.MULTIPLE_CHOICES <= health.status < HTTPStatus.BAD_REQUEST:
        causes = redirect_causes(health)
        facts = facts | {"location": printable(health.header("location"))}
    elif health.status in UNAVAILABLE:
        causes = unavailable_causes(health)
    elif health.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        causes = ("access_denied",)
    elif health.status == HTTPStatus.TOO_MANY_REQUESTS:
        causes = ("rate_limited",)
    elif who is Answerer.FUNCTION or (who is Answerer.FRONT_DOOR and health.status == HTTPStatus.OK):
        causes = ("function_type", "no_route")
    elif who in (Answerer.FRONT_DOOR, Answerer.PROXY) and health.status == HTTPStatus.NOT_FOUND:
        causes = ("no_route", "function_type", "prefix_stripped")
    elif is_express(health):
        causes = ("other_service", "routes_before_upgrade")
    else:
        causes = ("other_service", "wrong_port")
    name, said = NAMES[who], shown(health)
    summary = Text(f"{name.en} answers /health: {said}", f"应答 /health 的是{name.zh}：{said}")
    return _fail(summary, *causes, facts=facts)


async def _patiently(context: Context, path: str) -> tuple[Answer | NoAnswer, int]:
    """The answer, asked for again where an instance may be starting; how often it was asked for."""
    tries = 0
    pauses = list(_PAUSES_S)
    while True:
        tries += 1
        answer: Answer | NoAnswer
        try:
            answer = await get(context, path)
        except NoAnswer as silence:
            answer = silence
        if isinstance(answer, NoAnswer):
            is_worth_it = answer.kind in ("timeout", "closed")
        else:
            is_worth_it = answer.status in UNAVAILABLE
            if tries == 1 and is_worth_it and answerer(answer) in _CLOUD and not context.target.is_loopback:
                pauses = list(_CLOUD_PAUSES_S)
        if not is_worth_it or not pauses:
            return answer, tries
        await trio.sleep(pauses.pop(0))


async def _quietly(context: Context, path: str) -> Answer | None:
    try:
        return await get(context, path)
    except NoAnswer:
        return None


def _headers(answer: Answer) -> dict[str, Fact]:
    """The headers that tell who answered; never all: a platform puts credentials into some."""
    return {
        "server": printable(answer.header("server")) or None,
        "upstream_type": printable(answer.header("x-cloudbase-upstream-type")) or None,
        "upstream_status": printable(answer.header("x-cloudbase-upstream-status-code")) or None,
    }


def _told(home: Answer | None, ready: Answer | None) -> dict[str, Fact]:
    """What the gateway says of itself."""
    facts: dict[str, Fact] = {"version": None, "phase": None, "recognizer": None}
    for answer in (home, ready):
        envelope = envelope_of(answer) if answer else None
        data = envelope["data"] if envelope else None
        if isinstance(data, dict):
            facts |= {name: printable(data[name]) for name in facts if isinstance(data.get(name), str)}
    return facts


def _fail(summary: Text, *causes: str, facts: dict[str, Fact] | None = None) -> Finding:
    return Finding(stage="http", verdict=Verdict.FAIL, summary=summary, causes=causes, facts=facts or {})


HTTP: Final = Stage(
    name="http", title=Text("Who answers", "应答者"), check=_http, needs=("tcp", "tls"), limit_s=5 * ANSWER_S
)


# Without TLS.


async def _redirect(context: Context) -> Finding:
    if context.plain_port is None:
        await trio.lowlevel.checkpoint()
        summary = Text(
            "only for https on port 443, or with --http-port", "仅用于 443 端口的 https，或指定了 --http-port 时"
        )
        return Finding(stage="redirect", verdict=Verdict.SKIP, summary=summary)
    try:
        answer = await get(context, path_of(context, "/test-ws"), plain_port=context.plain_port, upgrade=True)
    except NoAnswer as silence:
        summary = Text(
            f"ws:// is not answered ({silence.kind}): only wss:// works",
            f"ws:// 没有应答（{silence.kind}）：只能用 wss://",
        )
        return Finding(
            stage="redirect", verdict=Verdict.PASS, summary=summary, facts={"plain_port": context.plain_port}
        )
    facts: dict[str, Fact] = {"plain_port": context.plain_port, "status": answer.status}
    if answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
        summary = Text("ws:// opens a WebSocket, too", "ws:// 也能打开 WebSocket")
        return Finding(
            stage="redirect", verdict=Verdict.WARN, summary=summary, causes=("plain_http_open",), facts=facts
        )
    tail_en = tail_zh = ""
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        facts["location"] = printable(answer.header("location"))
        is_to_https = redirect_causes(answer) == ("redirected_to_https",)
        where_en, where_zh = ("https", "https") if is_to_https else ("another address", "其他地址")
        tail_en = f" to {where_en}: phones do not follow that for sockets, so clients must use wss://"
        tail_zh = f" 重定向到 {where_zh}：手机的 WebSocket 不会跟随，客户端必须使用 wss://"
    summary = Text(f"ws:// is answered {answer.status}{tail_en}", f"ws:// 返回 {answer.status}{tail_zh}")
    return Finding(stage="redirect", verdict=Verdict.PASS, summary=summary, facts=facts)


REDIRECT: Final = Stage(
    name="redirect", title=Text("Without TLS (ws://)", "不使用 TLS（ws://）"), check=_redirect, needs=("tcp",)
)
