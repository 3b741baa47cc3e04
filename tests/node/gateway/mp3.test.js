"use strict";
// A talk in mp3 whose network goes in mid-word, twice. The recognizer decodes what it gets, and hears a word in each 400 ms of
// it: so the times of the words say which part of the talk it was given. What it sounds like is decoded here.

const assert = require("node:assert/strict");
const { Buffer } = require("node:buffer");
const { after, before, describe, test } = require("node:test");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { Service, python } = require("../support/service.js");
const { assertTidy, phoneWith } = require("../support/talking.js");

const FRAME_MS = 36;
const FRAME_BYTES = 216;
const LEAD_FRAMES = 4;
const WORD_MS = 400;
const BREAKS_MS = [2850, 6850];
const WAYS = /** @type {const} */ (["silent", "reset"]);

const RECORD = `
import sys
from tests.support.coded_files import sample_pcm
from tests.support.mp3_talk import mp3_of
sys.stdout.buffer.write(mp3_of(sample_pcm() * 3))
`;

/** For each part, by its first frame: the energy of what is settled already, and whether the rest sounds as in the whole. */
const LISTEN = `
import json, pathlib, sys
from array import array
from tests.support.mp3_talk import decoded, frames_of
def sounds(name):
    return [array("h", sound) for sound in decoded([f.data for f in frames_of(pathlib.Path(name).read_bytes())])]
lead, whole = int(sys.argv[1]), sounds(sys.argv[2])
parts = []
for place in range(3, len(sys.argv), 2):
    first, part = int(sys.argv[place]), sounds(sys.argv[place + 1])
    again = sum(sample * sample for sound in part[: lead - 1] for sample in sound)
    rest = list(zip(whole[first + lead + 1 :], part[lead + 1 :]))
    exact = all(len(a) == len(b) and all(abs(x - y) <= 2 for x, y in zip(a, b)) for a, b in rest)
    parts.append([again, exact, len(rest) > 20])
print(json.dumps(parts))
`;

describe("a talk in mp3", { timeout: 60000 }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "phone-"));
  const script = path.join(folder, "script.json");
  fs.writeFileSync(script, JSON.stringify({ mode: "clock" }));
  const service = new Service({}, ["--script", script]);
  before(() => service.start());
  after(async () => {
    await service.end();
    fs.rmSync(folder, { recursive: true });
  });

  test("two networks in mid-word: all of it is heard, and nothing that is settled again", async () => {
    const mp3 = python(RECORD);
    const talkMs = FRAME_MS * Math.floor(mp3.length / FRAME_BYTES);
    const { phone, talk, errors } = phoneWith(
      service.url,
      { pcm: Buffer.alloc(32 * talkMs), mp3 },
      { voiceFormat: "mp3", start: { wordInfo: 1 } },
    );
    await talk.start();
    for (const [number, ms] of BREAKS_MS.entries()) {
      await phone.recorder.said(ms);
      phone.switchNetwork(WAYS[number]);
    }
    await phone.recorder.said(talkMs);
    const outcome = await talk.stop();
    assert.deepEqual([outcome.error, outcome.isComplete, outcome.streamIds.length], [null, true, 3]);
    assert.deepEqual(errors, []);
    await assertTidy(phone);

    // Each stream goes on where the finals end, and its words cover the audio from there on.
    /** @type {any[]} */
    const sentences = Array.from(outcome.sentences);
    assert.deepEqual(sentences.map(({ index }) => index), Array.from(sentences.keys()));
    const words = sentences.flatMap(({ wordList }) => Array.from(wordList, (/** @type {any} */ { startMs }) => startMs));
    const begins = phone.network.sent.map((sent) => JSON.parse(String(sent[0])).resume?.settledMs ?? 0);
    assert.equal(begins.length, 3);
    for (const [number, beginsMs] of begins.entries()) {
      const at = words.indexOf(beginsMs);
      const mine = words.slice(at, number + 1 < begins.length ? words.indexOf(begins[number + 1]) : undefined);
      assert.deepEqual(mine, mine.map((_startMs, word) => beginsMs + WORD_MS * word));
      const settledMs = beginsMs + WORD_MS * mine.length;
      const next = begins[number + 1] ?? talkMs;
      if (number + 1 < begins.length) assert.equal(next, FRAME_MS * (Math.floor(settledMs / FRAME_MS) - LEAD_FRAMES));
      else assert.ok(talkMs - settledMs < WORD_MS, `${settledMs} of ${talkMs}`);
    }

    // And what was sent is the talk from there on, with silence in place of what is settled.
    const files = [path.join(folder, "whole.mp3")];
    fs.writeFileSync(files[0], mp3);
    for (const sent of phone.network.sent.slice(1)) {
      const audio = sent.flatMap((data) => (typeof data === "string" ? [] : [data]));
      files.push(path.join(folder, `part-${files.length}.mp3`));
      fs.writeFileSync(files[files.length - 1], Buffer.concat(audio));
    }
    const parts = files.slice(1).flatMap((file, number) => [String(begins[number + 1] / FRAME_MS), file]);
    const heard = JSON.parse(python(LISTEN, String(LEAD_FRAMES), files[0], ...parts).toString());
    assert.deepEqual(heard, [[0, true, true], [0, true, true]]);
  });
});
