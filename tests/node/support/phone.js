"use strict";
// A phone with WeChat on it, as far as the library needs one, with the ways in which a real one is difficult
// (docs/miniprogram.md names the sources): recorder frames of the real sizes, no more than five sockets, `success` before the
// connection is open, no pings for programs, programs that are suspended 5 s after they left the foreground.
//
// The program runs in a realm of its own, whose only globals are those that WeChat gives.

const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");
const { Network } = require("./network.js");
const { Recorder } = require("./recorder.js");

const ROOT = path.resolve(__dirname, "../../../miniprogram");
const SUSPEND_AFTER_MS = 5000;

class Phone {
  /**
   * @param {{pcm?: Buffer, allowsMicrophone?: boolean, codes?: string[], intercept?: Function, containerUrl?: string,
   *   isDevtools?: boolean, frameBytes?: number[], file?: Buffer, longestMs?: number}} [settings] `pcm` is what the person
   *   will say; recorder.js has more of them
   */
  constructor(settings = {}) {
    this.settings = settings;
    this.isSuspended = false;
    /** @type {(() => void)[]} */
    this._waiting = [];
    /** @type {Map<string, Set<Function>>} */
    this._listeners = new Map();
    /** @type {{[key: string]: any}} */
    this.storage = {};
    this.clipboard = "";
    /** Recordings, by their paths. @type {Map<string, Buffer>} */
    this.files = new Map();
    this.network = new Network(this);
    this.recorder = new Recorder(this, settings);
    this.wx = this._wx();
    this._load = this._realm();
  }

  /** @param {string} file below miniprogram/ */
  require(file) {
    return this._load(path.join(ROOT, file));
  }

  /** Everything that WeChat calls goes through here: while the program is suspended, it waits. @param {() => void} action */
  call(action) {
    if (this.isSuspended) this._waiting.push(action);
    else action();
  }

  /** The Home key, or the screen's lock. */
  hide() {
    this.recorder.pauseByHome();
    this._emit("hide", {});
    this._suspending = setTimeout(() => (this.isSuspended = true), SUSPEND_AFTER_MS);
  }

  show() {
    clearTimeout(this._suspending);
    this.isSuspended = false;
    for (const action of this._waiting.splice(0)) action();
    this._emit("show", {});
  }

  /** Another network: connections of the old one are dead. @param {import("./network.js").Way} way */
  switchNetwork(way) {
    this.network.cut(way);
    this.call(() => this._emit("network", { isConnected: true, networkType: "4g" }));
  }

  loseNetwork() {
    this.network.isUp = false;
    this.network.cut("silent");
    this.call(() => this._emit("network", { isConnected: false, networkType: "none" }));
  }

  findNetwork() {
    this.network.isUp = true;
    this.call(() => this._emit("network", { isConnected: true, networkType: "wifi" }));
  }

  /** @param {string} event @param {object} detail */
  _emit(event, detail) {
    for (const listener of this._listeners.get(event) || []) listener(detail);
  }

  /** How many listeners the program has left behind. */
  get listenerCount() {
    return Array.from(this._listeners.values()).reduce((sum, listeners) => sum + listeners.size, 0);
  }

  /** @param {string} event */
  _listen(event) {
    const listeners = this._listeners.get(event) || new Set();
    this._listeners.set(event, listeners);
    return listeners;
  }

  _wx() {
    const { network, recorder, settings } = this;
    /** @param {any} options @param {any} [result] @param {boolean} [isFailed] */
    const answer = (options, result = {}, isFailed = false) => {
      setTimeout(() => this.call(() => (isFailed ? options.fail : options.success)?.(result)), 1);
    };
    const codes = settings.codes || ["code-1", "code-2", "code-3"];
    return {
      connectSocket: (/** @type {any} */ options) => network.connectSocket(options),
      request: (/** @type {any} */ options) => network.request(options),
      uploadFile: (/** @type {any} */ options) => network.uploadFile(options),
      cloud: {
        init: () => {},
        connectContainer: (/** @type {any} */ options) => network.connectContainer(options),
      },
      getRecorderManager: () => recorder.manager,
      authorize: (/** @type {any} */ options) => {
        const isDenied = settings.allowsMicrophone === false;
        answer(options, { errMsg: isDenied ? "authorize:fail auth deny" : "authorize:ok" }, isDenied);
      },
      login: (/** @type {any} */ options) => answer(options, { code: codes.shift() }),
      getStorageSync: (/** @type {string} */ key) => (key in this.storage ? this.storage[key] : ""),
      setStorageSync: (/** @type {string} */ key, /** @type {any} */ value) => (this.storage[key] = value),
      setClipboardData: (/** @type {any} */ { data }) => (this.clipboard = data),
      onNetworkStatusChange: (/** @type {Function} */ listener) => this._listen("network").add(listener),
      offNetworkStatusChange: (/** @type {Function} */ listener) => this._listen("network").delete(listener),
      onAppHide: (/** @type {Function} */ listener) => this._listen("hide").add(listener),
      offAppHide: (/** @type {Function} */ listener) => this._listen("hide").delete(listener),
      onAppShow: (/** @type {Function} */ listener) => this._listen("show").add(listener),
      offAppShow: (/** @type {Function} */ listener) => this._listen("show").delete(listener),
    };
  }

  /** Modules as WeChat has them: CommonJS, and no globals of Node. */
  _realm() {
    const globals = {
      wx: this.wx,
      setTimeout: (/** @type {() => void} */ action, /** @type {number} */ ms) => setTimeout(() => this.call(action), ms),
      clearTimeout: (/** @type {any} */ timer) => clearTimeout(timer),
      console,
      App: (/** @type {any} */ app) => (this.app = app),
      Page: (/** @type {any} */ page) => (this.page = page),
      getApp: () => this.app,
    };
    const realm = vm.createContext(globals);
    /** @type {Map<string, any>} */
    const loaded = new Map();
    /** @param {string} file @returns {any} */
    const load = (file) => {
      if (!loaded.has(file)) {
        const module = { exports: {} };
        loaded.set(file, module);
        const code = `(function (module, exports, require) {${fs.readFileSync(file, "utf8")}\n})`;
        const near = (/** @type {string} */ name) => load(path.resolve(path.dirname(file), name));
        vm.runInContext(code, realm, { filename: file })(module, module.exports, near);
      }
      return loaded.get(file).exports;
    };
    return load;
  }
}

module.exports = { Phone };
