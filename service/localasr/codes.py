"""The error codes of Tencent's real-time ASR (Tencent doc 1093/48982, "错误码"). Pure."""

from __future__ import annotations

import enum

import msgspec


class Code(enum.IntEnum):
    """The codes this server gives by itself; a script may give any other."""

    SUCCESS = 0
    TOO_MUCH_AUDIO = 4000
    BAD_PARAMETER = 4001
    UNAUTHORIZED = 4002
    TOO_MANY_STREAMS = 4006
    DECODE_FAILED = 4007
    NO_AUDIO = 4008
    UNKNOWN_TEXT = 4010
    ENGINE_FAILED = 5000
    ENGINE_OVERLOADED = 5001


# Tencent states that the wording may change at any time; these are for people who read a log.
MESSAGES: dict[int, str] = {
    Code.TOO_MUCH_AUDIO: "客户端发送音频过多(more than 3 s of audio within 1 s)",
    Code.UNAUTHORIZED: "鉴权失败",
    4003: "AppID 服务未开通",
    4004: "资源包耗尽",
    4005: "账户欠费停止服务",
    Code.TOO_MANY_STREAMS: "账号当前调用并发超限",
    Code.DECODE_FAILED: "音频解码失败",
    Code.NO_AUDIO: "客户端超过15秒未发送音频数据",
    Code.UNKNOWN_TEXT: "客户端上传了未知文本消息",
    Code.ENGINE_FAILED: "后台错误，请重试",
    Code.ENGINE_OVERLOADED: "后台错误，请重试(overloaded)",
    5002: "后台错误，请重试",
    6001: "境外IP调用",
}


class Refusal(msgspec.Struct, frozen=True):
    """Why a stream is not served, or no longer: told to the client, then the connection is closed."""

    code: int
    message: str


def refusal(code: int, detail: str = "") -> Refusal:
    """The refusal for ``code`` with its usual wording, and ``detail`` in parentheses."""
    message = MESSAGES.get(code, "error")
    return Refusal(int(code), f"{message}({detail})" if detail else message)


def bad_parameter(detail: str) -> Refusal:
    """4001 in the form third parties have seen: ``参数不合法(...)``."""
    return Refusal(int(Code.BAD_PARAMETER), f"参数不合法({detail})")
