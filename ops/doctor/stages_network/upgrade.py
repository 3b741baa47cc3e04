"""The WebSocket upgrade: on the echo, and on the stream's own path with the subprotocol that browsers offer."""

from http import HTTPStatus
from typing import Final

import trio

from loadtest.printing import printable
from loadtest.urls import STREAM_PATH
from ops.doctor.answerer import NAMES, answerer, envelope_of
from ops.doctor.exchange import ANSWER_S, Answer, NoAnswer, Opened, get, path_of, upgraded
from ops.doctor.finding import Fact, Finding, Text, Verdict
from ops.doctor.stage import Context, Stage
from ops.doctor.stages_network.http import SLOW_S, UNAVAILABLE, shown
from ops.doctor.upgrade_verdict import Surroundings, causes_of, silence_causes

ECHO_PATH: Final = "/test-ws"
SUBPROTOCOL: Final = "voice.v1"
_PAUSE_S: Final = 2.0


async def _upgrade(context: Context) -> Finding:
    path = path_of(context, ECHO_PATH)
    first, first_s = await _try(context, path, ())
    is_late = isinstance(first, NoAnswer) and first.kind in ("timeout", "closed")
    if is_late or (isinstance(first, Answer) and first.status in UNAVAILABLE):
        await trio.sleep(_PAUSE_S)
        second, second_s = await _try(context, path, ())
        if isinstance(second, Opened):
            was = shown(first) if isinstance(first, Answer) else str(first)
            summary = Text(f"101 at the second try; the first: {was}", f"第二次尝试返回 101；第一次：{was}")
            return _warn("upgrade", summary, {"upgrade_ms": round(second_s * 1000, 1), "tries": 2}, "cold_start")
        first = second
    if not isinstance(first, Opened):
        return await _explain(context, "upgrade", path, first)
    facts: dict[str, Fact] = {"status": first.answer.status, "upgrade_ms": round(first_s * 1000, 1), "tries": 1}
    if not first.is_key_right:
        summary = Text("101 with a wrong Sec-WebSocket-Accept", "返回 101，但 Sec-WebSocket-Accept 有误")
        return Finding(
            stage="upgrade",
            verdict=Verdict.FAIL,
            summary=summary,
            causes=("other_service", "upgrade_headers_changed"),
            facts=facts,
        )
    if first_s > SLOW_S:
        summary = Text(f"101, after {first_s:.1f} s", f"返回 101，用时 {first_s:.1f} 秒")
        return _warn("upgrade", summary, facts, "cold_start")
    summary = Text(f"101 in {first_s * 1000:.0f} ms", f"返回 101，{first_s * 1000:.0f} 毫秒")
    return Finding(stage="upgrade", verdict=Verdict.PASS, summary=summary, facts=facts)


async def _stream_route(context: Context) -> Finding:
    path = path_of(context, STREAM_PATH)
    got, took_s = await _try(context, path, (SUBPROTOCOL,))
    if not isinstance(got, Opened):
        return await _explain(context, "stream_route", path, got)
    chosen = got.answer.header("sec-websocket-protocol")
    facts: dict[str, Fact] = {
        "status": got.answer.status,
        "upgrade_ms": round(took_s * 1000, 1),
        "subprotocol": printable(chosen) or None,
    }
    if chosen != SUBPROTOCOL:
        given_en = f"chose {printable(chosen)!r}" if chosen else "chose none"
        given_zh = f"选择了 {printable(chosen)!r}" if chosen else "没有选择"
        summary = Text(
            f"101; {SUBPROTOCOL} was offered, the server {given_en}",
            f"返回 101；提供了 {SUBPROTOCOL}，服务器{given_zh}",
        )
        return _warn("stream_route", summary, facts, "subprotocol_not_agreed")
    summary = Text(f"101 on {path}, {SUBPROTOCOL} agreed", f"{path} 返回 101，协商了 {SUBPROTOCOL}")
    return Finding(stage="stream_route", verdict=Verdict.PASS, summary=summary, facts=facts)


async def _try(context: Context, path: str, subprotocols: tuple[str, ...]) -> tuple[Opened | Answer | NoAnswer, float]:
    """The answer to one upgrade, closed again, and how long it took."""
    began = trio.current_time()
    try:
        async with upgraded(context, path, subprotocols=subprotocols) as got:
            return got, trio.current_time() - began
    except NoAnswer as silence:
        return silence, trio.current_time() - began


async def _explain(context: Context, stage: str, path: str, got: Answer | NoAnswer) -> Finding:
    around = await _surroundings(context, path, got)
    if isinstance(got, NoAnswer):
        causes = silence_causes(got, around)
        summary = Text(f"{path}: {got.detail}", f"{path}：{got.detail}")
        return Finding(stage=stage, verdict=Verdict.FAIL, summary=summary, causes=causes, facts={"silence": got.kind})
    who = NAMES[answerer(got)]
    facts: dict[str, Fact] = {
        "status": got.status,
        "answered_by": str(answerer(got)),
        "gateway_answers_http": around.gateway_answers,
    }
    if got.header("location"):
        facts["location"] = printable(got.header("location"))
    summary = Text(
        f"{path}: {shown(got)} in place of 101, from {who.en}",
        f"{path}：返回 {shown(got)} 而不是 101，应答者：{who.zh}",
    )
    return Finding(stage=stage, verdict=Verdict.FAIL, summary=summary, causes=causes_of(got, around), facts=facts)


async def _surroundings(context: Context, path: str, got: Answer | NoAnswer) -> Surroundings:
    health = context.found.get("health")
    gateway_answers = isinstance(health, Answer) and _is_healthy(health)
    if isinstance(got, NoAnswer) or got.status != HTTPStatus.NOT_FOUND:
        return Surroundings(gateway_answers=gateway_answers)
    first_part = "/" + path.lstrip("/").partition("/")[0]
    prefix = context.target.prefix
    # With /api taken off, /api/health is /health. Where the URL's own prefix works, that is as it should be.
    candidates = {f"{prefix}/api", "/api", *([first_part] if first_part != ECHO_PATH else [])} - {prefix}
    stripped = False
    for candidate in sorted(candidates):
        stripped = stripped or await _is_healthy_at(context, f"{candidate}/health")
    passed_on = bool(prefix) and not gateway_answers and await _is_healthy_at(context, "/health")
    return Surroundings(
        gateway_answers=gateway_answers, prefix_is_stripped=stripped, prefix_is_passed_on=passed_on and not stripped
    )


async def _is_healthy_at(context: Context, path: str) -> bool:
    try:
        return _is_healthy(await get(context, path, limit_s=5.0))
    except NoAnswer:
        return False


def _is_healthy(answer: Answer) -> bool:
    return answer.status == HTTPStatus.OK and envelope_of(answer) is not None


def _warn(stage: str, summary: Text, facts: dict[str, Fact], cause: str) -> Finding:
    return Finding(stage=stage, verdict=Verdict.WARN, summary=summary, causes=(cause,), facts=facts)


UPGRADE: Final = Stage(
    name="upgrade",
    title=Text("WebSocket upgrade", "WebSocket 升级"),
    check=_upgrade,
    needs=("tcp", "tls"),
    limit_s=3 * ANSWER_S + 10,
)
STREAM_ROUTE: Final = Stage(
    name="stream_route",
    title=Text("The stream's path", "语音流路径"),
    check=_stream_route,
    needs=("upgrade",),
    limit_s=2 * ANSWER_S + 10,
)
