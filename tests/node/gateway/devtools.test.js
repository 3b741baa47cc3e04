"use strict";
// The developer tools record WebM whatever the format asked: the person is told why there are no words yet, and the
// recording is recognized at the end.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { Service, python } = require("../support/service.js");
const { assertTidy, phoneWith } = require("../support/talking.js");

const RECORD_WEBM = `
import io, sys
import av
file = io.BytesIO()
with av.open(file, "w", format="webm") as container:
    track = container.add_stream("libopus", rate=48000, layout="mono")
    frame = av.AudioFrame(format="s16", layout="mono", samples=96000)
    frame.sample_rate = 48000
    frame.planes[0].update(bytes(192000))
    resampler = av.AudioResampler(track.format.name, "mono", 48000, frame_size=track.codec_context.frame_size)
    for piece in (*resampler.resample(frame), *resampler.resample(None), None):
        container.mux(track.encode(piece))
sys.stdout.buffer.write(file.getvalue())
`;

describe("in the developer tools", { timeout: 60000 }, () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "phone-"));
  const script = path.join(folder, "script.json");
  fs.writeFileSync(script, JSON.stringify({ mode: "clock" })); // hears a word in each 400 ms of whatever it is sent
  const service = new Service({}, ["--script", script]);
  before(() => service.start());
  after(async () => {
    await service.end();
    fs.rmSync(folder, { recursive: true });
  });

  test("WebM is explained, and recognized at the end", async () => {
    const { phone, talk, states, errors } = phoneWith(service.url, { isDevtools: true, file: python(RECORD_WEBM) });
    await talk.start();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.deepEqual(errors.map(({ code, fatal }) => [code, fatal]), [["webm_recorded", false]]);
    assert.equal(states.at(-1), "recording");
    const outcome = await talk.stop();
    assert.deepEqual([outcome.via, outcome.error], ["upload", null]);
    assert.equal(outcome.text, "t0 t400 t800 t1200 t1600");
    assert.deepEqual(phone.network.uploads, [{}]); // not called PCM
    const { describe: wordsOf } = phone.require("lib/slugs.js");
    assert.match(wordsOf("webm_recorded", "en"), /developer tools record only WebM/);
    await assertTidy(phone);
  });

  test("sent to the service all the same, it is refused by name", async () => {
    const { phone } = phoneWith(service.url, {});
    const { VoiceStream } = phone.require("lib/voice-stream.js");
    const { wxAdapter } = phone.require("lib/adapter-wx.js");
    const stream = new VoiceStream({ url: service.url, adapter: wxAdapter() });
    await stream.start();
    stream.sendAudio(new Uint8Array(python(RECORD_WEBM)).buffer);
    const { error } = await stream.ended;
    assert.equal(error.code, "unsupported_audio");
    assert.match(error.message, /WebM/);
  });
});
