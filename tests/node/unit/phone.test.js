"use strict";
// The microphone and the sockets of a difficult phone, without a service.

const assert = require("node:assert/strict");
const { describe, test } = require("node:test");
const { Phone } = require("../support/phone.js");
const { sleep } = require("../support/talking.js");

/** @param {any} [settings] */
function recording(settings) {
  const phone = new Phone(settings);
  const { WxRecorder } = phone.require("lib/recorder-wx.js");
  /** A recorder whose frames and problems are kept. */
  const made = () => {
    /** @type {number[]} */
    const frames = [];
    /** @type {string[]} */
    const problems = [];
    const recorder = new WxRecorder(
      { format: "PCM", sampleRate: 16000 },
      {
        onstart: () => {},
        onframe: (/** @type {ArrayBuffer} */ buffer) => frames.push(buffer.byteLength),
        onpause: () => {},
        onproblem: (/** @type {any} */ problem) => problems.push(problem.code),
      },
    );
    return { recorder, frames, problems };
  };
  return { phone, made };
}

/** @param {number[]} frames */
const sum = (frames) => frames.reduce((total, bytes) => total + bytes, 0);

describe("the microphone", { concurrency: true, timeout: 20000 }, () => {
  test("the program comes to the foreground, and was not paused: the recording just goes on", async () => {
    const { phone, made } = recording();
    const { recorder, frames, problems } = made();
    recorder.start();
    await sleep(300);
    phone.show();
    await sleep(1500);
    await recorder.stop();
    assert.deepEqual([phone.recorder.starts, problems], [1, []]);
    assert.ok(sum(frames) > 1000 * 32);
    assert.equal(phone.listenerCount, 0);
  });

  test("the program comes to the foreground during a call: it waits for the end of the call", async () => {
    const { phone, made } = recording();
    const { recorder, frames, problems } = made();
    recorder.start();
    await sleep(300);
    phone.recorder.interrupt();
    phone.show();
    await sleep(4500); // longer than a recorder may be silent
    const before = sum(frames);
    phone.recorder.endInterruption();
    await sleep(500);
    await recorder.stop();
    assert.deepEqual([phone.recorder.starts, problems], [1, []]);
    assert.ok(sum(frames) > before);
  });

  test("a recording begins while another one is being ended: each has its own frames", async () => {
    const { phone, made } = recording();
    const [first, second, third] = [made(), made(), made()];
    first.recorder.start();
    await sleep(300);
    const ended = first.recorder.stop();
    second.recorder.start();
    assert.ok(await ended);
    const firstBytes = sum(first.frames);
    while (second.frames.length === 0) await sleep(20); // the recorder is busy for a while
    third.recorder.start();
    assert.equal(await third.recorder.stop(), null);
    await second.recorder.stop();
    assert.equal(sum(first.frames), firstBytes);
    assert.equal(phone.recorder.starts, 2);
    assert.deepEqual([first.problems, second.problems, third.problems], [[], [], ["microphone_failed"]]);
    assert.equal(phone.listenerCount, 0);
  });

  test("the last frame comes after the recording has ended", async () => {
    const { phone, made } = recording({ hasLateLastFrame: true });
    const { recorder, frames } = made();
    recorder.start();
    await sleep(300);
    const { path } = await recorder.stop();
    await sleep(100);
    assert.equal(sum(frames), phone.files.get(path)?.length);
  });
});

test("a socket that cannot even be made is none of the five", () => {
  const phone = new Phone();
  const { wxAdapter } = phone.require("lib/adapter-wx.js");
  const adapter = wxAdapter();
  const { connectSocket } = phone.wx;
  phone.wx.connectSocket = () => {
    throw new Error("not now");
  };
  for (let tries = 0; tries < 7; tries += 1) {
    assert.throws(() => adapter.connect({ url: "wss://host", token: null }), { message: "not now" });
  }
  phone.wx.connectSocket = connectSocket;
  phone.network.isUp = false;
  adapter.connect({ url: "wss://host", token: null }).close();
});
