"use strict";
// Everything that can go wrong, and its words for a person. Written by `python -m ops.client_slugs` from the service's
// catalogue: change it there. docs/failures.md has the words for developers.

const SLUGS = {
  BAD_MESSAGE: "bad_message",
  NOT_STARTED: "not_started",
  ALREADY_STARTED: "already_started",
  BAD_START: "bad_start",
  ENGINE_NOT_SUPPORTED: "engine_not_supported",
  UNSUPPORTED_AUDIO: "unsupported_audio",
  STEREO_SUSPECTED: "stereo_suspected",
  UNAUTHENTICATED: "unauthenticated",
  TOKEN_EXPIRED: "token_expired",
  FORBIDDEN: "forbidden",
  TOO_MANY_STREAMS: "too_many_streams",
  TOO_MANY_NEW_STREAMS: "too_many_new_streams",
  QUOTA_EXCEEDED: "quota_exceeded",
  START_TIMEOUT: "start_timeout",
  IDLE_TIMEOUT: "idle_timeout",
  CLIENT_TOO_SLOW: "client_too_slow",
  MESSAGE_TOO_BIG: "message_too_big",
  NOT_CONFIGURED: "not_configured",
  RECOGNIZER_REJECTED: "recognizer_rejected",
  RECOGNIZER_UNAVAILABLE: "recognizer_unavailable",
  RECOGNIZER_TIMEOUT: "recognizer_timeout",
  RECOGNIZER_BUSY: "recognizer_busy",
  OVERLOADED: "overloaded",
  RESTARTING: "restarting",
  BAD_REQUEST: "bad_request",
  AUDIO_TOO_LONG: "audio_too_long",
  TOO_MANY_REQUESTS: "too_many_requests",
  AUDIO_LOST: "audio_lost",
  NOT_FOUND: "not_found",
  LOGIN_REFUSED: "login_refused",
  LOGIN_REJECTED: "login_rejected",
  LOGIN_UNAVAILABLE: "login_unavailable",
  HISTORY_UNAVAILABLE: "history_unavailable",
  INTERNAL: "internal",
  CONNECTION_LOST: "connection_lost",
  CANCELED: "canceled",
  NOT_SETTLED: "not_settled",
  LOGIN_FAILED: "login_failed",
  REQUEST_FAILED: "request_failed",
  MICROPHONE_DENIED: "microphone_denied",
  MICROPHONE_FAILED: "microphone_failed",
  MICROPHONE_SILENT: "microphone_silent",
  WEBM_RECORDED: "webm_recorded",
};

/** @type {{[code: string]: {zh: string, en: string}}} */
const MESSAGES = {
  bad_message: {
    zh: "程序出错，请更新后重试",
    en: "The app made an error. Please update it and try again.",
  },
  not_started: {
    zh: "录音还没有开始",
    en: "The recording has not begun.",
  },
  already_started: {
    zh: "录音已经开始",
    en: "The recording has begun already.",
  },
  bad_start: {
    zh: "识别设置有误，请更新程序",
    en: "The app's speech settings are wrong. Please update it.",
  },
  engine_not_supported: {
    zh: "不支持所选的语言或引擎",
    en: "The chosen language or engine is not available.",
  },
  unsupported_audio: {
    zh: "录音格式不支持，请用手机重试",
    en: "This recording cannot be recognized. Please try on a phone.",
  },
  stereo_suspected: {
    zh: "录音可能是双声道，识别会不准",
    en: "The recording seems to be stereo, which is recognized badly.",
  },
  unauthenticated: {
    zh: "请先登录",
    en: "Please log in.",
  },
  token_expired: {
    zh: "登录已过期，请重新登录",
    en: "Your login has expired. Please log in again.",
  },
  forbidden: {
    zh: "没有使用权限，请联系管理员",
    en: "You may not use this. Please ask the administrator.",
  },
  too_many_streams: {
    zh: "同时进行的录音太多，请先结束一个",
    en: "Too many recordings at a time. Please end one first.",
  },
  too_many_new_streams: {
    zh: "操作太频繁，请稍后再试",
    en: "That was too often. Please try again in a moment.",
  },
  quota_exceeded: {
    zh: "已达到使用上限，请稍后再试",
    en: "The limit of use is reached. Please try again later.",
  },
  start_timeout: {
    zh: "连接超时，正在重试",
    en: "The connection took too long. Trying again.",
  },
  idle_timeout: {
    zh: "连接长时间没有声音，已断开",
    en: "The connection was idle for too long.",
  },
  client_too_slow: {
    zh: "网络太慢，正在重连",
    en: "The network is too slow. Reconnecting.",
  },
  message_too_big: {
    zh: "录音数据过大，请更新程序",
    en: "The app sent too much at once. Please update it.",
  },
  not_configured: {
    zh: "服务尚未开通，请联系管理员",
    en: "The service is not set up yet. Please tell the administrator.",
  },
  recognizer_rejected: {
    zh: "语音识别不可用，请联系管理员",
    en: "Recognition is not available. Please tell the administrator.",
  },
  recognizer_unavailable: {
    zh: "语音识别暂时不可用，请稍后再试",
    en: "Recognition is not available now. Please try again soon.",
  },
  recognizer_timeout: {
    zh: "语音识别超时，请重试",
    en: "Recognition took too long. Please try again.",
  },
  recognizer_busy: {
    zh: "识别繁忙，请稍后再试",
    en: "Recognition is busy. Please try again soon.",
  },
  overloaded: {
    zh: "服务繁忙，请稍后再试",
    en: "The service is busy. Please try again soon.",
  },
  restarting: {
    zh: "服务正在更新，马上恢复",
    en: "The service is being updated and will be back at once.",
  },
  bad_request: {
    zh: "请求有误，请更新程序",
    en: "The app made a wrong request. Please update it.",
  },
  audio_too_long: {
    zh: "录音太长",
    en: "The recording is too long.",
  },
  too_many_requests: {
    zh: "请求太多，请稍后再试",
    en: "There are too many requests. Please try again soon.",
  },
  audio_lost: {
    zh: "有一段声音没有识别到，请补说",
    en: "A part was not recognized. Please say it again.",
  },
  not_found: {
    zh: "记录不存在或已删除",
    en: "This record does not exist any more.",
  },
  login_refused: {
    zh: "登录失败，请重新登录",
    en: "The login failed. Please log in again.",
  },
  login_rejected: {
    zh: "登录服务配置有误，请联系管理员",
    en: "Login is not set up well. Please tell the administrator.",
  },
  login_unavailable: {
    zh: "微信登录暂时不可用，请稍后再试",
    en: "WeChat's login is not available now. Please try again soon.",
  },
  history_unavailable: {
    zh: "历史记录暂时不可用",
    en: "The history is not available now.",
  },
  internal: {
    zh: "服务出错，请重试",
    en: "The service made an error. Please try again.",
  },
  connection_lost: {
    zh: "网络连接中断",
    en: "The connection was lost.",
  },
  canceled: {
    zh: "已取消",
    en: "Canceled.",
  },
  not_settled: {
    zh: "最后一段话没有识别完",
    en: "The last words were not recognized in time.",
  },
  login_failed: {
    zh: "登录失败，请检查网络",
    en: "The login failed. Please check the network.",
  },
  request_failed: {
    zh: "请求失败，请检查网络",
    en: "The request failed. Please check the network.",
  },
  microphone_denied: {
    zh: "请在设置中允许使用麦克风",
    en: "Please allow the microphone in the settings.",
  },
  microphone_failed: {
    zh: "无法录音，请重试",
    en: "The microphone could not be used. Please try again.",
  },
  microphone_silent: {
    zh: "这台设备不能边录边传，请用手机",
    en: "This device does not deliver sound while recording. Use a phone.",
  },
  webm_recorded: {
    zh: "开发者工具只能录 WebM，无法实时识别，松手后整段识别；请用真机预览",
    en: "The developer tools record only WebM: it is recognized at the end, as a whole. Try on a phone.",
  },
};

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
