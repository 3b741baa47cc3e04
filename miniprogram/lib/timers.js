"use strict";
// Timers by name: setting one again replaces it.

class Timers {
  /** @param {import("./types").Adapter} adapter */
  constructor(adapter) {
    this._adapter = adapter;
    /** @type {Map<string, unknown>} */
    this._running = new Map();
  }

  /**
   * @param {string} name
   * @param {number} ms
   * @param {() => void} action
   */
  after(name, ms, action) {
    this.clear(name);
    const timer = this._adapter.setTimer(() => {
      this._running.delete(name);
      action();
    }, ms);
    this._running.set(name, timer);
  }

  /** @param {string} name */
  has(name) {
    return this._running.has(name);
  }

  /** @param {string[]} names */
  clear(...names) {
    for (const name of names) {
      if (this._running.has(name)) this._adapter.clearTimer(this._running.get(name));
      this._running.delete(name);
    }
  }

  clearAll() {
    this.clear(...Array.from(this._running.keys()));
  }
}

module.exports = { Timers };
