"use strict";
// The real service as child processes: the gateway, and the recognizer whose words are known.

const { spawn, execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const ROOT = path.resolve(__dirname, "../../..");
const PYTHON = process.env.PYTHON || path.join(ROOT, ".venv/bin/python");
const START_LIMIT_MS = 60000;
const OURS =
  /TENCENT|JWT_|AUTH_|TOKEN_|RECOGNIZER|LOCALASR|MAX_|PORT$|HOST$|METRICS_|WECHAT|DATABASE_URL|REDIS_URL|SPOOL_|HISTORY_|KEEP_/;

/** @param {{[name: string]: string}} settings */
function environment(settings) {
  const others = Object.entries(process.env).filter(([name]) => !OURS.test(name));
  return { ...Object.fromEntries(others), PYTHONPATH: ROOT, ...settings };
}

/** Whatever ends this process, nothing stays behind. @type {Set<import("node:child_process").ChildProcess>} */
const children = new Set();
process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")));
process.once("SIGTERM", () => process.exit(1));

const ACCOUNT = "import json; from tests.support.processes import ACCOUNT_SETTINGS as A; print(json.dumps(A))";

/** A program of this project; `line` is the first one of its standard output. */
class Program {
  /**
   * @param {string[]} command
   * @param {{[name: string]: string}} settings
   */
  constructor(command, settings) {
    this.errors = "";
    this.child = spawn(PYTHON, ["-m", ...command], { cwd: ROOT, env: environment(settings), stdio: ["pipe", "pipe", "pipe"] });
    children.add(this.child);
    this.child.stderr.on("data", (data) => (this.errors += data));
    this.exited = new Promise((resolve) => this.child.once("exit", resolve));
    this.exited.then(() => children.delete(this.child));
    this.line = new Promise((resolve, reject) => {
      let output = "";
      this.child.stdout.on("data", (data) => {
        output += data;
        if (output.includes("\n")) resolve(output.split("\n")[0]);
      });
      this.exited.then(() => reject(new Error(`${command} ended: ${this.errors}`)));
      setTimeout(() => reject(new Error(`${command} does not start: ${this.errors}`)), START_LIMIT_MS).unref();
    });
    this.line.catch(() => {}); // for whom it may be too early
  }

  /** @param {NodeJS.Signals} signal */
  async end(signal = "SIGKILL") {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill(signal);
    await this.exited;
  }

  /** The log lines of one event. @param {string} event */
  events(event) {
    const lines = this.errors.split("\n").filter((line) => line.startsWith("{"));
    return lines.map((line) => JSON.parse(line)).filter((line) => line.event === event);
  }
}

const WECHAT_ACCOUNT = "from tests.support.wechat import APPID, APPSECRET; print(APPID, APPSECRET)";

/**
 * WeChat's part of the login, which knows these codes.
 * @param {{[code: string]: string}} openids of whom each code is
 * @returns {Promise<{program: Program, settings: {[name: string]: string}}>} the settings are the gateway's
 */
async function startWechat(openids) {
  const program = new Program(["tests.support.wechat", ...Object.entries(openids).map((pair) => pair.join("="))], {});
  const port = await program.line;
  const [appid, secret] = python(WECHAT_ACCOUNT).toString().trim().split(" ");
  const settings = { WECHAT_APPID: appid, WECHAT_APPSECRET: secret, WECHAT_API_URL: `http://127.0.0.1:${port}` };
  return { program, settings };
}

/**
 * A history in a folder of its own.
 * @returns {{settings: {[name: string]: string}, remove: () => void}}
 */
function keptHistory() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "voice-"));
  return {
    settings: { DATABASE_URL: `sqlite:///${folder}/voice.db`, SPOOL_DIR: path.join(folder, "spool") },
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}

/** A gateway on one port, which can be ended and started again, with a scripted recognizer behind it. */
class Service {
  /**
   * @param {{[name: string]: string}} [settings]
   * @param {string[]} [options] of the recognizer
   */
  constructor(settings = {}, options = []) {
    this.settings = settings;
    this._options = options;
    this.url = "";
  }

  async start() {
    this.recognizer = new Program(["service.localasr", "--engine", "script", ...this._options], {});
    const recognizer = JSON.parse(await this.recognizer.line).url;
    const account = JSON.parse(python(ACCOUNT).toString());
    this.settings = {
      HOST: "127.0.0.1",
      PORT: "0",
      AUTH_MODE: "off",
      DATABASE_URL: "none",
      MAX_LAG_MS: "60000", // a busy machine would be told `overloaded`, and a talk would come back later, as it should
      ...account,
      TENCENT_ASR_URL: recognizer,
      TENCENT_API_URL: recognizer.replace("ws", "http"),
      ...this.settings,
    };
    await this.startGateway();
  }

  async startGateway() {
    // Under pytest every message that it sends is held against docs/asyncapi.yaml: tests/support/contract_check.py.
    const check = process.env.CONTRACT_NOTES ? ["tests.support.contract_check", process.env.CONTRACT_NOTES] : [];
    this.gateway = new Program([...check, "service"], this.settings);
    this.url = (await this.gateway.line).replace("Serving on ", "");
    this.settings.PORT = new URL(this.url).port; // a second one is where the first was
  }

  async end() {
    if (this.gateway) await this.gateway.end();
    if (this.recognizer) await this.recognizer.end();
  }
}

/**
 * @param {string} code
 * @param {string[]} args
 * @returns {Buffer} what it writes to standard output
 */
function python(code, ...args) {
  return execFileSync(PYTHON, ["-c", code, ...args], { cwd: ROOT, env: environment({}), maxBuffer: 64 * 1024 * 1024 });
}

const SAY = `
import json, sys
from service.localasr.coded_audio import coded_pcm
sys.stdout.buffer.write(coded_pcm([tuple(part) for part in json.loads(sys.argv[1])]))
`;

/**
 * PCM whose words are known: what service/localasr/coded_audio.py makes of [value, ms] pairs; 0 is silence.
 * @param {number[][]} parts
 * @returns {Buffer}
 */
function codedPcm(parts) {
  return python(SAY, JSON.stringify(parts));
}

/**
 * Sentences of three words, with a pause of 700 ms behind each.
 * @param {number} seconds
 * @param {number} [first] the value of the first word: how loud it is
 * @returns {{pcm: Buffer, texts: string[]}}
 */
function codedTalk(seconds, first = 1) {
  /** @type {number[][]} */
  const parts = [[0, 200]];
  /** @type {string[]} */
  const texts = [];
  let ms = 200;
  for (let word = first; ms + 2400 <= 1000 * seconds; word += 3) {
    parts.push([word, 420], [0, 80], [word + 1, 500], [0, 60], [word + 2, 640], [0, 700]);
    ms += 2400;
    texts.push(`w${word} w${word + 1} w${word + 2}`);
  }
  return { pcm: codedPcm(parts), texts };
}

module.exports = { Service, codedPcm, codedTalk, keptHistory, python, startWechat };
