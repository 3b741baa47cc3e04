"use strict";
// Events for a page.

class Emitter {
  /** @param {(action: () => void, ms: number) => unknown} setTimer */
  constructor(setTimer) {
    this._setTimer = setTimer;
    /** @type {{[type: string]: Function[]}} */
    this._handlers = {};
  }

  /**
   * Calls `handler` with each event of a type.
   * @template {keyof import("./types").Events} T
   * @param {T} type
   * @param {(event: import("./types").Events[T]) => void} handler
   * @returns {() => void} takes the handler off
   */
  on(type, handler) {
    this._handlers[type] = (this._handlers[type] || []).concat(handler);
    return () => {
      this._handlers[type] = this._handlers[type].filter((each) => each !== handler);
    };
  }

  /** @param {keyof import("./types").Events} type */
  hasHandlers(type) {
    return (this._handlers[type] || []).length > 0;
  }

  /**
   * A fault of a handler is shown as one, and harms nobody else.
   * @template {keyof import("./types").Events} T
   * @param {T} type
   * @param {import("./types").Events[T]} event
   */
  emit(type, event) {
    for (const handler of this._handlers[type] || []) {
      try {
        handler(event);
      } catch (error) {
        this._setTimer(() => {
          throw error;
        }, 0);
      }
    }
  }
}

module.exports = { Emitter };
