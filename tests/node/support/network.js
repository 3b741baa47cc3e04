"use strict";
// The network of a phone: its sockets and requests, over real connections that can die in either way.

const { Buffer } = require("node:buffer");
const WebSocket = require("ws");

/** @typedef {InstanceType<typeof import("./phone.js").Phone>} Phone */

/** How a connection dies. @typedef {"silent" | "unsendable" | "reset"} Way */

const MAX_SOCKETS = 5;

class Network {
  /** @param {Phone} phone */
  constructor(phone) {
    this._phone = phone;
    this.isUp = true;
    /** A network that lets no WebSocket through, as some proxies do. */
    this.blocksSockets = false;
    /** @type {Set<SocketTask>} */
    this.tasks = new Set();
    /** The most there were at a time. */
    this.peak = 0;
    this.dials = 0;
    /** What each connection was sent, from the first to the last. @type {(string | Buffer)[][]} */
    this.sent = [];
    /** Headers of each dial. @type {any[]} */
    this.headers = [];
    /** Method and path of each request. @type {string[]} */
    this.requests = [];
    /** The fields of each upload. @type {any[]} */
    this.uploads = [];
  }

  /** @param {any} options */
  connectSocket(options) {
    const task = new SocketTask(this, this._phone);
    const fail = (/** @type {string} */ errMsg) => setTimeout(() => this._phone.call(() => options.fail?.({ errMsg })), 1);
    if (this.tasks.size >= MAX_SOCKETS) {
      fail("connectSocket:fail max connections");
      return task;
    }
    this.tasks.add(task);
    this.sent.push(task.sent);
    this.peak = Math.max(this.peak, this.tasks.size);
    this.dials += 1;
    this.headers.push(options.header);
    // It says no more than that the call was made.
    setTimeout(() => this._phone.call(() => options.success?.({ errMsg: "connectSocket:ok" })), 0);
    if (this.isUp && !this.blocksSockets) task.dial(options.url, options.header);
    else setTimeout(() => task.fail("connectSocket:fail network is down"), 20);
    return task;
  }

  /** @param {any} options */
  connectContainer(options) {
    const url = this._phone.settings.containerUrl;
    const socketTask = this.connectSocket({ ...options, url: url + options.path });
    return new Promise((resolve) => setTimeout(() => this._phone.call(() => resolve({ socketTask })), 5));
  }

  /** Whatever is connected is connected no more. @param {Way} way */
  cut(way) {
    for (const task of this.tasks) task.cut(way);
  }

  /** @param {any} options */
  request(options) {
    this.requests.push(`${options.method} ${new URL(options.url).pathname}`);
    const headers = { "content-type": "application/json", ...options.header };
    const body = options.data === undefined ? undefined : JSON.stringify(options.data);
    this._fetch(options.url, { method: options.method, headers, body }, options, (text) => {
      try {
        return JSON.parse(text); // what it can parse it parses, else it gives the text
      } catch {
        return text;
      }
    });
  }

  /** @param {any} options */
  uploadFile(options) {
    this.uploads.push({ ...options.formData });
    const form = new FormData();
    for (const [name, value] of Object.entries(options.formData || {})) form.append(name, String(value));
    const file = this._phone.files.get(options.filePath);
    form.append(options.name, new Blob([new Uint8Array(file || [])]), "recording");
    this._fetch(options.url, { method: "POST", headers: options.header, body: form }, options, (text) => text);
  }

  /** @param {string} url @param {any} init @param {any} options @param {(text: string) => any} parse */
  async _fetch(url, init, options, parse) {
    try {
      if (!this.isUp) throw new Error("network is down");
      const { intercept } = this._phone.settings;
      const response = (intercept && (await intercept(url, init))) || (await fetch(url, init));
      const data = parse(await response.text());
      this._phone.call(() => options.success?.({ statusCode: response.status, data, errMsg: "ok" }));
    } catch (error) {
      this._phone.call(() => options.fail?.({ errMsg: `request:fail ${error}` }));
    }
  }
}

class SocketTask {
  /** @param {Network} network @param {Phone} phone */
  constructor(network, phone) {
    this._network = network;
    this._phone = phone;
    /** @type {{[event: string]: Function[]}} */
    this._handlers = { open: [], message: [], close: [], error: [] };
    /** @type {WebSocket | null} */
    this._socket = null;
    /** @type {(string | Buffer)[]} */
    this.sent = [];
    this._isDead = false;
    this._way = "";
  }

  onOpen(/** @type {Function} */ handler) {
    this._handlers.open.push(handler);
  }
  onMessage(/** @type {Function} */ handler) {
    this._handlers.message.push(handler);
  }
  onClose(/** @type {Function} */ handler) {
    this._handlers.close.push(handler);
  }
  onError(/** @type {Function} */ handler) {
    this._handlers.error.push(handler);
  }

  /** @param {string} url @param {any} header */
  dial(url, header) {
    const socket = (this._socket = new WebSocket(url, { headers: header, perMessageDeflate: false }));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this._tell("open", { header: {} });
    socket.onmessage = ({ data }) => this._tell("message", { data });
    socket.onclose = ({ code, reason }) => {
      if (!this._isDead) this._over(code, reason);
    };
    socket.onerror = ({ message }) => this._tell("error", { errMsg: message });
  }

  /** @param {any} options */
  send({ data, success, fail }) {
    const isOpen = this._socket !== null && this._socket.readyState === WebSocket.OPEN;
    if (!isOpen && this._way !== "silent") {
      setTimeout(() => this._phone.call(() => fail?.({ errMsg: "sendSocketMessage:fail not open" })), 1);
      return;
    }
    // On a network that died in silence the kernel takes it, and nobody ever reads it.
    this.sent.push(typeof data === "string" ? data : Buffer.from(data.slice(0))); // ws masks what it is given
    if (isOpen) this._socket?.send(data);
    setTimeout(() => this._phone.call(() => success?.({ errMsg: "ok" })), 1);
  }

  /** @param {any} [options] */
  close({ code = 1000, reason = "", fail } = {}) {
    if (code !== 1000 && (code < 3000 || code > 4999)) throw new Error(`a program may not close with ${code}`);
    if (Buffer.byteLength(reason) > 123) throw new Error("the reason is too long");
    if (!this._network.tasks.has(this)) {
      setTimeout(() => this._phone.call(() => fail?.({ errMsg: "closeSocket:fail" })), 1);
      return;
    }
    if (this._isDead || this._socket === null) this._over(1006, "");
    else this._socket.close(code, reason);
  }

  /** @param {string} errMsg */
  fail(errMsg) {
    this._tell("error", { errMsg });
    this._over(1006, "");
  }

  /**
   * Nothing goes through any more. `silent`: the program is not told, and the socket is its own until it closes it;
   * `unsendable`: it can find out by sending.
   * @param {Way} way
   */
  cut(way) {
    if (way === "reset") this._tell("error", { errMsg: "Software caused connection abort" });
    this._isDead = true;
    this._way = way;
    this._socket?.terminate();
    if (way === "reset") this._over(1006, "");
  }

  /** @param {number} code @param {string} reason */
  _over(code, reason) {
    if (!this._network.tasks.delete(this)) return;
    this._phone.call(() => this._handlers.close.forEach((handler) => handler({ code, reason })));
  }

  /** @param {string} event @param {object} detail */
  _tell(event, detail) {
    if (!this._isDead) this._phone.call(() => this._handlers[event].forEach((handler) => handler(detail)));
  }
}

module.exports = { MAX_SOCKETS, Network };
