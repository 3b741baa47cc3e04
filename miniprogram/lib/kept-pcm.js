"use strict";
// The audio of a talk that may have to be said again, and how loud it is.

/** @typedef {import("./types").Kept} Kept */

/**
 * PCM that is not settled yet, by its position in the talk. When it is full, the oldest goes: a resumed stream then says
 * from where on it has audio, and the gap is an `audio_lost`.
 * @implements {Kept}
 */
class KeptPcm {
  /**
   * @param {number} sampleRate
   * @param {number} keepMs its bound: 32 bytes a millisecond at 16000 Hz
   */
  constructor(sampleRate, keepMs) {
    this._bytesPerMs = (2 * sampleRate) / 1000;
    this._limitBytes = keepMs * this._bytesPerMs;
    /** @type {Uint8Array[]} */
    this._pieces = [];
    /** The position of the first byte that is kept, and of the one behind the last. */
    this.startByte = 0;
    this.endByte = 0;
  }

  /** @param {ArrayBuffer} buffer */
  append(buffer) {
    const bytes = new Uint8Array(buffer);
    if (bytes.length === 0) return;
    this._pieces.push(bytes);
    this.endByte += bytes.length;
    while (this.endByte - this.startByte > this._limitBytes) this._dropFirst();
  }

  /** @param {number} ms audio before it is settled */
  forget(ms) {
    while (this._pieces.length > 0 && this.startByte + this._pieces[0].length <= ms * this._bytesPerMs) this._dropFirst();
  }

  /**
   * @param {number} position not before `startByte`
   * @param {number} mostBytes
   * @returns {ArrayBuffer} what is there from a position on; empty at the end
   */
  read(position, mostBytes) {
    const taken = new Uint8Array(Math.max(0, Math.min(mostBytes, this.endByte - position)));
    let end = this.endByte;
    for (let number = this._pieces.length - 1; number >= 0 && end > position; number -= 1) {
      const piece = this._pieces[number];
      const start = end - piece.length;
      const from = Math.max(position, start);
      if (from - position < taken.length) {
        taken.set(piece.subarray(from - start, Math.min(piece.length, position + taken.length - start)), from - position);
      }
      end = start;
    }
    return taken.buffer;
  }

  /**
   * Where a stream begins that resumes at `ms`, or at the next millisecond whose audio is there.
   * @param {number} ms
   * @returns {{ms: number, byte: number}}
   */
  resumePoint(ms) {
    const at = Math.max(ms, Math.ceil(this.startByte / this._bytesPerMs));
    return { ms: at, byte: at * this._bytesPerMs };
  }

  /** How much audio came so far. */
  get endMs() {
    return Math.floor(this.endByte / this._bytesPerMs);
  }

  _dropFirst() {
    const first = this._pieces.shift();
    this.startByte += first ? first.length : 0;
  }
}

/**
 * How loud 16-bit PCM is: 0 for silence (-60 dB and below) to 1 for full scale.
 * @param {ArrayBuffer} pcm
 * @returns {number}
 */
function levelOf(pcm) {
  const samples = new DataView(pcm);
  const count = pcm.byteLength >> 1;
  let sum = 0;
  for (let at = 0; at < count; at += 1) sum += samples.getInt16(2 * at, true) ** 2;
  if (sum === 0) return 0;
  return Math.max(0, 1 + (10 * Math.log10(sum / count / 32768 ** 2)) / 60);
}

module.exports = { KeptPcm, levelOf };
