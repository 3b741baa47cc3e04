"use strict";
// Hold to talk, on WeChat: microphone, stream, and what to do when either fails. A page needs this and api-wx.js:
//
//   const talk = new VoiceTalk({ baseUrl, api });
//   talk.on("partial", () => this.setData({ caption: talk.text }));
//   talk.start();                            // the finger is down
//   talk.stop().then(({ text }) => …);       // the finger is up
//
// When the stream ends early, the recording goes on, and is recognized as a whole at the end.

const { wxAdapter } = require("./adapter-wx.js");
const { problemOf } = require("./decisions.js");
const { Emitter } = require("./emitter.js");
const { KeptMp3 } = require("./kept-mp3.js");
const { WxRecorder, askForMicrophone } = require("./recorder-wx.js");
const { VoiceStream } = require("./voice-stream.js");

const KEEP_MS = 90000;
const NO_UPLOAD = ["forbidden", "login_refused", "not_configured", "quota_exceeded", "unauthenticated"]; // it would say the same
const UPLOAD_FIELDS = ["engineType", "hotwords", "filterDirty", "filterModal", "filterPunc", "convertNumMode"];

/** @typedef {import("./types").Outcome} Outcome */
/** @typedef {import("./types").Recording} Recording */
/** @typedef {import("./types").TalkOutcome} TalkOutcome */

/** Events: those of VoiceStream. `state` has also `{state: "paused"}` and `{state: "recording"}`. */
class VoiceTalk extends Emitter {
  /** @param {import("./types").TalkSettings} settings */
  constructor({ baseUrl, api, voiceFormat = "pcm", start = {}, container }) {
    super((action, ms) => setTimeout(action, ms));
    this._api = api;
    this._start = Object.assign({ sampleRate: 16000 }, start, { voiceFormat });
    const sampleRate = this._start.sampleRate || 16000;
    this._stream = new VoiceStream({
      url: baseUrl,
      adapter: wxAdapter({ container }),
      getToken: (wish) => api.getToken(wish),
      start: this._start,
      keepMs: KEEP_MS,
      kept: voiceFormat === "mp3" ? new KeptMp3(sampleRate, KEEP_MS) : undefined,
    });
    this._recorder = new WxRecorder(
      { format: voiceFormat === "mp3" ? "mp3" : "PCM", sampleRate },
      {
        onstart: () => {},
        onframe: (buffer) => void this._stream.sendAudio(buffer),
        onpause: (isPaused) => this.emit("state", { state: isPaused ? "paused" : this._stream.state, reason: "microphone" }),
        onproblem: (problem) => this._recorderFailed(problem),
      },
    );
    this._isRecording = false;
    this._isWebm = this._isCanceled = false;
    /** @type {Promise<TalkOutcome> | null} */
    this._outcome = null;
  }

  /** All that was understood so far. */
  get text() {
    return this._stream.text;
  }

  /** The end of `text`, that may change. */
  get openText() {
    return this._stream.partial ? this._stream.partial.text : "";
  }

  /**
   * Asks for the microphone, dials and records, all at once: what is said before the connection is there is not lost.
   * @returns {Promise<void>} resolves when the recorder was started; rejects with `microphone_denied`
   */
  start() {
    return askForMicrophone().then(
      () => this._begin(),
      (error) => {
        this.emit("error", problemOf(error.code, error.message));
        throw error;
      },
    );
  }

  /**
   * Ends the recording.
   * @returns {Promise<TalkOutcome>} never rejects: `error` says what went wrong, and `text` has what there is
   */
  stop() {
    if (this._outcome === null) this._outcome = this._finish();
    return this._outcome;
  }

  /** Drops the talk and the recording. */
  cancel() {
    this._isCanceled = true;
    this._stream.cancel();
    this._outcome = this._outcome || this._stream.ended.then((ended) => Object.assign({ via: /** @type {const} */ ("stream") }, ended));
    if (this._isRecording) this._recorder.stop();
    this._isRecording = false;
  }

  _begin() {
    if (this._outcome !== null) return; // the finger was up before the microphone was allowed
    const stream = this._stream;
    stream.on("partial", (sentence) => this.emit("partial", sentence));
    stream.on("final", (sentence) => this.emit("final", sentence));
    stream.on("message", (message) => this.emit("message", message));
    stream.on("error", (problem) => this._streamFailed(problem));
    stream.on("state", ({ state, reason }) => {
      const goesOn = state === "ended" && this._isRecording;
      this.emit("state", { state: goesOn ? "recording" : state, reason });
    });
    if (this.hasHandlers("level")) stream.on("level", (level) => this.emit("level", level));
    this._isRecording = true;
    this._recorder.start();
    stream.start().catch(() => {}); // the event `error` has told
  }

  /** @returns {Promise<TalkOutcome>} */
  _finish() {
    if (!this._isRecording) {
      this._stream.cancel();
      return this._stream.ended.then((ended) => Object.assign({ via: /** @type {const} */ ("stream") }, ended));
    }
    return this._recorder.stop().then((recording) => {
      this._isRecording = false;
      return this._stream.stop().then((ended) => this._completed(ended, recording));
    });
  }

  /**
   * @param {Outcome} ended
   * @param {Recording | null} recording
   * @returns {Promise<TalkOutcome> | TalkOutcome}
   */
  _completed(ended, recording) {
    const streamed = Object.assign({ via: /** @type {const} */ ("stream") }, ended);
    const isHopeless = ended.error !== null && NO_UPLOAD.includes(ended.error.code);
    if (ended.isComplete || recording === null || isHopeless || this._isCanceled) return streamed;
    /** @type {{[name: string]: any}} */
    const fields = this._isWebm ? {} : { voiceFormat: this._start.voiceFormat, sampleRate: this._start.sampleRate };
    for (const name of UPLOAD_FIELDS) {
      const value = /** @type {any} */ (this._start)[name];
      if (value !== undefined) fields[name] = value;
    }
    return this._api.recognize(recording.path, fields).then(
      ({ id, text, wordList, audioTime }) => {
        const words = wordList.map((word) => Object.assign({ stable: true }, word));
        const sentences = text ? [{ index: 0, text, startMs: 0, endMs: audioTime, wordList: words }] : [];
        return Object.assign(streamed, { via: "upload", text, sentences, logId: id, isComplete: true, error: null });
      },
      (error) => Object.assign(streamed, { error: ended.error || problemOf(error.code, error.message, error.retryable) }),
    );
  }

  /**
   * The end of the stream is not the end of the talk.
   * @param {import("./types").VoiceProblem} problem
   */
  _streamFailed(problem) {
    const goesOn = this._isRecording && !NO_UPLOAD.includes(problem.code);
    this.emit("error", Object.assign({}, problem, { fatal: problem.fatal && !goesOn }));
  }

  /** @param {import("./types").VoiceProblem} problem */
  _recorderFailed(problem) {
    if (problem.code === "webm_recorded") {
      this._isWebm = true;
      this._stream.cancel();
    }
    this.emit("error", problem);
  }
}

module.exports = { VoiceTalk };
