"use strict";
// One talk of a person, whatever becomes of the connections: speech goes up, words come down. No dependencies, no globals
// of WeChat or of a browser: an adapter has the socket and the clock. The contract is docs/protocol.md.
//
// How it works. All audio is kept (kept-pcm.js) at its position in the talk until the service has settled it. A cursor says
// how much of it the present connection (link.js) was sent. So "what is recorded now", "what came while there was no
// connection" and "what has to be said again" are the same loop (uplink.js), and a break only moves the cursor back to the
// last settled position. `stop` and `finalize` are said when the cursor has reached their place.
//
//   idle → connecting → streaming ⇄ reconnecting → stopping → ended
//
// `stopping` is entered from any state by `stop()`, and `ended` by everything that ends the talk. Words are counted once,
// because a stream that resumes goes on with the index of the first sentence that is not here yet.

const { afterClose, backOffMs, joined, problemOf, streamUrl, voiceError } = require("./decisions.js");
const { KeptPcm, levelOf } = require("./kept-pcm.js");
const { Emitter } = require("./emitter.js");
const { Link } = require("./link.js");
const { Timers } = require("./timers.js");
const { Uplink } = require("./uplink.js");

const CONNECT_LIMIT_MS = 10000; // from the dial to `welcome`
const READY_LIMIT_MS = 30000; // from `start` to `ready`: the service tries its recognizer for 15 s
const PROBE_LIMIT_MS = 2000; // when the network has changed
const STABLE_MS = 5000; // a connection that lived so long was a good one
const SETTLE_LIMIT_MS = 60000; // after `stop`, from final to final
const LEAVE_MARGIN_MS = 3000; // before the time of a `goaway` is over
const DRAIN_POLL_MS = 20;

/** @typedef {import("./types").Finalized} Finalized */
/** @typedef {import("./types").Outcome} Outcome */
/** @typedef {import("./types").Sentence} Sentence */
/** @typedef {import("./types").Settings} Settings */
/** @typedef {import("./types").State} State */
/** @typedef {import("./types").VoiceLink} VoiceLink */
/** @typedef {import("./types").VoiceProblem} VoiceProblem */

/**
 * Events: `partial` and `final` (a sentence), `state`, `error` (the talk ends only with a fatal one), `level` (0 to 1),
 * `message` (what the service said, as it came).
 */
class VoiceStream extends Emitter {
  /** @param {Settings} settings */
  constructor(settings) {
    super((action, ms) => settings.adapter.setTimer(action, ms));
    this._adapter = settings.adapter;
    this._url = streamUrl(settings.url);
    this._getToken = settings.getToken || (() => settings.token || null);
    this._start = Object.assign({ voiceFormat: "pcm", sampleRate: 16000 }, settings.start);
    this._isPcm = this._start.voiceFormat === "pcm";
    this._keepMs = settings.keepMs || 90000;
    this._connectLimitMs = settings.connectLimitMs || 15000;
    this._giveUpMs = settings.giveUpMs || 60000;
    this._kept = settings.kept || new KeptPcm(this._start.sampleRate || 16000, this._keepMs);
    this._uplink = new Uplink(this._kept);
    this._timers = new Timers(this._adapter);
    /** @type {State} */
    this.state = "idle";
    /** The sentences that are final, in order. @type {Sentence[]} */
    this.sentences = [];
    /** The sentence that is being said. @type {Sentence | null} */
    this.partial = null;
    /** The id of each stream that this talk has had: for a support request. @type {string[]} */
    this.streamIds = [];
    this._nextIndex = this._settledMs = 0;
    this._logId = null;
    this._isStopRequested = false;
    this._renewsToken = this._hasRenewed = false;
    this._tries = 0;
    /** @type {number | null} */
    this._awaySince = null;
    this._readyAt = this._dials = 0;
    this._unwatch = () => {};
    /** @type {VoiceLink | null} */
    this._link = null;
    this._leave();
    /** @type {Promise<Outcome>} How the talk ended. It never rejects: `error` says what went wrong. */
    this.ended = new Promise((resolve) => (this._resolveEnded = resolve));
    this._resolveStart = () => {};
  }

  /** All that was understood so far, the open sentence included. */
  get text() {
    const texts = this.sentences.map((sentence) => sentence.text);
    return joined(this.partial ? texts.concat(this.partial.text) : texts);
  }

  /**
   * Dials. Audio may be given at once: it is kept. Resolves when the service has accepted; rejects with the problem when
   * it has not within `connectLimitMs`, or refuses.
   * @returns {Promise<void>}
   */
  start() {
    if (this.state !== "idle") return Promise.reject(voiceError(problemOf("already_started", "This talk has begun.")));
    if (this._adapter.watch) this._unwatch = this._adapter.watch(this);
    this._awaySince = this._adapter.now();
    /** @type {Promise<void>} */
    const ready = new Promise((resolve, reject) => {
      this._resolveStart = resolve;
      this.ended.then((outcome) => reject(voiceError(outcome.error || problemOf("canceled", "The talk was canceled."))));
    });
    this._setState("connecting", "start");
    this._dial();
    return ready;
  }

  /**
   * Takes audio as it is recorded, of any length.
   * @param {ArrayBuffer} buffer it belongs to the stream from now on
   * @returns {boolean} false when the talk is over, or `stop` was said: the audio is not taken
   */
  sendAudio(buffer) {
    if (this._isStopRequested || this.state === "ended") return false;
    if (this._isPcm && this.hasHandlers("level")) this.emit("level", levelOf(buffer));
    this._kept.append(buffer);
    // A long silence has no final that would settle it, and must not fill the memory.
    const unsettledMs = this._kept.endMs - this._settledMs;
    if (this._isReady && !this.partial && !this._uplink.hasMarks && unsettledMs > this._keepMs / 2) this._uplink.mark();
    this._pump();
    return true;
  }

  /**
   * Settles what was said so far; the talk goes on.
   * @returns {Promise<Finalized>} rejects when the talk ends before
   */
  finalize() {
    return new Promise((resolve, reject) => {
      if (this.state === "idle" || this._isStopRequested || this.state === "ended") {
        reject(voiceError(problemOf("not_started", "The talk is not going on.")));
        return;
      }
      this._uplink.mark(resolve, reject);
      this._pump();
    });
  }

  /**
   * Ends the audio; the rest is settled.
   * @returns {Promise<Outcome>}
   */
  stop() {
    if (this.state === "idle") this._end(null);
    if (this.state !== "ended" && !this._isStopRequested) {
      this._isStopRequested = true;
      this._setState("stopping", "stop");
      this._limitSettling();
      this._pump();
    }
    return this.ended;
  }

  /** Drops the talk: nothing more is owed. The outcome has what was final. */
  cancel() {
    if (this._link) this._link.say({ type: "cancel" });
    this._end(null);
  }

  /** The program leaves the foreground and is suspended in 5 s: what was said is settled as far as it can be. */
  entersBackground() {
    if (this._isReady && !this._isStopRequested) {
      this._uplink.mark();
      this._pump();
    }
  }

  /** The program is back: the time in which it was suspended counts as none. */
  entersForeground() {
    this._awaySince = this._awaySince === null ? null : this._adapter.now();
    if (this._isStopRequested) this._limitSettling();
    this.networkChanged();
  }

  // 1. A connection.

  _dial() {
    const dial = (this._dials += 1);
    const isPresent = () => dial === this._dials && this.state !== "ended";
    this._timers.after("token", CONNECT_LIMIT_MS, () => this._noToken(problemOf("login_failed", "No token came in time.", true)));
    Promise.resolve()
      .then(() => this._getToken({ renew: this._renewsToken }))
      .then(
        (token) => void (isPresent() && this._connect(token)),
        (error) => void (isPresent() && this._noToken(error)),
      );
  }

  /** @param {any} error what `getToken` was rejected with */
  _noToken(error) {
    const { code = "login_failed", message = String(error), retryable } = error || {};
    const problem = problemOf(code, message, retryable === true);
    if (problem.retryable) this._comeBack(problem);
    else this._end(problem);
  }

  /** @param {string | null} token */
  _connect(token) {
    this._timers.clear("token");
    this._renewsToken = false; // not before: a login that fails is made again
    this._link = new Link(
      this._adapter,
      { url: this._url, token },
      (message) => this._hear(message),
      (code, problem) => this._closed(code, problem),
    );
    this._link.expect("welcome", CONNECT_LIMIT_MS);
  }

  /** Forgets the present connection, whatever it was doing. */
  _leave() {
    this._dials += 1;
    if (this._link) this._link.close();
    this._link = null;
    this._uplink.close();
    this._isReady = this._hasHeardGoaway = false;
    /** @type {VoiceProblem | null} */
    this._fatal = null;
    this._timers.clear("token", "leave", "drain");
  }

  // 2. What the service says.

  /** @param {any} message */
  _hear(message) {
    this.emit("message", message);
    if (this._link === null) return; // a handler has ended the talk
    if (message.type === "welcome") this._welcomed(message, this._link);
    else if (message.type === "ready") this._accepted(message);
    else if (message.type === "result") this._heard(message);
    else if (message.type === "finalized") this._finalized(message);
    else if (message.type === "stopped") this._stopped(message);
    else if (message.type === "goaway") this._goesAway(message);
    else if (message.type === "error") this._refused(message);
  }

  /**
   * @param {any} welcome
   * @param {VoiceLink} link
   */
  _welcomed(welcome, link) {
    const last = this.streamIds[this.streamIds.length - 1];
    const point = this._kept.resumePoint(this._settledMs);
    if (last ? welcome.resume !== true : point.ms > 0) {
      this._end(problemOf("connection_lost", "What was said before the break cannot be said again."));
      return;
    }
    if (point.ms > this._settledMs) {
      const gap = { fromMs: this._settledMs, toMs: point.ms, fatal: false };
      this._settledMs = point.ms;
      this.emit("error", Object.assign(problemOf("audio_lost", "The memory for unsettled audio was full."), gap));
      if (this._link !== link) return; // a handler has ended the talk
    }
    const resume = last && { streamId: last, sentences: this._nextIndex, settledMs: point.ms };
    this._uplink.open(point.byte);
    link.say(Object.assign({ type: "start" }, this._start, resume ? { resume } : {}));
    link.expect("ready", READY_LIMIT_MS);
    link.beat(welcome.heartbeatMs);
    this._pump();
  }

  /** @param {any} ready */
  _accepted(ready) {
    this._isReady = true;
    this._readyAt = this._adapter.now();
    this._hasRenewed = false;
    this.streamIds.push(ready.streamId);
    if (this._link) this._link.expect("", 0);
    this._resolveStart();
    if (!this._isStopRequested) this._setState("streaming", "ready");
  }

  /** @param {any} result */
  _heard(result) {
    if (result.index < this._nextIndex) return;
    const { index, text, startMs, endMs, wordList } = result;
    const sentence = { index, text, startMs, endMs, wordList };
    if (!result.isFinal) {
      this.partial = sentence;
      this.emit("partial", sentence);
      return;
    }
    this.partial = null;
    this.sentences.push(sentence);
    this._nextIndex = index + 1;
    this._settle(result.settledMs);
    this._tries = 0;
    this._awaySince = null;
    if (this._isStopRequested) this._limitSettling();
    this.emit("final", sentence);
    if (this._hasHeardGoaway) this._handOver();
  }

  /** @param {any} finalized */
  _finalized(finalized) {
    this._settle(finalized.audioMs);
    this._uplink.answered(finalized.id, { audioMs: finalized.audioMs, sentences: finalized.sentences });
  }

  /** @param {any} stopped */
  _stopped(stopped) {
    this._logId = stopped.logId;
    // It may have settled the stream by itself just when `stop` was said, and not have heard all before it.
    const wasHeard = !this._hasHeardGoaway || stopped.audio.relayedBytes >= this._uplink.sentBytes;
    const isAll = this._isStopRequested && this._uplink.isStopSent && this._uplink.isAllSent && wasHeard;
    if (isAll) this._end(null, true);
    else this._comeBack(problemOf("restarting", "The service has ended the stream.", true), 0);
  }

  /**
   * Goes on until the sentence is finished, or the time is nearly over. Then it changes to another stream as after a break:
   * `stop` would cut the word that is just being said, and what is not settled is said again anyway.
   * @param {any} goaway
   */
  _goesAway(goaway) {
    if (goaway.reason === "quota_exceeded") return; // no other stream would be had: this one settles what was said
    this._hasHeardGoaway = true;
    this._renewsToken = this._renewsToken || goaway.reason === "token_expired";
    const leaveMs = goaway.timeLeftMs - LEAVE_MARGIN_MS;
    // When the time is over, the service settles what it has, also in mid-word: the next stream would hear the rest of that
    // word as another one. So such a final is not waited for, nor a `stopped` that may not have heard all.
    if (leaveMs <= 0) this._goElsewhere();
    else if (!this.partial) this._handOver();
    else this._timers.after("leave", leaveMs, () => this._handOver());
  }

  _handOver() {
    if (!this._uplink.isStopSent) this._goElsewhere(); // else the end is near: `stopped` comes
  }

  _goElsewhere() {
    this._comeBack(problemOf("restarting", "The stream was to end: the next one goes on.", true), 0);
  }

  /** @param {VoiceProblem} problem */
  _refused(problem) {
    if (!problem.fatal) this.emit("error", problem);
    else this._fatal = problem;
    if (problem.fatal && this._link) this._link.expectClose();
  }

  /**
   * @param {number} code
   * @param {VoiceProblem} problem
   */
  _closed(code, problem) {
    const reason = this._fatal || problem;
    const verdict = afterClose(this._fatal, code);
    if (verdict === "end" || (verdict === "login" && this._hasRenewed)) {
      this._end(Object.assign({}, reason, { fatal: true }));
      return;
    }
    this._renewsToken = this._hasRenewed = verdict === "login" || this._hasRenewed;
    this._comeBack(reason);
  }

  // 3. What is said.

  _pump() {
    this._timers.clear("drain");
    if (this._link === null) return;
    const state = this._uplink.pump(this._link, this._isStopRequested);
    if (state === "full") this._timers.after("drain", DRAIN_POLL_MS, () => this._pump());
    if (state === "behind") this._comeBack(problemOf("connection_lost", "The connection is slower than speech.", true));
  }

  /** @param {number} ms */
  _settle(ms) {
    if (!(ms > this._settledMs)) return;
    this._settledMs = ms;
    this._kept.forget(ms);
  }

  // 4. A break.

  /**
   * @param {VoiceProblem} problem
   * @param {number} [delayMs] by default: with back-off
   */
  _comeBack(problem, delayMs) {
    const now = this._adapter.now();
    if (this._isReady && now - this._readyAt > STABLE_MS && !this._isStopRequested) {
      this._tries = 0;
      this._awaySince = null;
    }
    this._leave();
    const share = (this._adapter.random || Math.random)();
    const isAtOnce = delayMs !== undefined && this._tries === 0;
    const waitMs = isAtOnce ? delayMs : backOffMs(this._tries, share, problem.retryAfterMs || 0);
    this._tries += 1;
    if (this._awaySince === null) this._awaySince = now;
    const limitMs = this.streamIds.length === 0 ? this._connectLimitMs : this._giveUpMs;
    if (now + waitMs - this._awaySince > limitMs) {
      this._end(problem);
      return;
    }
    if (!this._isStopRequested) this._setState(this.streamIds.length === 0 ? "connecting" : "reconnecting", problem.code);
    if (this.state !== "ended") this._timers.after("dial", waitMs, () => this._dial());
  }

  /** Says the adapter: neither a wait nor a connection that has died with the old network need be sat out. */
  networkChanged() {
    if (this._timers.has("dial")) {
      this._timers.clear("dial");
      this._dial();
    } else if (this._link) {
      this._link.probe(PROBE_LIMIT_MS);
    }
  }

  _limitSettling() {
    const backlogMs = this._kept.endMs - this._settledMs;
    const problem = problemOf("not_settled", "The service did not settle what was said last.");
    this._timers.after("settle", SETTLE_LIMIT_MS + backlogMs, () => this._end(problem));
  }

  // 5. The end.

  /**
   * @param {VoiceProblem | null} problem
   * @param {boolean} [isComplete]
   */
  _end(problem, isComplete = false) {
    if (this.state === "ended") return;
    this.state = "ended"; // before any handler is called: one that ends the talk, too, changes nothing
    const open = this.partial;
    this.partial = null;
    this._leave();
    this._timers.clearAll();
    this._unwatch();
    const ended = voiceError(problem || problemOf("canceled", "The talk is over."));
    this._uplink.rejectMarks(ended);
    if (open && isComplete) this.emit("partial", Object.assign({}, open, { text: "" }));
    if (problem) this.emit("error", problem);
    this.emit("state", { state: "ended", reason: problem ? problem.code : isComplete ? "stopped" : "canceled" });
    const { text, sentences, streamIds, _logId } = this;
    this._resolveEnded({ text, sentences, streamIds, logId: _logId, isComplete, error: problem });
  }

  /**
   * @param {State} state
   * @param {string} reason
   */
  _setState(state, reason) {
    if (this.state === "ended") return;
    this.state = state;
    this.emit("state", { state, reason });
  }
}

module.exports = { VoiceStream };
