"use strict";
// Virtual time, and sockets whose other end is the test: for what a real service does too seldom.

const { VoiceStream } = require("../../../miniprogram/lib/voice-stream.js");

class FakeSocket {
  constructor() {
    /** @type {any[]} */
    this.sent = [];
    this.isClosed = false;
    this.buffered = 0;
    this.onmessage = (/** @type {any} */ _data) => {};
    this.onclose = (/** @type {any} */ _close) => {};
    this.onerror = (/** @type {string} */ _message) => {};
  }

  send(/** @type {any} */ data) {
    if (this.isClosed) throw new Error("closed");
    this.sent.push(data);
  }

  close() {
    this.isClosed = true;
  }

  bufferedBytes() {
    return this.buffered;
  }

  /** What the service says. @param {any} message */
  says(message) {
    this.onmessage(JSON.stringify(message));
  }

  welcome(fields = {}) {
    this.says({ type: "welcome", protocol: 1, heartbeatMs: 10000, maxStreamMs: 600000, resume: true, ...fields });
  }

  ready(streamId = "s1") {
    this.says({ type: "ready", streamId });
  }

  /** @param {number} index @param {string} text @param {boolean} isFinal @param {number} settledMs */
  result(index, text, isFinal, settledMs = 0) {
    this.says({ type: "result", index, text, isFinal, startMs: 0, endMs: settledMs, wordList: [], ...(isFinal ? { settledMs } : {}) });
  }

  stopped(relayedBytes = 1e9) {
    this.says({ type: "stopped", text: "", sentences: 0, durationMs: 1, logId: 7, audio: { relayedBytes } });
  }

  fails(code = "overloaded", fields = {}) {
    this.says({ type: "error", code, message: "no", retryable: true, retryAfterMs: null, fatal: true, ...fields });
    this.onclose({ code: 4503, reason: "" });
  }

  /** The messages that the phone has sent. @param {string} [type] */
  heard(type) {
    const messages = this.sent.filter((data) => typeof data === "string").map((data) => JSON.parse(data));
    return type ? messages.filter((message) => message.type === type) : messages;
  }

  get audioBytes() {
    return this.sent.filter((data) => typeof data !== "string").reduce((sum, data) => sum + data.byteLength, 0);
  }
}

class World {
  constructor(settings = {}) {
    this.time = 0;
    /** @type {{at: number, action: () => void}[]} */
    this._timers = [];
    /** @type {FakeSocket[]} */
    this.sockets = [];
    this.unwatched = 0;
    /** @type {any} */
    this.adapter = {
      connect: () => {
        const socket = new FakeSocket();
        this.sockets.push(socket);
        return socket;
      },
      now: () => this.time,
      setTimer: (/** @type {() => void} */ action, /** @type {number} */ ms) => {
        const timer = { at: this.time + ms, action };
        this._timers.push(timer);
        return timer;
      },
      clearTimer: (/** @type {any} */ timer) => {
        this._timers = this._timers.filter((each) => each !== timer);
      },
      random: () => 0.5,
      watch: () => () => (this.unwatched += 1),
    };
    this.stream = new VoiceStream({ url: "wss://host", adapter: this.adapter, ...settings });
    /** @type {any[]} */
    this.errors = [];
    this.stream.on("error", (error) => this.errors.push(error));
  }

  get timers() {
    return this._timers.length;
  }

  get socket() {
    return this.sockets[this.sockets.length - 1];
  }

  /** Lets so much time go by; what is due happens in order. @param {number} ms */
  async pass(ms) {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const due = this._timers.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)[0];
      if (!due) break;
      this.time = Math.max(this.time, due.at);
      this._timers = this._timers.filter((each) => each !== due);
      due.action();
      await settled();
    }
    this.time = end;
  }

  /** A stream that the service has accepted. */
  async streaming() {
    this.stream.start().catch(() => {});
    await settled();
    this.socket.welcome();
    this.socket.ready();
    return this.socket;
  }
}

/** Promises that can go on have gone on. */
function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}

/** @param {number} ms */
function pcm(ms) {
  return new ArrayBuffer(32 * ms);
}

module.exports = { World, pcm, settled };
