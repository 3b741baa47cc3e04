"""What can be wrong with what answers: HTTP, the WebSocket upgrade, and what becomes of messages."""

from typing import Final

from ops.doctor.finding import Cause, Remedy, Text


def _cause(slug: str, title: Text, why: Text, *remedies: Remedy) -> Cause:
    return Cause(slug=slug, title=title, why=why, remedies=remedies)


def _do(en: str, zh: str, command: str | None = None) -> Remedy:
    return Remedy(Text(en, zh), command)


_LOGS: Final = _do("Read the log of the service.", "查看服务日志。", "python -m ops logs")
_STATUS: Final = _do("See whether an instance runs.", "查看实例是否在运行。", "python -m ops status")

UPGRADE_CAUSES: Final = (
    _cause(
        "other_service",
        Text("something else answers", "应答的是其他程序"),
        Text("The answer does not come from the voice gateway: another service has this address, or the port is wrong.",
             "应答不是来自语音网关：该地址属于其他服务，或端口不对。"),
        _do("See who it is.", "查看是谁在应答。", "curl -si URL/health"),
        _do("Check the URL, and which service the domain's route leads to.", "检查 URL，以及域名路由指向的服务。"),
        _STATUS,
    ),
    _cause(
        "routes_before_upgrade",
        Text("the server has routes, but no WebSocket upgrade", "服务注册了路由，但没有启用 WebSocket 升级"),
        Text("The old Node service answers this: express-ws was set up after the routes, so the upgrade is an ordinary "
             "request that nothing matches. The platform's container type has nothing to do with it.",
             "这是旧 Node 服务的应答：express-ws 在注册路由之后才初始化，升级请求被当作普通请求，匹配不到路由。"
             "这与平台的容器类型无关。"),
        _do("Deploy this gateway in its place.", "部署本网关替换它。", "python -m ops deploy"),
        _do("If the old service has to stay: call expressWs(app) before any app.use() or app.ws().",
            "若必须保留旧服务：在任何 app.use() 或 app.ws() 之前调用 expressWs(app)。"),
    ),
    _cause(
        "prefix_stripped",
        Text("the front door strips the route's prefix", "网关去掉了路由前缀"),
        Text("A route such as /api delivers /api/realtime-voice/stream as /realtime-voice/stream, which nobody serves. "
             "CloudBase does that unless the route is / or path transmission is on; it is off by default.",
             "路由 /api 会把 /api/realtime-voice/stream 转成 /realtime-voice/stream，服务中没有这个路径。"
             "CloudBase 默认如此，除非路由是 /，或开启了路径透传。"),
        _do("Make the route / in the HTTP access settings of the environment, or turn path transmission "
            "(EnablePathTransmission) on.",
            "在环境的 HTTP 访问服务中把路由设为 /，或开启路径透传（EnablePathTransmission）。"),
        _do("nginx: proxy_pass without a path behind the port keeps the path.",
            "nginx：proxy_pass 的端口后不要带路径。",
            "nginx: location /api/ { proxy_pass http://127.0.0.1:8000; }"),
    ),
    _cause(
        "prefix_passed_on",
        Text("the prefix of the URL arrives at the gateway", "URL 前缀被原样传给了网关"),
        Text("The URL has a prefix, and the gateway, which does not know it, is asked with it.",
             "URL 带有前缀，代理没有去掉它，而网关不认识这个前缀。"),
        _do("Leave the prefix out, where the route / is there.", "若有路由 /，去掉 URL 中的前缀。",
            "python -m ops doctor https://HOST"),
        _do("Or strip it in the proxy.", "或在代理中去掉前缀。",
            "nginx: location /PREFIX/ { proxy_pass http://127.0.0.1:8000/; }"),
    ),
    _cause(
        "path_rewritten",
        Text("the path is changed on the way", "路径在途中被改写"),
        Text("The gateway answers, and says that it does not know the path: what arrived is not what was asked for.",
             "网关有应答，但表示没有这个路径：到达的路径与请求的不同。"),
        _do("Look for rewrites in the proxy or in the domain's route.", "检查代理或域名路由中的改写规则。"),
        _do("See that the version that runs has the route.", "确认运行的版本有这个路由。", "python -m ops status"),
    ),
    _cause(
        "no_route",
        Text("no route leads from the front door to the gateway", "前端没有指向网关的路由"),
        Text("The answer is the front door's or a proxy's own: it has no route for this path, or public access is "
             "closed.",
             "这是前端网关或代理自己的应答：没有该路径的路由，或未开放公网访问。"),
        _do("Add a route / to the service, in the HTTP access settings of the environment.",
            "在环境的 HTTP 访问服务中，为该服务添加路由 /。"),
        _do("See that PUBLIC is among the access types.", "确认访问类型包含 PUBLIC。", "python -m ops status"),
        _do("nginx: have location / lead to the gateway.", "nginx：让 location / 指向网关。"),
    ),
    _cause(
        "function_type",
        Text("the service is a function, not a container", "服务是云函数，而不是容器"),
        Text("Without a Dockerfile the first deployment makes a function service, and its type never changes. "
             "Functions "
             "answer requests and keep no WebSocket of this kind. Container services need no special type for it.",
             "首次部署时没有 Dockerfile，就会建成函数型服务，此后类型不会改变，无法保持这种 WebSocket。"
             "容器型服务不需要任何特殊类型。"),
        _do("See the type.", "查看类型。", "python -m ops list"),
        _do("Delete it in the console, and deploy again, as a container.", "在控制台删除该服务，再以容器方式重新部署。",
            "python -m ops deploy"),
    ),
    _cause(
        "upgrade_dropped",
        Text("a proxy drops the upgrade", "代理丢弃了 Upgrade 请求头"),
        Text("The request arrived at the gateway as a plain GET: Connection and Upgrade are hop-by-hop headers, which "
             "a "
             "proxy has to be told to pass on.",
             "请求到达网关时只是普通 GET：Connection 和 Upgrade 是逐跳头，必须在代理中明确设置转发。"),
        _do("nginx: pass them on.", "nginx：转发这两个头。",
            "nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
            'proxy_set_header Connection "upgrade";'),
        _do("A CDN or WAF in front: turn WebSocket on for the domain, or go around it.",
            "前面有 CDN 或 WAF：为域名开启 WebSocket，或绕过它。"),
        _do("Ask the gateway without the proxy, to be sure.", "绕过代理直接检查网关以确认。",
            "python -m ops doctor http://GATEWAY:PORT"),
    ),
    _cause(
        "http10_proxy",
        Text("a proxy speaks HTTP/1.0 to the gateway", "代理用 HTTP/1.0 访问网关"),
        Text("HTTP/1.0 has no upgrades, and nginx spoke it to its backends by default until 1.29.7.",
             "HTTP/1.0 不支持升级，而 nginx 1.29.7 之前默认用它访问后端。"),
        _do("nginx: say the version.", "nginx：指定版本。", "nginx: proxy_http_version 1.1;"),
    ),
    _cause(
        "upgrade_headers_changed",
        Text("the headers of the upgrade are changed on the way", "升级请求头在途中被改动"),
        Text("The upgrade arrived without a header that RFC 6455 asks for; the summary has the gateway's own words.",
             "升级请求缺少 RFC 6455 要求的头，摘要中有网关的原话。"),
        _do("Have the proxy pass on Host and every Sec-WebSocket- header.",
            "让代理转发 Host 和所有 Sec-WebSocket- 头。"),
    ),
    _cause(
        "redirected_to_https",
        Text("the address redirects to https", "该地址重定向到 https"),
        Text("A browser follows it for pages. Phones and WebSocket clients do not follow it for ws://: they see 307 "
             "(or "
             "301, 308) and give up.",
             "浏览器打开网页时会跟随，但手机和 WebSocket 客户端对 ws:// 不会跟随，只看到 307（或 301、308）就失败。"),
        _do("Use https:// and wss:// everywhere.", "一律使用 https:// 和 wss://。",
            "python -m ops doctor https://HOST"),
    ),
    _cause(
        "redirected",
        Text("the address redirects elsewhere", "该地址重定向到别处"),
        Text("WebSocket clients do not follow redirects.", "WebSocket 客户端不会跟随重定向。"),
        _do("Use the address that it leads to (fact `location`).", "直接使用重定向后的地址（见 `location`）。"),
        _do("A login page in front of the gateway: exclude its paths.", "网关前有登录页：将其路径排除。"),
    ),
    _cause(
        "access_denied",
        Text("something in front of the gateway asks for a login", "网关前的设备要求鉴权"),
        Text("The gateway itself never answers 401 or 403 to an upgrade: a platform's authentication, an allow-list "
             "or a "
             "firewall does.",
             "网关自身从不对升级返回 401 或 403：这是平台鉴权、白名单或防火墙的应答。"),
        _do("Turn EnableAuth and the safe-domain check off for the route; the gateway checks tokens itself.",
            "为该路由关闭 EnableAuth 和安全域名校验；令牌由网关自己校验。"),
        _do("See who answers.", "查看是谁在应答。", "curl -si URL/health"),
    ),
    _cause(
        "rate_limited",
        Text("too many requests, says the front door", "请求被限流"),
        Text("Default domains are for tests and are limited; a route may have a limit, too.",
             "默认域名仅供测试，有频率限制；路由也可能设置了限流。"),
        _do("Use a custom domain, and look at the QPS policy of its route.", "使用自定义域名，并检查路由的 QPS 策略。"),
    ),
    _cause(
        "service_down",
        Text("the front door is there, the gateway behind it is not", "前端在，但后面的网关不在"),
        Text("No instance takes connections: it does not start, ends at once, or listens on another port or on "
             "127.0.0.1 "
             "only.",
             "没有实例接受连接：启动失败、启动后立即退出，或监听了其他端口，或只监听 127.0.0.1。"),
        _LOGS,
        _STATUS,
        _do("In the container: see whether it answers there.", "在容器内检查是否有应答。",
            "python -m ops doctor --local"),
    ),
    _cause(
        "cold_start",
        Text("a cold start", "冷启动"),
        Text("No instance was running, and the first request waited for one or was refused. With MinNum 0 that happens "
             "after about 30 minutes without requests.",
             "当时没有运行的实例，首个请求需要等待或被拒绝。MinNum 为 0 时，约 30 分钟无请求后就会如此。"),
        _do("Keep one instance.", "至少保留一个实例。", "python -m ops deploy --min 1"),
        _do("If it goes on: see whether it starts at all.", "若持续如此：查看是否能启动。", "python -m ops logs"),
    ),
    _cause(
        "not_ready",
        Text("the gateway is starting or stopping", "网关正在启动或停止"),
        Text("It answers, and asks for no traffic: for some seconds after its start and while it drains.",
             "网关有应答，但暂不接收流量：刚启动的几秒内，或正在有序停机。"),
        _do("Wait half a minute, and check again.", "等待半分钟后再检查。", "python -m ops doctor URL"),
        _do("If it stays so, read its log.", "若持续如此，查看日志。", "python -m ops logs"),
    ),
    _cause(
        "connections_full",
        Text("all connections of the instance are taken", "实例连接数已满"),
        Text("MAX_CONNECTIONS is reached.", "已达到 MAX_CONNECTIONS。"),
        _do("Run more instances, or raise the limits after a load test.", "增加实例，或在压测后提高上限。",
            "python -m loadtest run --help"),
    ),
    _cause(
        "service_error",
        Text("the server failed", "服务器内部错误"),
        Text("An error inside what answered.", "应答方内部出错。"),
        _LOGS,
    ),
    _cause(
        "upgrade_swallowed",
        Text("the upgrade is never answered", "升级请求没有应答"),
        Text("Plain requests are answered and the upgrade is not: a proxy holds it back, as some that buffer "
             "responses do.",
             "普通请求有应答，升级请求没有：被代理扣住，例如会缓冲应答的代理。"),
        _do("Ask the gateway without the proxy.", "绕过代理直接检查网关。", "python -m ops doctor http://GATEWAY:PORT"),
        _do("nginx: no buffering on this way.", "nginx：关闭缓冲。", "nginx: proxy_buffering off;"),
    ),
    _cause(
        "upgrade_refused",
        Text("the upgrade is refused", "升级被拒绝"),
        Text("Something in front of the gateway refuses it; the gateway never gives this answer.",
             "网关前的设备拒绝了升级；网关自身不会这样应答。"),
        _do("Turn WebSocket on in the CDN, WAF or proxy, or go around it.",
            "在 CDN、WAF 或代理中启用 WebSocket，或绕过它。"),
        _do("Ask the gateway without it.", "绕过它直接检查网关。", "python -m ops doctor http://GATEWAY:PORT"),
    ),
    _cause(
        "not_http",
        Text("the answer is not HTTP", "应答不是 HTTP"),
        Text("The connection is taken, and what comes back is no HTTP answer, or nothing.",
             "连接成功，但返回的不是 HTTP 应答，或没有返回。"),
        _do("Check the port, and whether it needs https://.", "检查端口，以及是否需要 https://。",
            "curl -v URL/health"),
    ),
    _cause(
        "tls_port",
        Text("that port speaks TLS", "该端口需要 TLS"),
        Text("A plain request was sent to a port that wants TLS.", "向需要 TLS 的端口发送了明文请求。"),
        _do("Use https:// or wss://.", "改用 https:// 或 wss://。", "python -m ops doctor https://HOST:PORT"),
    ),
    _cause(
        "subprotocol_not_agreed",
        Text("the subprotocol is not agreed", "子协议没有协商成功"),
        Text("voice.v1 was offered and not chosen: the developer tools and browsers then end the connection. A proxy "
             "removes Sec-WebSocket-Protocol, or another service answers.",
             "提供了 voice.v1 但未被选中：开发者工具和浏览器会因此断开。代理去掉了 Sec-WebSocket-Protocol，"
             "或应答的是其他服务。"),
        _do("Have the proxy pass on Sec-WebSocket-Protocol in both directions.",
            "让代理双向转发 Sec-WebSocket-Protocol。"),
        _do("Or offer none: leave `protocols` out of wx.connectSocket.",
            "或不提供子协议：在 wx.connectSocket 中去掉 `protocols`。"),
    ),
    _cause(
        "compression_negotiated",
        Text("compression is negotiated", "协商了压缩"),
        Text("permessage-deflate was accepted. PCM does not compress, each frame costs CPU, and inflating has no "
             "bound. "
             "The gateway itself never agrees: it runs under another server, or a proxy agrees for it.",
             "permessage-deflate 被接受。PCM 无法压缩，徒耗 CPU，解压也没有上限。网关自身从不同意："
             "它运行在其他服务器下，或由代理代为同意。"),
        _do("Start the gateway with its own server.", "用网关自带的服务器启动。", "python -m service"),
        _do("Turn compression of WebSockets off in the proxy.", "在代理中关闭 WebSocket 压缩。"),
    ),
    _cause(
        "echo_changed",
        Text("messages come back changed, or not at all", "消息被改动或丢失"),
        Text("What was sent to the echo is not what came back: something on the way changes frames, or another program "
             "answers on this path.",
             "回显与发送的内容不同：途中有设备改动了帧，或该路径由其他程序应答。"),
        _do("Compare without the proxy.", "绕过代理比较。", "python -m ops doctor http://GATEWAY:PORT"),
    ),
    _cause(
        "echo_lost",
        Text("the connection ends during the echo", "回显过程中连接断开"),
        Text("The upgrade succeeded and the connection did not last: all echo places are taken (1013), an instance was "
             "replaced, or a proxy cuts.",
             "升级成功但连接没有保持：回显名额已满（1013）、实例被替换，或被代理切断。"),
        _do("Check again.", "再检查一次。", "python -m ops doctor URL --only echo"),
        _LOGS,
    ),
    _cause(
        "slow_echo",
        Text("round trips are slow", "往返时间长"),
        Text("The median is over 500 ms: captions will lag. A far region, a bad network, or a busy instance.",
             "中位数超过 500 毫秒，字幕会明显滞后：地域太远、网络差，或实例繁忙。"),
        _do("Check from a machine in the same region.", "在同地域的机器上检查。"),
        _do("Look at the CPU and the loop lag of the instance.", "查看实例的 CPU 和事件循环延迟。",
            "curl -s URL/metrics"),
    ),
    _cause(
        "message_limit",
        Text("messages under 64 KiB do not pass", "不足 64 KiB 的消息无法通过"),
        Text("The gateway takes 65536 bytes, and clients are told so. Something on the way takes less, or "
             "TEST_WS_MAX_BYTES, which holds for this check only, is lower.",
             "网关可接收 65536 字节，并已告知客户端。途中有设备限制更小，或 "
             "TEST_WS_MAX_BYTES（只影响此项检查）设得更低。"),
        _do("Raise the limit of the proxy or WAF for WebSocket messages.", "提高代理或 WAF 的 WebSocket 消息上限。"),
        _do("Leave the setting at its default.", "保持默认设置。", "python -m ops env set TEST_WS_MAX_BYTES=65536"),
    ),
    _cause(
        "idle_cut",
        Text("silent connections are cut", "静默连接会被切断"),
        Text("A front door or proxy ends connections on which nothing is sent, and the heartbeat kept the other one "
             "alive. "
             "That is usual (60 s is common), and harmless with a heartbeat.",
             "前端或代理会切断没有数据的连接，而有心跳的连接得以保持。这很常见（通常 60 秒），有心跳就没有影响。"),
        _do("Have clients send `ping` every 10 s, also while muted; `welcome` says so as heartbeatMs.",
            "客户端每 10 秒发送 `ping`，静音时也发；`welcome` 中的 heartbeatMs 即此间隔。"),
        _do("nginx: or raise the limit.", "nginx：或提高时限。",
            "nginx: proxy_read_timeout 300s; proxy_send_timeout 300s;"),
    ),
    _cause(
        "connection_cut",
        Text("connections are cut in spite of a heartbeat", "有心跳的连接也被切断"),
        Text("Something limits how long a connection may live, or the instance was replaced or ran out of memory.",
             "有设备限制连接时长，或实例被替换、内存不足。"),
        _do("See whether a rollout or a restart happened meanwhile.", "查看期间是否有发布或重启。",
            "python -m ops status"),
        _do("Look for a limit on the duration of connections (HAProxy: timeout tunnel; CDN: WebSocket timeout).",
            "检查连接时长限制（HAProxy：timeout tunnel；CDN：WebSocket 超时）。"),
    ),
    _cause(
        "plain_http_open",
        Text("the gateway is also served without TLS", "网关也可不经 TLS 访问"),
        Text("A client with ws:// works, and sends speech and tokens in clear text.",
             "使用 ws:// 的客户端可以工作，但语音和令牌以明文传输。"),
        _do("Redirect http to https at the front door (CloudBase: protocol HTTP_TO_HTTPS).",
            "在前端将 http 重定向到 https（CloudBase：协议选 HTTP_TO_HTTPS）。"),
    ),
)  # fmt: skip
