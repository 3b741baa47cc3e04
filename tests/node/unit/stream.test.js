"use strict";
// The stream in virtual time.

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { World, pcm, settled } = require("../support/world.js");

test("audio before welcome is kept, and follows start", async () => {
  const world = new World({ start: { hotwords: [{ word: "监理" }] } });
  world.stream.start();
  await settled();
  world.stream.sendAudio(pcm(100));
  assert.deepEqual(world.socket.sent, []);
  world.socket.welcome();
  const start = { type: "start", voiceFormat: "pcm", sampleRate: 16000, hotwords: [{ word: "监理" }] };
  assert.deepEqual(world.socket.heard(), [start]); // engineType is left to the service
  assert.equal(world.socket.audioBytes, 3200);
});

test("after a break it resumes at the last settled position, and says the rest again", async () => {
  const world = new World();
  const first = await world.streaming();
  for (let number = 0; number < 30; number += 1) world.stream.sendAudio(pcm(100));
  first.result(0, "one", true, 1234);
  first.result(1, "tw", false);
  first.onclose({ code: 1006 });
  await world.pass(1000);
  assert.equal(world.sockets.length, 2);
  world.socket.welcome();
  assert.deepEqual(world.socket.heard("start")[0].resume, { streamId: "s1", sentences: 1, settledMs: 1234 });
  assert.equal(world.socket.audioBytes, (3000 - 1234) * 32);
  world.socket.ready("s2");
  world.socket.result(0, "one", true, 1234); // would be a double
  world.socket.result(1, "two", true, 3000);
  const ended = world.stream.stop();
  world.socket.stopped();
  const { text, sentences, streamIds, isComplete, logId } = await ended;
  assert.deepEqual([text, sentences.length, streamIds, isComplete, logId], ["one two", 2, ["s1", "s2"], true, 7]);
  assert.equal(world.timers, 0);
  assert.equal(world.unwatched, 1);
  assert.ok(world.sockets.every((socket) => socket.isClosed));
});

test("the memory is bounded: what is too old is named as lost, and the clock goes on", async () => {
  const world = new World({ keepMs: 2000 });
  const first = await world.streaming();
  first.onclose({ code: 1006 });
  for (let number = 0; number < 50; number += 1) world.stream.sendAudio(pcm(100));
  await world.pass(1000);
  world.socket.welcome();
  assert.deepEqual(world.socket.heard("start")[0].resume, { streamId: "s1", sentences: 0, settledMs: 3000 });
  assert.equal(world.socket.audioBytes, 64000);
  assert.deepEqual(world.errors.map(({ code, fatal, fromMs, toMs }) => [code, fatal, fromMs, toMs]), [["audio_lost", false, 0, 3000]]);
});

test("never more than the bound is handed to a slow socket, and it goes on when there is room", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.buffered = 70000;
  world.stream.sendAudio(pcm(1000));
  await world.pass(500);
  assert.equal(socket.audioBytes, 0);
  socket.buffered = 0;
  await world.pass(50);
  assert.equal(socket.audioBytes, 32000);
  world.stream.sendAudio(pcm(5000));
  assert.ok(socket.sent.every((data) => typeof data === "string" || data.byteLength <= 32000));
});

test("a connection slower than speech is given up for one that begins later", async () => {
  const world = new World({ keepMs: 1000 });
  const socket = await world.streaming();
  socket.buffered = 70000;
  for (let number = 0; number < 20; number += 1) world.stream.sendAudio(pcm(100));
  assert.ok(socket.isClosed);
  await world.pass(1000);
  world.socket.welcome();
  assert.equal(world.socket.heard("start")[0].resume.settledMs, 1000);
});

test("a long silence is settled, so that it does not fill the memory", async () => {
  const world = new World({ keepMs: 10000 });
  const socket = await world.streaming();
  for (let number = 0; number < 60; number += 1) world.stream.sendAudio(pcm(100));
  const [{ id }] = socket.heard("finalize");
  assert.equal(socket.heard("finalize").length, 1);
  socket.says({ type: "finalized", id, audioMs: 5100, sentences: 0 });
  socket.onclose({ code: 1006 });
  await world.pass(1000);
  world.socket.welcome();
  assert.equal(world.socket.heard("start")[0].resume.settledMs, 5100);
});

test("another network while a heartbeat is not answered yet: 2 s count, however often it changes", async () => {
  const world = new World();
  const socket = await world.streaming();
  await world.pass(10500);
  world.stream.networkChanged();
  await world.pass(1500);
  world.stream.networkChanged();
  await world.pass(600);
  assert.ok(socket.isClosed);
});

test("handlers that end the talk in the middle of things leave nothing behind, and hide no problem", async () => {
  const gap = new World({ keepMs: 1000 });
  const socket = await gap.streaming();
  gap.stream.on("error", () => gap.stream.cancel());
  socket.onclose({ code: 1006 });
  gap.stream.sendAudio(pcm(900));
  gap.stream.sendAudio(pcm(900));
  await gap.pass(1000);
  gap.socket.welcome(); // `audio_lost`
  assert.equal(gap.stream.state, "ended");
  assert.deepEqual([gap.timers, gap.socket.heard()], [0, [{ type: "cancel" }]]);

  const refused = new World();
  const other = await refused.streaming();
  refused.stream.on("error", () => refused.stream.cancel());
  other.fails("forbidden", { retryable: false });
  assert.equal((await refused.stream.ended).error?.code, "forbidden");

  const stopped = new World();
  const last = await stopped.streaming();
  /** @type {string[]} */
  const states = [];
  stopped.stream.on("state", ({ state }) => states.push(state));
  stopped.stream.on("partial", () => stopped.stream.cancel());
  stopped.stream.partial = { index: 0, text: "", startMs: 0, endMs: 0, wordList: [] };
  const ended = stopped.stream.stop();
  last.stopped();
  assert.equal((await ended).isComplete, true);
  assert.deepEqual(states, ["stopping", "ended"]);
});

test("a login that is rejected with nothing is a login that failed", async () => {
  const world = new World({ getToken: () => Promise.reject() });
  world.stream.start().catch(() => {});
  assert.equal((await world.stream.ended).error?.code, "login_failed");
});

test("a heartbeat every 10 s, and a connection without an answer is dead", async () => {
  const world = new World();
  const socket = await world.streaming();
  for (let beat = 1; beat <= 3; beat += 1) {
    await world.pass(10000);
    assert.equal(socket.heard("ping").length, beat);
    socket.says({ type: "pong", t: 1 });
  }
  await world.pass(10000 + 8000 + 1000);
  assert.ok(socket.isClosed);
  assert.equal(world.sockets.length, 2);
});

test("another network: a dead connection is found out in 2 s, a living one is kept", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.networkChanged();
  socket.says({ type: "pong", t: 1 });
  await world.pass(3000);
  assert.equal(world.sockets.length, 1);
  world.stream.networkChanged();
  await world.pass(3000);
  assert.equal(world.sockets.length, 2);
});

test("back-off doubles up to 2 s, and has an end", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.onclose({ code: 1006 });
  const dialedAt = [];
  while (world.stream.state !== "ended") {
    const before = world.sockets.length;
    await world.pass(10);
    if (world.sockets.length > before) {
      dialedAt.push(world.time);
      world.socket.onerror("no network");
    }
  }
  assert.deepEqual(dialedAt.slice(0, 6), [200, 600, 1400, 3000, 5000, 7000]);
  assert.ok(world.time > 55000 && world.time <= 60000);
  assert.deepEqual(world.errors.map(({ code, fatal }) => [code, fatal]), [["connection_lost", true]]);
  assert.equal(world.timers, 0);
});

test("a service that never was there is given up after 15 s, so that another way can be taken", async () => {
  const world = new World();
  const started = world.stream.start();
  const refused = assert.rejects(started, { code: "connection_lost" });
  for (let tries = 0; tries < 40 && world.stream.state !== "ended"; tries += 1) {
    await world.pass(500);
    if (!world.socket.isClosed) world.socket.onclose({ code: 1006 });
  }
  await refused;
  assert.ok(world.time <= 15500);
});

test("it waits as long as the service asks, and ends where that is too long", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.fails("overloaded", { retryAfterMs: 7000 });
  await world.pass(6900);
  assert.equal(world.sockets.length, 1);
  await world.pass(200);
  assert.equal(world.sockets.length, 2);
  world.socket.fails("quota_exceeded", { retryAfterMs: 3600000 });
  assert.equal((await world.stream.ended).error?.code, "quota_exceeded");
});

test("an error that stays the same ends the talk, with what is final", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.result(0, "go", true, 100);
  socket.result(1, "open", false);
  socket.says({ type: "error", code: "unsupported_audio", message: "WebM", retryable: false, retryAfterMs: null, fatal: true });
  await world.pass(4000); // the close does not come
  const outcome = await world.stream.ended;
  assert.deepEqual([outcome.text, outcome.isComplete, outcome.error?.code], ["go", false, "unsupported_audio"]);
});

test("goaway in mid-sentence: on to the end of it, then another stream", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.sendAudio(pcm(1000));
  socket.result(0, "one", false);
  socket.says({ type: "goaway", timeLeftMs: 10000, reason: "time_limit" });
  await world.pass(2000);
  assert.equal(world.sockets.length, 1);
  socket.result(0, "one two", true, 900);
  await world.pass(10);
  assert.equal(world.sockets.length, 2);
  assert.ok(socket.isClosed);
  world.socket.welcome();
  assert.deepEqual(world.socket.heard("start")[0].resume, { streamId: "s1", sentences: 1, settledMs: 900 });
  assert.equal(world.socket.audioBytes, 3200);
});

test("goaway, and the sentence does not end: it leaves before the time is over", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.result(0, "one", false);
  socket.says({ type: "goaway", timeLeftMs: 10000, reason: "restarting" });
  await world.pass(6900);
  assert.equal(world.sockets.length, 1);
  await world.pass(200);
  assert.equal(world.sockets.length, 2);
});

for (const partials of [0, 1]) {
  test(`goaway with no time left, ${partials} open sentences: a final that is cut in mid-word counts for nothing`, async () => {
    const world = new World();
    const socket = await world.streaming();
    world.stream.sendAudio(pcm(1000));
    socket.result(0, "one", true, 400);
    if (partials) socket.result(1, "two", false);
    socket.says({ type: "goaway", timeLeftMs: 0, reason: "restarting" });
    socket.result(1, "two", true, 900); // in the same segment: the service has settled at once
    socket.stopped();
    await world.pass(10);
    assert.equal(world.sockets.length, 2);
    world.socket.welcome();
    assert.deepEqual(world.socket.heard("start")[0].resume, { streamId: "s1", sentences: 1, settledMs: 400 });
    assert.equal(world.socket.audioBytes, 600 * 32);
  });
}

test("goaway with no time left when stop was said: all of it is said again elsewhere", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.sendAudio(pcm(1000));
  const ended = world.stream.stop();
  socket.says({ type: "goaway", timeLeftMs: 0, reason: "restarting" });
  socket.result(0, "on", true, 500);
  socket.stopped(32000);
  await world.pass(10);
  world.socket.welcome();
  assert.equal(world.socket.audioBytes, 32000);
  world.socket.ready("s2");
  world.socket.result(0, "one", true, 1000);
  world.socket.stopped(32000);
  const { text, isComplete } = await ended;
  assert.deepEqual([text, isComplete], ["one", true]);
});

test("goaway just before the end: what it did not hear is said again", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.sendAudio(pcm(1000));
  const ended = world.stream.stop();
  socket.says({ type: "goaway", timeLeftMs: 9000, reason: "restarting" });
  await world.pass(8000);
  assert.equal(world.sockets.length, 1);
  socket.stopped(20000);
  await world.pass(10);
  assert.equal(world.sockets.length, 2);
  world.socket.welcome();
  assert.equal(world.socket.audioBytes, 32000);
  world.socket.ready("s2");
  world.socket.stopped(32000);
  assert.equal((await ended).isComplete, true);
});

test("the service ends the stream by itself: the next one goes on at once", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.sendAudio(pcm(1000));
  socket.result(0, "one", true, 700);
  socket.stopped();
  await world.pass(1);
  assert.equal(world.sockets.length, 2);
});

test("finalize is answered, also over a break", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.sendAudio(pcm(500));
  const answer = world.stream.finalize();
  world.stream.sendAudio(pcm(500));
  const [{ id }] = socket.heard("finalize");
  socket.onclose({ code: 1006 });
  await world.pass(500);
  world.socket.welcome();
  const kinds = world.socket.sent.slice(1).map((data) => (typeof data === "string" ? JSON.parse(data).type : data.byteLength));
  assert.deepEqual(kinds, [16000, "finalize", 16000]);
  world.socket.says({ type: "finalized", id, audioMs: 500, sentences: 0 });
  assert.deepEqual(await answer, { audioMs: 500, sentences: 0 });
  const late = world.stream.finalize();
  world.stream.cancel();
  await assert.rejects(late, { code: "canceled" });
  await assert.rejects(world.stream.finalize(), { code: "not_started" });
});

test("a service that cannot resume: the talk ends where it broke", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.onclose({ code: 1006 });
  await world.pass(500);
  world.socket.welcome({ resume: undefined });
  assert.equal((await world.stream.ended).error?.code, "connection_lost");
});

test("what is no message of the service is a broken connection", async () => {
  const world = new World();
  const socket = await world.streaming();
  socket.onmessage("<html>");
  assert.ok(socket.isClosed);
  await world.pass(500);
  assert.equal(world.sockets.length, 2);
});

test("after stop, a service that settles nothing is not waited for for ever", async () => {
  const world = new World();
  const socket = await world.streaming();
  const ended = world.stream.stop();
  for (let second = 0; second < 70; second += 1) {
    await world.pass(1000);
    socket.says({ type: "pong", t: 1 });
  }
  assert.equal((await ended).error?.code, "not_settled");
  assert.equal(world.stream.sendAudio(pcm(10)), false);
});

test("a fault of a page is its own, and is not swallowed", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.on("final", () => {
    throw new Error("a fault of the page");
  });
  socket.result(0, "one", true, 10);
  assert.equal(world.stream.text, "one");
  await assert.rejects(world.pass(1), /a fault of the page/);
});

test("nothing is sent before welcome, whatever happens", async () => {
  const world = new World();
  world.stream.start().catch(() => {});
  await settled();
  world.stream.sendAudio(pcm(100));
  world.stream.networkChanged();
  await world.pass(2500); // a dial on the network that is gone is not waited for
  assert.equal(world.sockets.length, 2);
  world.stream.cancel();
  assert.deepEqual(world.sockets.map((socket) => socket.sent), [[], []]);
});

test("goaway because the token is over: the next dial has another one", async () => {
  /** @type {boolean[]} */
  const wishes = [];
  const world = new World({
    getToken: (/** @type {{renew: boolean}} */ { renew }) => {
      wishes.push(renew);
      return "token";
    },
  });
  const socket = await world.streaming();
  socket.says({ type: "goaway", timeLeftMs: 10000, reason: "token_expired" });
  await world.pass(10);
  assert.deepEqual(wishes, [false, true]);
});

test("goaway because the token is over, and the first login fails: the next one is a login, too", async () => {
  /** @type {boolean[]} */
  const wishes = [];
  const world = new World({
    getToken: (/** @type {{renew: boolean}} */ { renew }) => {
      wishes.push(renew);
      if (wishes.length === 2) return Promise.reject({ code: "login_unavailable", message: "busy", retryable: true });
      return "token";
    },
  });
  const socket = await world.streaming();
  socket.says({ type: "goaway", timeLeftMs: 10000, reason: "token_expired" });
  await world.pass(1000);
  world.socket.welcome();
  world.socket.onclose({ code: 1006 });
  await world.pass(1000);
  assert.deepEqual(wishes, [false, true, true, false]);
});

test("goaway because the audio of the day is nearly used up: there is no better stream, so it stays to the end", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.sendAudio(pcm(1000));
  socket.says({ type: "goaway", timeLeftMs: 10000, reason: "quota_exceeded" });
  socket.result(0, "one", true, 900);
  await world.pass(9900);
  socket.result(1, "tw", true, 10000); // settled in mid-word, when the time is over
  socket.fails("quota_exceeded", { retryAfterMs: 3600000 });
  const { text, isComplete, error } = await world.stream.ended;
  assert.deepEqual([text, isComplete, error?.code], ["one tw", false, "quota_exceeded"]);
  assert.equal(world.sockets.length, 1);
});

test("suspended for an hour: the time counts as none", async () => {
  const world = new World();
  const socket = await world.streaming();
  world.stream.entersBackground();
  assert.equal(socket.heard("finalize").length, 1);
  socket.onclose({ code: 1006 });
  world.time += 3600000; // no timer runs
  world.stream.entersForeground();
  await settled();
  assert.equal(world.sockets.length, 2);
  world.socket.onerror("not yet");
  await world.pass(1000);
  assert.equal(world.sockets.length, 3);
});
