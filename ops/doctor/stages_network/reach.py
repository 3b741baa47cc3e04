"""Can it be reached at all: the settings of this environment, the name, the port."""

import errno
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.request import getproxies_environment

import trio

from ops.doctor.address import HTTPS_PORT
from ops.doctor.answerer import envelope_of
from ops.doctor.exchange import Answer, NoAnswer, get
from ops.doctor.finding import Fact, Finding, Text, Verdict
from ops.doctor.stage import Context, Stage, Target

SLOW_DNS_S: Final = 2.0
"""A phone's user has noticed by then; resolvers ask again after 5 s."""
DNS_S: Final = 15.0
CONNECT_S: Final = 8.0
"""Three lost SYNs: 1 + 2 + 4 s (RFC 6298), and some."""
MAX_ADDRESSES: Final = 8
_PROBE_S: Final = 2.0
_BENCHMARKS: Final = ipaddress.ip_network("198.18.0.0/15")
_USUAL_PORTS: Final = (80, 8000, 8080, 3000)
"""Of this service in a container and with `make serve`, and of the vendor's examples."""


# Settings.


async def _settings(context: Context) -> Finding:
    await trio.lowlevel.checkpoint()
    if not context.is_local:
        summary = Text(
            "only with --local: the environment here is not the gateway's", "仅用于 --local：此处不是网关的环境"
        )
        return Finding(stage="settings", verdict=Verdict.SKIP, summary=summary)
    if context.settings is None:
        listed = "; ".join(context.settings_problems)
        return Finding(
            stage="settings",
            verdict=Verdict.FAIL,
            summary=Text(listed, listed),
            causes=("bad_settings",),
            facts={"problems": len(context.settings_problems)},
        )
    settings = context.settings
    lines = dict(line.partition("=")[::2] for line in settings.describe())  # secrets are masked there
    facts: dict[str, Fact] = {name.lower(): value for name, value in lines.items()}
    what = f"auth {settings.auth_mode}, recognizer {settings.recognizer}, engine {settings.default_engine}"
    return Finding(
        stage="settings",
        verdict=Verdict.PASS,
        summary=Text(f"good: {what}", f"可用：{what}"),
        facts=facts,
    )


SETTINGS: Final = Stage(name="settings", title=Text("Settings", "配置"), check=_settings)


# DNS.


async def _dns(context: Context) -> Finding:
    host = context.target.host
    if _literal(host) is not None or host == "localhost":
        context.found["addresses"] = [] if host == "localhost" else [host]
        await trio.lowlevel.checkpoint()
        return Finding(
            stage="dns", verdict=Verdict.SKIP, summary=Text(f"{host} needs no DNS", f"{host} 不需要 DNS 解析")
        )
    began = trio.current_time()
    try:
        with trio.fail_after(DNS_S):
            rows = await trio.socket.getaddrinfo(host, context.target.port, type=socket.SOCK_STREAM)
    except trio.TooSlowError:
        return _no_name(f"no answer within {DNS_S:g} s", f"{DNS_S:g} 秒内没有应答", "slow_dns", "name_not_found")
    except OSError as error:  # gaierror; UnicodeError cannot be: the address was checked
        past = _past_a_proxy(context)
        said = f"{host}: {error.strerror or error}"
        return _no_name(said + past.en, said + past.zh, "name_not_found")
    took_s = trio.current_time() - began
    addresses = list(dict.fromkeys(str(row[4][0]) for row in rows))
    context.found["addresses"] = addresses
    return judge_addresses(context.target, addresses, took_s)


def judge_addresses(target: Target, addresses: list[str], took_s: float) -> Finding:
    """What a list of addresses, and the time that it took, come to. Pure."""
    listed = ", ".join(addresses[:MAX_ADDRESSES])
    invented = [address for address in addresses if _is_invented(address)]
    private = [address for address in addresses if not _is_public(address) and address not in invented]
    causes = []
    if took_s > SLOW_DNS_S:
        causes.append("slow_dns")
    if private and "." in target.host and not target.host.endswith((".local", ".internal", ".localhost")):
        causes.append("private_address")
    facts: dict[str, Fact] = {
        "addresses": listed,
        "ipv4": sum(":" not in address for address in addresses),
        "ipv6": sum(":" in address for address in addresses),
        "dns_ms": round(took_s * 1000, 1),
    }
    private_en = f", private: {', '.join(private)}" if private else ""
    private_zh = f"，内网地址：{', '.join(private)}" if private else ""
    if invented:
        private_en += "; a VPN or proxy on this machine invents addresses, so the true ones are not seen"
        private_zh += "；本机的 VPN 或代理返回了虚拟地址（fake-ip），看不到真实地址"
    return Finding(
        stage="dns",
        verdict=Verdict.WARN if causes else Verdict.PASS,
        summary=Text(f"{listed} in {took_s:.2f} s{private_en}", f"{listed}，用时 {took_s:.2f} 秒{private_zh}"),
        causes=tuple(causes),
        facts=facts,
    )


def _no_name(en: str, zh: str, *causes: str) -> Finding:
    return Finding(stage="dns", verdict=Verdict.FAIL, summary=Text(en, zh), causes=causes)


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_invented(address: str) -> bool:
    """Whether it is of 198.18.0.0/15, for benchmarks (RFC 2544): proxies that catch all traffic answer DNS with it."""
    found = _literal(address)
    return isinstance(found, ipaddress.IPv4Address) and found in _BENCHMARKS


def _is_public(address: str) -> bool:
    found = _literal(address)
    return found is not None and found.is_global


DNS: Final = Stage(name="dns", title=Text("Name", "域名解析"), check=_dns, limit_s=DNS_S + 5)


# TCP.


@dataclass(frozen=True, slots=True)
class _Knock:
    """What one address did. `result` is "open", "refused", "timeout" or "unreachable"."""

    address: str
    result: str
    took_s: float


_RESULTS_ZH: Final = {"open": "可连接", "refused": "拒绝连接", "timeout": "超时", "unreachable": "不可达"}


async def _tcp(context: Context) -> Finding:
    target = context.target
    addresses = (context.found.get("addresses") or await _addresses_of(target.host))[:MAX_ADDRESSES]
    knocks = [_Knock(address, "timeout", CONNECT_S) for address in addresses]
    async with trio.open_nursery() as nursery:
        for place, address in enumerate(addresses):
            nursery.start_soon(_knock_into, knocks, place, address, target.port)
    open_ones = [knock for knock in knocks if knock.result == "open"]
    others = [knock for knock in knocks if knock.result != "open"]
    if target.host == "localhost" and open_ones:
        others = []  # it is ::1, too, where few programs listen
    # Of a machine without IPv6 an AAAA record is no fault of the deployment.
    unasked = [knock for knock in others if knock.result == "unreachable" and not _has_route(knock.address)]
    others = [knock for knock in others if knock not in unasked]
    if not open_ones:
        return await _closed(context, knocks)
    listed = ", ".join(knock.address for knock in open_ones)
    fastest_ms = min(knock.took_s for knock in open_ones) * 1000
    facts: dict[str, Fact] = {
        "open": len(open_ones),
        "closed": len(others),
        "no_route": len(unasked),
        "connect_ms": round(fastest_ms, 1),
    }
    if others:
        failed = ", ".join(f"{knock.address} {knock.result}" for knock in others)
        failed_zh = "，".join(f"{knock.address} {_RESULTS_ZH[knock.result]}" for knock in others)
        return Finding(
            stage="tcp",
            verdict=Verdict.WARN,
            summary=Text(f"{listed} answers, {failed}", f"{listed} 可连接；{failed_zh}"),
            causes=("some_addresses_fail",),
            facts=facts,
        )
    unasked_en = "".join(f"; no route from here to {knock.address}" for knock in unasked)
    unasked_zh = "".join(f"；本机没有到 {knock.address} 的路由" for knock in unasked)
    summary = Text(
        f"{listed} port {target.port} in {fastest_ms:.0f} ms{unasked_en}",
        f"{listed} 端口 {target.port}，{fastest_ms:.0f} 毫秒{unasked_zh}",
    )
    return Finding(stage="tcp", verdict=Verdict.PASS, summary=summary, facts=facts)


async def _addresses_of(host: str) -> list[str]:
    if _literal(host) is not None:
        return [host]
    try:
        rows = await trio.socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


async def _knock_into(knocks: list[_Knock], place: int, address: str, port: int) -> None:
    knocks[place] = await _knock(address, port, CONNECT_S)


async def _knock(address: str, port: int, limit_s: float) -> _Knock:
    began = trio.current_time()
    result = "timeout"
    with trio.move_on_after(limit_s):
        try:
            with trio.socket.socket(_family(address), trio.socket.SOCK_STREAM) as knocking:  # raises without IPv6
                await knocking.connect((address, port))
                result = "open"
        except ConnectionRefusedError:
            result = "refused"
        except OSError as error:
            result = "timeout" if error.errno == errno.ETIMEDOUT else "unreachable"
    return _Knock(address, result, trio.current_time() - began)


async def _closed(context: Context, knocks: list[_Knock]) -> Finding:
    """No address took a connection. On this machine it can be found out where the gateway listens instead."""
    port = context.target.port
    results = {knock.result for knock in knocks}
    listed = ", ".join(f"{knock.address} {knock.result}" for knock in knocks) or "no address"
    listed_zh = "，".join(f"{knock.address} {_RESULTS_ZH[knock.result]}" for knock in knocks) or "没有地址"
    elsewhere = await _elsewhere(context, [knock.address for knock in knocks]) if "refused" in results else None
    if elsewhere is not None:
        address, other = elsewhere
        facts: dict[str, Fact] = {"gateway_address": address, "gateway_port": other}
        if other == port:
            summary = Text(f"port {port}: {listed}; 127.0.0.1 answers", f"端口 {port}：{listed_zh}；127.0.0.1 有应答")
            return _fail(summary, "loopback_bind", facts=facts)
        summary = Text(f"port {port}: {listed}; the gateway listens on port {other}",
                       f"端口 {port}：{listed_zh}；网关监听的是端口 {other}")  # fmt: skip
        return _fail(summary, "wrong_port", facts=facts)
    past = _past_a_proxy(context)
    summary = Text(f"port {port}: {listed}{past.en}", f"端口 {port}：{listed_zh}{past.zh}")
    if "refused" in results:
        others = () if context.target.is_loopback else ("loopback_bind",)  # which loopback would not refuse
        return _fail(summary, "nothing_listens", "wrong_port", *others)
    if "timeout" in results:
        return _fail(summary, "no_connection")
    return _fail(summary, "unreachable", "no_connection")


def _fail(summary: Text, *causes: str, facts: dict[str, Fact] | None = None) -> Finding:
    return Finding(stage="tcp", verdict=Verdict.FAIL, summary=summary, causes=causes, facts=facts or {})


async def _elsewhere(context: Context, addresses: list[str]) -> tuple[str, int] | None:
    """Where a gateway answers on this machine, when the target is this machine; None when it is not, or none does."""
    if not any(_is_ours(address) for address in addresses):
        return None
    ports = [context.target.port]
    if context.settings is not None:
        ports.append(context.settings.port)
    for port in dict.fromkeys([*ports, *_USUAL_PORTS]):
        if port and ("127.0.0.1" not in addresses or port != context.target.port):
            probe = Context(target=Target(scheme="http", host="127.0.0.1", port=port))
            if await _is_gateway(probe):
                return "127.0.0.1", port
    return None


async def _is_gateway(probe: Context) -> bool:
    try:
        answer: Answer = await get(probe, "/health", limit_s=_PROBE_S)
    except NoAnswer:
        return False
    return envelope_of(answer) is not None


def _is_ours(address: str) -> bool:
    """Whether an address is one of this machine: only those can be bound."""
    try:
        with socket.socket(_family(address), socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _has_route(address: str) -> bool:
    """Whether this machine could send there. Nothing is sent: UDP connects by looking for a route."""
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.connect((address, HTTPS_PORT))
    except OSError:
        return False
    return True


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _past_a_proxy(context: Context) -> Text:
    """A word for networks where only a proxy leads out: the doctor, like the sockets of phones, uses none."""
    wanted = ("https" if context.target.is_secure else "http", "all")
    named = [f"{kind.upper()}_PROXY" for kind in wanted if getproxies_environment().get(kind)]
    if not named or context.target.is_loopback:
        return Text("", "")
    return Text(f"; {named[0]} is set here, and not used", f"；本机设置了 {named[0]}，但检查时不经过代理")


TCP: Final = Stage(name="tcp", title=Text("Port", "端口连接"), check=_tcp, needs=("dns",), limit_s=CONNECT_S + 20)
