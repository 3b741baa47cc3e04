"use strict";
// Tokens: had from the service's login, kept, renewed when the service refuses one, or when one ends in mid-talk; and what the
// history has of their user. WeChat's own part of the login is tests/support/wechat.py.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { Service, codedTalk, keptHistory, python, startWechat } = require("../support/service.js");
const { assertComplete, assertTidy, phoneWith, sleep } = require("../support/talking.js");

const SECRET = "a secret of thirty-two characters";
const TALK = codedTalk(4);
const LONG_TALK = codedTalk(10, 1000);
const EVERYTHING_MS = TALK.pcm.length / 32;
const MINT = `
import sys, time
from service.tokens import mint
print(mint(sys.argv[1], sys.argv[2], now_s=int(time.time()), ttl_s=int(sys.argv[3])), end="")
`;

/** @param {string} user @param {number} seconds */
function token(user, seconds) {
  return python(MINT, SECRET, user, String(seconds)).toString();
}

/** Whom a token names. @param {string} given */
function userOf(given) {
  return JSON.parse(Buffer.from(given.split(".")[1], "base64url").toString()).sub;
}

/** A phone's storage with a token in it whose end the phone does not know. @param {any} phone @param {string} given */
function holds(phone, given) {
  phone.storage["voice.token"] = { token: given, renewAt: Date.now() + 3600000 };
}

/** The record, as soon as the database has it. @param {any} api @param {string} id */
async function written(api, id) {
  for (;;) {
    try {
      return await api.record(id);
    } catch (error) {
      if (/** @type {any} */ (error).code !== "not_found") throw error;
      await sleep(50);
    }
  }
}

/** What the library's objects say, without the phone's realm. @param {any} value */
function plain(value) {
  return JSON.parse(JSON.stringify(value));
}

/** @param {any} phone how often it has logged in */
function loginsOf(phone) {
  return phone.network.requests.filter((/** @type {string} */ line) => line === "POST /api/auth/wechat-login").length;
}

describe("a login", { concurrency: true, timeout: 60000 }, () => {
  const history = keptHistory();
  /** @type {InstanceType<typeof Service>} */
  let service;
  /** @type {Awaited<ReturnType<typeof startWechat>>} */
  let wechat;
  before(async () => {
    const people = ["ann", "ben", "eve", "joe"];
    const codes = people.flatMap((name) => [`${name}-1`, `${name}-2`].map((code) => [code, `o_${name}`]));
    wechat = await startWechat(Object.fromEntries(codes));
    service = new Service({ AUTH_MODE: "token", JWT_SECRET: SECRET, ...wechat.settings, ...history.settings });
    await service.start();
  });
  after(async () => {
    await service.end();
    await wechat.program.end();
    history.remove();
  });

  /** @param {any} settings @param {any} [options] */
  const phoneOf = (settings, options = {}) => phoneWith(service.url, settings, { hasLogin: true, ...options });

  test("once for two talks; the token goes in a header; the history has both, and forgets one", async () => {
    const { phone, talk, api } = phoneOf({ pcm: TALK.pcm, codes: ["ann-1"] });
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    const first = await talk.stop();
    assertComplete(first, TALK.texts);
    assert.equal(phone.network.headers[0].Authorization, `Bearer ${phone.storage["voice.token"].token}`);
    assert.match(userOf(await api.getToken()), /^u_[0-9a-f]{32}$/);
    await assertTidy(phone);

    const again = phoneOf({ pcm: TALK.pcm, codes: [] }); // the program is opened anew, and finds its storage
    Object.assign(again.phone.storage, phone.storage);
    await again.talk.start();
    await again.phone.recorder.said(EVERYTHING_MS);
    const second = await again.talk.stop();
    assertComplete(second, TALK.texts);
    assert.equal(loginsOf(phone) + loginsOf(again.phone), 1);

    const record = await written(api, second.logId);
    assert.deepEqual(plain(record.sentences.map((/** @type {any} */ { text }) => text)), TALK.texts);
    assert.deepEqual([record.recognizedText, record.outcome], [second.text, "completed"]);
    await written(api, first.logId);
    const latest = await api.history({ limit: 1 });
    const older = await api.history({ limit: 1, cursor: latest.nextCursor });
    assert.deepEqual(plain([latest, older].map(({ items }) => items.map((/** @type {any} */ { id }) => id))), [[second.logId], [first.logId]]);
    assert.equal(older.nextCursor, null);
    const { totalCount, totalAudioTime, todayCount } = await api.stats();
    assert.deepEqual([totalCount, todayCount], [2, 2]);
    assert.ok(totalAudioTime >= 2 * (EVERYTHING_MS - 100), `${totalAudioTime}`);

    assert.deepEqual(plain(await api.deleteRecord(first.logId)), { id: first.logId });
    assert.deepEqual(plain((await api.history()).items.map((/** @type {any} */ { id }) => id)), [second.logId]);
    await assert.rejects(api.record(first.logId), { code: "not_found", retryable: false });
    await assert.rejects(api.deleteRecord(first.logId), { code: "not_found" });
    assert.equal((await api.stats()).totalCount, 1);
  });

  test("the token has expired, whatever the phone's clock says: another login, and the talk goes on", async () => {
    const { phone, talk, errors } = phoneOf({ pcm: TALK.pcm, codes: ["ben-1"] });
    holds(phone, token("u_ben", -3600));
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    assert.equal(loginsOf(phone), 1);
    assert.equal(phone.network.dials, 2);
    assert.deepEqual(errors, []);
  });

  test("the token ends in mid-talk: a login, another stream, every word once, and one record of both", async () => {
    const { api } = phoneOf({ codes: ["eve-1"] });
    const user = userOf(await api.getToken());
    const { phone, talk, errors, messages } = phoneOf({ pcm: LONG_TALK.pcm, codes: ["eve-2"] });
    holds(phone, token(user, 14)); // the service says goodbye 10 s before
    await talk.start();
    await phone.recorder.said(LONG_TALK.pcm.length / 32);
    const outcome = await talk.stop();
    assertComplete(outcome, LONG_TALK.texts);
    const goodbyes = messages.filter(({ type }) => type === "goaway");
    assert.deepEqual(goodbyes.map(({ reason }) => reason), ["token_expired"]);
    assert.deepEqual(errors, []);
    assert.equal(outcome.streamIds.length, 2);
    assert.equal(loginsOf(phone), 1);
    assert.equal(userOf(phone.storage["voice.token"].token), user);
    const record = await written(api, outcome.logId);
    assert.deepEqual([record.recognizedText, plain(record.streamIds)], [outcome.text, plain(outcome.streamIds)]);
    await assertTidy(phone);
  });

  test("WeChat refuses the code: the person is told why in their language, and nothing is dialed", async () => {
    const { phone, talk, errors } = phoneOf({ pcm: TALK.pcm, codes: ["nobody's"] });
    await talk.start();
    const { error } = await talk._stream.ended;
    assert.equal(error.code, "login_refused");
    assert.equal((await talk.stop()).error.code, "login_refused");
    assert.deepEqual(errors.map(({ code, fatal }) => [code, fatal]), [["login_refused", true]]);
    assert.equal(phone.network.dials, 0);
    const { describe: words } = phone.require("lib/slugs.js");
    assert.deepEqual([words(error.code, "zh"), words(error.code, "en")], ["登录失败，请重新登录", "The login failed. Please log in again."]);
  });

  test("a code that is used is refused as well", async () => {
    const { api } = phoneOf({ codes: ["joe-1", "joe-1", "joe-2"] });
    const first = await api.getToken();
    await assert.rejects(api.getToken({ renew: true }), { code: "login_refused", retryable: false });
    assert.equal(userOf(await api.getToken({ renew: true })), userOf(first));
  });
});

describe("a service that", { concurrency: true, timeout: 60000 }, () => {
  /** @type {InstanceType<typeof Service>} */
  let service;
  /** @type {Awaited<ReturnType<typeof startWechat>>} */
  let wechat;
  before(async () => {
    wechat = await startWechat({ "ann-1": "o_ann", "ann-2": "o_ann" });
    service = new Service({ AUTH_MODE: "token", JWT_SECRET: SECRET, MAX_AUDIO_S_PER_DAY: "12", TOKEN_TTL_S: "60", ...wechat.settings });
    await service.start();
  });
  after(async () => {
    await service.end();
    await wechat.program.end();
  });

  test("gives tokens that it refuses: no third try", async () => {
    const codes = ["a", "b", "c"];
    // Another service's answers: no real one refuses what it has just given.
    const intercept = async (/** @type {string} */ url) => {
      if (!url.endsWith("/api/auth/wechat-login")) return null;
      return Response.json({ code: 0, message: "ok", data: { token: token("u_1", -3600), expiresIn: 3600 }, timestamp: 0 });
    };
    const { phone, talk } = phoneWith(service.url, { pcm: TALK.pcm, codes, intercept }, { hasLogin: true });
    await talk.start();
    await talk._stream.ended;
    const outcome = await talk.stop();
    assert.equal(outcome.error.code, "token_expired");
    assert.equal(phone.network.dials, 2);
    assert.ok(codes.length <= 1); // the upload that follows may renew it once more
  });

  test("has no more audio for the day: what was said until then is there, on one stream, and no history", async () => {
    const pcm = codedTalk(15, 2000).pcm;
    const { phone, talk, api, messages } = phoneWith(service.url, { pcm, codes: ["ann-1"] }, { hasLogin: true });
    await talk.start();
    const { error, sentences } = await talk._stream.ended;
    assert.equal(error.code, "quota_exceeded");
    assert.deepEqual(messages.filter(({ type }) => type === "goaway").map(({ reason }) => reason), ["quota_exceeded"]);
    assert.equal(phone.network.dials, 1);
    assert.ok(sentences.length >= 4, `${sentences.length}`);
    assert.equal((await talk.stop()).error.code, "quota_exceeded");
    await assert.rejects(api.history(), { code: "not_configured" });
    await assert.rejects(api.stats(), { code: "not_configured" });
    assert.equal(loginsOf(phone), 1); // however short its tokens live
  });
});
