"use strict";
// One connection of a talk: its deadlines, its heartbeat, and what is on its way. It ends once, whichever side ends it.

const { problemOf } = require("./decisions.js");
const { Timers } = require("./timers.js");

const CLOSE_LIMIT_MS = 3000; // from a fatal error to the close
const PONG_LIMIT_MS = 8000; // a heartbeat may stand behind a replay on a slow link
const MIN_HEARTBEAT_MS = 1000;
const MAX_IN_FLIGHT_BYTES = 65536; // handed to the socket and not yet on its way: two seconds of PCM

/** @typedef {import("./types").VoiceProblem} VoiceProblem */

class Link {
  /**
   * Dials at once.
   * @param {import("./types").Adapter} adapter
   * @param {{url: string, token: string | null}} target
   * @param {(message: any) => void} onMessage
   * @param {(code: number, problem: VoiceProblem) => void} onEnd not called after `close`; `code` is that of the close
   */
  constructor(adapter, target, onMessage, onEnd) {
    this._adapter = adapter;
    this._onMessage = onMessage;
    this._onEnd = onEnd;
    this._isOver = false;
    this._isOpen = false; // nothing may be sent before the first message has come
    this._pongDueAt = 0;
    this._timers = new Timers(adapter);
    /** @type {import("./types").VoiceSocket | null} */
    this._socket = null;
    try {
      this._socket = adapter.connect(target);
    } catch (error) {
      this._timers.after("failed", 0, () => this._end(1006, `Cannot connect: ${error}`));
      return;
    }
    this._socket.onmessage = (data) => this._hear(data);
    this._socket.onclose = ({ code, reason }) => this._end(code, `The connection was closed: ${code} ${reason || ""}`);
    this._socket.onerror = (message) => this._end(1006, `The connection failed: ${message}`);
  }

  /**
   * The next step must come within a time, else the connection is over. Replaces the expectation before it.
   * @param {string} what
   * @param {number} limitMs 0: nothing is expected any more
   */
  expect(what, limitMs) {
    this._timers.clear("step");
    if (limitMs > 0) this._timers.after("step", limitMs, () => this._end(1006, `There was no ${what} within ${limitMs} ms.`));
  }

  /** A fatal error was heard: the close follows. */
  expectClose() {
    this.expect("close", CLOSE_LIMIT_MS);
  }

  /** @param {number} everyMs */
  beat(everyMs) {
    const intervalMs = Math.max(MIN_HEARTBEAT_MS, everyMs);
    this._timers.after("beat", intervalMs, () => {
      this.probe(PONG_LIMIT_MS);
      this.beat(intervalMs);
    });
  }

  /**
   * Finds out whether the other side is still there: any message of it within the time will do. Of two questions that are
   * open, the one that is due first counts.
   * @param {number} limitMs
   */
  probe(limitMs) {
    if (!this._isOpen) {
      this.expect("welcome", limitMs);
      return;
    }
    const dueAt = this._adapter.now() + limitMs;
    if (!this._timers.has("pong") || dueAt < this._pongDueAt) {
      this._pongDueAt = dueAt;
      this._timers.after("pong", limitMs, () => this._end(1006, `No sign of life in ${limitMs} ms.`));
    }
    this.say({ type: "ping", t: this._adapter.now() });
  }

  /** Whether more may be sent now. */
  get hasRoom() {
    return this._socket !== null && this._socket.bufferedBytes() < MAX_IN_FLIGHT_BYTES;
  }

  /** @param {object} message */
  say(message) {
    this.send(JSON.stringify(message));
  }

  /**
   * Does nothing before the first message of the service, and after the end.
   * @param {string | ArrayBuffer} data
   */
  send(data) {
    if (!this._isOpen || this._socket === null) return;
    try {
      this._socket.send(data);
    } catch (error) {
      this._end(1006, `Cannot send: ${error}`);
    }
  }

  /** Ends it from this side. */
  close() {
    this._isOver = true;
    this._isOpen = false;
    this._timers.clearAll();
    const socket = this._socket;
    this._socket = null;
    if (socket === null) return;
    socket.onmessage = socket.onclose = socket.onerror = () => {};
    try {
      socket.close(1000, "done");
    } catch (error) {
      void error; // it is closed already
    }
  }

  /** @param {string | ArrayBuffer} data */
  _hear(data) {
    this._timers.clear("pong");
    this._isOpen = true;
    /** @type {any} */
    let message;
    try {
      message = JSON.parse(String(data));
    } catch (error) {
      this._end(1006, `That is not a message of the service: ${error}`);
      return;
    }
    this._onMessage(message);
  }

  /**
   * @param {number} code
   * @param {string} why
   */
  _end(code, why) {
    if (this._isOver) return;
    this.close();
    this._onEnd(code, problemOf("connection_lost", why, true));
  }
}

module.exports = { Link };
