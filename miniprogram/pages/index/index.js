"use strict";
const { BASE_URL, CONTAINER, VOICE_FORMAT } = require("../../config.js");
const { describe } = require("../../lib/slugs.js");
const { VoiceTalk } = require("../../lib/voice-talk-wx.js");
const { MOST, entries, notKept, withTalk } = require("./history.js");

const NO_HISTORY = ["forbidden", "not_configured"]; // what was said here is shown, until the program ends
const LEVEL_EVERY_MS = 100; // setData for each frame would be too much for the page
const WORDS = {
  zh: {
    idle: "准备就绪",
    connecting: "正在连接…",
    streaming: "正在识别",
    reconnecting: "网络中断，正在重连，请继续说",
    paused: "录音已暂停",
    recording: "正在录音，松手后识别",
    stopping: "正在整理…",
    ended: "准备就绪",
    hint: "按住按钮说话，文字会实时出现",
    hold: "按住说话",
    release: "松开结束",
    settings: "打开设置",
    uploaded: " · 整段识别",
    otherLanguage: "English",
  },
  en: {
    idle: "Ready",
    connecting: "Connecting…",
    streaming: "Listening",
    reconnecting: "The network is gone. Speak on, it is coming back",
    paused: "The microphone is paused",
    recording: "Recording: it is recognized when you let go",
    stopping: "Finishing…",
    ended: "Ready",
    hint: "Hold the button and speak: the words appear at once",
    hold: "Hold to talk",
    release: "Let go to end",
    settings: "Settings",
    uploaded: " · as a whole",
    otherLanguage: "中文",
  },
};

/** @typedef {InstanceType<typeof VoiceTalk>} Talk */
/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {import("./history.js").Said} Said */

/** @type {Talk | null} */
let talk = null;
/** @type {"zh" | "en"} */
let language = "zh";
let shownLevelAt = 0;
/** What was said here, and is not in the service's history. @type {Said[]} */
let said = [];
/** What the service has. @type {import("../../lib/types").HistoryItem[]} */
let kept = [];
let questions = 0;

Page({
  data: {
    words: WORDS.zh,
    state: "idle",
    settled: "",
    open: "",
    problem: "",
    isDenied: false,
    level: 0,
    isTalking: false,
    /** @type {Entry[]} */
    history: [],
  },

  onShow() {
    this.refresh();
  },

  press() {
    if (talk) return;
    const { api } = getApp();
    const mine = (talk = new VoiceTalk({ baseUrl: BASE_URL, api, container: CONTAINER, voiceFormat: VOICE_FORMAT }));
    const show = () => this.showText(mine);
    mine.on("partial", show);
    mine.on("final", show);
    mine.on("state", ({ state }) => this.setData({ state }));
    mine.on("error", ({ code }) => {
      this.setData({ problem: describe(code, language), isDenied: code === "microphone_denied" });
    });
    mine.on("level", (level) => {
      if (Date.now() - shownLevelAt < LEVEL_EVERY_MS) return;
      shownLevelAt = Date.now();
      this.setData({ level: Math.round(100 * level) });
    });
    this.setData({ isTalking: true, settled: "", open: "", problem: "", isDenied: false, state: "connecting" });
    mine.start().catch(() => this.over()); // the event has told why
  },

  release() {
    const mine = talk;
    if (!mine) return;
    this.setData({ isTalking: false, level: 0 });
    mine.stop().then((outcome) => {
      const { text, via, error } = outcome;
      if (text) {
        said = withTalk(said, outcome, Date.now());
        this.setData({ settled: text, open: "" });
        this.refresh();
      }
      if (error) this.setData({ problem: describe(error.code, language) });
      else if (via === "upload") this.setData({ problem: "" });
      this.over();
    });
  },

  over() {
    talk = null;
    this.setData({ isTalking: false, level: 0, state: "idle" });
  },

  onUnload() {
    if (talk) talk.cancel();
    talk = null;
  },

  changeLanguage() {
    language = language === "zh" ? "en" : "zh";
    this.setData({ words: WORDS[language], problem: "" });
  },

  /** The person allows the microphone there; it has to be opened by a tap. */
  openSettings() {
    wx.openSetting({ success: () => this.setData({ problem: "", isDenied: false }) });
  },

  /** @param {any} event */
  copy(event) {
    const { id, text, cut } = event.currentTarget.dataset;
    const copied = (/** @type {string} */ data) => void wx.setClipboardData({ data });
    if (!cut) copied(text);
    else getApp().api.record(id).then((/** @type {any} */ { recognizedText }) => copied(recognizedText), () => copied(text));
  },

  /** Shows what was said here, and what the service has: nothing, where it keeps no history (`not_configured`). */
  refresh() {
    const question = (questions += 1);
    this.setData({ history: entries(said, kept) });
    /** @type {InstanceType<typeof import("../../lib/api-wx.js").Api>} */
    const api = getApp().api;
    const answered = api.history({ limit: MOST }).then(
      ({ items }) => items,
      ({ code }) => (NO_HISTORY.includes(code) ? [] : kept),
    );
    answered.then((items) => {
      if (question !== questions) return; // a later one is on its way
      kept = items;
      said = notKept(said, kept);
      this.setData({ history: entries(said, kept) });
    });
  },

  /** @param {Talk} mine */
  showText(mine) {
    const text = mine.text;
    const open = mine.openText;
    this.setData({ settled: text.slice(0, text.length - open.length), open });
  },
});
