// The shapes that the library's files share.

/** `idle` → `connecting` → `streaming` ⇄ `reconnecting` → `stopping` → `ended`. */
export type State = "idle" | "connecting" | "streaming" | "reconnecting" | "stopping" | "ended";

export interface Events {
  partial: Sentence;
  final: Sentence;
  state: { state: State | "paused" | "recording"; reason: string };
  error: VoiceProblem;
  level: number;
  message: any;
}

/** What has to do with the machine: the only thing that differs between WeChat and a browser. */
export interface Adapter {
  /**
   * Dials, and returns at once. The handlers are set before anything can happen. The token goes where the platform can
   * put it: a header in WeChat, a subprotocol (`bearer.TOKEN` beside `voice.v1`) in a browser. May throw.
   */
  connect(target: { url: string; token: string | null }): VoiceSocket;
  /** Milliseconds, of a clock that goes on while the program is suspended. */
  now(): number;
  setTimer(action: () => void, ms: number): unknown;
  clearTimer(timer: any): void;
  /** From 0 to 1; `Math.random` where there is none. */
  random?(): number;
  /** Calls the methods of the talk when the network, or the foreground, changes. Returns what ends that. */
  watch?(talk: Watched): () => void;
}

export interface Watched {
  networkChanged(): void;
  entersBackground(): void;
  entersForeground(): void;
}

/** One WebSocket. After `onclose` or `onerror` nothing more comes. */
export interface VoiceSocket {
  /** Called only after the first message has come. May throw. */
  send(data: string | ArrayBuffer): void;
  /** `code` is 1000. May throw. */
  close(code: number, reason: string): void;
  /** What was sent and has not left yet. */
  bufferedBytes(): number;
  onmessage: (data: string | ArrayBuffer) => void;
  onclose: (close: { code: number; reason?: string }) => void;
  onerror: (message: string) => void;
}

/** link.js, as far as the uplink and the talk need it. */
export interface VoiceLink {
  readonly hasRoom: boolean;
  say(message: object): void;
  send(data: string | ArrayBuffer): void;
  expect(what: string, limitMs: number): void;
  expectClose(): void;
  beat(everyMs: number): void;
  probe(limitMs: number): void;
  close(): void;
}

/** Audio that may have to be said again, by its position (in bytes) in the talk. Bounded: when it is full, the oldest goes. */
export interface Kept {
  readonly startByte: number;
  readonly endByte: number;
  /** How much audio came so far. */
  readonly endMs: number;
  append(buffer: ArrayBuffer): void;
  forget(ms: number): void;
  read(position: number, mostBytes: number): ArrayBuffer;
  resumePoint(ms: number): { ms: number; byte: number };
}

export interface Hotword {
  word: string;
  weight?: number;
}

/** The `start` message: docs/protocol.md. What is not set is left to the service, `engineType` above all. */
export interface StartFields {
  engineType?: string;
  voiceFormat?: "pcm" | "mp3";
  sampleRate?: 16000 | 8000;
  needVad?: boolean;
  vadSilenceMs?: number;
  maxSentenceMs?: number;
  wordInfo?: 0 | 1 | 2 | 100;
  hotwords?: Hotword[];
  filterDirty?: 0 | 1 | 2;
  filterModal?: 0 | 1 | 2;
  filterPunc?: 0 | 1;
  convertNumMode?: 0 | 1 | 3;
}

export interface Settings {
  /** `wss://host`, `https://host`, or the full address of the stream. */
  url: string;
  adapter: Adapter;
  token?: string;
  /**
   * Called before each dial; `renew` when the service has refused the last one. An error it is rejected with may have
   * `code` and `retryable`.
   */
  getToken?: (wish: { renew: boolean }) => string | null | Promise<string | null>;
  start?: StartFields;
  /** How much unsettled audio is kept: 90000. 16 kHz PCM is 32 kB a second. */
  keepMs?: number;
  /** So long may it take until the service accepts for the first time: 15000. */
  connectLimitMs?: number;
  /** So long is a talk without a connection carried on: 60000. */
  giveUpMs?: number;
  /** In place of memory for PCM. */
  kept?: Kept;
}

export interface Word {
  word: string;
  startMs: number;
  endMs: number;
  stable: boolean;
}

export interface Sentence {
  index: number;
  text: string;
  startMs: number;
  endMs: number;
  wordList: Word[];
}

/** The service's `error` message, or a problem of this side in the same form. */
export interface VoiceProblem {
  /** A slug: slugs.js has its words in Chinese and English. */
  code: string;
  /** For developers. */
  message: string;
  retryable: boolean;
  retryAfterMs: number | null;
  /** The talk is over. */
  fatal: boolean;
  fromMs?: number;
  toMs?: number;
}

export interface Outcome {
  text: string;
  sentences: Sentence[];
  /** Each stream that the talk has had. */
  streamIds: string[];
  /** Of the record in the history, where one is kept. */
  logId: string | null;
  /** All that was said has been settled. */
  isComplete: boolean;
  /** What ended the talk early; null also when it was canceled. */
  error: VoiceProblem | null;
}

/** The answer to `finalize`: everything before `audioMs` is settled, in so many sentences. */
export interface Finalized {
  audioMs: number;
  sentences: number;
}

/** A place in the audio where `finalize` is said. */
export interface Mark {
  id: number;
  byte: number;
  isSent: boolean;
  resolve: (answer: Finalized) => void;
  reject: (error: Error) => void;
}

export interface RecorderEvents {
  onstart(): void;
  onframe(buffer: ArrayBuffer): void;
  /** The microphone was taken away, or is back. */
  onpause(isPaused: boolean): void;
  /** A fatal one ends the recording. */
  onproblem(problem: VoiceProblem): void;
}

export interface Recording {
  path: string;
  durationMs: number;
}

export interface Login {
  token: string;
  /** When to have another one, on the phone's clock. */
  renewAt: number;
}

/** `data` of the answer to one recording: docs/recognize.md. */
export interface Recognized {
  id: string;
  text: string;
  /** In milliseconds. */
  audioTime: number;
  wordList: { word: string; startMs: number; endMs: number }[];
}

/** One talk or upload of the history, as a page has it: docs/history.md. */
export interface HistoryItem {
  /** One of the `streamIds` of the talk, or the `id` of the upload. */
  id: string;
  recognitionType: "stream" | "realtime";
  /** Milliseconds since 1970. */
  createdAt: number;
  outcome: string;
  /** At most 200 characters of it, in a page. Empty where the service keeps no words. */
  recognizedText: string;
  /** In milliseconds. */
  audioTime: number;
  audioSize: number;
}

export interface HistoryPage {
  items: HistoryItem[];
  nextCursor: string | null;
}

export interface HistoryRecord extends HistoryItem {
  engineType: string;
  sentences: { index: number; text: string; startMs: number; endMs: number }[];
  streamIds: string[];
}

export interface Stats {
  totalCount: number;
  totalAudioSize: number;
  totalAudioTime: number;
  todayCount: number;
  weekCount: number;
  monthCount: number;
}

export interface TalkSettings {
  /** `https://host` of the service. */
  baseUrl: string;
  /** Made by `new Api({baseUrl})`, once for the program: it keeps the login. */
  api: InstanceType<typeof import("./api-wx.js").Api>;
  /** mp3 needs a fifth of the traffic, and has no level. */
  voiceFormat?: "pcm" | "mp3";
  start?: StartFields;
  /** `wx.cloud.connectContainer` instead of a domain: needs no list of socket domains. */
  container?: { env: string; service: string };
}

export interface TalkOutcome extends Outcome {
  /** How the text was had: `upload` where no stream was to be had, and the recording was recognized as a whole. */
  via: "stream" | "upload";
}
