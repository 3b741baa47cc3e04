/** One talk: audio of a source goes into a stream, and everything that can be seen of it into the page's parts. */

import browser from './lib/adapter-browser.js';
import keptPcm from './lib/kept-pcm.js';
import voice from './lib/voice-stream.js';
import { TalkClock } from './pure/latency.js';
import { chosenToken, startFields } from './setup.js';

/** @typedef {import('./audio/microphone.js').Source} Source */
/** @typedef {import('../../../miniprogram/lib/types').Outcome} Outcome */

const BYTES_PER_MS = 32;
const IS_SUBPROTOCOL = /^[\w.~+!#$%&'*^`|-]+$/; // RFC 7230's token: what a browser takes as a subprotocol

/**
 * @typedef {object} Parts what a talk writes into
 * @property {import('./view/caption.js').Caption} caption
 * @property {import('./view/timeline.js').Timeline} timeline
 * @property {import('./view/meter.js').Meter} meter
 * @property {import('./view/delays.js').DelaysPanel} delays
 * @property {import('./view/wire.js').WirePanel} wire
 */

export class Talk {
  /**
   * @param {Parts} parts
   * @param {(state: string) => void} onState
   */
  constructor(parts, onState) {
    this.parts = parts;
    this.clock = new TalkClock();
    this.bytes = 0;
    this.stream = new voice.VoiceStream({
      url: new URL('.', location.href).href,
      adapter: observed(browser.browserAdapter(), parts.wire),
      getToken,
      start: startFields(),
    });
    this.stream.on('state', ({ state }) => onState(state));
    this.stream.on('partial', (sentence) => this.heard(sentence, false));
    this.stream.on('final', (sentence) => this.heard(sentence, true));
    this.stream.on('error', (problem) => {
      if (problem.code === 'audio_lost') parts.caption.showGap(((problem.toMs ?? 0) - (problem.fromMs ?? 0)) / 1000);
    });
    this.stream.on('message', (message) => {
      if (message.type === 'stopped') this.clock.settled(performance.now());
      parts.wire.add('down', message);
    });
  }

  /** Dials. @returns {Promise<Outcome>} how it ended; it never rejects */
  begin() {
    for (const part of [this.parts.caption, this.parts.timeline, this.parts.wire]) part.begin();
    this.parts.delays.show(this.clock.delays);
    this.stream.start().catch(() => {}); // `ended` says the same
    return this.stream.ended;
  }

  /** @param {ArrayBuffer} frame of 16 kHz mono PCM; it belongs to the talk from now on */
  hear(frame) {
    const level = keptPcm.levelOf(frame);
    const length = frame.byteLength;
    if (!this.stream.sendAudio(frame)) return;
    this.bytes += length;
    this.clock.audioSent(this.bytes / BYTES_PER_MS, level, performance.now());
    this.parts.timeline.addFrame(level);
    this.parts.meter.show(level);
  }

  /** No more audio: the rest is settled, and then the talk has ended. */
  stop() {
    this.clock.stopped(performance.now());
    this.parts.meter.end();
    void this.stream.stop();
  }

  /** Everything has been said: the last delays are shown, and kept for the chart. */
  close() {
    this.parts.meter.end();
    this.parts.caption.end();
    this.parts.delays.show(this.clock.delays);
    this.parts.delays.add(this.clock.delays);
  }

  /** How much audio there was. */
  get audioMs() {
    return this.bytes / BYTES_PER_MS;
  }

  /**
   * @param {import('../../../miniprogram/lib/types').Sentence} sentence
   * @param {boolean} isFinal
   */
  heard(sentence, isFinal) {
    const result = { ...sentence, isFinal };
    this.clock.heard(result, performance.now());
    this.parts.caption.show(result);
    this.parts.timeline.show(result);
    this.parts.delays.show(this.clock.delays);
  }
}

/** @returns {string | null} */
function getToken() {
  const token = chosenToken();
  if (token && !IS_SUBPROTOCOL.test(token)) {
    throw Object.assign(new Error('This is no token.'), { code: 'unauthenticated', retryable: false });
  }
  return token || null;
}

/**
 * The same adapter, whose sockets show what goes up.
 * @param {import('../../../miniprogram/lib/types').Adapter} adapter
 * @param {import('./view/wire.js').WirePanel} wire
 * @returns {import('../../../miniprogram/lib/types').Adapter}
 */
function observed(adapter, wire) {
  return {
    ...adapter,
    connect(target) {
      const socket = adapter.connect(target);
      const { send } = socket;
      socket.send = (data) => {
        send(data);
        if (typeof data === 'string') wire.add('up', JSON.parse(data));
        else wire.addAudio(data.byteLength);
      };
      return socket;
    },
  };
}
