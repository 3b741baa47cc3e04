"""What can be wrong on the way to the gateway: this environment, names, ports, certificates, and the doctor itself."""

from typing import Final

from ops.doctor.causes_upgrade import UPGRADE_CAUSES
from ops.doctor.finding import Cause, Remedy, Text


def _cause(slug: str, title: Text, why: Text, *remedies: Remedy) -> Cause:
    return Cause(slug=slug, title=title, why=why, remedies=remedies)


def _do(en: str, zh: str, command: str | None = None) -> Remedy:
    return Remedy(Text(en, zh), command)


_LISTEN_ON_ALL: Final = _do(
    "Listen on all addresses, and restart.", "监听所有地址，然后重启。", "HOST=0.0.0.0 PORT=PORT python -m service"
)

_REACH_CAUSES: Final = (
    _cause(
        "doctor_failed",
        Text("a bug in the doctor", "doctor 自身出错"),
        Text("This check ended with an error of its own; it says nothing about the deployment.",
             "这一项检查自身出错，不能说明部署有问题。"),
        _do("Report it, with the output.", "请附上输出反馈问题。", "python -m ops doctor URL --json > doctor.json"),
        _do("Leave the check out.", "跳过这一项。", "python -m ops doctor URL --skip STAGE"),
    ),
    _cause(
        "stage_timed_out",
        Text("no end in sight", "检查超时"),
        Text("The other side took the connection and then did not get any further within the limit of this check.",
             "对方接受了连接，但在时限内没有进展。"),
        _do("Run this check alone, to see whether it is so again.", "单独再检查一次。",
            "python -m ops doctor URL --only STAGE"),
        _do("Look whether the process is stuck or out of CPU.", "查看进程是否卡住，或 CPU 是否耗尽。",
            "python -m ops logs"),
    ),
    _cause(
        "bad_settings",
        Text("settings that cannot be used", "配置有误"),
        Text("The service does not start with this environment: a value is wrong, or a name is nearly one of its "
             "names.",
             "服务无法用当前环境变量启动：某个值有误，或名称拼写有误。"),
        _do("Correct what is listed, and check again.", "改正列出的各项，再检查一次。", "python -m service --check"),
        _do("On CloudBase: set the variable.", "在 CloudBase 上：设置该变量。", "python -m ops env set NAME=VALUE"),
    ),
    _cause(
        "name_not_found",
        Text("the name does not exist", "域名不存在"),
        Text("DNS knows no address for this host: it is misspelled, was not entered yet, or this machine's DNS is cut "
             "off.",
             "DNS 中没有这个主机名：拼写有误、尚未添加解析，或本机 DNS 不可用。"),
        _do("Ask another resolver.", "换一个 DNS 服务器查询。", "nslookup HOST 119.29.29.29"),
        _do("Enter the CNAME that the platform shows for the custom domain.",
            "按平台提示为自定义域名添加 CNAME 记录。"),
        _do("Take the default domain of the service meanwhile.", "暂时使用服务的默认域名。", "python -m ops status"),
    ),
    _cause(
        "slow_dns",
        Text("DNS is slow", "DNS 解析慢"),
        Text("The first answer took over 2 s. Every new connection of a phone may wait as long.",
             "解析用时超过 2 秒，手机每次新建连接都可能要等这么久。"),
        _do("Measure against another resolver.", "与其他 DNS 服务器比较。", "time nslookup HOST 119.29.29.29"),
        _do("Check the name servers of the domain, and for a missing AAAA answer that runs into a timeout.",
            "检查域名的权威 DNS，以及 AAAA 查询是否超时。", "dig HOST AAAA"),
    ),
    _cause(
        "private_address",
        Text("the name leads into a private network", "域名指向内网地址"),
        Text("DNS gives an address that phones outside cannot reach.", "DNS 给出的地址外网无法访问。"),
        _do("Enter the public address or the platform's CNAME.", "改为公网地址，或平台提供的 CNAME。", "dig HOST"),
        _do("Look for this name in the hosts file of this machine.", "检查本机 hosts 文件中是否有该域名。",
            "grep -i HOST /etc/hosts"),
    ),
    _cause(
        "nothing_listens",
        Text("nothing listens there", "端口无人监听"),
        Text("The machine is there and refuses the connection: the service does not run, or not on this port.",
             "主机在线但拒绝连接：服务没有运行，或端口不对。"),
        _do("Start it.", "启动服务。", "make serve"),
        _do("See what listens on this machine.", "查看本机监听的端口。", "ss -ltnp"),
        _do("On CloudBase: see whether an instance runs, and its log.", "在 CloudBase 上：查看实例状态和日志。",
            "python -m ops status && python -m ops logs"),
    ),
    _cause(
        "wrong_port",
        Text("the gateway listens on another port", "端口不对"),
        Text("Connections go to one port, and the process listens on another. On CloudBase the Port of the service and "
             "the PORT of the process must be the same; 80 is the default of both.",
             "连接的端口与进程监听的端口不同。在 CloudBase 上，服务配置的端口必须与进程的 PORT 相同，两者默认都是 80。"
             ""),
        _do("Ask at the port where it listens.", "用它实际监听的端口。", "python -m ops doctor http://HOST:PORT"),
        _do("Or move the gateway.", "或修改监听端口。", "PORT=PORT python -m service"),
        _do("On CloudBase: deploy with the port said explicitly.", "在 CloudBase 上：部署时明确指定端口。",
            "python -m ops deploy --port 80"),
    ),
    _cause(
        "loopback_bind",
        Text("the gateway listens on 127.0.0.1 only", "只监听了 127.0.0.1"),
        Text("It answers inside its machine or container and refuses everybody else: the platform's probe fails, and "
             "its "
             "front door says 502 or 503.",
             "在本机或容器内可以访问，外部一律被拒绝：平台探测失败，网关返回 502 或 503。"),
        _LISTEN_ON_ALL,
        _do("On CloudBase: remove HOST from the environment; 0.0.0.0 is the default.",
            "在 CloudBase 上：删除环境变量 HOST，默认就是 0.0.0.0。", "python -m ops env unset HOST"),
    ),
    _cause(
        "no_connection",
        Text("no answer on that port", "端口没有响应"),
        Text("Packets are dropped on the way: a firewall or security group, a wrong address, or a machine that is off.",
             "数据包被丢弃：防火墙或安全组、地址有误，或主机已关机。"),
        _do("Let the port through. From outside, CloudBase opens 80 and 443 only.",
            "放行该端口。CloudBase 对外只开放 80 和 443。", "nc -vz HOST PORT"),
        _do("Try from another network.", "换一个网络再试。"),
    ),
    _cause(
        "unreachable",
        Text("no way there", "网络不可达"),
        Text("This machine has no route to the address.", "本机没有到该地址的路由。"),
        _do("Check the network, a VPN, and IPv6 where only an IPv6 address failed.",
            "检查网络和 VPN；若只有 IPv6 地址失败，检查 IPv6。", "ip route get ADDRESS"),
    ),
    _cause(
        "some_addresses_fail",
        Text("not every address answers", "部分地址无法连接"),
        Text("The name has several addresses and some do not take connections: some phones fail or connect late.",
             "该域名有多个地址，其中一些无法连接：部分手机会失败或连接很慢。"),
        _do("Take the dead address out of DNS, or let it listen.", "从 DNS 中删除失效地址，或使其可用。",
            "dig HOST A HOST AAAA"),
    ),
    _cause(
        "no_tls",
        Text("without TLS", "没有使用 TLS"),
        Text("Speech and tokens go in clear text, and a released mini-program may only use https:// and wss://.",
             "语音和令牌以明文传输，且正式版小程序只能使用 https:// 和 wss://。"),
        _do("Use the https address.", "改用 https 地址。", "python -m ops doctor https://HOST"),
        _do("Bind a certificate to the domain in the platform's console.", "在平台控制台为域名绑定证书。"),
    ),
    _cause(
        "not_tls",
        Text("that port does not speak TLS", "该端口不是 TLS"),
        Text("What answers there speaks plain HTTP or something else.", "该端口返回的是明文 HTTP 或其他协议。"),
        _do("Use http:// for this port, or the port that has the certificate (443).",
            "对该端口使用 http://，或改用有证书的端口（443）。", "python -m ops doctor http://HOST:PORT"),
    ),
    _cause(
        "certificate_expired",
        Text("the certificate has expired", "证书已过期"),
        Text("Every phone refuses the connection.", "所有手机都会拒绝连接。"),
        _do("Renew it, and upload it where TLS ends (CloudBase: the custom domain).",
            "续期证书，并在 TLS 终止处更新（CloudBase：自定义域名）。"),
        _do("See which one is served.", "查看当前使用的证书。",
            "openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -dates"),
        _do("If the date is in the future, set the clock of this machine.", "若证书实际未过期，请校准本机时钟。",
            "timedatectl"),
    ),
    _cause(
        "certificate_expires_soon",
        Text("the certificate expires soon", "证书即将过期"),
        Text("In less than 21 days every phone will refuse the connection.", "不到 21 天后，所有手机都会拒绝连接。"),
        _do("Renew it now, and see why that did not happen by itself.", "现在就续期，并检查为何没有自动续期。"),
    ),
    _cause(
        "clock_wrong",
        Text("the clock of this machine is wrong", "本机时钟不准"),
        Text("This machine's clock lies outside the time for which the certificate is good. Authorities let that time "
             "begin in the past, so where it is not valid yet the clock is the likelier error.",
             "本机时间不在证书有效期内。证书的生效时间早于签发，若显示尚未生效，多半是本机时钟有误。"),
        _do("Compare, and set the clock.", "核对并校准时钟。", "timedatectl && sudo timedatectl set-ntp true"),
    ),
    _cause(
        "certificate_name",
        Text("the certificate is for another name", "证书与域名不符"),
        Text("The server has no certificate for this host: it was bound to another domain, or the server needs SNI and "
             "gave its default one.",
             "服务器没有该域名的证书：证书绑定到了其他域名，或返回了默认证书。"),
        _do("Bind a certificate that names the host, or use a name that it has.",
            "绑定包含该域名的证书，或改用证书中的域名。"),
        _do("See which names it has.", "查看证书包含的域名。",
            "openssl s_client -connect HOST:443 -servername HOST </dev/null | openssl x509 -noout -ext subjectAltName"),
    ),
    _cause(
        "certificate_self_signed",
        Text("the certificate is self-signed", "证书是自签名的"),
        Text("No phone trusts it, and a mini-program cannot be told to.", "手机不信任自签名证书，小程序也无法例外。"),
        _do("Get one from a public authority.", "向公共证书机构申请证书。"),
        _do("For a test from here only, trust it.", "仅在本机测试时信任它。",
            "python -m ops doctor URL --ca-file FILE.pem"),
    ),
    _cause(
        "certificate_untrusted",
        Text("the certificate's authority is unknown", "证书链不受信任"),
        Text("Either the server leaves out the intermediate certificate (browsers fetch it, phones do not), or it "
             "comes "
             "from a private authority.",
             "服务器没有发送中间证书（浏览器会自动补全，手机不会），或证书来自私有机构。"),
        _do("Serve the full chain: the certificate, then the intermediates.", "部署完整证书链：先证书，后中间证书。"),
        _do("See the chain.", "查看证书链。",
            "openssl s_client -connect HOST:443 -servername HOST -showcerts </dev/null"),
        _do("For a private authority, tell it to the doctor.", "若是私有机构，把其根证书告诉 doctor。",
            "python -m ops doctor URL --ca-file FILE.pem"),
    ),
    _cause(
        "tls_too_old",
        Text("no common version of TLS", "TLS 版本过低"),
        Text("The server speaks no TLS 1.2 or newer, which WeChat asks for.",
             "服务器不支持微信要求的 TLS 1.2 及以上版本。"),
        _do("Turn on TLS 1.2 and 1.3 where TLS ends.", "在 TLS 终止处启用 TLS 1.2 和 1.3。",
            "nginx: ssl_protocols TLSv1.2 TLSv1.3;"),
    ),
    _cause(
        "tls_broken",
        Text("the TLS handshake failed", "TLS 握手失败"),
        Text("The server broke the handshake off: no certificate for the name, a wrong key, or a device in between.",
             "服务器中断了握手：没有该域名的证书、密钥有误，或中间设备干扰。"),
        _do("See what it says.", "查看详情。", "openssl s_client -connect HOST:443 -servername HOST </dev/null"),
    ),
)  # fmt: skip

CAUSES: Final = (*_REACH_CAUSES, *UPGRADE_CAUSES)
