"use strict";
// What the demo's page shows: its own talks, and the service's.

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { MOST, entries, notKept, withTalk } = require("../../../miniprogram/pages/index/history.js");

/** @param {object} fields @returns {any} */
const outcome = (fields) => ({ text: "one", via: "stream", streamIds: ["s1"], logId: "s1", ...fields });

/** @param {string} id @param {object} [fields] @returns {any} */
const item = (id, fields) => ({ id, recognitionType: "stream", createdAt: 1, recognizedText: "kept", ...fields });

test("a talk over several streams is one record, whichever of its ids that has", () => {
  const said = withTalk([], outcome({ streamIds: ["s1", "s2", "s3"], logId: "s3" }), 5);
  for (const id of ["s1", "s2", "s3"]) assert.deepEqual(notKept(said, [item(id)]), []);
  assert.deepEqual(notKept(said, [item("s4")]), said);
});

test("an upload in place of a stream that broke: the stream's own record has a part of it", () => {
  const said = withTalk([], outcome({ via: "upload", logId: "u1" }), 5);
  assert.deepEqual(notKept(said, [item("s1")]), said);
  assert.deepEqual(notKept(said, [item("u1", { recognitionType: "realtime" })]), []);
});

test("a service that keeps no words takes none away", () => {
  const said = withTalk([], outcome({}), 5);
  const items = [item("s1", { recognizedText: "" })];
  assert.deepEqual(notKept(said, items), said);
  assert.deepEqual(entries(said, items).map(({ text }) => text), ["one"]);
});

test("what was said here is first; so many are shown", () => {
  const said = withTalk(withTalk([], outcome({ text: "first" }), 1), outcome({ text: "second" }), 2);
  const items = Array.from({ length: 30 }, (_none, index) => item(`k${index}`));
  const shown = entries(said, items);
  assert.equal(shown.length, MOST);
  assert.deepEqual(shown.slice(0, 3).map(({ text }) => text), ["second", "first", "kept"]);
  assert.deepEqual(withTalk(said, outcome({ text: "" }), 3), said); // nothing was said
});

test("a text of the service that may be longer is marked", () => {
  const items = [item("a", { recognizedText: "字".repeat(199) }), item("b", { recognizedText: "字".repeat(200) })];
  assert.deepEqual(entries([], items).map(({ isCut }) => isCut), [false, true]);
});
