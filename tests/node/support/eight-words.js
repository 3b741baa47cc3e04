"use strict";
// What the files about whole talks begin with: a service, and phones that say the same eight words to it.

const { Service, codedTalk } = require("./service.js");
const { phoneWith } = require("./talking.js");

const service = new Service();
const TALK = codedTalk(8);
const EVERYTHING_MS = TALK.pcm.length / 32;
const WORDS_MS = TALK.texts.map((_text, index) => [200 + 2400 * index, 200 + 2400 * index + 1700]);
const IN_A_WORD_MS = 2600 + 250; // the fourth word, after 250 ms of its 420
const REAL_TIME_GUARD_MS = 80000;

/** @param {any} [settings] @param {any} [options] */
function talking(settings = {}, options = {}) {
  return phoneWith(service.url, { pcm: TALK.pcm, ...settings }, options);
}

module.exports = { EVERYTHING_MS, IN_A_WORD_MS, REAL_TIME_GUARD_MS, TALK, WORDS_MS, service, talking };
