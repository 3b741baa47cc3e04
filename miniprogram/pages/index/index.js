"use strict";
const { BASE_URL, CONTAINER, VOICE_FORMAT } = require("../../config.js");
const { describe } = require("../../lib/slugs.js");
const { VoiceTalk } = require("../../lib/voice-talk-wx.js");

const LEVEL_EVERY_MS = 100; // setData for each frame would be too much for the page
const MAX_HISTORY = 20;
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

/** @type {Talk | null} */
let talk = null;
/** @type {"zh" | "en"} */
let language = "zh";
let shownLevelAt = 0;

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
    /** @type {{id: number, text: string, when: string, via: string}[]} */
    history: [],
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
    mine.stop().then(({ text, via, error }) => {
      if (text) {
        const when = new Date().toLocaleTimeString();
        const entry = { id: Date.now(), text, when, via };
        this.setData({ settled: text, open: "", history: [entry, ...this.data.history].slice(0, MAX_HISTORY) });
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
    wx.setClipboardData({ data: event.currentTarget.dataset.text });
  },

  /** @param {Talk} mine */
  showText(mine) {
    const text = mine.text;
    const open = mine.openText;
    this.setData({ settled: text.slice(0, text.length - open.length), open });
  },
});
