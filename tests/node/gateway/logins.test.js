"use strict";
// Tokens: had from a login, kept, renewed when the service refuses one. WeChat's part of the login is played by the test.

const assert = require("node:assert/strict");
const { after, before, describe, test } = require("node:test");
const { Service, codedTalk, python } = require("../support/service.js");
const { assertComplete, assertTidy, phoneWith } = require("../support/talking.js");

const SECRET = "a secret of thirty-two characters";
const TALK = codedTalk(4);
const EVERYTHING_MS = TALK.pcm.length / 32;
const MINT = `
import sys, time
import jwt
print(jwt.encode({"sub": "user-1", "userId": 1, "openid": "o-1", "exp": int(time.time()) + int(sys.argv[2])}, sys.argv[1], algorithm="HS256"), end="")
`;

/** @param {number} seconds */
function token(seconds) {
  return python(MINT, SECRET, String(seconds)).toString();
}

const GOOD = token(3600);
const EXPIRED = token(-3600);

/** The login of a service that gives these tokens, one after the other. @param {string[]} tokens */
function loginOf(tokens) {
  /** @type {any[]} */
  const bodies = [];
  const intercept = async (/** @type {string} */ url, /** @type {any} */ init) => {
    if (!url.endsWith("/api/auth/wechat-login")) return null;
    bodies.push(JSON.parse(init.body));
    const given = tokens.shift();
    const data = given ? { token: given, expiresIn: 3600 } : { error: "login_refused", retryable: false, retryAfterMs: null };
    return Response.json({ code: given ? 0 : 401, message: given ? "ok" : "refused", data, timestamp: 0 });
  };
  return { bodies, intercept };
}

describe("a login", { concurrency: true, timeout: 60000 }, () => {
  const service = new Service({ AUTH_MODE: "token", JWT_SECRET: SECRET });
  before(() => service.start());
  after(() => service.end());

  test("once for two talks; the token goes in a header", async () => {
    const { bodies, intercept } = loginOf([GOOD]);
    const { phone, talk, api } = phoneWith(service.url, { pcm: TALK.pcm, intercept }, { hasLogin: true });
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    assert.equal(await api.getToken(), GOOD);
    assert.deepEqual(bodies, [{ code: "code-1" }]);
    assert.equal(phone.network.headers[0].Authorization, `Bearer ${GOOD}`);
    assert.equal(phone.storage["voice.token"].token, GOOD);
    await assertTidy(phone);
  });

  test("the token has expired, whatever the phone's clock says: another login, and the talk goes on", async () => {
    const { bodies, intercept } = loginOf([EXPIRED, GOOD]);
    const { phone, talk, errors } = phoneWith(service.url, { pcm: TALK.pcm, intercept }, { hasLogin: true });
    await talk.start();
    await phone.recorder.said(EVERYTHING_MS);
    assertComplete(await talk.stop(), TALK.texts);
    assert.deepEqual(bodies, [{ code: "code-1" }, { code: "code-2" }]);
    assert.equal(phone.network.dials, 2);
    assert.deepEqual(errors, []);
  });

  test("the service refuses every token: no third try", async () => {
    const { bodies, intercept } = loginOf([EXPIRED, EXPIRED, EXPIRED]);
    const { phone, talk } = phoneWith(service.url, { pcm: TALK.pcm, intercept }, { hasLogin: true });
    await talk.start();
    await talk._stream.ended;
    const outcome = await talk.stop();
    assert.equal(outcome.error.code, "token_expired");
    assert.equal(phone.network.dials, 2);
    assert.ok(bodies.length >= 2 && bodies.length <= 3); // the upload that follows may renew it once more
  });

  test("WeChat refuses the code: the person is told, and nothing is dialed", async () => {
    const { intercept } = loginOf([]);
    const { phone, talk, errors } = phoneWith(service.url, { pcm: TALK.pcm, intercept }, { hasLogin: true });
    await talk.start();
    const { error } = await talk._stream.ended;
    assert.equal(error.code, "login_refused");
    assert.equal((await talk.stop()).error.code, "login_refused");
    assert.deepEqual(errors.map(({ code, fatal }) => [code, fatal]), [["login_refused", true]]);
    assert.equal(phone.network.dials, 0);
  });
});
