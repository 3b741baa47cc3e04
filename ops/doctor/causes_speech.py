"""What can be wrong while somebody speaks: the way of the stream, its speed, its words, and the clocks. Pure."""

from typing import Final

from ops.doctor.finding import Cause, Remedy, Text

_LOGS: Final = Remedy(Text("Read the log:", "查看日志："), "python -m ops logs")
_HERE: Final = Remedy(
    Text("Speak to the gateway beside it, without what is between:", "在网关旁边直接测试，排除中间环节："),
    "python -m ops doctor --local",
)

SPEECH_CAUSES: Final[tuple[Cause, ...]] = (
    Cause(
        slug="stream_path_not_routed",
        title=Text("the stream's path is not routed to the gateway", "语音流路径没有转到网关"),
        why=Text(
            "/test-ws opens a WebSocket and the stream's path does not: a proxy routes some paths only, takes a prefix "
            "away, or upgrades on some paths only.",
            "/test-ws 能建立 WebSocket，语音流路径却不能：代理只转发部分路径、去掉了前缀，或只在部分路径放行升级。",
        ),
        remedies=(
            Remedy(
                Text("See who answers:", "查看是谁在应答："),
                "curl -sS -i -m 5 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' "
                "-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' URL/api/realtime-voice/stream",
            ),
            Remedy(Text("Route all paths to the service.", "把所有路径都转到该服务。")),
        ),
    ),
    Cause(
        slug="stream_unreachable",
        title=Text("no connection for the stream", "语音流连接不上"),
        why=Text(
            "Earlier connections came about and this one did not: the way to the service is unsteady.",
            "之前的连接正常，这一次却连不上：网络不稳定。",
        ),
        remedies=(Remedy(Text("Try again.", "再试一次。"), "python -m ops doctor URL"),),
    ),
    Cause(
        slug="stream_unanswered",
        title=Text("the gateway does not answer in time", "网关没有及时回应"),
        why=Text(
            "The connection is open and a message that is owed does not come: the gateway or its recognizer is "
            "overloaded, or a proxy holds messages back.",
            "连接已建立，但该来的消息没有来：网关或识别引擎过载，或代理缓存了消息。",
        ),
        remedies=(_HERE, _LOGS),
    ),
    Cause(
        slug="stream_cut",
        title=Text("something cut the connection", "连接被中途切断"),
        why=Text(
            "It ended without a word of the gateway: a proxy's limit of time or of message size, or the instance died.",
            "网关没有任何说明，连接就断了：代理的时长或消息大小限制，或实例异常退出。",
        ),
        remedies=(
            Remedy(Text("See whether the instance was restarted:", "查看实例是否重启："), "python -m ops status"),
            Remedy(Text("Find out what is cut, and when:", "找出何时被切断："), "python -m ops doctor URL --idle"),
            _HERE,
        ),
    ),
    Cause(
        slug="connection_stalls",
        title=Text("the way to the gateway stalls", "到网关的网络卡顿"),
        why=Text(
            "Messages arrive late and in bursts: a bad network, or a proxy that collects them.",
            "消息迟到且成批到达：网络不好，或代理在攒数据。",
        ),
        remedies=(
            _HERE,
            Remedy(
                Text("Switch off buffering in the proxy; with nginx:", "关闭代理缓冲；nginx："), "proxy_buffering off;"
            ),
        ),
    ),
    Cause(
        slug="max_stream_too_short",
        title=Text("the stream's time was over", "语音流时长用尽"),
        why=Text(
            "The gateway settled the stream before the recording was over: MAX_STREAM_S is very short.",
            "录音还没放完，网关就结束了语音流：MAX_STREAM_S 太小。",
        ),
        remedies=(Remedy(Text("Raise it:", "调大："), "python -m ops env set MAX_STREAM_S=600"),),
    ),
    Cause(
        slug="protocol_differs",
        title=Text("the service speaks another protocol", "对方使用的协议不同"),
        why=Text(
            "What it says is not protocol 1: another service, another version, or something between changes messages.",
            "对方的消息不是协议 1：可能是别的服务、别的版本，或中间环节改动了消息。",
        ),
        remedies=(Remedy(Text("See what runs there:", "查看运行的是什么："), "curl -s URL/"),),
    ),
    Cause(
        slug="internal_error",
        title=Text("the gateway has made an error", "网关内部错误"),
        why=Text("A fault of this program ended the stream.", "本程序的缺陷导致语音流结束。"),
        remedies=(_LOGS, Remedy(Text("Report it with the lines around it.", "请附上相关日志反馈。"))),
    ),
    Cause(
        slug="first_words_slow",
        title=Text("the first words come late", "首个结果太慢"),
        why=Text(
            "People wait for over 0.8 s and begin again: the recognizer is slow or far away, the gateway is busy, or "
            "the way to it is long. The local recognizer takes second place for the CPU: with other work it is late.",
            "超过 0.8 秒，用户会以为没听见：识别引擎慢或距离远、网关繁忙，或网络延迟大。"
            "本地识别引擎的 CPU 优先级较低，机器忙时会变慢。",
        ),
        remedies=(
            _HERE,
            Remedy(
                Text("Compare with what the gateway measures:", "与网关自身的数据对比："),
                "curl -s -H 'Authorization: Bearer METRICS_TOKEN' URL/metrics | grep voice_first_partial",
            ),
        ),
    ),
    Cause(
        slug="finalization_slow",
        title=Text("the last words settle late", "定稿太慢"),
        why=Text(
            "After `stop` it took over 0.8 s: the recognizer takes its time, audio was still waiting for it, or the "
            "local recognizer has too little CPU.",
            "`stop` 之后超过 0.8 秒才定稿：识别引擎慢、还有积压的音频，或本地识别引擎 CPU 不足。",
        ),
        remedies=(
            _HERE,
            Remedy(
                Text("Compare with what the gateway measures:", "与网关自身的数据对比："),
                "curl -s -H 'Authorization: Bearer METRICS_TOKEN' URL/metrics | grep voice_finalization",
            ),
        ),
    ),
    Cause(
        slug="this_machine_late",
        title=Text("this machine was late itself", "本机自身太慢"),
        why=Text(
            "It sent the audio late, so the times above are its own and not the service's.",
            "本机发送音频时已经迟了，上面的时间不能说明服务慢。",
        ),
        remedies=(Remedy(Text("Try again when it has less to do.", "等本机空闲时再试。"), "python -m ops doctor URL"),),
    ),
    Cause(
        slug="nothing_heard",
        title=Text("nothing was recognized", "没有识别出内容"),
        why=Text(
            "The recording is English speech. An engine of another language may hear nothing in it; then this is no "
            "fault. It is one when people are not understood either.",
            "录音是英语。其他语言的引擎可能识别不出内容，这不算故障；若真人说话也识别不出，才是问题。",
        ),
        remedies=(
            Remedy(
                Text("Speak a recording in the language of the engine:", "用对应语言的录音测试："),
                "python -m loadtest speak RECORDING.wav --url URL --engine 16k_zh",
            ),
        ),
    ),
    Cause(
        slug="words_differ",
        title=Text("the words are not those of the recording", "识别内容与录音不符"),
        why=Text(
            "The local recognizer hears this recording without a fault when all of it arrives in order: audio was lost "
            "or mixed up, or the decoder had too little CPU.",
            "音频完整有序时，本地识别引擎能准确识别这段录音：可能丢失或打乱了音频，或 CPU 不足。",
        ),
        remedies=(
            Remedy(
                Text("Watch it being recognized:", "观察识别过程："),
                "python -m loadtest speak loadtest/samples/goforward.wav --url URL",
            ),
            _LOGS,
        ),
    ),
    Cause(
        slug="audio_dropped",
        title=Text("audio was lost on the way", "途中丢失音频"),
        why=Text(
            "The gateway received or relayed less than was sent. It drops audio after `stop` only.",
            "网关收到或转发的音频少于发出的。正常情况下只有 `stop` 之后的音频会被丢弃。",
        ),
        remedies=(_LOGS,),
    ),
    Cause(
        slug="results_lost",
        title=Text("results were lost on the way", "途中丢失结果"),
        why=Text(
            "`stopped` counts other sentences than came: something between drops or repeats messages.",
            "`stopped` 的句数与收到的不一致：中间环节丢弃或重复了消息。",
        ),
        remedies=(_HERE, _LOGS),
    ),
    Cause(
        slug="recognizer_connection_lost",
        title=Text("the recognizer's connection broke, and audio was lost", "识别连接中断并丢失音频"),
        why=Text(
            "The gateway goes on by itself; what was no longer kept (REPLAY_S) is missing.",
            "网关会自动恢复，但已不再保留（REPLAY_S）的音频丢失了。",
        ),
        remedies=(
            Remedy(
                Text("See how often it breaks:", "查看中断频率："),
                "curl -s -H 'Authorization: Bearer METRICS_TOKEN' URL/metrics | grep voice_recognizer_errors",
            ),
            Remedy(Text("Keep more:", "保留更多："), "python -m ops env set REPLAY_S=30"),
        ),
    ),
    Cause(
        slug="clock_skew",
        title=Text("the gateway's clock is wrong", "网关时钟不准"),
        why=Text(
            "Tencent refuses signatures of another time: code 4002, as for a wrong key. Tokens expire at the wrong "
            "time, too.",
            "时间不符的签名会被腾讯云拒绝：错误码 4002，与密钥错误相同。令牌的过期时间也会出错。",
        ),
        remedies=(
            Remedy(
                Text("See what the machine of the gateway thinks:", "查看网关所在机器的时间："), "timedatectl status"
            ),
            Remedy(Text("Switch on NTP there:", "在该机器上启用 NTP："), "timedatectl set-ntp true"),
            Remedy(
                Text(
                    "A container has the clock of its host: on CloudBase, replace the instance.",
                    "容器使用宿主机的时钟：在云托管上请重建实例。",
                )
            ),
        ),
    ),
    Cause(
        slug="own_clock_wrong",
        title=Text("this machine's clock is wrong", "本机时钟不准"),
        why=Text(
            "The clock here differs from that of the others. It does no harm to streams, and makes tokens that are "
            "minted here expire at the wrong time.",
            "本机时钟与其他各方不一致。不影响语音流，但本机签发的令牌过期时间会出错。",
        ),
        remedies=(Remedy(Text("Switch on NTP here:", "在本机启用 NTP："), "timedatectl set-ntp true"),),
    ),
)
