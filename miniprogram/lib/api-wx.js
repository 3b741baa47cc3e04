"use strict";
// What goes over HTTP: the login, the recording as a whole, the history. Answers are {code, message, data}: docs/recognize.md.

const { LOGIN_AGAIN, problemOf, voiceError } = require("./decisions.js");

const HISTORY = "/api/realtime-voice/history";
const STORAGE_KEY = "voice.token";
const EARLY_MS = 60000; // a token is renewed so long before its end, and not in the first half of its life
const REQUEST_LIMIT_MS = 10000;
const UPLOAD_LIMIT_MS = 60000; // CloudBase ends a request then

/** @typedef {import("./types").HistoryPage} HistoryPage */
/** @typedef {import("./types").HistoryRecord} HistoryRecord */
/** @typedef {import("./types").Login} Login */
/** @typedef {import("./types").Recognized} Recognized */
/** @typedef {import("./types").Stats} Stats */

class Api {
  /**
   * @param {{baseUrl: string, hasLogin?: boolean}} settings `baseUrl` is `https://host`; without login (AUTH_MODE=off)
   *   there are no tokens
   */
  constructor({ baseUrl, hasLogin = true }) {
    this._baseUrl = baseUrl.replace(/^ws/, "http").replace(/\/+$/, "");
    this._hasLogin = hasLogin;
    /** @type {Login | null} */
    this._login = null;
    /** The login that is being made: two that want one share it. @type {Promise<string> | null} */
    this._pending = null;
  }

  /**
   * The token of this person; logs in where there is none, or where it is nearly over.
   * @param {{renew?: boolean}} [wish] `renew`: the service has refused the last one
   * @returns {Promise<string | null>} rejects with a problem that says whether to try again
   */
  getToken({ renew = false } = {}) {
    if (!this._hasLogin) return Promise.resolve(null);
    if (this._pending) return this._pending;
    const login = this._login || /** @type {Login | ""} */ (wx.getStorageSync(STORAGE_KEY));
    if (!renew && login && login.renewAt > Date.now()) {
      this._login = login;
      return Promise.resolve(login.token);
    }
    const forget = () => (this._pending = null);
    this._pending = this._logIn();
    this._pending.then(forget, forget);
    return this._pending;
  }

  /**
   * Recognizes a recording as a whole: where no stream can be had.
   * @param {string} path
   * @param {{[name: string]: any}} [fields] as in `start`
   * @returns {Promise<Recognized>}
   */
  recognize(path, fields = {}) {
    return this._withToken(
      (token) =>
        new Promise((resolve, reject) => {
          /** @type {{[name: string]: string}} */
          const formData = {};
          for (const [name, value] of Object.entries(fields)) {
            formData[name] = typeof value === "object" ? JSON.stringify(value) : String(value);
          }
          wx.uploadFile({
            url: `${this._baseUrl}/api/realtime-voice/recognize`,
            filePath: path,
            name: "audio",
            formData,
            header: headerOf(token),
            timeout: UPLOAD_LIMIT_MS,
            success: ({ data }) => settle(data, resolve, reject),
            fail: ({ errMsg }) => reject(voiceError(problemOf("request_failed", errMsg, true))),
          });
        }),
    );
  }

  /**
   * @param {"GET" | "POST" | "DELETE"} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>} `data` of the answer
   */
  request(method, path, body) {
    return this._withToken((token) => this._ask(method, path, body, token));
  }

  /**
   * What was said before, the latest first: docs/history.md. A page has at most 200 characters of each text.
   * @param {{limit?: number, cursor?: string | null}} [page] `cursor`: the `nextCursor` of the page before
   * @returns {Promise<HistoryPage>} rejects with `not_configured` where no history is kept
   */
  history({ limit = 20, cursor = null } = {}) {
    const behind = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    return this.request("GET", `${HISTORY}?limit=${limit}${behind}`);
  }

  /**
   * One talk or upload with its whole text.
   * @param {string} id the `logId` of the talk, or the `id` of a page's item
   * @returns {Promise<HistoryRecord>} rejects with `not_found`
   */
  record(id) {
    return this.request("GET", `${HISTORY}/${encodeURIComponent(id)}`);
  }

  /**
   * Deletes one talk or upload, with all its parts.
   * @param {string} id
   * @returns {Promise<{id: string}>} rejects with `not_found`
   */
  deleteRecord(id) {
    return this.request("DELETE", `${HISTORY}/${encodeURIComponent(id)}`);
  }

  /** @returns {Promise<Stats>} sums over all that is kept of this person */
  stats() {
    return this.request("GET", "/api/realtime-voice/stats");
  }

  /**
   * Does something with a token, and once more with another one where it was refused.
   * @template T
   * @param {(token: string | null) => Promise<T>} ask
   * @returns {Promise<T>}
   */
  _withToken(ask) {
    return this.getToken()
      .then(ask)
      .catch((error) => {
        if (!this._hasLogin || !LOGIN_AGAIN.includes(error.code)) throw error;
        return this.getToken({ renew: true }).then(ask);
      });
  }

  /** @returns {Promise<string>} */
  _logIn() {
    const code = new Promise((resolve, reject) => {
      const fail = (/** @type {{errMsg: string}} */ { errMsg }) => reject(voiceError(problemOf("login_failed", errMsg, true)));
      wx.login({ success: (result) => resolve(result.code), fail });
    });
    return code
      .then((given) => this._ask("POST", "/api/auth/wechat-login", { code: given }, null))
      .then(({ token, expiresIn }) => {
        const livesMs = 1000 * expiresIn;
        this._login = { token, renewAt: Date.now() + Math.max(livesMs - EARLY_MS, livesMs / 2) };
        wx.setStorageSync(STORAGE_KEY, this._login);
        return token;
      });
  }

  /**
   * @param {"GET" | "POST" | "DELETE"} method
   * @param {string} path
   * @param {object | undefined} body
   * @param {string | null} token
   * @returns {Promise<any>}
   */
  _ask(method, path, body, token) {
    return new Promise((resolve, reject) => {
      wx.request({
        url: this._baseUrl + path,
        method,
        data: body,
        header: headerOf(token),
        timeout: REQUEST_LIMIT_MS,
        success: ({ data }) => settle(data, resolve, reject),
        fail: ({ errMsg }) => reject(voiceError(problemOf("request_failed", errMsg, true))),
      });
    });
  }
}

/**
 * @param {string | null} token
 * @returns {{[name: string]: string}}
 */
function headerOf(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * @param {any} answer the envelope, or its text: `uploadFile` has a text
 * @param {(data: any) => void} resolve
 * @param {(error: Error) => void} reject
 */
function settle(answer, resolve, reject) {
  let envelope = answer;
  try {
    if (typeof answer === "string") envelope = JSON.parse(answer);
  } catch (error) {
    reject(voiceError(problemOf("request_failed", `The answer is not one of the service: ${error}`, true)));
    return;
  }
  if (envelope && envelope.code === 0) {
    resolve(envelope.data);
    return;
  }
  const { error = "request_failed", retryable = false, retryAfterMs = null } = (envelope && envelope.data) || {};
  const message = (envelope && envelope.message) || "There is no answer.";
  reject(voiceError(Object.assign(problemOf(error, message, retryable), { retryAfterMs })));
}

module.exports = { Api };
