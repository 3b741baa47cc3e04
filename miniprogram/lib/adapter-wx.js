"use strict";
// The voice stream on WeChat: sockets, timers, the network and the foreground.

const MAX_SOCKETS = 5; // of a mini-program at a time
const CLOSE_LIMIT_MS = 5000; // a socket on a dead network may never tell that it is closed

let openSockets = 0;

/** @typedef {import("./types").Adapter} Adapter */
/** @typedef {import("./types").VoiceSocket} VoiceSocket */

/** A SocketTask as the stream needs it. @implements {VoiceSocket} */
class WxSocket {
  constructor() {
    this.onmessage = (/** @type {string | ArrayBuffer} */ _data) => {};
    this.onclose = (/** @type {{code: number, reason?: string}} */ _close) => {};
    this.onerror = (/** @type {string} */ _message) => {};
    /** @type {WechatMiniprogram.SocketTask | null} */
    this._task = null;
    this._isClosed = false;
    this._isCounted = true;
    this._bufferedBytes = 0;
    openSockets += 1;
  }

  /** @param {WechatMiniprogram.SocketTask} task */
  attach(task) {
    this._task = task;
    task.onMessage(({ data }) => {
      if (!this._isClosed) this.onmessage(data);
    });
    task.onClose(({ code, reason }) => this._over(() => this.onclose({ code, reason })));
    task.onError(({ errMsg }) => this.fail(errMsg));
    if (this._isClosed) this._closeTask(); // given up before connectContainer had the task
  }

  /**
   * It is of no use any more, but one of the five until it is closed.
   * @param {string} message
   */
  fail(message) {
    this._closeTask();
    this._over(() => this.onerror(message));
  }

  /** @param {string | ArrayBuffer} data */
  send(data) {
    if (this._task === null) throw new Error("The socket is not there yet.");
    const bytes = typeof data === "string" ? data.length : data.byteLength;
    this._bufferedBytes += bytes;
    this._task.send({
      data,
      success: () => (this._bufferedBytes -= bytes),
      fail: ({ errMsg }) => this.fail(errMsg),
    });
  }

  close() {
    if (this._isClosed) return;
    this._isClosed = true;
    this._closeTask();
    setTimeout(() => this._uncount(), CLOSE_LIMIT_MS);
  }

  bufferedBytes() {
    return this._bufferedBytes;
  }

  /** @param {() => void} tell */
  _over(tell) {
    this._uncount();
    if (this._isClosed) return;
    this._isClosed = true;
    tell();
  }

  _closeTask() {
    if (this._task !== null) this._task.close({ code: 1000, reason: "done", fail: () => {} });
  }

  _uncount() {
    if (this._isCounted) openSockets -= 1;
    this._isCounted = false;
  }
}

/**
 * @param {{env: string, service: string} | undefined} container `wx.cloud.connectContainer` in place of a domain
 * @param {{url: string, token: string | null}} target
 * @returns {VoiceSocket}
 */
function connect(container, { url, token }) {
  if (openSockets >= MAX_SOCKETS) throw new Error(`${MAX_SOCKETS} sockets are open already.`);
  /** @type {{[name: string]: string}} */
  const header = token ? { Authorization: `Bearer ${token}` } : {};
  const socket = new WxSocket();
  const fail = (/** @type {{errMsg: string}} */ { errMsg }) => socket.fail(errMsg);
  try {
    if (container) {
      const { env, service } = container;
      const path = url.replace(/^wss?:\/\/[^/]*/, "");
      // The base library has it from 2.21.1 on.
      wx.cloud
        .connectContainer({ config: { env }, service, path, header, tcpNoDelay: true })
        .then(({ socketTask }) => socket.attach(socketTask), fail);
    } else {
      // `success` says no more than that the call was made; the stream waits for `welcome`.
      socket.attach(wx.connectSocket({ url, header, tcpNoDelay: true, fail }));
    }
  } catch (error) {
    socket.fail(String(error)); // there is no task: it is none of the five
    throw error;
  }
  return socket;
}

/**
 * The adapter for WeChat.
 * @param {{container?: {env: string, service: string}}} [options]
 * @returns {Adapter}
 */
function wxAdapter({ container } = {}) {
  return {
    connect: (target) => connect(container, target),
    now: () => Date.now(),
    setTimer: (action, ms) => setTimeout(action, ms),
    clearTimer: (timer) => clearTimeout(timer),
    watch(talk) {
      const network = (/** @type {any} */ { isConnected }) => {
        if (isConnected) talk.networkChanged();
      };
      const hide = () => talk.entersBackground();
      const show = () => talk.entersForeground();
      wx.onNetworkStatusChange(network);
      wx.onAppHide(hide);
      wx.onAppShow(show);
      return () => {
        wx.offNetworkStatusChange(network);
        wx.offAppHide(hide);
        wx.offAppShow(show);
      };
    },
  };
}

module.exports = { wxAdapter };
