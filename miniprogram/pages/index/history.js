"use strict";
// What the page shows of earlier talks: the service's history, where it keeps one, behind what was said here and is not in it.

const MOST = 20;
const PAGE_CHARACTERS = 200; // of each text, in a page of the history

/** @typedef {import("../../lib/types").HistoryItem} HistoryItem */
/** @typedef {import("../../lib/types").TalkOutcome} TalkOutcome */
/** @typedef {{ids: (string | null)[], text: string, at: number, via: string}} Said `ids`: one of them is the record's */
/** @typedef {{id: string | null, text: string, when: string, via: string, isCut: boolean}} Entry */

/**
 * @param {Said[]} said
 * @param {TalkOutcome} outcome
 * @param {number} at
 * @returns {Said[]} the latest first
 */
function withTalk(said, { text, via, streamIds, logId }, at) {
  // A stream that broke and the upload in its place are two records: the upload's has the whole text.
  const ids = via === "upload" ? [logId] : streamIds;
  return text ? [{ ids, text, at, via }, ...said].slice(0, MOST) : said;
}

/**
 * @param {Said[]} said
 * @param {HistoryItem[]} items
 * @returns {Said[]} what the service does not show
 */
function notKept(said, items) {
  const kept = items.filter((item) => item.recognizedText).map(({ id }) => id); // it may keep no words
  return said.filter(({ ids }) => !ids.some((id) => id !== null && kept.includes(id)));
}

/**
 * @param {Said[]} said
 * @param {HistoryItem[]} items
 * @returns {Entry[]}
 */
function entries(said, items) {
  const here = said.map(({ ids, text, at, via }) => ({ id: ids[0], text, when: timeOf(at), via, isCut: false }));
  const there = items
    .filter((item) => item.recognizedText)
    .map(({ id, recognizedText, createdAt, recognitionType }) => ({
      id,
      text: recognizedText,
      when: timeOf(createdAt),
      via: recognitionType === "realtime" ? "upload" : "stream",
      isCut: recognizedText.length >= PAGE_CHARACTERS,
    }));
  return [...here, ...there].slice(0, MOST);
}

/** @param {number} at */
function timeOf(at) {
  return new Date(at).toLocaleString();
}

module.exports = { MOST, entries, notKept, withTalk };
