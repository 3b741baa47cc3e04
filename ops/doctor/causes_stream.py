"""What can be wrong from the stream on: configuration, token, capacity, speed, clocks. Pure."""

from typing import Final

from ops.doctor.causes_miniprogram import MINIPROGRAM_CAUSES
from ops.doctor.causes_recognizer import RECOGNIZER_CAUSES
from ops.doctor.causes_speech import SPEECH_CAUSES
from ops.doctor.finding import Cause, Remedy, Text

_MINT: Final = "python -m ops token mint --user doctor"
_LOGS: Final = Remedy(Text("Read the log:", "查看日志："), "python -m ops logs")
_AGAIN: Final = Remedy(Text("Try again in a minute.", "一分钟后再试。"), "python -m ops doctor URL")

_CONFIGURATION: Final = (
    Cause(
        slug="no_recognizer_configured",
        title=Text("no recognizer is configured", "没有配置识别引擎"),
        why=Text(
            "The service was started without an account of Tencent Cloud, and without the local recognizer. So it "
            "is healthy and refuses streams, as a first deployment does.",
            "启动时既没有腾讯云账号，也没有本地识别引擎。服务是健康的，但拒绝语音流；首次部署就是这样。",
        ),
        remedies=(
            Remedy(
                Text(
                    "Set the account of the recognizer, from a file with TENCENT_APP_ID, TENCENTCLOUD_SECRET_ID and "
                    "TENCENTCLOUD_SECRET_KEY:",
                    "在文件中写好 TENCENT_APP_ID、TENCENTCLOUD_SECRET_ID、TENCENTCLOUD_SECRET_KEY，设置识别账号：",
                ),
                "python -m ops env set --env-file FILE",
            ),
            Remedy(
                Text("Or, on one machine, install the local one:", "单机可安装本地识别引擎："),
                "pip install 'miniapp-backend[local]'",
            ),
        ),
    ),
    Cause(
        slug="no_authentication_configured",
        title=Text("no authentication is configured", "没有配置鉴权"),
        why=Text(
            "The service was started without JWT_SECRET. Nobody gets in by accident, so nobody gets in.",
            "启动时没有 JWT_SECRET。为避免误开放，谁都不能使用。",
        ),
        remedies=(
            Remedy(Text("Make a secret:", "生成密钥："), "openssl rand -hex 32"),
            Remedy(
                Text("Set it, from a file with JWT_SECRET=SECRET:", "写入文件（JWT_SECRET=SECRET）后设置："),
                "python -m ops env set --env-file FILE",
            ),
            Remedy(Text("On a laptop, let everybody in:", "在个人电脑上可关闭鉴权："), "AUTH_MODE=off make serve"),
        ),
    ),
    Cause(
        slug="token_missing",
        title=Text("no token was given", "没有提供令牌"),
        why=Text(
            "The service asks for a token. That is right, and streams cannot be tried without one.",
            "服务要求令牌。这没有问题，但没有令牌就无法试语音流。",
        ),
        remedies=(
            Remedy(
                Text("With the service's JWT_SECRET in the environment, make one:", "用服务的 JWT_SECRET 生成令牌："),
                _MINT,
            ),
            Remedy(Text("Give it:", "传入令牌："), "TOKEN=YOUR_TOKEN python -m ops doctor URL"),
        ),
    ),
    Cause(
        slug="token_wrong",
        title=Text("the token is of another service", "令牌不是本服务签发的"),
        why=Text(
            "It was signed with another secret than JWT_SECRET and JWT_SECRET_OLD of the service, or has no `exp`.",
            "令牌所用密钥与服务的 JWT_SECRET、JWT_SECRET_OLD 都不一致，或令牌没有 exp。",
        ),
        remedies=(
            Remedy(
                Text("With the service's JWT_SECRET in the environment, make one:", "用服务的 JWT_SECRET 生成令牌："),
                _MINT,
            ),
            Remedy(
                Text(
                    "After a change of the secret, keep the old one as JWT_SECRET_OLD while people hold tokens:",
                    "更换密钥期间请用 JWT_SECRET_OLD 保留旧密钥：",
                ),
                "python -m ops env set --env-file FILE",
            ),
        ),
    ),
    Cause(
        slug="token_expired",
        title=Text("the token has expired", "令牌已过期"),
        why=Text(
            "Its `exp` is over. A fresh one that is refused in this way means that the service's clock is ahead.",
            "令牌的 exp 已过。若刚生成的令牌也被拒绝，说明服务的时钟偏快。",
        ),
        remedies=(
            Remedy(
                Text("With the service's JWT_SECRET in the environment, make one:", "用服务的 JWT_SECRET 生成令牌："),
                _MINT,
            ),
        ),
    ),
)

_CAPACITY: Final = (
    Cause(
        slug="draining",
        title=Text("the instance is being stopped", "实例正在停机"),
        why=Text(
            "It finishes its streams and takes no new ones, as in every rollout. Another instance should take over; "
            "behind a balancer that goes on sending here, /ready is not looked at.",
            "实例在处理完现有语音流后退出，不接受新的，每次发布都是这样。应由其他实例接手；"
            "若流量仍然打到这里，说明没有使用 /ready 探针。",
        ),
        remedies=(
            Remedy(Text("See how far the rollout is:", "查看发布进度："), "python -m ops status"),
            _AGAIN,
        ),
    ),
    Cause(
        slug="instance_starting",
        title=Text("the instance is still starting", "实例仍在启动"),
        why=Text("Its recognizer is not up yet.", "识别引擎尚未就绪。"),
        remedies=(_AGAIN, _LOGS),
    ),
    Cause(
        slug="max_streams_reached",
        title=Text("all places for streams are taken", "语音流名额已满"),
        why=Text(
            "The instance has MAX_STREAMS streams. It refuses more, so that those it has go on well.",
            "实例的语音流已达 MAX_STREAMS，为保证现有语音流质量而拒绝新的。",
        ),
        remedies=(
            Remedy(Text("See how many there are:", "查看数量："), "curl -s URL/ready"),
            Remedy(
                Text(
                    "Run more instances, or raise the bound (docs/performance.md has what a core carries):",
                    "增加实例，或提高上限（单核容量见 docs/performance.md）：",
                ),
                "python -m ops env set MAX_STREAMS=STREAMS",
            ),
        ),
    ),
    Cause(
        slug="user_limit_reached",
        title=Text("a limit of this user or address is reached", "该用户或地址已达限额"),
        why=Text(
            "The service limits what one user and one address may have: MAX_STREAMS_PER_USER, MAX_STREAMS_PER_ADDRESS, "
            "MAX_NEW_STREAMS_PER_MINUTE, MAX_AUDIO_S_PER_DAY, MESSAGES_PER_S. Behind a proxy that is not in "
            "TRUSTED_PROXIES all phones have one address.",
            "服务限制单个用户和单个地址：MAX_STREAMS_PER_USER、MAX_STREAMS_PER_ADDRESS、MAX_NEW_STREAMS_PER_MINUTE、"
            "MAX_AUDIO_S_PER_DAY、MESSAGES_PER_S。如果前面的代理不在 TRUSTED_PROXIES 中，所有手机就只算一个地址。",
        ),
        remedies=(
            Remedy(
                Text("Examine as a user of your own:", "换一个专用的用户来检查："),
                "python -m ops token mint --user doctor",
            ),
            Remedy(Text("Or raise the limit that the message names.", "或提高消息中提到的限额。")),
        ),
    ),
    Cause(
        slug="not_allowed",
        title=Text("the origin or the user is not allowed", "来源或用户不被允许"),
        why=Text(
            "A proxy adds an Origin that is not in ALLOWED_ORIGINS; the doctor itself sends none.",
            "代理添加了不在 ALLOWED_ORIGINS 中的 Origin；doctor 自己不发送来源。",
        ),
        remedies=(
            Remedy(
                Text("Allow the page that the message names:", "允许消息中提到的网页："),
                "python -m ops env set ALLOWED_ORIGINS=https://PAGE",
            ),
        ),
    ),
    Cause(
        slug="shedding",
        title=Text("the instance has more to do than it can", "实例过载"),
        why=Text(
            "Its event loop was late by more than MAX_LAG_MS for a while: too little CPU for its streams, or a "
            "neighbor that takes it.",
            "事件循环持续滞后超过 MAX_LAG_MS：CPU 不足，或被同机其他程序抢占。",
        ),
        remedies=(
            Remedy(
                Text("See how late it is:", "查看滞后："),
                "curl -s -H 'Authorization: Bearer METRICS_TOKEN' URL/metrics | grep voice_event_loop_lag",
            ),
            Remedy(Text("Give it a whole core, or run more instances.", "保证一个完整的核，或增加实例。")),
        ),
    ),
    Cause(
        slug="recognizer_slots_full",
        title=Text("all recognizer slots of the instance are in use", "实例的识别名额已满"),
        why=Text(
            "The instance has UPSTREAM_CONCURRENCY connections to the recognizer.",
            "实例到识别引擎的连接已达 UPSTREAM_CONCURRENCY。",
        ),
        remedies=(
            Remedy(
                Text("Raise it as far as the account has streams:", "在账号并发允许的范围内提高："),
                "python -m ops env set UPSTREAM_CONCURRENCY=STREAMS",
            ),
            Remedy(Text("Or run more instances.", "或增加实例。")),
        ),
    ),
    Cause(
        slug="recognizer_down",
        title=Text("the recognizer is not up", "识别引擎未就绪"),
        why=Text(
            "The local recognizer has ended and is being started again, or the platform's role gives no credentials.",
            "本地识别引擎已退出、正在重启，或平台角色没有提供凭据。",
        ),
        remedies=(_LOGS, _AGAIN),
    ),
    Cause(
        slug="recognizer_not_dialed",
        title=Text("the recognizer has failed lately", "识别引擎近期出错"),
        why=Text(
            "After several failed connections in a row the gateway tries only now and then, until one succeeds.",
            "连续多次连接失败后，网关只偶尔试拨，直到成功为止。",
        ),
        remedies=(
            Remedy(
                Text("See what failed:", "查看失败原因："),
                "curl -s -H 'Authorization: Bearer METRICS_TOKEN' URL/metrics | grep voice_recognizer_errors",
            ),
            _AGAIN,
        ),
    ),
)

CAUSES: Final[tuple[Cause, ...]] = (
    *_CONFIGURATION,
    *_CAPACITY,
    *SPEECH_CAUSES,
    *RECOGNIZER_CAUSES,
    *MINIPROGRAM_CAUSES,
)
"""Every cause that the stages of `ops.doctor.stages_stream` name."""
