"use strict";
// The service is restarted while a person talks: in good order, and by a kill. Nothing that was said is lost or doubled.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { Service, codedTalk } = require("../support/service.js");
const { assertComplete, assertTidy, phoneWith, times } = require("../support/talking.js");

const TALK = codedTalk(15);
const EVERYTHING_MS = TALK.pcm.length / 32;
const IN_A_WORD_MS = 5000 + 250;

describe("a restart", { concurrency: true, timeout: 90000 }, () => {
  for (const [signal, drainS] of /** @type {const} */ ([["SIGTERM", "20"], ["SIGTERM", "1"], ["SIGKILL", "20"]])) {
    const service = new Service({ DRAIN_S: drainS }); // with 1 it settles at once, in mid-word
    before(() => service.start());
    after(() => service.end());

    test(`by ${signal}, DRAIN_S ${drainS}`, async () => {
      const { phone, talk, messages, errors } = phoneWith(service.url, { pcm: TALK.pcm });
      await talk.start();
      await phone.recorder.said(IN_A_WORD_MS);
      await service.gateway?.end(signal);
      await service.startGateway();
      await phone.recorder.said(EVERYTHING_MS);
      const outcome = await talk.stop();
      assertComplete(outcome, TALK.texts);
      assert.deepEqual(
        times(outcome),
        TALK.texts.map((_text, index) => [200 + 2400 * index, 1900 + 2400 * index]),
      );
      assert.ok(outcome.streamIds.length >= 2);
      assert.equal(messages.filter(({ type }) => type === "goaway").length, signal === "SIGTERM" ? 1 : 0);
      assert.deepEqual(errors, []);
      await assertTidy(phone);
    });
  }

  test("it does not come back: the person is told, and has what was said before", async () => {
    const service = new Service();
    await service.start();
    const { phone, talk, errors } = phoneWith(service.url, { pcm: TALK.pcm });
    talk._stream._giveUpMs = 3000;
    await talk.start();
    await phone.recorder.said(IN_A_WORD_MS);
    await service.gateway?.end("SIGKILL");
    await phone.recorder.said(EVERYTHING_MS);
    const outcome = await talk.stop();
    await service.end();
    assert.equal(outcome.isComplete, false);
    assert.equal(outcome.error.code, "connection_lost");
    assert.equal(outcome.text, TALK.texts.slice(0, 2).join(" "));
    assert.deepEqual(errors.map(({ code, fatal }) => [code, fatal]), [["connection_lost", false]]);
    await assertTidy(phone);
  });
});
