"""Can the recognizer be reached from here: name, TCP, TLS, and its clock, which it tells without an account."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import trio

from ops.doctor.finding import Fact, Finding, Text
from ops.doctor.stage import Context, Stage, Target
from ops.doctor.stages_stream.issues import Issue, failed, finding_of, skipped
from ops.doctor.stages_stream.reaching import get
from service.dialing import connect_tls, tls_context
from service.settings import RecognizerKind

CONNECT_S: Final = 5.0
_EARLIEST_S: Final = 1_500_000_000  # 2017: what is below is no clock


@dataclass(frozen=True, slots=True)
class _Way:
    host: str
    port: int
    is_secure: bool

    @property
    def server_time_url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.is_secure else 'http'}://{host}:{self.port}/server_time"


async def check(context: Context) -> Finding:
    """Reach it step by step. Leaves `recognizer_clock` (theirs and ours, Unix time)."""
    settings = context.settings
    if settings is None:
        return skipped("recognizer", "only the gateway knows its recognizer", "只有网关知道自己的识别引擎")
    if settings.recognizer is not RecognizerKind.TENCENT:
        return skipped("recognizer", "no recognizer outside this machine is configured", "没有配置本机以外的识别引擎")
    parts = urlsplit(settings.tencent_asr_url)
    is_secure = parts.scheme == "wss"
    way = _Way(parts.hostname or "", parts.port or (443 if is_secure else 80), is_secure)
    facts: dict[str, Fact] = {"host": way.host, "port": way.port}
    issue = await _reach(way, facts) or await _ask_time(way, context, facts)
    sound = Text(f"{way.host} answers", f"{way.host} 可以访问")
    return finding_of("recognizer", [issue] if issue else [], sound, facts)


async def _reach(way: _Way, facts: dict[str, Fact]) -> Issue | None:
    """Name, TCP and TLS, timed; what is wrong, if anything."""
    where = f"{way.host}:{way.port}"
    began = trio.current_time()
    step = "dns"
    try:
        with trio.fail_after(CONNECT_S):
            found = await trio.socket.getaddrinfo(way.host, way.port, type=trio.socket.SOCK_STREAM)
            facts["addresses"] = len(found)
            facts["dns_s"] = round(trio.current_time() - began, 3)
            step = "tcp"
            await trio.aclose_forcefully(await trio.open_tcp_stream(way.host, way.port))
            facts["tcp_s"] = round(trio.current_time() - began, 3)
            if way.is_secure:
                step = "tls"
                await trio.aclose_forcefully(await connect_tls(way.host, way.port, tls_context()))
                facts["tls_s"] = round(trio.current_time() - began, 3)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError, UnicodeError):  # the last: a name that is none
        match step:
            case "dns":
                return failed(("recognizer_dns",), f"{way.host} has no address here", f"本机解析不到 {way.host}")
            case "tcp":
                return failed(("recognizer_unreachable",), f"no connection to {where}", f"连不上 {where}")
            case _:
                return failed(("recognizer_tls",), f"TLS with {where} failed", f"与 {where} 的 TLS 握手失败")
    return None


async def _ask_time(way: _Way, context: Context, facts: dict[str, Fact]) -> Issue | None:
    target = Target(scheme="https" if way.is_secure else "http", host=way.host, port=way.port)
    asked = Context(target=target, tls=tls_context() if way.is_secure else None)
    answer = await get(asked, "/server_time")
    theirs_s = _seconds(answer.text) if answer is not None and answer.status == 200 else None
    if answer is None or theirs_s is None:
        status = "nothing" if answer is None else f"HTTP {answer.status}"
        return failed(
            ("recognizer_not_tencent",),
            f"{way.server_time_url} was answered with {status}, not with its time",
            f"{way.server_time_url} 没有返回时间（{status}）",
        )
    context.found["recognizer_clock"] = (theirs_s + 0.5, answer.at_s)  # whole seconds, cut: half of one on average
    facts["server_time_status"] = answer.status
    return None


def _seconds(text: str) -> int | None:
    digits = text.strip()
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 12):
        return None
    return int(digits) if int(digits) >= _EARLIEST_S else None


STAGE: Final = Stage(name="recognizer", title=Text("The recognizer's address", "识别引擎的地址"), check=check)
