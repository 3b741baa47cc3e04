"""What becomes of messages: round trips, compression, sizes."""

import os
from dataclasses import dataclass
from typing import Final

import trio

from loadtest.printing import printable
from ops.doctor.exchange import Answer, NoAnswer, Opened, path_of, upgraded
from ops.doctor.finding import Fact, Finding, Text, Verdict
from ops.doctor.stage import Context, Stage
from service.websocket.websocket import WebSocketEnded, WriteTooSlow

ROUNDS: Final = 10
SLOW_ECHO_S: Final = 0.5
"""Captions that lag half a second more are seen to."""
ECHO_S: Final = 5.0
MAX_MESSAGE_BYTES: Final = 65536
"""What the gateway takes, and says so in `welcome`."""
_SIZES_BYTES: Final = (125, 126, 4096, 16384, 32768, MAX_MESSAGE_BYTES)
"""The largest with a short header, the smallest with a longer one, and what buffers and limits tend to be."""
_FRAME_BYTES: Final = 1280
"""40 ms of PCM."""
_RAW: Final = "/test-ws?raw=1"


class _Lost(Exception):
    """The echo did not come; `what` says how, `code` is that of the close frame."""

    def __init__(self, what: Text, code: int | None = None) -> None:
        super().__init__(what.en)
        self.what = what
        self.code = code


@dataclass(frozen=True, slots=True)
class _Changed(Exception):
    what: Text


async def _echo(context: Context) -> Finding:
    took_s: list[float] = []
    try:
        async with upgraded(context, path_of(context, _RAW)) as opened:
            if isinstance(opened, Answer):
                return _refused("echo", opened)
            for number in range(ROUNDS):
                audio = os.urandom(_FRAME_BYTES)
                message = audio if number % 2 == 0 else f"{number}: 语音 {audio[:8].hex()}"
                took_s.append(await _round_trip(opened, message))
    except NoAnswer as silence:
        return _lost("echo", Text(silence.detail, silence.detail), {})
    except _Lost as lost:
        return _lost("echo", lost.what, {"round_trips": len(took_s), "close_code": lost.code})
    except _Changed as changed:
        return Finding(stage="echo", verdict=Verdict.FAIL, summary=changed.what, causes=("echo_changed",))
    return judge_echo(took_s)


def judge_echo(took_s: list[float]) -> Finding:
    """What the round trips come to. Pure."""
    ordered = sorted(took_s)
    low, median, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
    figures = f"{low * 1000:.1f} / {median * 1000:.1f} / {high * 1000:.1f} ms"
    is_slow = median > SLOW_ECHO_S
    return Finding(
        stage="echo",
        verdict=Verdict.WARN if is_slow else Verdict.PASS,
        summary=Text(
            f"{len(ordered)} round trips, binary and text: {figures} (min, median, max)",
            f"{len(ordered)} 次往返（二进制和文本）：{figures}（最小、中位、最大）",
        ),
        causes=("slow_echo",) if is_slow else (),
        facts={
            "round_trips": len(ordered),
            "min_ms": round(low * 1000, 2),
            "median_ms": round(median * 1000, 2),
            "max_ms": round(high * 1000, 2),
        },
    )


async def _message_size(context: Context) -> Finding:
    passed = 0
    size = 0
    try:
        async with upgraded(context, path_of(context, _RAW)) as opened:
            if isinstance(opened, Answer):
                return _refused("message_size", opened)
            for size in _SIZES_BYTES:
                await _round_trip(opened, os.urandom(size))
                passed = size
    except NoAnswer as silence:
        return _lost("message_size", Text(silence.detail, silence.detail), {})
    except _Changed as changed:
        return Finding(stage="message_size", verdict=Verdict.FAIL, summary=changed.what, causes=("echo_changed",))
    except _Lost as lost:
        facts: dict[str, Fact] = {"passed_bytes": passed, "failed_bytes": size, "close_code": lost.code}
        if not passed:
            return _lost("message_size", lost.what, facts)
        summary = Text(
            f"{passed} bytes pass, {size} do not: {lost.what.en}",
            f"{passed} 字节可通过，{size} 字节不行：{lost.what.zh}",
        )
        return Finding(
            stage="message_size", verdict=Verdict.WARN, summary=summary, causes=("message_limit",), facts=facts
        )
    summary = Text(f"messages of up to {passed} bytes pass", f"{passed} 字节以内的消息均可通过")
    return Finding(stage="message_size", verdict=Verdict.PASS, summary=summary, facts={"passed_bytes": passed})


async def _compression(context: Context) -> Finding:
    try:
        async with upgraded(context, path_of(context, _RAW), with_deflate=True) as opened:
            if isinstance(opened, Answer):
                return _refused("compression", opened)
            agreed = printable(opened.answer.header("sec-websocket-extensions"))
    except NoAnswer as silence:
        return _lost("compression", Text(silence.detail, silence.detail), {})
    if agreed:
        summary = Text(f"offered, and accepted: {agreed}", f"提供压缩后被接受：{agreed}")
        return Finding(
            stage="compression",
            verdict=Verdict.WARN,
            summary=summary,
            causes=("compression_negotiated",),
            facts={"extensions": agreed},
        )
    summary = Text("offered, and not accepted, as it should be", "提供压缩后未被接受，符合预期")
    return Finding(stage="compression", verdict=Verdict.PASS, summary=summary, facts={"extensions": None})


async def _round_trip(opened: Opened, message: bytes | str) -> float:
    """How long it took. Raises _Lost and _Changed."""
    began = trio.current_time()
    try:
        with trio.fail_after(ECHO_S):
            await opened.send(message)
            came = await opened.receive()
    except trio.TooSlowError:
        raise _Lost(Text(f"no echo within {ECHO_S:g} s", f"{ECHO_S:g} 秒内没有回显")) from None
    except WebSocketEnded as ended:
        how = f"close code {ended.code}" if ended.code else "no close frame"
        how_zh = f"关闭码 {ended.code}" if ended.code else "没有关闭帧"
        raise _Lost(Text(f"the connection ended ({how})", f"连接断开（{how_zh}）"), ended.code) from None
    except (WriteTooSlow, trio.BrokenResourceError):
        raise _Lost(Text("the connection broke", "连接中断")) from None
    if came != message:
        kinds = f"{type(message).__name__} {len(message)}", f"{type(came).__name__} {len(came)}"
        raise _Changed(Text(f"sent {kinds[0]}, got another {kinds[1]}", f"发送 {kinds[0]}，收到不同的 {kinds[1]}"))
    return trio.current_time() - began


def _refused(stage: str, answer: Answer) -> Finding:
    summary = Text(f"{answer.status} in place of 101", f"返回 {answer.status} 而不是 101")
    return Finding(stage=stage, verdict=Verdict.FAIL, summary=summary, causes=("echo_lost", "upgrade_refused"))


def _lost(stage: str, summary: Text, facts: dict[str, Fact]) -> Finding:
    return Finding(
        stage=stage, verdict=Verdict.FAIL, summary=summary, causes=("echo_lost", "connection_cut"), facts=facts
    )


ECHO: Final = Stage(
    name="echo",
    title=Text("Echo round trips", "回显往返"),
    check=_echo,
    needs=("upgrade",),
    limit_s=ROUNDS * ECHO_S + 20,
)
MESSAGE_SIZE: Final = Stage(
    name="message_size",
    title=Text("Message size", "消息大小"),
    check=_message_size,
    needs=("echo",),
    limit_s=len(_SIZES_BYTES) * ECHO_S + 20,
)
COMPRESSION: Final = Stage(
    name="compression", title=Text("No compression", "不压缩"), check=_compression, needs=("upgrade",)
)
