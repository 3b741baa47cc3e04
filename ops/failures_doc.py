"""Writes docs/failures.md and its Chinese twin from the catalogue: `python -m ops.failures_doc`. Pure but for `main`.

The catalogue has the English words. The Chinese ones are here; a test misses those of a new row.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.failures import CATALOGUE, Blame, Failure, Slug

DOCS: Final = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True, slots=True)
class _Language:
    """The words of one page."""

    head: str
    columns: str
    groups: tuple[tuple[str, str], ...]
    """A heading and its sentence for each of GROUPS."""
    no: str
    yes: str
    at_last: str
    """The cell of a failure that ends the stream when there are too many; takes `number` and `code`."""
    blames: Mapping[Blame, str]
    words: Mapping[Slug, tuple[str, str]]
    """When, and what the client should do."""


GROUPS: Final[tuple[Callable[[Failure], bool], ...]] = (
    lambda row: row.http_only,
    lambda row: not row.fatal,
    lambda row: row.retryable,
    lambda row: True,
)
"""A row belongs to the first group that takes it. The page shows them in another order: `_SHOWN`."""
_SHOWN: Final = (1, 2, 3, 0)


def group_of(row: Failure) -> int:
    """The number of the group in GROUPS that a row belongs to."""
    return next(number for number, takes in enumerate(GROUPS) if takes(row))


def page(language: _Language) -> str:
    """The whole page as Markdown."""
    parts = [language.head]
    rule = "| " + " | ".join(["---"] * (language.columns.count("|") - 1)) + " |"
    for shown in _SHOWN:
        heading, sentence = language.groups[shown]
        rows = [_line(row, language) for row in CATALOGUE.values() if group_of(row) == shown]
        parts.append("\n".join([f"## {heading}", "", sentence, "", language.columns, rule, *rows]) + "\n")
    return "\n".join(parts)


def _line(row: Failure, language: _Language) -> str:
    when, remedy = language.words[row.slug]
    cells = (
        f"`{row.slug}`",
        when,
        language.blames[row.blame],
        "–" if row.http_only else language.yes if row.fatal else language.no,
        language.yes if row.retryable else language.no,
        _close(row, language),
        str(row.http_status),
        remedy,
    )
    return "| " + " | ".join(cells) + " |"


def _close(row: Failure, language: _Language) -> str:
    if row.http_only:
        return "–"
    if row.fatal:
        return str(row.close_code)
    if row.fatal_at is not None:
        return language.at_last.format(number=row.fatal_at, code=row.close_code)
    return "–"


ENGLISH: Final = _Language(
    head="""# Failures

For developers of clients, and for operators. [中文](failures.zh-CN.md)

Everything that this service ever refuses has a name here. It is the `code` of the
[`error` message](protocol.md#error) of a stream, `data.error` of an [answer over HTTP](recognize.md#failures), the
value of the labels `slug` and `outcome` in the [metrics](metrics.md), and of `outcome` in the log. Names stay; the
words of `message` may change.

`error` says itself what a program has to know: `fatal` (the close follows), `retryable` (the same may succeed later
without a change), `retryAfterMs` (wait this long first). A client needs no list of names to act right; a person needs
it to know why.

The close code is 4000 + the HTTP status, or the one that the RFC has for the case. "By" is who has to change something.

<!-- Written by `python -m ops.failures_doc` from service/failures.py: change it there. -->
""",
    columns="| `code` | when | by | fatal | retryable | close | HTTP | what the client should do |",
    groups=(
        ("Only over HTTP", "Answers to requests; a stream never says these."),
        ("The stream goes on", "What was wrong is left out, and the client is told."),
        (
            "Try again",
            "The stream is over. The same may succeed later; with a back-off where there is no `retryAfterMs`.",
        ),
        ("Something has to change first", "The stream is over, and the next one will end in the same way."),
    ),
    no="no",
    yes="yes",
    at_last="with the {number}th: {code}",
    blames={blame: str(blame) for blame in Blame},
    words={slug: (row.when, row.remedy) for slug, row in CATALOGUE.items()},
)

CHINESE: Final = _Language(
    head="""# 错误一览

面向客户端开发者和运维人员。[English](failures.md)

本服务的每一种拒绝在这里都有名字：它是语音流中 [`error` 消息](protocol.zh-CN.md#error)的 `code`，是
[HTTP 应答](recognize.zh-CN.md)中的 `data.error`，是[指标](metrics.md)中标签 `slug` 和 `outcome` 的值，也是日志中
`outcome` 的值。名字不会改变，`message` 的措辞可能变化。

程序需要知道的都在 `error` 消息里：`fatal`（随后关闭连接）、`retryable`（不作改动，稍后重试可能成功）、
`retryAfterMs`（先等待这么久）。客户端不必记住这些名字就能正确处理，这张表是给人看的。

关闭码是 4000 加上 HTTP 状态码，RFC 已有规定的用 RFC 的。“责任方”指需要作出改动的一方。

<!-- 由 `python -m ops.failures_doc` 根据 service/failures.py 生成，请勿直接修改。 -->
""",
    columns="| `code` | 何时出现 | 责任方 | 致命 | 可重试 | 关闭码 | HTTP | 客户端应当怎么做 |",
    groups=(
        ("仅 HTTP", "对 HTTP 请求的应答，语音流中不会出现。"),
        ("语音流继续", "有问题的部分被忽略，并告知客户端。"),
        ("稍后重试", "语音流结束。稍后再试可能成功；没有 `retryAfterMs` 时，请逐次延长间隔。"),
        ("需要先作改动", "语音流结束，不作改动的话下一次结果相同。"),
    ),
    no="否",
    yes="是",
    at_last="第 {number} 次时 {code}",
    blames={
        Blame.CLIENT: "客户端",
        Blame.OPERATOR: "运维",
        Blame.RECOGNIZER: "识别引擎",
        Blame.SERVICE: "本服务",
    },
    words={
        Slug.BAD_MESSAGE: ("消息不是 JSON、类型未知、字段有误，或 base64 有误。", "修正客户端。"),
        Slug.NOT_STARTED: ("`start` 之前就发来音频或命令，已丢弃。", "先发 `start`。"),
        Slug.ALREADY_STARTED: ("重复的 `start`，已忽略。", "每路语音流使用单独的连接。"),
        Slug.BAD_START: ("`start` 中的值有误，或热词不合规则。", "修正客户端。"),
        Slug.ENGINE_NOT_SUPPORTED: ("没有这个识别引擎；如果知道有哪些可用，会在 message 中列出。", "换一个引擎。"),
        Slug.UNSUPPORTED_AUDIO: (
            "实际格式与声明不符，或不支持该格式。",
            "改录 PCM；在开发者工具中遇到时，请用真机测试。",
        ),
        Slug.STEREO_SUSPECTED: (
            "提示（只发一次）：音频像是两个相同的声道却按单声道声明，识别结果会是乱码。",
            "录音时设置 `numberOfChannels: 1`。",
        ),
        Slug.UNAUTHENTICATED: ("没有令牌，或不是本服务签发的。", "登录。"),
        Slug.TOKEN_EXPIRED: ("令牌已过期。", "重新登录后再连接。"),
        Slug.FORBIDDEN: ("用户或网页来源已知，但不被允许。", "不要重试，联系运维。"),
        Slug.TOO_MANY_STREAMS: ("该用户或该地址的语音流已达上限。", "结束一路，或等待 `retryAfterMs`。"),
        Slug.TOO_MANY_NEW_STREAMS: ("该用户一分钟内新建的语音流超过上限。", "等待 `retryAfterMs`。"),
        Slug.QUOTA_EXCEEDED: (
            "该用户当天的语音时长已用完，或一路流发送消息的速度超过上限。",
            "等待 `retryAfterMs`；按实时速度发送音频。",
        ),
        Slug.START_TIMEOUT: ("连接后 10 秒内没有 `start`。", "收到 `welcome` 就发 `start`。"),
        Slug.IDLE_TIMEOUT: (
            "25 秒没有收到任何字节；HTTP 上传则是 60 秒内没有完成。",
            "按时发 `ping`；用户再次说话时重连。",
        ),
        Slug.CLIENT_TOO_SLOW: ("客户端迟迟不接收数据。", "重连；多半是网络不好。"),
        Slug.MESSAGE_TOO_BIG: ("消息超过 `maxMessageBytes`。", "把帧切小。"),
        Slug.NOT_CONFIGURED: ("服务启动时没有配置识别引擎的凭据，或没有配置鉴权。", "联系运维。"),
        Slug.RECOGNIZER_REJECTED: ("识别引擎拒绝了本服务：凭据、账户或地域问题。", "联系运维。"),
        Slug.RECOGNIZER_UNAVAILABLE: ("识别引擎连不上、出错，或关闭了连接。", "逐次延长间隔重连。"),
        Slug.RECOGNIZER_TIMEOUT: ("识别引擎没有及时响应。", "逐次延长间隔重连。"),
        Slug.RECOGNIZER_BUSY: ("识别引擎没有空闲名额。", "等待 `retryAfterMs`。"),
        Slug.OVERLOADED: ("本服务没有空闲名额。", "等待 `retryAfterMs`。"),
        Slug.RESTARTING: ("本实例正在有序停机。", "重连，由其他实例接手。"),
        Slug.BAD_REQUEST: ("缺少字段，或字段的值有误。", "修正客户端。"),
        Slug.AUDIO_TOO_LONG: ("音频超过允许的时长或大小。", "缩短音频，或改用语音流。"),
        Slug.TOO_MANY_REQUESTS: ("同时的请求超过本服务可转发的数量。", "等待 `retryAfterMs`。"),
        Slug.AUDIO_LOST: (
            "与识别引擎的连接中断后，尚未定稿又不再保留的音频无法识别。",
            "标出 `fromMs` 到 `toMs` 之间的缺失，或请用户重说。",
        ),
        Slug.NOT_FOUND: ("没有这条记录，或属于别人。", "提示记录已不存在。"),
        Slug.LOGIN_REFUSED: (
            "微信不认识该登录 code：有误、已使用，或已超过五分钟。",
            "重新调用 `wx.login` 并发送新的 code。",
        ),
        Slug.LOGIN_REJECTED: ("微信不接受本服务的 AppID 或 AppSecret。", "不要重试，由运维修正设置。"),
        Slug.LOGIN_UNAVAILABLE: ("微信登录接口多次无响应或繁忙。", "等待 `retryAfterMs`，再发送新的 code。"),
        Slug.HISTORY_UNAVAILABLE: ("历史记录的数据库没有响应。", "等待 `retryAfterMs`；语音流不受影响。"),
        Slug.INTERNAL: ("本服务内部错误。", "逐次延长间隔重连，并反馈。"),
    },
)

PAGES: Final = {"failures.md": ENGLISH, "failures.zh-CN.md": CHINESE}


def main() -> None:
    """Write the pages."""
    for name, language in PAGES.items():
        (DOCS / name).write_text(page(language), encoding="utf-8")


if __name__ == "__main__":
    main()
