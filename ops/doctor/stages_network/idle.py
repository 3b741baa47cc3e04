"""How long a connection lives on which nothing is said, beside one with a heartbeat.

Two connections at the same time, so that a rollout or a bad network, which ends both, is not taken for a limit on
silence. The echo's `quiet=1` keeps the gateway from sending pings of its own.
"""

from dataclasses import dataclass
from typing import Final

import trio

from ops.doctor.exchange import Answer, NoAnswer, Opened, path_of, upgraded
from ops.doctor.finding import Fact, Finding, Text, Verdict
from ops.doctor.stage import Context, Stage
from service.websocket.websocket import WebSocketEnded, WriteTooSlow

HEARTBEAT_S: Final = 10.0
"""What `welcome` asks clients for, and the platform's advice."""
_LAST_WORD_S: Final = 5.0
_LONGEST_S: Final = 240.0
_OWN_LIMIT: Final = 4408
"""The gateway's own close code after 180 s without a byte."""
_QUIET: Final = "/test-ws?raw=1&quiet=1"


@dataclass(slots=True)
class _Life:
    """What became of one connection."""

    lived_s: float = 0.0
    is_cut: bool = False
    close_code: int | None = None
    is_lost_silently: bool = False
    """It looked open, and the last message had no echo."""
    problem: str = ""


async def _idle(context: Context) -> Finding:
    if not context.is_idle_wanted:
        await trio.lowlevel.checkpoint()
        return Finding(
            stage="idle",
            verdict=Verdict.SKIP,
            summary=Text(
                f"only with --idle or --cloud; it takes {context.idle_limit_s:g} s",
                f"仅用于 --idle 或 --cloud，需 {context.idle_limit_s:g} 秒",
            ),
        )
    silent, beating = _Life(), _Life()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_live, context, silent, None)
        nursery.start_soon(_live, context, beating, min(HEARTBEAT_S, context.idle_limit_s / 4))
    return judge(silent, beating, context.idle_limit_s)


def judge(silent: _Life, beating: _Life, limit_s: float) -> Finding:
    """What the two lives come to. Pure."""
    facts: dict[str, Fact] = {
        "silent_s": round(silent.lived_s, 1),
        "silent_cut": silent.is_cut,
        "silent_close_code": silent.close_code,
        "heartbeat_s": round(beating.lived_s, 1),
        "heartbeat_cut": beating.is_cut,
        "heartbeat_close_code": beating.close_code,
        "watched_s": limit_s,
    }
    if silent.problem or beating.problem:
        problem = silent.problem or beating.problem
        return _finding(Verdict.FAIL, Text(problem, problem), facts, "echo_lost")
    if beating.is_cut:
        summary = Text(
            f"the connection with a heartbeat ended after {beating.lived_s:.0f} s ({_how(beating)})",
            f"有心跳的连接在 {beating.lived_s:.0f} 秒后断开（{_how(beating)}）",
        )
        return _finding(Verdict.FAIL, summary, facts, "connection_cut")
    if silent.is_cut and silent.close_code != _OWN_LIMIT:
        summary = Text(
            f"a silent connection ended after {silent.lived_s:.0f} s ({_how(silent)}), the one with a heartbeat lives:"
            " send `ping` every 10 s",
            f"静默连接在 {silent.lived_s:.0f} 秒后断开（{_how(silent)}），有心跳的仍在：请每 10 秒发送 `ping`",
        )
        return _finding(Verdict.WARN, summary, facts, "idle_cut")
    lived = f"{silent.lived_s:.0f} s"
    summary = Text(f"a silent connection lives {lived} at least", f"静默连接至少保持 {lived}")
    return _finding(Verdict.PASS, summary, facts)


async def _live(context: Context, life: _Life, heartbeat_s: float | None) -> None:
    try:
        async with upgraded(context, path_of(context, _QUIET)) as opened:
            if isinstance(opened, Answer):
                life.problem = f"{opened.status} in place of 101"
                return
            began = trio.current_time()
            try:
                with trio.move_on_at(began + context.idle_limit_s):
                    await (_listen(opened) if heartbeat_s is None else _beat(opened, heartbeat_s))
                life.lived_s = trio.current_time() - began
                await _last_word(opened, life)
            except WebSocketEnded as ended:
                life.lived_s = trio.current_time() - began
                life.is_cut, life.close_code = True, ended.code
            except (WriteTooSlow, trio.BrokenResourceError):
                life.lived_s = trio.current_time() - began
                life.is_cut = True
    except NoAnswer as silence:
        life.problem = silence.detail


async def _listen(opened: Opened) -> None:
    while True:
        await opened.receive()


async def _beat(opened: Opened, every_s: float) -> None:
    while True:
        await opened.send(b"heartbeat")
        due = trio.current_time() + every_s
        answered = False
        with trio.move_on_at(due):
            await opened.receive()
            answered = True
        if not answered:
            raise WebSocketEnded
        await trio.sleep_until(due)


async def _last_word(opened: Opened, life: _Life) -> None:
    """Whether the connection still carries a message: some devices forget it and tell nobody."""
    answered = False
    with trio.move_on_after(_LAST_WORD_S):
        await opened.send(b"still there?")
        while not answered:
            answered = await opened.receive() == b"still there?"
    if not answered:
        life.is_cut = life.is_lost_silently = True


def _how(life: _Life) -> str:
    if life.is_lost_silently:
        return "no echo"
    return f"close code {life.close_code}" if life.close_code else "1006"


def _finding(verdict: Verdict, summary: Text, facts: dict[str, Fact], *causes: str) -> Finding:
    return Finding(stage="idle", verdict=verdict, summary=summary, causes=causes, facts=facts)


IDLE: Final = Stage(
    name="idle", title=Text("Silent connections", "静默连接"), check=_idle, needs=("echo",), limit_s=_LONGEST_S
)
