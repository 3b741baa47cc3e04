"""May a published mini-program use this address: WeChat's rules for its domains, and what to enter in its console."""

import ipaddress
import ssl
from dataclasses import dataclass
from typing import Final

import trio

from ops.doctor.finding import Fact, Finding, Text
from ops.doctor.stage import Context, Stage, Target
from ops.doctor.stages_stream.issues import Issue, failed, finding_of, skipped, warned
from service.dialing import connect_tls

HANDSHAKE_S: Final = 8.0
HTTPS_PORT: Final = 443
_TEST_DOMAINS: Final = (".tcloudbase.com", ".tcloudbaseapp.com")
_PRIVATE_SUFFIXES: Final = (".local", ".lan", ".internal", ".home.arpa", ".localhost")
_OLD_VERSIONS: Final = frozenset({"SSLv3", "TLSv1", "TLSv1.1"})
_TOO_OLD: Final = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION", "WRONG_VERSION_NUMBER"})


@dataclass(frozen=True, slots=True)
class Handshake:
    """How TLS with nothing but the system's authorities went."""

    version: str | None = None
    """The version agreed, as Python names it; None: no handshake."""
    is_certificate_refused: bool = False
    problem: str = ""
    """Why there was none."""


async def check(context: Context) -> Finding:
    """Judge the address, and try TLS as a phone does: with public authorities only."""
    target = context.target
    if target.is_loopback:
        return skipped("miniprogram", "an address of this machine is for development", "本机地址仅供开发使用")
    handshake = await _shake_hands(context) if target.is_secure else None
    return judge(target, handshake)


async def _shake_hands(context: Context) -> Handshake:
    target = context.target
    known = context.found.get("addresses")
    address = known[0] if isinstance(known, list | tuple) and known and isinstance(known[0], str) else None
    tls = ssl.create_default_context()  # not the operator's own: a phone does not know --ca-file
    try:
        with trio.fail_after(HANDSHAKE_S):
            stream = await connect_tls(target.host, target.port, tls, address)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        return _refused(error)
    try:
        return Handshake(stream.socket.version())
    finally:
        await trio.aclose_forcefully(stream)


def _refused(error: BaseException) -> Handshake:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Handshake(is_certificate_refused=True, problem=cause.verify_message)
    if isinstance(cause, ssl.SSLError):
        return Handshake(problem=cause.reason or "TLS failed")
    return Handshake(
        problem="no connection within the limit" if isinstance(error, trio.TooSlowError) else "no connection"
    )


def judge(target: Target, handshake: Handshake | None) -> Finding:
    """The finding. Pure."""
    issues = [*_about_name(target), *_about_tls(target, handshake)]
    port = "" if target.port == HTTPS_PORT else f":{target.port}"
    request, socket = f"https://{target.host}{port}", f"wss://{target.host}{port}"
    facts: dict[str, Fact] = {
        "request_domain": request,
        "socket_domain": socket,
        "upload_file_domain": request,
        "tls_version": None if handshake is None else handshake.version,
    }
    sound = Text(
        f"enter in the mini-program console: request {request}, socket {socket}, uploadFile {request}; "
        "the domain needs an ICP filing, which cannot be seen from here",
        f"在小程序后台填写：request {request}，socket {socket}，uploadFile {request}；域名须已 ICP 备案，这里无法核实",
    )
    return finding_of("miniprogram", issues, sound, facts)


def _about_name(target: Target) -> list[Issue]:
    host = target.host.lower().rstrip(".")
    if _is_address(host):
        return [failed(("ip_address_not_allowed",), "the address is an IP address", "地址是 IP，不是域名")]
    issues = []
    if "." not in host or host.endswith(_PRIVATE_SUFFIXES):
        issues.append(failed(("not_a_public_name",), f"{host} is not a public name", f"{host} 不是公网域名"))
    if host.endswith(_TEST_DOMAINS):
        issues.append(
            warned(("test_domain",), f"{host} is a default domain, for tests only", f"{host} 是默认域名，仅供测试")
        )
    if target.is_secure and target.port != HTTPS_PORT:
        issues.append(
            warned(("port_in_domain",), f"the port is {target.port}, not 443", f"端口是 {target.port}，不是 443")
        )
    return issues


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _about_tls(target: Target, handshake: Handshake | None) -> list[Issue]:
    if not target.is_secure:
        return [failed(("not_secure",), "the address is not https and wss", "地址不是 https / wss")]
    if handshake is None:
        return []
    if handshake.is_certificate_refused:
        why = handshake.problem
        return [
            failed(("certificate_not_public",), f"phones refuse the certificate: {why}", f"手机不接受该证书：{why}")
        ]
    if handshake.version in _OLD_VERSIONS or handshake.problem in _TOO_OLD:
        return [failed(("tls_too_old",), "no TLS 1.2 or later can be agreed", "无法协商 TLS 1.2 及以上版本")]
    if handshake.version is None:
        why = handshake.problem
        return [failed(("tls_not_reached",), f"no TLS connection: {why}", f"无法建立 TLS 连接：{why}")]
    return []


STAGE: Final = Stage(
    name="miniprogram", title=Text("Ready for a mini-program", "小程序上线检查"), check=check, needs=("tcp",)
)
