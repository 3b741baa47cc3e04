"use strict";
// The microphone of a phone, set up as the service needs it. WeChat has one recorder for the whole program, and its handlers
// cannot be taken off: they are set once, and belong to the recording that goes on.

const { problemOf, voiceError } = require("./decisions.js");

const FRAME_KB = 1.28; // about 40 ms of PCM: Tencent's own samples have it. Phones take it as a hint
const BIT_RATE = 48000; // 24000 to 96000 at 16 kHz, 16000 to 48000 at 8 kHz; else start() fails
const LONGEST_MS = 600000; // WeChat ends a recording then, and another one is begun
const BUSY_TRIES = 4; // start() fails for some 600 ms after stop()
const BUSY_DELAY_MS = 250;
const FIRST_FRAME_LIMIT_MS = 4000;
const STOP_LIMIT_MS = 3000;
const LAST_FRAME_LIMIT_MS = 200;
const STALE_BYTES = 65536; // the developer tools may deliver old bytes before the WebM header

/** @typedef {import("./types").RecorderEvents} RecorderEvents */
/** @typedef {import("./types").Recording} Recording */

/** @type {WxRecorder | null} */
let current = null;
let isWired = false;

/**
 * Whether bytes have the mark of WebM (EBML), which the developer tools record whatever the format asked.
 * @param {ArrayBuffer} buffer
 * @returns {boolean}
 */
function isWebm(buffer) {
  const bytes = new Uint8Array(buffer);
  for (let at = bytes.indexOf(0x1a); at >= 0 && at + 3 < bytes.length; at = bytes.indexOf(0x1a, at + 1)) {
    if (bytes[at + 1] === 0x45 && bytes[at + 2] === 0xdf && bytes[at + 3] === 0xa3) return true;
  }
  return false;
}

/**
 * Asks for the microphone where it was not asked yet.
 * @returns {Promise<void>} rejects with `microphone_denied`; the person can change that in `wx.openSetting`, which has to be
 *   called from a tap
 */
function askForMicrophone() {
  return new Promise((resolve, reject) => {
    const fail = (/** @type {{errMsg: string}} */ { errMsg }) => reject(voiceError(problemOf("microphone_denied", errMsg)));
    wx.authorize({ scope: "scope.record", success: () => resolve(), fail });
  });
}

/** One recording, across interruptions and WeChat's ten minutes. */
class WxRecorder {
  /**
   * @param {{format: "PCM" | "mp3", sampleRate: 16000 | 8000}} settings
   * @param {RecorderEvents} events
   */
  constructor(settings, events) {
    this._settings = settings;
    this._events = events;
    this._isWanted = false;
    this._tries = 0;
    this._checkedBytes = 0;
    /** @type {any} */
    this._timer = null;
    this._recordings = 0;
    this._isInterrupted = this._isResuming = this._hasLastFrame = false;
    /** @type {Promise<void>} When WeChat's recorder is free of this one. */
    this.released = new Promise((resolve) => (this._release = resolve));
    this._onShow = () => this._resume();
  }

  /** Begins to record. What comes is told by the events. */
  start() {
    wire();
    this._isWanted = true;
    if (current === null) this._take();
    else if (current._resolveStop) current.released.then(() => this._isWanted && this.start()); // its last frames are its own
    else this._fail("microphone_failed", "Another talk is being recorded.");
  }

  /**
   * Ends it; the last frames come before it resolves.
   * @returns {Promise<Recording | null>} the file, where there is one of the whole recording
   */
  stop() {
    this._isWanted = false;
    wx.offAppShow(this._onShow);
    clearTimeout(this._timer);
    if (current !== this) return Promise.resolve(null);
    return new Promise((resolve) => {
      this._resolveStop = resolve;
      this._timer = setTimeout(() => this._stopped(null), STOP_LIMIT_MS);
      wx.getRecorderManager().stop();
    });
  }

  _take() {
    current = this;
    wx.onAppShow(this._onShow); // the Home key pauses a recording
    this._begin();
  }

  _begin() {
    wx.getRecorderManager().start({
      format: this._settings.format,
      sampleRate: this._settings.sampleRate,
      numberOfChannels: 1,
      encodeBitRate: BIT_RATE,
      frameSize: FRAME_KB,
      duration: LONGEST_MS,
    });
  }

  started() {
    this._tries = 0;
    this._recordings += 1;
    this._after(FIRST_FRAME_LIMIT_MS, () => this._fail("microphone_silent", "The recorder delivers no frames."));
    this._events.onstart();
  }

  /**
   * @param {ArrayBuffer | null} buffer some phones deliver empty frames
   * @param {boolean} [isLastFrame]
   */
  frame(buffer, isLastFrame = false) {
    this._hasLastFrame = isLastFrame;
    if (!buffer || buffer.byteLength === 0) return;
    this._isResuming = false;
    if (this._isWanted) clearTimeout(this._timer);
    if (this._checkedBytes < STALE_BYTES) {
      this._checkedBytes += buffer.byteLength;
      if (isWebm(buffer)) {
        this._checkedBytes = STALE_BYTES;
        this._events.onproblem(Object.assign(problemOf("webm_recorded", "The developer tools record WebM."), { fatal: false }));
      }
    }
    this._events.onframe(buffer);
  }

  /** @param {{duration: number, tempFilePath: string}} result */
  ended({ duration, tempFilePath }) {
    const recording = this._recordings === 1 ? { path: tempFilePath, durationMs: duration } : null;
    if (this._isWanted) this._begin();
    else if (this._hasLastFrame) this._stopped(recording);
    else this._after(LAST_FRAME_LIMIT_MS, () => this._stopped(recording)); // nothing says which of the two comes first
  }

  /** @param {string} message */
  failed(message) {
    if (this._isResuming) return; // it was not paused at all: then frames come, or their time is soon over
    this._tries += 1;
    if (this._isWanted && this._tries < BUSY_TRIES) this._after(BUSY_DELAY_MS, () => this._begin());
    else if (this._isWanted) this._fail("microphone_failed", message);
    else this._stopped(null);
  }

  /** @param {boolean} isPaused */
  paused(isPaused) {
    if (this._isWanted && isPaused) clearTimeout(this._timer);
    this._events.onpause(isPaused);
  }

  /** @param {boolean} isInterrupted a call has the microphone: `resume` would fail */
  interrupted(isInterrupted) {
    this._isInterrupted = isInterrupted;
    if (isInterrupted) this.paused(true);
    else this._resume();
  }

  _resume() {
    if (!this._isWanted || this._isInterrupted) return;
    this._isResuming = true;
    this._after(FIRST_FRAME_LIMIT_MS, () => this._fail("microphone_silent", "The recorder does not go on."));
    wx.getRecorderManager().resume();
  }

  /**
   * @param {string} code
   * @param {string} message
   */
  _fail(code, message) {
    this._isWanted = false;
    wx.offAppShow(this._onShow);
    if (code === "microphone_failed") this._free(); // else the file has all, perhaps
    this._events.onproblem(problemOf(code, message));
  }

  _free() {
    if (current === this) current = null;
    this._release();
  }

  /** @param {Recording | null} recording */
  _stopped(recording) {
    clearTimeout(this._timer);
    this._free();
    if (this._resolveStop) this._resolveStop(recording);
  }

  /**
   * @param {number} ms
   * @param {() => void} action
   */
  _after(ms, action) {
    clearTimeout(this._timer);
    this._timer = setTimeout(action, ms);
  }
}

function wire() {
  if (isWired) return;
  isWired = true;
  const manager = wx.getRecorderManager();
  manager.onStart(() => current && current.started());
  manager.onFrameRecorded(({ frameBuffer, isLastFrame }) => current && current.frame(frameBuffer, isLastFrame));
  manager.onStop((result) => current && current.ended(result));
  manager.onError(({ errMsg }) => current && current.failed(errMsg));
  manager.onPause(() => current && current.paused(true));
  manager.onResume(() => current && current.paused(false));
  manager.onInterruptionBegin(() => current && current.interrupted(true));
  manager.onInterruptionEnd(() => current && current.interrupted(false));
}

module.exports = { WxRecorder, askForMicrophone, isWebm };
