"use strict";
// What a talk says: its audio, and `finalize` and `stop` at their places in it. A cursor tells how much of it the present
// connection was sent; a new connection moves the cursor back.

const MAX_MESSAGE_BYTES = 32000; // half of what the service takes

/** @typedef {import("./types").Finalized} Finalized */

class Uplink {
  /** @param {import("./types").Kept} kept */
  constructor(kept) {
    this.kept = kept;
    /** `finalize`s that are not answered. @type {import("./types").Mark[]} */
    this._marks = [];
    this._markCount = 0;
    this._cursor = 0;
    this._begin = 0;
    this._isOpen = false;
    /** `stop` was said on the present connection. */
    this.isStopSent = false;
  }

  /** How much of the audio the present connection was sent. */
  get sentBytes() {
    return this._cursor - this._begin;
  }

  /** The present connection was sent all that there is. */
  get isAllSent() {
    return this._isOpen && this._cursor >= this.kept.endByte;
  }

  get hasMarks() {
    return this._marks.length > 0;
  }

  /**
   * A connection takes audio from this position on.
   * @param {number} byte
   */
  open(byte) {
    this._cursor = this._begin = byte;
    this._isOpen = true;
  }

  /** The connection is gone: what it was asked is asked again. */
  close() {
    this._isOpen = this.isStopSent = false;
    this._marks.forEach((mark) => (mark.isSent = false));
  }

  /**
   * Sends what the connection takes and was not sent yet.
   * @param {import("./types").VoiceLink} link
   * @param {boolean} isEnding `stop` follows the last byte
   * @returns {"done" | "full" | "behind"} full: call again; behind: what it needs next has been forgotten
   */
  pump(link, isEnding) {
    while (this._isOpen && !this.isStopSent) {
      if (this._cursor < this.kept.startByte) return "behind";
      if (!link.hasRoom) return "full";
      const mark = this._marks.find((each) => !each.isSent);
      const end = mark ? mark.byte : this.kept.endByte;
      if (this._cursor < end) {
        const audio = this.kept.read(this._cursor, Math.min(MAX_MESSAGE_BYTES, end - this._cursor));
        this._cursor += audio.byteLength;
        link.send(audio);
      } else if (mark) {
        mark.isSent = true;
        link.say({ type: "finalize", id: mark.id });
      } else if (isEnding) {
        this.isStopSent = true;
        link.say({ type: "stop" });
      } else {
        break;
      }
    }
    return "done";
  }

  /**
   * `finalize` at the present end of the audio.
   * @param {(answer: Finalized) => void} [resolve]
   * @param {(error: Error) => void} [reject]
   */
  mark(resolve = () => {}, reject = () => {}) {
    this._markCount += 1;
    this._marks.push({ id: this._markCount, byte: this.kept.endByte, isSent: false, resolve, reject });
  }

  /**
   * @param {number} id
   * @param {Finalized} answer
   */
  answered(id, answer) {
    const at = this._marks.findIndex((mark) => mark.id === id);
    if (at >= 0) this._marks.splice(at, 1)[0].resolve(answer);
  }

  /**
   * No more answers come.
   * @param {Error} error
   */
  rejectMarks(error) {
    this._marks.splice(0).forEach((mark) => mark.reject(error));
  }
}

module.exports = { Uplink };
