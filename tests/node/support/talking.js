"use strict";
// What the tests of whole talks share: a phone with a talk in its program, and what must have been heard.

const assert = require("node:assert/strict");
const { Phone } = require("./phone.js");

const START = { vadSilenceMs: 500 }; // the coded talk pauses for 700 ms

/**
 * @param {string} baseUrl
 * @param {any} settings of the phone
 * @param {any} [options] of the talk; `hasLogin` is for the Api
 */
function phoneWith(baseUrl, settings, options = {}) {
  const { hasLogin = false, ...others } = options;
  const phone = new Phone(settings);
  const { Api } = phone.require("lib/api-wx.js");
  const { VoiceTalk } = phone.require("lib/voice-talk-wx.js");
  const api = new Api({ baseUrl, hasLogin });
  const talk = new VoiceTalk({ baseUrl, api, start: START, ...others });
  /** @type {string[]} */
  const states = [];
  /** @type {any[]} */
  const errors = [];
  /** @type {any[]} */
  const messages = [];
  talk.on("state", (/** @type {any} */ { state }) => states.push(state));
  talk.on("error", (/** @type {any} */ error) => errors.push(error));
  talk.on("message", (/** @type {any} */ message) => messages.push(message));
  return { phone, talk, api, states, errors, messages };
}

/** @param {any} outcome @param {string[]} texts */
function assertComplete(outcome, texts) {
  assert.equal(outcome.error, null);
  assert.deepEqual(
    Array.from(outcome.sentences, (/** @type {any} */ sentence) => sentence.text),
    texts,
  );
  assert.deepEqual(
    Array.from(outcome.sentences, (/** @type {any} */ sentence) => sentence.index),
    texts.map((_text, index) => index),
  );
  assert.equal(outcome.text, texts.join(" "));
  assert.equal(outcome.isComplete, true);
}

/** Each word's place in the talk. @param {any} outcome */
function times(outcome) {
  return Array.from(outcome.sentences, (/** @type {any} */ { startMs, endMs }) => [startMs, endMs]);
}

/** Everything that a talk had is given back, at most a closing handshake later. @param {any} phone */
async function assertTidy(phone) {
  for (let tries = 0; phone.network.tasks.size > 0 && tries < 100; tries += 1) await sleep(20);
  assert.equal(phone.network.tasks.size, 0);
  assert.equal(phone.listenerCount, 0);
  assert.ok(phone.network.peak <= 5);
}

/** @param {number} ms */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Numbers from 0 to 1 that depend on the seed alone (mulberry32). @param {number} seed */
function randomOf(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

module.exports = { assertComplete, assertTidy, phoneWith, randomOf, sleep, times };
