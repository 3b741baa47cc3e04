"use strict";
// Decisions, memory for audio, and words.

const assert = require("node:assert/strict");
const { Buffer } = require("node:buffer");
const { test } = require("node:test");
const { afterClose, backOffMs, joined, streamUrl } = require("../../../miniprogram/lib/decisions.js");
const { KeptMp3, parseHeader } = require("../../../miniprogram/lib/kept-mp3.js");
const { KeptPcm, levelOf } = require("../../../miniprogram/lib/kept-pcm.js");
const { SLUGS, MESSAGES, describe } = require("../../../miniprogram/lib/slugs.js");
const { python } = require("../support/service.js");

test("what to do after a close", () => {
  const fatal = { code: "x", message: "", retryAfterMs: null, fatal: true };
  assert.equal(afterClose({ ...fatal, retryable: true }, 1006), "again");
  assert.equal(afterClose({ ...fatal, retryable: false }, 1006), "end");
  assert.equal(afterClose({ ...fatal, retryable: false, code: "token_expired" }, 4401), "login");
  const codes = { 1000: "again", 1001: "again", 1006: "again", 1011: "again", 1012: "again", 1009: "end", 4400: "end" };
  for (const [code, verdict] of Object.entries(codes)) assert.equal(afterClose(null, Number(code)), verdict, code);
  for (const code of [4408, 4429, 4503, 4504]) assert.equal(afterClose(null, code), "again");
  assert.equal(afterClose(null, 4401), "login");
  assert.equal(afterClose(null, 4502), "end");
});

test("back-off", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 99].map((tries) => backOffMs(tries, 0.5, 0)), [200, 400, 800, 1600, 2000, 2000]);
  assert.equal(backOffMs(0, 0, 5000), 5000);
  assert.equal(backOffMs(0, 0, 0), 100);
});

test("sentences are put together as the service does", () => {
  const cases = [[], ["go", "on"], ["你好。", "再见"], ["go", "你好", "on"], ["", "a", "", "b"], ["ok.", "Über"]];
  const code = "import json, sys; from service.text import joined; print(json.dumps([joined(c) for c in json.loads(sys.argv[1])]))";
  assert.deepEqual(cases.map(joined), JSON.parse(python(code, JSON.stringify(cases)).toString()));
});

test("addresses", () => {
  const full = "wss://host/api/realtime-voice/stream";
  for (const url of ["https://host", "wss://host/", full]) assert.equal(streamUrl(url), full);
  assert.equal(streamUrl("http://127.0.0.1:8000"), "ws://127.0.0.1:8000/api/realtime-voice/stream");
});

test("PCM is read in any cut, and forgotten up to a position", () => {
  const kept = new KeptPcm(16000, 1000);
  const all = Uint8Array.from({ length: 20000 }, (_each, at) => (at * 7) % 251);
  for (let at = 0, size = 1; at < all.length; at += size, size = (size * 3) % 1309 || 1) kept.append(all.slice(at, at + size).buffer);
  for (const [at, most] of [[0, 100], [1, 1], [333, 5000], [19990, 100], [20000, 5]]) {
    assert.deepEqual(new Uint8Array(kept.read(at, most)), all.slice(at, at + most));
  }
  kept.forget(300);
  assert.ok(kept.startByte <= 9600 && kept.startByte > 9600 - 1310);
  assert.deepEqual(new Uint8Array(kept.read(9600, 999)), all.slice(9600, 10599));
  assert.deepEqual(kept.resumePoint(300), { ms: 300, byte: 9600 });
  kept.append(new ArrayBuffer(30000));
  assert.ok(kept.endByte - kept.startByte <= 32000);
  assert.ok(kept.resumePoint(300).byte >= kept.startByte);
});

test("loudness", () => {
  const tone = (/** @type {number} */ peak) => Int16Array.from({ length: 160 }, (_each, at) => (at % 2 ? peak : -peak)).buffer;
  assert.equal(levelOf(new ArrayBuffer(0)), 0);
  assert.equal(levelOf(tone(0)), 0);
  assert.ok(levelOf(tone(32767)) > 0.99 && levelOf(tone(32767)) <= 1);
  assert.ok(Math.abs(levelOf(tone(1036)) - 0.5) < 0.01); // -30 dB
});

const MP3 = `
import sys
from tests.support.mp3_talk import mp3_of
sys.stdout.buffer.write(mp3_of(bytes(64000), bit_rate=int(sys.argv[1])))
`;

for (const [bitRate, lead] of [[48000, 4], [24000, 6]]) {
  test(`mp3 at ${bitRate}: frames are found in any cut, and a stream begins ${lead} before its place`, () => {
    const bytes = new Uint8Array(python(MP3, String(bitRate)));
    const kept = new KeptMp3(16000, 90000);
    for (let at = 0; at < bytes.length; at += 313) kept.append(bytes.slice(at, at + 313).buffer);
    assert.ok(kept.endMs >= 2000 - 36 && kept.endMs % 36 === 0);
    const place = kept.resumePoint(1000);
    assert.equal(place.ms, 36 * (Math.floor(1000 / 36) - lead));
    assert.ok(parseHeader(new Uint8Array(kept.read(place.byte, 4)), 0));
    assert.deepEqual(kept.resumePoint(36), { ms: 0, byte: 0 });
    kept.forget(1000);
    assert.equal(kept.startByte, place.byte);
    assert.deepEqual(kept.resumePoint(1000), place);
    const clear = place.byte + (lead - 1) * (bitRate * 0.0045); // the others are silent now
    assert.deepEqual(new Uint8Array(kept.read(clear, 1e6)), bytes.slice(clear));
  });
}

const HEAR_AGAIN = `
import json, sys
from array import array
from tests.support.coded_files import sample_pcm
from tests.support.mp3_talk import decoded, frames_of, mp3_of
if len(sys.argv) == 2:
    sys.stdout.buffer.write(mp3_of(sample_pcm() * 2, bit_rate=int(sys.argv[1])))
    sys.exit()
bit_rate, kept = int(sys.argv[1]), json.loads(sys.argv[2])
whole = [array("h", sound) for sound in decoded([frame.data for frame in frames_of(mp3_of(sample_pcm() * 2, bit_rate=bit_rate))])]
differences = []
for first, lead, data in kept:
    sounds = [array("h", sound) for sound in decoded([frame.data for frame in frames_of(bytes.fromhex(data))])]
    before = sum(sample * sample for sound in sounds[: lead - 1] for sample in sound)
    exact = all(
        len(sound) == len(again) and all(abs(a - b) <= 2 for a, b in zip(sound, again))
        for sound, again in zip(whole[first + lead + 1 :], sounds[lead + 1 :])
    )
    differences.append([before, exact, len(sounds)])
print(json.dumps(differences))
`;

for (const [bitRate, lead] of [[48000, 4], [24000, 6]]) {
  test(`mp3 at ${bitRate}: what is settled is not heard again, and behind it nothing is torn`, () => {
    const bytes = new Uint8Array(python(HEAR_AGAIN, String(bitRate)));
    const [frameMs, frames] = [36, 20];
    const again = [];
    for (const settledMs of [1000, 1500, 1512, 2003, 2520, 2999]) {
      const kept = new KeptMp3(16000, 90000);
      kept.append(bytes.slice().buffer);
      kept.forget(500); // of an earlier final
      kept.forget(settledMs);
      const place = kept.resumePoint(settledMs);
      const first = place.ms / frameMs;
      assert.equal(first, Math.floor(settledMs / frameMs) - lead);
      const audio = Buffer.from(kept.read(place.byte, frames * bitRate * 0.0045)); // of a fixed rate: 36 ms are one size
      again.push([first, lead, audio.toString("hex")]);
    }
    const heard = JSON.parse(python(HEAR_AGAIN, String(bitRate), JSON.stringify(again)).toString());
    assert.deepEqual(heard, again.map(() => [0, true, frames]));
  });
}

test("mp3 that is too old is dropped in whole frames, and what is no mp3 does not stay", () => {
  const bytes = new Uint8Array(python(MP3, "48000"));
  const kept = new KeptMp3(16000, 500);
  kept.append(bytes.buffer);
  assert.ok(kept.endMs - kept.resumePoint(0).ms <= 500);
  assert.ok(parseHeader(new Uint8Array(kept.read(kept.startByte, 4)), 0));
  const noise = new KeptMp3(16000, 500);
  for (let number = 0; number < 100; number += 1) noise.append(new ArrayBuffer(1000));
  assert.ok(noise.endByte - noise.startByte <= 10000);
  assert.equal(noise.endMs, 0);
});

test("every slug has its words, in both languages", () => {
  const slugs = Object.values(SLUGS);
  assert.deepEqual(slugs, Object.keys(MESSAGES));
  for (const slug of slugs) assert.match(describe(slug, "zh"), /[\u4e00-\u9fff]/);
  assert.equal(describe(SLUGS.OVERLOADED), MESSAGES.overloaded.zh);
  assert.equal(describe("brand_new", "en"), `${MESSAGES.internal.en} (brand_new)`);
});
