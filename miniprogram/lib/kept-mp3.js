"use strict";
// The mp3 of a talk that may have to be said again. Positions are bytes, times come from the frame headers: layer III,
// 576 samples a frame at 16000 and 8000 Hz (ISO/IEC 13818-3, and its extension to lower rates).

/** @typedef {import("./types").Kept} Kept */

const HEADER_BYTES = 4;
const SIDE_INFO_BYTES = 9; // of one channel
const FRAME_SAMPLES = 576;
const KBITS = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const RATES_HZ = [22050, 24000, 16000]; // of version 2; half of it in version 2.5
const LEAD_FRAMES = 4; // a decoder needs what came before: docs/protocol.md, "Going on after a break"
const LEAD_FRAMES_BELOW_32_KBITS = 6;
const MAX_BYTES_A_MS = 20; // 160 kbit/s, the highest rate

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {{sizeBytes: number, rateHz: number, kbits: number} | null} null: no frame of such a stream begins here
 */
function parseHeader(bytes, at) {
  if (at + HEADER_BYTES > bytes.length || bytes[at] !== 0xff || (bytes[at + 1] & 0xe6) !== 0xe2) return null;
  const version = (bytes[at + 1] >> 3) & 3;
  const kbits = KBITS[bytes[at + 2] >> 4];
  const rate = RATES_HZ[(bytes[at + 2] >> 2) & 3];
  if ((version !== 0 && version !== 2) || !kbits || !rate) return null;
  const rateHz = version === 2 ? rate : rate / 2;
  const padding = (bytes[at + 2] >> 1) & 1;
  return { sizeBytes: Math.floor(((FRAME_SAMPLES / 8) * kbits * 1000) / rateHz) + padding, rateHz, kbits };
}

/**
 * Makes a frame silent. It still gives its main data to the frames behind it, which point back into it: only its own side
 * information says that there is nothing to hear (ISO/IEC 13818-3, 2.4.1.7: all but main_data_begin is 0).
 * @param {Uint8Array} bytes
 * @param {number} at where the frame begins
 */
function mute(bytes, at) {
  const isPlainMono = (bytes[at + 1] & 1) === 1 && bytes[at + 3] >> 6 === 3; // no checksum over it
  if (isPlainMono) bytes.fill(0, at + HEADER_BYTES + 1, at + HEADER_BYTES + SIDE_INFO_BYTES);
}

/**
 * Bytes that belong to no frame (ID3 tags, a cut) go with the frame before them.
 * @implements {Kept}
 */
class KeptMp3 {
  /**
   * @param {number} sampleRate
   * @param {number} keepMs
   */
  constructor(sampleRate, keepMs) {
    this._sampleRate = sampleRate;
    this._frameMs = (FRAME_SAMPLES * 1000) / sampleRate;
    this._keepMs = keepMs;
    this._bytes = new Uint8Array(0); // room that grows to what is kept
    this._length = 0;
    this.startByte = 0;
    /** Each frame that is kept: where it begins, on the clock and in the stream. @type {{ms: number, byte: number}[]} */
    this._frames = [];
    this._parsedByte = 0;
    this._frameCount = 0;
    this._lead = LEAD_FRAMES;
  }

  get endByte() {
    return this.startByte + this._length;
  }

  /** How much audio came so far, in whole frames. */
  get endMs() {
    return this._frameCount * this._frameMs;
  }

  /** @param {ArrayBuffer} buffer */
  append(buffer) {
    const bytes = new Uint8Array(buffer);
    if (this._length + bytes.length > this._bytes.length) {
      const room = new Uint8Array(2 * (this._length + bytes.length));
      room.set(this._bytes.subarray(0, this._length));
      this._bytes = room;
    }
    this._bytes.set(bytes, this._length);
    this._length += bytes.length;
    this._findFrames();
    if (this._frames.length > 0 && this.endMs - this._frames[0].ms > this._keepMs) this._dropBefore(this.endMs - this._keepMs);
    const mostBytes = this._keepMs * MAX_BYTES_A_MS; // of what is no mp3 at all
    if (this._length > mostBytes) this._drop(this._length - mostBytes);
  }

  /**
   * What a decoder needs before `ms` stays, but is not heard twice: all of it but the last frame, whose sound overlaps with
   * the next one's, is silent from now on.
   * @param {number} ms
   */
  forget(ms) {
    if (this._frames.length === 0) return;
    this._dropBefore(this.resumePoint(ms).ms);
    const settled = this._frames.filter((frame) => frame.ms + this._frameMs <= ms);
    settled.slice(0, -1).forEach(({ byte }) => mute(this._bytes, byte - this.startByte));
  }

  /**
   * @param {number} position
   * @param {number} mostBytes
   * @returns {ArrayBuffer}
   */
  read(position, mostBytes) {
    const from = position - this.startByte;
    return this._bytes.slice(from, Math.min(this._length, from + mostBytes)).buffer;
  }

  /**
   * The first frame to send so that the one at `ms` sounds as it should.
   * @param {number} ms
   * @returns {{ms: number, byte: number}}
   */
  resumePoint(ms) {
    if (this._frames.length === 0) return { ms: this.endMs, byte: this.startByte };
    const last = Math.floor((ms - this._frames[0].ms) / this._frameMs);
    return this._frames[Math.max(0, Math.min(last, this._frames.length - 1) - this._lead)];
  }

  _findFrames() {
    let at = this._parsedByte - this.startByte;
    while (at + HEADER_BYTES <= this._length) {
      const header = parseHeader(this._bytes.subarray(0, this._length), at);
      const isFrame = header !== null && header.rateHz === this._sampleRate;
      if (isFrame && at + header.sizeBytes > this._length) break; // its end is still to come
      if (isFrame) {
        this._frames.push({ ms: this._frameCount * this._frameMs, byte: this.startByte + at });
        this._frameCount += 1;
        if (header.kbits < 32) this._lead = LEAD_FRAMES_BELOW_32_KBITS;
      }
      at += isFrame ? header.sizeBytes : 1;
    }
    this._parsedByte = this.startByte + at;
  }

  /** @param {number} ms */
  _dropBefore(ms) {
    const kept = this._frames.findIndex((frame) => frame.ms >= ms);
    if (kept > 0) this._drop(this._frames[kept].byte - this.startByte);
  }

  /** @param {number} count */
  _drop(count) {
    this._bytes.copyWithin(0, count, this._length);
    this._length -= count;
    this.startByte += count;
    this._parsedByte = Math.max(this._parsedByte, this.startByte);
    const first = this._frames.findIndex((frame) => frame.byte >= this.startByte);
    this._frames.splice(0, first < 0 ? this._frames.length : first);
  }
}

module.exports = { KeptMp3, parseHeader };
