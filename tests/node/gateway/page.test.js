"use strict";
// The demo: it is complete, and a person who holds the button sees words.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { after, before, describe, test } = require("node:test");
const { Phone } = require("../support/phone.js");
const { Service, codedTalk, keptHistory, python } = require("../support/service.js");
const { sleep } = require("../support/talking.js");

const ROOT = path.resolve(__dirname, "../../../miniprogram");
const TALK = codedTalk(6, 1000);

const read = (/** @type {string} */ file) => fs.readFileSync(path.join(ROOT, file), "utf8");

/** The page as WeChat runs it. @param {InstanceType<typeof Phone>} phone */
function opened(phone) {
  phone.require("app.js");
  phone.require("pages/index/index.js");
  const page = phone.page;
  /** @type {any[]} */
  page.changes = [];
  page.setData = (/** @type {any} */ change) => {
    page.changes.push(change);
    Object.assign(page.data, change);
  };
  return page;
}

test("the files that the developer tools open are there, and belong together", () => {
  const app = JSON.parse(read("app.json"));
  assert.ok(JSON.parse(read("project.config.json")).appid);
  assert.ok(JSON.parse(read(app.sitemapLocation)).rules);
  assert.ok(read("app.wxss"));
  const page = opened(new Phone());
  for (const name of app.pages) {
    for (const kind of ["js", "json", "wxml", "wxss"]) assert.ok(read(`${name}.${kind}`), `${name}.${kind}`);
    const markup = read(`${name}.wxml`);
    const handlers = Array.from(markup.matchAll(/bind\w+="(\w+)"/g), (match) => match[1]);
    assert.ok(handlers.length >= 5);
    for (const handler of handlers) assert.equal(typeof page[handler], "function", handler);
    for (const [, field] of markup.matchAll(/\{\{\s*!?(\w+)/g)) assert.ok(field in page.data || field === "item", field);
    for (const [, word] of markup.matchAll(/words\.(\w+)/g)) assert.ok(page.data.words[word], word);
    assert.equal(markup.split("<view").length - 1, markup.split("</view>").length - 1);
  }
});

describe("the demo", { timeout: 60000 }, () => {
  const service = new Service();
  before(() => service.start());
  after(() => service.end());

  test("hold, speak, let go: words, state, history", async () => {
    const phone = new Phone({ pcm: TALK.pcm });
    phone.require("config.js").BASE_URL = service.url;
    const page = opened(phone);
    page.press();
    page.press(); // a second finger
    await phone.recorder.said(TALK.pcm.length / 32);
    while (!/^w1000 w1001 w1002/.test(page.data.settled + page.data.open)) await sleep(20);
    assert.equal(page.data.state, "streaming");
    page.release();
    while (page.data.state !== "idle") await sleep(20);
    assert.equal(page.data.settled, TALK.texts.join(" "));
    assert.deepEqual(
      Array.from(page.data.history, (/** @type {any} */ { text, via }) => [text, via]),
      [[TALK.texts.join(" "), "stream"]],
    );
    assert.equal(page.data.problem, "");
    await assert.rejects(phone.app.api.history(), { code: "not_configured" }); // so the page's own is shown
    assert.ok(page.changes.some((/** @type {any} */ { level }) => level > 0));
    const levels = page.changes.filter((/** @type {any} */ change) => "level" in change && !("isTalking" in change));
    assert.ok(levels.length <= 80, `${levels.length}`); // of 150 frames
    page.onUnload();
  });

  test("a tap instead of a hold, and another language", async () => {
    const phone = new Phone({ pcm: TALK.pcm });
    phone.require("config.js").BASE_URL = service.url;
    const page = opened(phone);
    page.press();
    page.release(); // before the microphone was allowed
    while (page.data.state !== "idle") await sleep(20);
    await sleep(100);
    assert.equal(phone.network.tasks.size, 0);
    page.changeLanguage();
    assert.equal(page.data.words.hold, "Hold to talk");
  });

  test("the microphone is denied: why, and a way to the settings", async () => {
    const phone = new Phone({ allowsMicrophone: false });
    const page = opened(phone);
    page.press();
    while (page.data.state !== "idle") await sleep(20);
    assert.deepEqual([page.data.problem, page.data.isDenied], ["请在设置中允许使用麦克风", true]);
    page.release();
  });
});

const SECRET = "a secret of thirty-two characters";
const SIGN = `
import json, sys, time
from service.tokens import sign
for claims in json.loads(sys.argv[2]):
    print(sign(sys.argv[1], {**claims, "exp": time.time() + 3600}))
`;

describe("the demo beside a history", { timeout: 60000 }, () => {
  const history = keptHistory();
  const service = new Service({ AUTH_MODE: "token", JWT_SECRET: SECRET, ...history.settings });
  const [named, nameless] = python(SIGN, SECRET, JSON.stringify([{ sub: "u_1" }, {}])).toString().split("\n");
  before(() => service.start());
  after(async () => {
    await service.end();
    history.remove();
  });

  /** The program, opened by whom a token names. @param {string} token */
  function openedBy(token) {
    const phone = new Phone({ pcm: TALK.pcm });
    phone.storage["voice.token"] = { token, renewAt: Date.now() + 3600000 };
    Object.assign(phone.require("config.js"), { BASE_URL: service.url, HAS_LOGIN: true });
    const page = opened(phone);
    page.onShow();
    return { phone, page, api: phone.app.api };
  }

  /** A talk of the whole text. @param {{phone: any, page: any}} program */
  async function talked({ phone, page }) {
    page.press();
    await phone.recorder.said(TALK.pcm.length / 32);
    page.release();
    while (page.data.state !== "idle") await sleep(20);
  }

  const shown = (/** @type {any} */ page) => Array.from(page.data.history, (/** @type {any} */ { text, via }) => [text, via]);
  const said = [TALK.texts.join(" "), "stream"];

  test("a talk is shown once, before and after the service has it; also when the program is opened anew", async () => {
    const first = openedBy(named);
    await talked(first);
    assert.deepEqual(shown(first.page), [said]);
    while ((await first.api.history()).items.length === 0) await sleep(50);
    const [{ id }] = (await first.api.history()).items;
    first.page.changes.length = 0;
    first.page.onShow();
    while (first.page.changes.length < 2) await sleep(20);
    assert.deepEqual(shown(first.page), [said]);

    const second = openedBy(named);
    while (second.page.data.history.length === 0) await sleep(20);
    assert.deepEqual(shown(second.page), [said]);

    await second.api.deleteRecord(id); // on another phone
    first.page.onShow();
    while (first.page.data.history.length > 0) await sleep(20);
  });

  test("a long text is shown in part, and copied as a whole", async () => {
    const long = codedTalk(40, 1000);
    const { phone, page, api } = openedBy(named);
    phone.files.set("wxfile://long", long.pcm);
    const { id, text } = await api.recognize("wxfile://long", { voiceFormat: "pcm", sampleRate: 16000 });
    assert.ok(text.length > 200);
    while (page.data.history.length === 0) {
      page.onShow();
      await sleep(100);
    }
    const [entry] = page.data.history;
    assert.deepEqual([entry.id, entry.text, entry.via, entry.isCut], [id, text.slice(0, 200), "upload", true]);
    page.copy({ currentTarget: { dataset: { id: entry.id, text: entry.text, cut: entry.isCut } } });
    while (!phone.clipboard) await sleep(20);
    assert.equal(phone.clipboard, text);
    await api.deleteRecord(id);
  });

  test("a token without a user has no history (forbidden): the page's own is shown", async () => {
    const program = openedBy(nameless);
    await talked(program);
    await assert.rejects(program.api.history(), { code: "forbidden" });
    assert.deepEqual(shown(program.page), [said]);
    assert.equal(program.page.data.problem, "");
    program.page.copy({ currentTarget: { dataset: { id: null, text: said[0], cut: false } } });
    assert.equal(program.phone.clipboard, said[0]);
  });
});
