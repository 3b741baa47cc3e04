"""Writes miniprogram/lib/slugs.js from the catalogue: `python -m ops.client_slugs`. Pure but for `main`.

The words of the catalogue are for developers. Those here are for the person who holds the phone: what happened, and
what to do now. A test misses those of a new row.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from service.failures import CATALOGUE

PATH: Final = Path(__file__).parents[1] / "miniprogram" / "lib" / "slugs.js"

SERVICE_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "bad_message": ("程序出错，请更新后重试", "The app made an error. Please update it and try again."),
    "not_started": ("录音还没有开始", "The recording has not begun."),
    "already_started": ("录音已经开始", "The recording has begun already."),
    "bad_start": ("识别设置有误，请更新程序", "The app's speech settings are wrong. Please update it."),
    "engine_not_supported": ("不支持所选的语言或引擎", "The chosen language or engine is not available."),
    "unsupported_audio": (
        "录音格式不支持，请用手机重试",
        "This recording cannot be recognized. Please try on a phone.",
    ),
    "stereo_suspected": (
        "录音可能是双声道，识别会不准",
        "The recording seems to be stereo, which is recognized badly.",
    ),
    "unauthenticated": ("请先登录", "Please log in."),
    "token_expired": ("登录已过期，请重新登录", "Your login has expired. Please log in again."),
    "forbidden": ("没有使用权限，请联系管理员", "You may not use this. Please ask the administrator."),
    "too_many_streams": ("同时进行的录音太多，请先结束一个", "Too many recordings at a time. Please end one first."),
    "too_many_new_streams": ("操作太频繁，请稍后再试", "That was too often. Please try again in a moment."),
    "quota_exceeded": ("已达到使用上限，请稍后再试", "The limit of use is reached. Please try again later."),
    "start_timeout": ("连接超时，正在重试", "The connection took too long. Trying again."),
    "idle_timeout": ("连接长时间没有声音，已断开", "The connection was idle for too long."),
    "client_too_slow": ("网络太慢，正在重连", "The network is too slow. Reconnecting."),
    "message_too_big": ("录音数据过大，请更新程序", "The app sent too much at once. Please update it."),
    "not_configured": ("服务尚未开通，请联系管理员", "The service is not set up yet. Please tell the administrator."),
    "recognizer_rejected": (
        "语音识别不可用，请联系管理员",
        "Recognition is not available. Please tell the administrator.",
    ),
    "recognizer_unavailable": (
        "语音识别暂时不可用，请稍后再试",
        "Recognition is not available now. Please try again soon.",
    ),
    "recognizer_timeout": ("语音识别超时，请重试", "Recognition took too long. Please try again."),
    "recognizer_busy": ("识别繁忙，请稍后再试", "Recognition is busy. Please try again soon."),
    "overloaded": ("服务繁忙，请稍后再试", "The service is busy. Please try again soon."),
    "restarting": ("服务正在更新，马上恢复", "The service is being updated and will be back at once."),
    "bad_request": ("请求有误，请更新程序", "The app made a wrong request. Please update it."),
    "audio_too_long": ("录音太长", "The recording is too long."),
    "too_many_requests": ("请求太多，请稍后再试", "There are too many requests. Please try again soon."),
    "audio_lost": ("有一段声音没有识别到，请补说", "A part was not recognized. Please say it again."),
    "not_found": ("记录不存在或已删除", "This record does not exist any more."),
    "login_refused": ("登录失败，请重新登录", "The login failed. Please log in again."),
    "login_rejected": ("登录服务配置有误，请联系管理员", "Login is not set up well. Please tell the administrator."),
    "login_unavailable": (
        "微信登录暂时不可用，请稍后再试",
        "WeChat's login is not available now. Please try again soon.",
    ),
    "history_unavailable": ("历史记录暂时不可用", "The history is not available now."),
    "internal": ("服务出错，请重试", "The service made an error. Please try again."),
}
"""For each slug of the service: Chinese and English."""

CLIENT_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "connection_lost": ("网络连接中断", "The connection was lost."),
    "canceled": ("已取消", "Canceled."),
    "not_settled": ("最后一段话没有识别完", "The last words were not recognized in time."),
    "login_failed": ("登录失败，请检查网络", "The login failed. Please check the network."),
    "request_failed": ("请求失败，请检查网络", "The request failed. Please check the network."),
    "microphone_denied": ("请在设置中允许使用麦克风", "Please allow the microphone in the settings."),
    "microphone_failed": ("无法录音，请重试", "The microphone could not be used. Please try again."),
    "microphone_silent": (
        "这台设备不能边录边传，请用手机",
        "This device does not deliver sound while recording. Use a phone.",
    ),
    "webm_recorded": (
        "开发者工具只能录 WebM，无法实时识别，松手后整段识别；请用真机预览",
        "The developer tools record only WebM: it is recognized at the end, as a whole. Try on a phone.",
    ),
}
"""For what goes wrong on the phone itself."""

_HEAD: Final = """"use strict";
// Everything that can go wrong, and its words for a person. Written by `python -m ops.client_slugs` from the service's
// catalogue: change it there. docs/failures.md has the words for developers.

"""

_TAIL: Final = """
/**
 * The words for a person; of a code that is not known, those of `internal` with the code behind them.
 * @param {string} code the `code` of a problem
 * @param {"zh" | "en"} [language]
 * @returns {string}
 */
function describe(code, language = "zh") {
  const words = MESSAGES[code];
  return words ? words[language] : `${MESSAGES.internal[language]} (${code})`;
}

module.exports = { SLUGS, MESSAGES, describe };
"""


def module() -> str:
    """The whole file. Raises KeyError where a row of the catalogue has no words."""
    words = {str(slug): SERVICE_WORDS[slug] for slug in CATALOGUE} | dict(CLIENT_WORDS)
    slugs = "".join(f"  {slug.upper()}: {_quoted(slug)},\n" for slug in words)
    messages = "".join(
        f"  {slug}: {{\n    zh: {_quoted(zh)},\n    en: {_quoted(en)},\n  }},\n" for slug, (zh, en) in words.items()
    )
    types = "/** @type {{[code: string]: {zh: string, en: string}}} */\n"
    return f"{_HEAD}const SLUGS = {{\n{slugs}}};\n\n{types}const MESSAGES = {{\n{messages}}};\n{_TAIL}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def main() -> None:
    """Write the file."""
    PATH.write_text(module(), encoding="utf-8")


if __name__ == "__main__":
    main()
