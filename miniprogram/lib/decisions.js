"use strict";
// What the talk has to decide, as functions of values.

const FIRST_DELAY_MS = 200;
const MAX_DELAY_MS = 2000;
const PATH = "/api/realtime-voice/stream";
const LOGIN_AGAIN = ["token_expired", "unauthenticated"];
const CLIENT_IS_WRONG = [1002, 1003, 1007, 1009, 1010]; // RFC 6455 section 7.4.1: the same again would end the same
const RETRYABLE_CODES = [4408, 4429, 4500, 4503, 4504];

/** @typedef {import("./types").VoiceProblem} VoiceProblem */

/**
 * What to do when a connection has ended and the talk has not: dial again, log in first, or give up.
 * @param {VoiceProblem | null} fatal the fatal error that came before the close, if one came
 * @param {number} code the close code
 * @returns {"again" | "login" | "end"}
 */
function afterClose(fatal, code) {
  if (fatal) return LOGIN_AGAIN.includes(fatal.code) ? "login" : fatal.retryable ? "again" : "end";
  if (code === 4401) return "login";
  if (code >= 4000 && code <= 4999) return RETRYABLE_CODES.includes(code) ? "again" : "end";
  return CLIENT_IS_WRONG.includes(code) ? "end" : "again";
}

/**
 * Sentences as one text, put together as the service does: a space between two that meet in ASCII.
 * @param {string[]} sentences
 * @returns {string}
 */
function joined(sentences) {
  const isAscii = (/** @type {string} */ character) => character.charCodeAt(0) < 128;
  return sentences.reduce((text, sentence) => {
    const gap = text && sentence && isAscii(text.slice(-1)) && isAscii(sentence[0]) ? " " : "";
    return text + gap + sentence;
  }, "");
}

/**
 * The stream's address from a base (`https://host`, `wss://host`) or from the full address.
 * @param {string} url
 * @returns {string}
 */
function streamUrl(url) {
  const base = url.replace(/^http/, "ws").replace(/\/+$/, "");
  return base.endsWith(PATH) ? base : base + PATH;
}

/**
 * A problem of this side, in the form in which the service tells its own.
 * @param {string} code a slug: `describe` of slugs.js has its words for a person
 * @param {string} message for developers
 * @param {boolean} [retryable] the same may succeed later
 * @returns {VoiceProblem}
 */
function problemOf(code, message, retryable = false) {
  return { code, message, retryable, retryAfterMs: null, fatal: true };
}

/**
 * An error with the fields of a problem.
 * @param {VoiceProblem} problem
 * @returns {Error & VoiceProblem}
 */
function voiceError(problem) {
  return Object.assign(new Error(problem.message), problem);
}

/**
 * How long to wait before a try. The waits double, and have jitter, so that phones which lost their streams together do not
 * come back together.
 * @param {number} tries how many there were
 * @param {number} share from 0 to 1, by chance
 * @param {number} askedMs what the service asked for, with jitter already
 * @returns {number}
 */
function backOffMs(tries, share, askedMs) {
  const delayMs = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(tries, 10) * (0.5 + share));
  return Math.max(delayMs, askedMs);
}

module.exports = { LOGIN_AGAIN, afterClose, backOffMs, joined, problemOf, streamUrl, voiceError };
