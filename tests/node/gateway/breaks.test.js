"use strict";
// The library on a phone whose network and foreground come and go, against the real service: each word once.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { EVERYTHING_MS, IN_A_WORD_MS, REAL_TIME_GUARD_MS, TALK, WORDS_MS, service, talking } = require("../support/eight-words.js");
const { assertComplete, assertTidy, sleep, times } = require("../support/talking.js");

describe("a talk with breaks", { concurrency: true, timeout: REAL_TIME_GUARD_MS }, () => {
  before(() => service.start());
  after(() => service.end());

  for (const way of /** @type {const} */ (["silent", "unsendable", "reset"])) {
    test(`another network in mid-word, and the old connection dies: ${way}`, async () => {
      const { phone, talk, states, errors } = talking();
      await talk.start();
      await phone.recorder.said(IN_A_WORD_MS);
      phone.switchNetwork(way);
      await phone.recorder.said(EVERYTHING_MS);
      const outcome = await talk.stop();
      assertComplete(outcome, TALK.texts);
      assert.deepEqual(times(outcome), WORDS_MS);
      assert.ok(outcome.streamIds.length >= 2);
      assert.ok(states.includes("reconnecting"));
      assert.deepEqual(errors, []);
      await assertTidy(phone);
    });
  }

  test("no network for a while: what is said meanwhile is not lost", async () => {
    const { phone, talk } = talking();
    await talk.start();
    await phone.recorder.said(IN_A_WORD_MS);
    phone.loseNetwork();
    await phone.recorder.said(IN_A_WORD_MS + 3000);
    phone.findNetwork();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    await assertTidy(phone);
  });

  test("the network goes just when the finger is up", async () => {
    const { phone, talk } = talking();
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    const outcome = talk.stop();
    phone.switchNetwork("silent");
    assertComplete(await outcome, TALK.texts);
    await assertTidy(phone);
  });

  test("in the background the program is suspended, and its connection dies", async () => {
    const { phone, talk } = talking();
    await talk.start();
    await phone.recorder.said(IN_A_WORD_MS - 450);
    phone.hide();
    await sleep(4500); // of the five seconds before it is suspended
    assert.equal(talk.text, TALK.texts[0]); // what was said is settled while there is time
    await sleep(1000);
    assert.ok(phone.isSuspended);
    phone.network.cut("silent");
    await sleep(1500);
    phone.show();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    await assertTidy(phone);
  });

  test("with four sockets of the program's own, the talk never needs a second one", async () => {
    const { phone, talk, errors } = talking();
    const url = `${service.url.replace("http", "ws")}/test-ws?quiet=1`;
    const others = Array.from({ length: 4 }, () => phone.network.connectSocket({ url }));
    await talk.start();
    for (const ms of [1500, 2500, 3500]) {
      await phone.recorder.said(ms);
      for (const task of phone.network.tasks) if (!others.includes(task)) task.cut("silent");
      phone._emit("network", { isConnected: true, networkType: "5g" });
    }
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    assert.equal(phone.network.peak, 5);
    assert.deepEqual(errors, []);
    others.forEach((task) => task.close());
  });
});
