"""What keeps a published mini-program from using an address. Pure."""

from typing import Final

from ops.doctor.finding import Cause, Remedy, Text

_CUSTOM_DOMAIN: Final = Remedy(
    Text(
        "Bind a domain of your own with an ICP filing to the service in the CloudBase console, with its certificate, "
        "then examine that one:",
        "在云开发控制台给服务绑定已备案的自有域名并配置证书，然后检查该域名：",
    ),
    "python -m ops doctor https://YOUR_DOMAIN",
)

MINIPROGRAM_CAUSES: Final[tuple[Cause, ...]] = (
    Cause(
        slug="not_secure",
        title=Text("the address is not https and wss", "地址不是 https / wss"),
        why=Text(
            "A published mini-program opens secure connections only. It works in the developer tools because checking "
            "domains is switched off there.",
            "正式版小程序只允许安全连接。开发者工具里能用，是因为关闭了域名校验。",
        ),
        remedies=(_CUSTOM_DOMAIN,),
    ),
    Cause(
        slug="ip_address_not_allowed",
        title=Text("the address is an IP address", "地址是 IP"),
        why=Text("The console takes registered domains, no addresses.", "小程序后台只接受已备案的域名，不接受 IP。"),
        remedies=(_CUSTOM_DOMAIN,),
    ),
    Cause(
        slug="not_a_public_name",
        title=Text("the name is not a public one", "不是公网域名"),
        why=Text(
            "Phones resolve public names, and the console takes nothing else.",
            "手机只能解析公网域名，小程序后台也只接受公网域名。",
        ),
        remedies=(_CUSTOM_DOMAIN,),
    ),
    Cause(
        slug="test_domain",
        title=Text("a default domain of the platform", "平台默认域名"),
        why=Text(
            "Default domains are rate limited, for tests, and cannot be entered as domains of a mini-program.",
            "默认域名有频率限制，仅供测试，不能填入小程序的服务器域名。",
        ),
        remedies=(
            _CUSTOM_DOMAIN,
            Remedy(
                Text(
                    "Or use wx.cloud.connectContainer, which needs no domain.",
                    "或使用 wx.cloud.connectContainer，不需要域名。",
                )
            ),
        ),
    ),
    Cause(
        slug="port_in_domain",
        title=Text("the port is not 443", "端口不是 443"),
        why=Text(
            "The domain has to be entered with its port, and networks of phones often let 443 through only.",
            "填写域名时必须带上端口，而且不少手机网络只放行 443。",
        ),
        remedies=(
            Remedy(Text("Serve it at port 443.", "改用 443 端口。"), "python -m ops doctor https://YOUR_DOMAIN"),
        ),
    ),
    Cause(
        slug="certificate_not_public",
        title=Text("phones do not trust the certificate", "手机不信任该证书"),
        why=Text(
            "It is signed by itself or by a private authority, has another name, has expired, or its chain is "
            "incomplete: then computers may accept it and phones do not. --ca-file does not count here.",
            "证书是自签名或私有 CA 签发的、域名不符、已过期，或证书链不完整（电脑可能接受，手机不接受）。"
            "这里不使用 --ca-file。",
        ),
        remedies=(
            Remedy(
                Text("Look at the chain:", "查看证书链："),
                "openssl s_client -connect HOST:443 -servername HOST -showcerts </dev/null",
            ),
            Remedy(
                Text(
                    "Install a certificate of a public authority with all intermediate ones.",
                    "换用公共 CA 的证书，并安装全部中间证书。",
                )
            ),
        ),
    ),
    Cause(
        slug="tls_not_reached",
        title=Text("no TLS connection", "无法建立 TLS 连接"),
        why=Text(
            "Nobody answers there with TLS: see the stages `tcp` and `tls`.",
            "该端口没有 TLS 应答：见 tcp 和 tls 两个阶段。",
        ),
        remedies=(Remedy(Text("Try it by hand:", "手动测试："), "curl -sSI https://HOST/health"),),
    ),
)
