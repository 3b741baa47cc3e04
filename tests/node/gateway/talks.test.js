"use strict";
// The library on a phone, against the real service: what is heard is what was said, each word once.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { EVERYTHING_MS, IN_A_WORD_MS, REAL_TIME_GUARD_MS, TALK, WORDS_MS, service, talking } = require("../support/eight-words.js");
const { assertComplete, assertTidy, sleep, times } = require("../support/talking.js");

describe("a talk", { concurrency: true, timeout: REAL_TIME_GUARD_MS }, () => {
  before(() => service.start());
  after(() => service.end());

  test("its words come while it goes on, and all of them in the end", async () => {
    const { phone, talk, states, errors } = talking();
    /** @type {string[]} */
    const partials = [];
    /** @type {number[]} */
    const levels = [];
    talk.on("partial", () => partials.push(talk.text));
    talk.on("level", (/** @type {number} */ level) => levels.push(level));
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    while (!partials.some((text) => text.startsWith("w1 w2 w3 w4"))) await sleep(20); // before it is stopped
    assert.ok(partials.some((text) => text.endsWith("w1 w2")));
    const outcome = await talk.stop();
    assertComplete(outcome, TALK.texts);
    assert.deepEqual(times(outcome), WORDS_MS);
    assert.equal(outcome.via, "stream");
    assert.deepEqual(states, ["connecting", "streaming", "stopping", "ended"]);
    assert.deepEqual(errors, []);
    assert.equal(phone.network.dials, 1);
    assert.equal(outcome.streamIds.length, 1);
    await assertTidy(phone);
    assert.ok(levels.every((level) => level >= 0 && level <= 1) && levels.some((level) => level === 0));
  });

  test("frames of odd sizes, of 20000 bytes, and empty ones", async () => {
    const { phone, talk } = talking({ frameBytes: [1024, 2048, 20000, 1311, 1] });
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
  });

  test("a call takes the microphone, and gives it back", async () => {
    const { phone, talk, states } = talking();
    await talk.start();
    await phone.recorder.said(IN_A_WORD_MS - 450); // in a pause: a call does not cut words in two
    phone.recorder.interrupt();
    await sleep(7000); // longer than the service waits before it gives its recognizer up
    phone.recorder.endInterruption();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    assert.deepEqual(states, ["connecting", "streaming", "paused", "streaming", "stopping", "ended"]);
    assert.equal(phone.network.dials, 1);
  });

  test("WeChat ends a recording after ten minutes: the next one goes on", async () => {
    const { phone, talk, errors } = talking({ longestMs: 2400 });
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    assert.ok(phone.recorder.starts >= 3);
    assert.deepEqual(errors, []);
  });

  test("a second talk right after the first: the recorder is still busy", async () => {
    const { phone, talk, api } = talking();
    await talk.start();
    await phone.recorder.said(1500);
    await talk.stop();
    const { VoiceTalk } = phone.require("lib/voice-talk-wx.js");
    const second = new VoiceTalk({ baseUrl: service.url, api, start: { vadSilenceMs: 500 } });
    await second.start();
    phone.recorder.position = 0;
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await second.stop(), TALK.texts);
    await assertTidy(phone);
  });

  test("by connectContainer, without a domain", async () => {
    const { phone, talk } = talking(
      { containerUrl: service.url.replace("http", "ws") },
      { container: { env: "env-1", service: "voice" } },
    );
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    await assertTidy(phone);
  });

  test("no WebSocket gets through: the recording is uploaded", async () => {
    const { phone, talk, states, errors } = talking();
    phone.network.blocksSockets = true;
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    const outcome = await talk.stop();
    assert.equal(outcome.text, TALK.texts.join(" "));
    assert.deepEqual([outcome.via, outcome.isComplete, outcome.error], ["upload", true, null]);
    assert.deepEqual(phone.network.uploads, [{ voiceFormat: "pcm", sampleRate: "16000" }]);
    assert.ok(errors.every((error) => error.code === "connection_lost"));
    assert.ok(states.includes("stopping"));
  });

  test("the microphone is denied: nothing is dialed", async () => {
    const { phone, talk, errors } = talking({ allowsMicrophone: false });
    await assert.rejects(talk.start(), { code: "microphone_denied" });
    assert.deepEqual(errors.map((error) => error.code), ["microphone_denied"]);
    assert.equal(phone.network.dials, 0);
    assert.equal((await talk.stop()).text, "");
  });

  test("canceled while it is being ended: the recording is not uploaded", async () => {
    const { phone, talk } = talking();
    phone.network.blocksSockets = true;
    await talk.start();
    await phone.recorder.said(500);
    const ended = talk.stop();
    await sleep(200);
    talk.cancel();
    const outcome = await ended;
    assert.deepEqual([outcome.isComplete, outcome.error, outcome.via], [false, null, "stream"]);
    assert.deepEqual(phone.network.uploads, []);
  });

  test("canceled: nothing is left behind", async () => {
    const { phone, talk } = talking();
    await talk.start();
    await phone.recorder.said(1500);
    talk.cancel();
    const outcome = await talk.stop();
    assert.deepEqual([outcome.isComplete, outcome.error], [false, null]);
    await sleep(200);
    await assertTidy(phone);
  });
});
