"""What can be wrong with the recognizer, its account, and the way to it. Pure."""

from typing import Final

from ops.doctor.finding import Cause, Remedy, Text

_TRY_ACCOUNT: Final = Remedy(
    Text("Then try the account from here:", "然后在本机验证账号："), "python -m ops doctor --local"
)

RECOGNIZER_CAUSES: Final[tuple[Cause, ...]] = (
    Cause(
        slug="recognizer_wrong_credentials",
        title=Text("the recognizer does not accept the account (4002)", "识别引擎不接受该账号（4002）"),
        why=Text(
            "The key is wrong or disabled, the AppID belongs to another account (it is not the 12-digit UIN), or the "
            "sub-account may not use speech recognition. A clock that is minutes off looks the same.",
            "密钥有误或已禁用；AppID 属于别的账号（注意不是 12 位的 UIN）；或子账号没有语音识别权限。"
            "时钟差几分钟也是同样的现象。",
        ),
        remedies=(
            Remedy(
                Text(
                    "Compare the AppID and the key with those at https://console.cloud.tencent.com/cam/capi, and give "
                    "a sub-account the policy QcloudASRFullAccess.",
                    "到 https://console.cloud.tencent.com/cam/capi 核对 AppID 和密钥；"
                    "子账号需授予 QcloudASRFullAccess。",
                )
            ),
            Remedy(
                Text(
                    "Set the three together, from a file with TENCENT_APP_ID, TENCENTCLOUD_SECRET_ID and "
                    "TENCENTCLOUD_SECRET_KEY:",
                    "在文件中写好 TENCENT_APP_ID、TENCENTCLOUD_SECRET_ID、TENCENTCLOUD_SECRET_KEY，三项一起设置：",
                ),
                "python -m ops env set --env-file FILE",
            ),
            _TRY_ACCOUNT,
        ),
    ),
    Cause(
        slug="recognizer_not_activated",
        title=Text("speech recognition is not activated (4003)", "账号未开通语音识别（4003）"),
        why=Text(
            "The account is good, and nobody has switched on the product for it.",
            "账号本身没有问题，但还没有开通语音识别产品。",
        ),
        remedies=(
            Remedy(
                Text(
                    "Activate it at https://console.cloud.tencent.com/asr with the main account.",
                    "用主账号在 https://console.cloud.tencent.com/asr 开通。",
                )
            ),
            _TRY_ACCOUNT,
        ),
    ),
    Cause(
        slug="recognizer_no_resources",
        title=Text("the resource package is used up (4004)", "资源包已用尽（4004）"),
        why=Text(
            "The hours of the package or of the free quota are over, and payment by use is not switched on. Engines of "
            "large models have packages of their own, and no free quota.",
            "资源包或免费额度的时长已用完，又没有开启后付费。大模型引擎单独计费，没有免费额度。",
        ),
        remedies=(
            Remedy(
                Text(
                    "Buy a package for the engine in use or switch on payment by use, at "
                    "https://console.cloud.tencent.com/asr.",
                    "在 https://console.cloud.tencent.com/asr 为所用引擎购买资源包，或开启后付费。",
                )
            ),
            _TRY_ACCOUNT,
        ),
    ),
    Cause(
        slug="account_in_arrears",
        title=Text("the account is in arrears (4005)", "账号欠费（4005）"),
        why=Text("Tencent Cloud has stopped the account's services until it is paid.", "账号欠费，腾讯云已停止服务。"),
        remedies=(
            Remedy(
                Text(
                    "Pay at https://console.cloud.tencent.com/expense; the service comes back within minutes.",
                    "在 https://console.cloud.tencent.com/expense 充值，几分钟后恢复。",
                )
            ),
            _TRY_ACCOUNT,
        ),
    ),
    Cause(
        slug="account_concurrency_full",
        title=Text("the account has no free stream (4006)", "账号并发已满（4006）"),
        why=Text(
            "Tencent counts the open streams of the whole account, 200 by default: those of all replicas and of all "
            "other programs with the same account. UPSTREAM_CONCURRENCY holds for all instances that share a "
            "REDIS_URL, and "
            "without one for a single instance.",
            "腾讯云按整个账号统计并发（默认 200），包括所有副本和使用同一账号的其他程序；"
            "UPSTREAM_CONCURRENCY 约束共用 REDIS_URL 的所有实例；没有 REDIS_URL 时只约束单个实例。",
        ),
        remedies=(
            Remedy(
                Text(
                    "Share one pool with REDIS_URL, or divide what the account has by the number of instances:",
                    "用 REDIS_URL 让各实例共用名额，或把账号的并发数按实例数分配：",
                ),
                "python -m ops env set UPSTREAM_CONCURRENCY=STREAMS_PER_INSTANCE",
            ),
            Remedy(
                Text(
                    "Or buy concurrency at https://console.cloud.tencent.com/asr.",
                    "或在 https://console.cloud.tencent.com/asr 购买并发包。",
                )
            ),
        ),
    ),
    Cause(
        slug="recognizer_misunderstood",
        title=Text("the recognizer did not understand a message (4010)", "识别引擎不理解收到的消息（4010）"),
        why=Text(
            "A text message was not of its protocol: a proxy changes messages, or this version has a fault.",
            "某条文本消息不符合协议：中间代理改动了消息，或本程序版本有缺陷。",
        ),
        remedies=(
            Remedy(
                Text(
                    "Let the gateway go to the recognizer without a proxy, then report it with the log.",
                    "让网关不经代理直连识别引擎；仍有问题请附日志反馈。",
                ),
                "python -m ops logs",
            ),
        ),
    ),
    Cause(
        slug="recognizer_abroad",
        title=Text("the call comes from outside mainland China (6001)", "调用来自中国大陆以外（6001）"),
        why=Text(
            "The address from which the gateway or its proxy goes out is abroad, and the domestic site does not serve "
            "it.",
            "网关或其代理的出口 IP 在境外，国内站不提供服务。",
        ),
        remedies=(
            Remedy(
                Text("See from where the gateway goes out:", "查看网关的出口地址："), "curl -s https://myip.ipip.net"
            ),
            Remedy(
                Text(
                    "Run the gateway in a mainland region, or without a foreign proxy.",
                    "把网关部署在大陆地域，或去掉境外代理。",
                )
            ),
        ),
    ),
    Cause(
        slug="engine_not_supported",
        title=Text("the recognizer does not have the engine (4001)", "识别引擎没有该模型（4001）"),
        why=Text(
            "DEFAULT_ENGINE names an engine that this recognizer, or this account, does not have. The local recognizer "
            "knows 16k_en only.",
            "DEFAULT_ENGINE 指定的引擎不存在，或该账号不可用。本地识别引擎只有 16k_en。",
        ),
        remedies=(
            Remedy(
                Text("Choose one that the message names:", "改用提示中列出的引擎："),
                "python -m ops env set DEFAULT_ENGINE=16k_zh",
            ),
        ),
    ),
    Cause(
        slug="recognizer_unreachable",
        title=Text("no connection to the recognizer", "连不上识别引擎"),
        why=Text(
            "The gateway gets no TCP or TLS connection, or no upgrade: no way out of its network, a firewall, a proxy "
            "that does not let WebSockets through, or a wrong TENCENT_ASR_URL.",
            "建立不了 TCP / TLS 连接或升级失败：网络没有出口、防火墙拦截、代理不放行 WebSocket，"
            "或 TENCENT_ASR_URL 有误。",
        ),
        remedies=(
            Remedy(
                Text("Ask it from the gateway's network:", "在网关所在网络里测试："),
                "curl -sS -m 5 https://asr.cloud.tencent.com/server_time",
            ),
            Remedy(
                Text(
                    "Take TENCENT_ASR_URL out of the environment unless you mean it.",
                    "若非有意，去掉 TENCENT_ASR_URL。",
                )
            ),
        ),
    ),
    Cause(
        slug="recognizer_failed",
        title=Text("the recognizer failed", "识别引擎出错"),
        why=Text(
            "It reported an error of its own (5000 to 5002: overload or a short disturbance), again and again for "
            "seconds. Single ones are bridged and never seen.",
            "识别引擎在数秒内反复报自身错误（5000～5002：过载或抖动）。偶发的错误会自动恢复，不会出现在这里。",
        ),
        remedies=(
            Remedy(Text("Try again in a minute.", "一分钟后再试。"), "python -m ops doctor URL"),
            Remedy(
                Text("If it stays: https://status.cloud.tencent.com", "持续出现：查看 https://status.cloud.tencent.com")
            ),
        ),
    ),
    Cause(
        slug="recognizer_silent",
        title=Text("the recognizer does not answer in time", "识别引擎没有及时响应"),
        why=Text(
            "It takes the connection and then says nothing, or does not settle the last words: it is overloaded, or "
            "something between swallows what it says.",
            "连接建立后没有回应，或迟迟不给出最后结果：识别引擎过载，或中间设备吞掉了数据。",
        ),
        remedies=(
            Remedy(
                Text("See which wait ran out (`recognizer_errors`):", "查看是哪一步超时（recognizer_errors）："),
                "curl -s -H 'Authorization: Bearer METRICS_TOKEN' URL/metrics | grep voice_recognizer_errors",
            ),
            Remedy(Text("Try again in a minute.", "一分钟后再试。"), "python -m ops doctor URL"),
        ),
    ),
    Cause(
        slug="recognizer_dns",
        title=Text("the recognizer's name has no address", "解析不到识别引擎的域名"),
        why=Text(
            "The resolver of this machine does not know the host of TENCENT_ASR_URL.",
            "本机的 DNS 解析不到 TENCENT_ASR_URL 中的主机名。",
        ),
        remedies=(
            Remedy(Text("Ask the resolver:", "测试解析："), "getent hosts asr.cloud.tencent.com"),
            Remedy(
                Text(
                    "Correct the name, or the resolver in /etc/resolv.conf.",
                    "修正主机名，或 /etc/resolv.conf 中的 DNS。",
                )
            ),
        ),
    ),
    Cause(
        slug="recognizer_tls",
        title=Text("TLS with the recognizer fails", "与识别引擎的 TLS 握手失败"),
        why=Text(
            "Its certificate is not trusted here, or is one of somebody in between: no CA bundle in the image, a proxy "
            "that opens TLS, or a clock that is far off.",
            "本机不信任其证书，或证书被中间人替换：镜像缺少 CA 证书、代理解密 TLS，或时钟偏差过大。",
        ),
        remedies=(
            Remedy(
                Text("See who answers:", "查看是谁在应答："),
                "openssl s_client -connect asr.cloud.tencent.com:443 -servername asr.cloud.tencent.com </dev/null",
            ),
            Remedy(
                Text("Install the authorities where they are missing:", "缺少 CA 证书时安装："),
                "apt-get install ca-certificates",
            ),
        ),
    ),
    Cause(
        slug="recognizer_not_tencent",
        title=Text("what answers there is not the recognizer", "应答的不是识别引擎"),
        why=Text(
            "The address takes connections and does not know /server_time: a proxy, a login page of the network, or "
            "another server.",
            "该地址可以连接，但没有 /server_time：可能是代理、网络登录页或别的服务器。",
        ),
        remedies=(
            Remedy(
                Text("See what it answers:", "查看实际应答："),
                "curl -sS -i -m 5 https://asr.cloud.tencent.com/server_time",
            ),
        ),
    ),
)
