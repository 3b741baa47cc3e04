"""Does the recognizer take the account: one real handshake, signed as the gateway signs. No audio is sent."""

from typing import Final

from ops.doctor.finding import Fact, Finding, Text
from ops.doctor.stage import Context, Stage
from ops.doctor.stages_stream.issues import Issue, failed, finding_of, skipped, warned
from ops.doctor.stages_stream.said import causes_of, causes_of_code
from service.failures import Problem, StreamFailed
from service.recognizer.connection import ConnectionGoneError, open_recognizer
from service.recognizer.target import RecognizerTarget
from service.recognizer.tencent import ENGINES
from service.settings import RecognizerKind, Settings, TencentCredentials
from service.stream.protocol import Start
from service.stream.stream_settings import StreamSettings, settle
from service.telemetry.metrics import Metrics

_BUSY: Final = 4006
_MEANINGS: Final[dict[int, Text]] = {
    4001: Text("it does not take the engine or another parameter", "不接受该引擎或某个参数"),
    4002: Text("it does not accept the signature", "签名校验失败"),
    4003: Text("speech recognition is not activated for the account", "账号未开通语音识别"),
    4004: Text("the resource package is used up", "资源包已用尽"),
    4005: Text("the account is in arrears", "账号欠费"),
    4006: Text("the account has no free stream", "账号并发已满"),
    4010: Text("it did not understand a message", "收到了无法理解的消息"),
    6001: Text("it does not serve calls from outside mainland China", "不接受中国大陆以外的调用"),
}


async def check(context: Context) -> Finding:
    """Shake hands with the recognizer as the gateway does."""
    settings = context.settings
    if settings is None:
        said: Text | None = context.found.get("stream_said")
        en = "only the gateway knows its account" + ("" if said is None else f"; the stream said: {said.en}")
        zh = "只有网关知道自己的账号" + ("" if said is None else f"；语音流的结果：{said.zh}")
        return skipped("credentials", en, zh)
    if settings.recognizer is not RecognizerKind.TENCENT:
        return skipped("credentials", "no account of Tencent Cloud is configured", "没有配置腾讯云账号")
    if settings.credentials is None:
        return skipped(
            "credentials",
            "the account comes from the platform's role, which only the gateway can use",
            "账号来自平台角色，只有网关能使用",
        )
    problem = await _shake_hands(settings, settings.credentials)
    facts: dict[str, Fact] = {"accepted": problem is None, "engine": settings.default_engine}
    if problem is not None:
        facts["recognizer_code"] = problem.recognizer_code
        facts["slug"] = str(problem.slug)
    skew_s = context.found.get("gateway_skew_s")
    issues = [] if problem is None else [issue_of(problem, skew_s)]
    return finding_of("credentials", issues, Text("the recognizer accepts the account", "识别引擎接受该账号"), facts)


async def _shake_hands(settings: Settings, credentials: TencentCredentials) -> Problem | None:
    """Why the recognizer does not accept, or None when it does. An `end` follows at once, so that its place is free."""
    asked = settle(Start(), settings.default_engine)
    if not isinstance(asked, StreamSettings):
        return asked
    target = RecognizerTarget(RecognizerKind.TENCENT, settings.tencent_asr_url, credentials, ENGINES)
    try:
        async with open_recognizer(target, asked.recognizer_parameters(), Metrics()) as connection:
            await connection.send_end()
    except StreamFailed as refused:
        return refused.problem
    except ConnectionGoneError:  # it had accepted before
        return None
    return None


def issue_of(problem: Problem, skew_s: float | None) -> Issue:
    """What a refusal means. A full account is a busy one, not a wrong one. Pure."""
    code = problem.recognizer_code
    if code is None:
        return failed(causes_of(problem.slug, problem.message), problem.message, problem.message)
    meaning = _MEANINGS.get(code, Text("it failed", "出错"))
    say = warned if code == _BUSY else failed
    return say(
        causes_of_code(code, skew_s),
        f"the recognizer answered {code}: {meaning.en}",
        f"识别引擎返回 {code}：{meaning.zh}",
    )


STAGE: Final = Stage(name="credentials", title=Text("Recognizer account", "识别引擎账号"), check=check)
