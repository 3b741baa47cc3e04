"use strict";
// A talk through many networks: its transcript is that of the undisturbed one. PHONE_TALK_S, PHONE_SWITCHES and PHONE_SEED
// say how long, how many, and which.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { Service, codedTalk } = require("../support/service.js");
const { assertComplete, assertTidy, phoneWith, randomOf, times } = require("../support/talking.js");

const TALK_S = Number(process.env.PHONE_TALK_S || 12);
const SWITCHES = Number(process.env.PHONE_SWITCHES || 3);
const SEED = Number(process.env.PHONE_SEED || 1);
const WAYS = /** @type {const} */ (["silent", "unsendable", "reset"]);

const service = new Service();
const TALK = codedTalk(TALK_S);
const EVERYTHING_MS = TALK.pcm.length / 32;

/** When the networks change, spread over the talk, and how the old connection dies. */
function plan() {
  const random = randomOf(SEED);
  const apartMs = (EVERYTHING_MS - 1000) / SWITCHES;
  return Array.from({ length: SWITCHES }, (_each, number) => ({
    ms: Math.round(500 + apartMs * (number + 0.3 * random())),
    way: WAYS[Math.floor(random() * WAYS.length)],
  }));
}

/** @param {{ms: number, way: import("../support/network.js").Way}[]} switches */
async function said(switches) {
  const { phone, talk } = phoneWith(service.url, { pcm: TALK.pcm });
  await talk.start();
  for (const { ms, way } of switches) {
    await phone.recorder.said(ms);
    phone.switchNetwork(way);
  }
  await phone.recorder.said(EVERYTHING_MS);
  const outcome = await talk.stop();
  await assertTidy(phone);
  return outcome;
}

describe("a talk through many networks", { timeout: 60000 + 2000 * TALK_S }, () => {
  before(() => service.start());
  after(() => service.end());

  test(`${SWITCHES} switches in ${TALK_S} s, seed ${SEED}`, async (context) => {
    const switches = plan();
    context.diagnostic(switches.map(({ ms, way }) => `${ms} ms ${way}`).join(", "));
    const [undisturbed, disturbed] = await Promise.all([said([]), said(switches)]);
    assertComplete(undisturbed, TALK.texts);
    assertComplete(disturbed, TALK.texts);
    assert.deepEqual(times(disturbed), times(undisturbed));
    assert.ok(disturbed.streamIds.length > SWITCHES / 2); // one that follows soon may find the connection dead already
    context.diagnostic(`${TALK.texts.length} sentences, ${disturbed.streamIds.length} streams`);
  });
});
