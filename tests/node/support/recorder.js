"use strict";
// The recorder of a phone: one for the whole program, in real time.

const { Buffer } = require("node:buffer");

const BIT_RATES = { 8000: [16000, 48000], 16000: [24000, 96000] };
const DEFAULTS = { duration: 60000, sampleRate: 8000, numberOfChannels: 2, encodeBitRate: 48000, format: "aac" };
const BUSY_AFTER_STOP_MS = 600;
const TICK_MS = 10;
const WEBM = Buffer.from("1a45dfa3a34286810142f7810142f2810442f381084282847765626d", "hex");

/** @typedef {InstanceType<typeof import("./phone.js").Phone>} Phone */

class Recorder {
  /**
   * @param {Phone} phone
   * @param {any} settings `pcm`, `mp3` (the same, of 48 kbit/s), `frameBytes` (sizes in turn: frameSize is a hint), `isDevtools`, `file`, `hasLateLastFrame`, `longestMs`
   */
  constructor(phone, settings) {
    this._phone = phone;
    this._settings = settings;
    /** What the person says, from now on. @type {Buffer} */
    this.pcm = settings.pcm || Buffer.alloc(0);
    /** How much of it was said. */
    this.position = 0;
    this.starts = 0;
    /** @type {any} */
    this.options = null;
    this._state = "idle";
    this._stoppedAt = -Infinity;
    this._isInterrupted = false;
    /** @type {Buffer[]} */
    this._file = [];
    this._sentFrames = this._recordedMs = this._last = 0;
    this._pending = Buffer.alloc(0);
    /** @type {(() => void)[]} */
    this._sayers = [];
    /** @type {{[event: string]: Function[]}} */
    this._handlers = {};
    /** @type {any} */
    this.manager = {
      start: (/** @type {any} */ options) => this._start(options),
      stop: () => this._stop(),
      pause: () => this._pause(),
      resume: () => this._resume(),
    };
    for (const event of ["Start", "Stop", "Pause", "Resume", "Error", "FrameRecorded", "InterruptionBegin", "InterruptionEnd"]) {
      this._handlers[event] = [];
      this.manager[`on${event}`] = (/** @type {Function} */ handler) => this._handlers[event].push(handler);
    }
  }

  /** Resolves when the person has said so much. @param {number} ms */
  async said(ms) {
    while (this.position < Math.min(ms * 32, this.pcm.length)) await new Promise((resolve) => this._sayers.push(() => resolve(null)));
  }

  /** A call comes in: WeChat takes the microphone away. */
  interrupt() {
    this._isInterrupted = true;
    this._halt();
    this._tell("InterruptionBegin", {});
  }

  endInterruption() {
    this._isInterrupted = false;
    this._tell("InterruptionEnd", {});
  }

  /** The Home key pauses a recording; only `resume` in the foreground goes on with it. */
  pauseByHome() {
    if (this._state === "recording") this._pause();
  }

  /** @param {any} options */
  _start(options) {
    const chosen = (this.options = { ...DEFAULTS, ...options });
    const [least, most] = /** @type {any} */ (BIT_RATES)[chosen.sampleRate];
    const isBusy = this._state !== "idle" || performance.now() - this._stoppedAt < BUSY_AFTER_STOP_MS;
    if (isBusy) {
      this._tell("Error", { errMsg: "operateRecorder:fail:is recording or paused" });
      return;
    }
    if (chosen.encodeBitRate < least || chosen.encodeBitRate > most) {
      this._tell("Error", { errMsg: "operateRecorder:fail:encodeBitRate not supported" });
      return;
    }
    this.starts += 1;
    this._state = "recording";
    this._file = [];
    this._sentFrames = 0;
    this._pending = Buffer.alloc(0);
    this._recordedMs = 0;
    this._last = performance.now();
    this._tell("Start", {});
    this._ticking = setInterval(() => this._tick(), TICK_MS);
  }

  _tick() {
    if (this._state !== "recording") return;
    const now = performance.now();
    const samples = Math.floor(16 * (now - this._last));
    this._last += samples / 16;
    this._recordedMs += samples / 16;
    const heard = Buffer.alloc(2 * samples); // silence, where the person has said all
    this.pcm.copy(heard, 0, this.position, this.position + heard.length);
    const from = this.position;
    this.position = Math.min(this.pcm.length, this.position + heard.length);
    for (const tell of this._sayers.splice(0)) tell();
    const coded = this.options.format === "mp3" && this._settings.mp3;
    const given = coded ? coded.subarray(...mp3Place(from, this.position)) : this.options.numberOfChannels === 1 ? heard : doubled(heard);
    this._pending = Buffer.concat([this._pending, given]);
    for (let size = this._frameBytes(); this._pending.length >= size; size = this._frameBytes()) {
      this._frame(this._pending.subarray(0, size), false);
      this._pending = this._pending.subarray(size);
    }
    if (this._recordedMs >= Math.min(this.options.duration, this._settings.longestMs || Infinity)) this._stop();
  }

  _frameBytes() {
    const sizes = this._settings.frameBytes || [Math.floor(this.options.frameSize * 1024)];
    return sizes[this._sentFrames % sizes.length];
  }

  /** @param {Buffer} bytes @param {boolean} isLastFrame */
  _frame(bytes, isLastFrame) {
    this._file.push(bytes);
    const given = this._settings.isDevtools ? Buffer.concat([this._sentFrames === 0 ? WEBM : Buffer.alloc(0), bytes]) : bytes;
    this._sentFrames += 1;
    if (this.options.format !== "PCM" && this.options.format !== "mp3") return; // no frames of other formats
    const frameBuffer = new Uint8Array(given).buffer;
    this._tell("FrameRecorded", { frameBuffer, isLastFrame });
    if (this._sentFrames % 50 === 0) this._tell("FrameRecorded", { frameBuffer: new ArrayBuffer(0), isLastFrame: false });
  }

  _pause() {
    if (this._state !== "recording") return;
    this._halt();
    this._tell("Pause", {});
  }

  _halt() {
    this._tick();
    this._state = "paused";
  }

  _resume() {
    if (this._state !== "paused" || this._isInterrupted) {
      this._tell("Error", { errMsg: "operateRecorder:fail:recorder not paused" });
      return;
    }
    this._state = "recording";
    this._last = performance.now();
    this._tell("Resume", {});
  }

  _stop() {
    if (this._state === "idle") {
      this._tell("Error", { errMsg: "operateRecorder:fail:recorder not start" });
      return;
    }
    clearInterval(this._ticking);
    this._state = "idle";
    this._stoppedAt = performance.now();
    const last = this._pending;
    if (!this._settings.hasLateLastFrame) this._frame(last, true);
    else setTimeout(() => this._frame(last, true), 50);
    const tempFilePath = `wxfile://tmp_${this.starts}`;
    const file = this._settings.file || Buffer.concat(this._settings.hasLateLastFrame ? [...this._file, last] : this._file);
    this._phone.files.set(tempFilePath, file);
    this._tell("Stop", { duration: Math.round(this._recordedMs), fileSize: file.length, tempFilePath });
  }

  /** @param {string} event @param {object} detail */
  _tell(event, detail) {
    setTimeout(() => this._phone.call(() => this._handlers[event].forEach((handler) => handler(detail))), 1);
  }
}

/** Where in mp3 a stretch of PCM is: 6 bytes a millisecond. @param {number} from @param {number} to @returns {[number, number]} */
function mp3Place(from, to) {
  return [Math.floor(from / 32) * 6, Math.floor(to / 32) * 6];
}

/** Both channels alike. @param {Buffer} mono */
function doubled(mono) {
  const stereo = Buffer.alloc(2 * mono.length);
  for (let at = 0; at < mono.length; at += 2) {
    mono.copy(stereo, 2 * at, at, at + 2);
    mono.copy(stereo, 2 * at + 2, at, at + 2);
  }
  return stereo;
}

module.exports = { Recorder, WEBM };
