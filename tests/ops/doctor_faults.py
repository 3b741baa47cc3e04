"""The faults that were planted to see what the doctor says: for the tests and for the docs, which show what came. "
"Pure."""

from dataclasses import dataclass
from typing import Final

from ops.doctor.finding import Text, Verdict


@dataclass(frozen=True, slots=True)
class PlantedFault:
    """One row: what is wrong, and the first finding that says so."""

    name: str
    what: Text
    stage: str
    verdict: Verdict
    cause: str


def _row(name: str, en: str, zh: str, stage: str, verdict: Verdict, cause: str) -> PlantedFault:
    return PlantedFault(name, Text(en, zh), stage, verdict, cause)


_FAIL: Final = Verdict.FAIL
_WARN: Final = Verdict.WARN

NETWORK_FAULTS: Final = (
    _row("bad-settings", "a misspelled setting and a bad value", "环境变量名拼错、取值有误",
    "settings", _FAIL, "bad_settings"),
    _row("no-such-name", "a host that DNS does not know", "DNS 中没有该主机名", "dns", _FAIL, "name_not_found"),
    _row("slow-dns", "a resolver that takes over 2 s", "DNS 解析超过 2 秒", "dns", _WARN, "slow_dns"),
    _row("private-address", "a public name with a private address", "公网域名指向内网地址",
    "dns", _WARN, "private_address"),
    _row("nothing-listens", "no process on the port", "端口无人监听", "tcp", _FAIL, "nothing_listens"),
    _row("wrong-port", "the gateway listens on another port", "网关监听其他端口", "tcp", _FAIL, "wrong_port"),
    _row("loopback-bind", "the gateway listens on 127.0.0.1 only", "网关只监听 127.0.0.1",
    "tcp", _FAIL, "loopback_bind"),
    _row("expired", "the certificate ended yesterday", "证书昨天过期", "tls", _FAIL, "certificate_expired"),
    _row("expires-soon", "the certificate ends within 21 days", "证书 21 天内过期",
    "tls", _WARN, "certificate_expires_soon"),
    _row("not-yet-valid", "this machine's clock is slow, as the certificate sees it", "以证书有效期看，本机时钟偏慢",
         "tls", _FAIL, "clock_wrong"),
    _row("wrong-name", "the certificate is another host's", "证书属于其他域名", "tls", _FAIL, "certificate_name"),
    _row("self-signed", "the certificate is self-signed", "自签名证书", "tls", _FAIL, "certificate_self_signed"),
    _row("untrusted", "an authority that nobody knows", "未知的证书机构", "tls", _FAIL, "certificate_untrusted"),
    _row("incomplete-chain", "the intermediate certificate is missing", "缺少中间证书",
    "tls", _FAIL, "certificate_untrusted"),
    _row("old-tls", "TLS 1.1 and nothing newer", "只支持 TLS 1.1", "tls", _FAIL, "tls_too_old"),
    _row("https-to-plain-port", "https:// to a port without TLS", "对明文端口使用 https://", "tls", _FAIL, "not_tls"),
    _row("http-to-tls-port", "http:// to a port with TLS (nginx)", "对 TLS 端口使用 http://（nginx）",
    "http", _FAIL, "tls_port"),
    _row("redirect", "ws:// where only wss:// is served: 307", "只支持 wss:// 时使用 ws://：307",
         "http", _FAIL, "redirected_to_https"),
    _row("other-service", "another program on the port", "端口上是其他程序", "http", _FAIL, "other_service"),
    _row("not-http", "a port that speaks something else", "端口不是 HTTP 协议", "http", _FAIL, "not_http"),
    _row("bad-gateway", "502 of the front door: nobody behind it", "前端返回 502：后面没有服务",
    "http", _FAIL, "service_down"),
    _row("unavailable", "503 of the front door: no instance", "前端返回 503：没有实例", "http", _FAIL, "service_down"),
    _row("function", "a service of the function type", "函数型服务", "http", _FAIL, "function_type"),
    _row("cold-start", "the first request waits for an instance", "首个请求等待实例启动", "http", _WARN, "cold_start"),
    _row("access-denied", "the front door asks for a login: 403", "前端要求鉴权：403", "http", _FAIL, "access_denied"),
    _row("unknown-prefix", "a prefix in the URL that nothing strips", "URL 中的前缀无人去掉",
    "http", _FAIL, "prefix_passed_on"),
    _row("no-upgrade", "a proxy drops the Upgrade header: 400", "代理丢弃 Upgrade 头：400",
    "upgrade", _FAIL, "upgrade_dropped"),
    _row("http10", "a proxy speaks HTTP/1.0 to the gateway: 426", "代理用 HTTP/1.0 访问网关：426",
    "upgrade", _FAIL, "http10_proxy"),
    _row("routes-before-upgrade", "the old Node service, which has routes and no upgrade: 404",
         "旧 Node 服务，只有路由、没有升级：404", "upgrade", _FAIL, "routes_before_upgrade"),
    _row("upgrade-swallowed", "a proxy that never answers an upgrade", "代理从不应答升级请求",
    "upgrade", _FAIL, "upgrade_swallowed"),
    _row("prefix-stripped", "the route /api is taken off: 404", "路由 /api 前缀被去掉：404",
    "stream_route", _FAIL, "prefix_stripped"),
    _row("no-subprotocol", "a proxy drops Sec-WebSocket-Protocol", "代理丢弃 Sec-WebSocket-Protocol",
         "stream_route", _WARN, "subprotocol_not_agreed"),
    _row("compression", "the gateway under a server that agrees to permessage-deflate",
    "网关运行在会协商压缩的服务器下",
         "compression", _WARN, "compression_negotiated"),
    _row("small-messages", "a limit of 16 KiB on messages", "消息上限为 16 KiB",
    "message_size", _WARN, "message_limit"),
    _row("idle-cut", "silent connections are cut", "静默连接被切断", "idle", _WARN, "idle_cut"),
    _row("connection-cut", "every connection is cut, heartbeat or not", "无论有无心跳，连接都被切断",
    "idle", _FAIL, "connection_cut"),
)  # fmt: skip
