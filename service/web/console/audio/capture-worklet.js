/** On the audio thread: the microphone's samples, as 16 kHz mono in frames of 40 ms. */

import { Resampler, toInt16 } from '../pure/resampler.js';

const RATE_HZ = 16000;
const FRAME_SAMPLES = 640;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE_HZ);
    this.frame = new Float32Array(FRAME_SAMPLES);
    this.filled = 0;
    this.isOpen = true;
    this.port.onmessage = () => {
      this.isOpen = false;
      this.send(this.filled); // the last word may end in it
      this.port.postMessage(null);
    };
  }

  /**
   * @param {Float32Array[][]} inputs
   * @returns {boolean} false ends the processor
   */
  process(inputs) {
    const channels = inputs[0];
    if (!this.isOpen || channels.length === 0) return this.isOpen;
    const samples = this.resampler.process(mixed(channels));
    for (let at = 0; at < samples.length; ) {
      const taken = Math.min(FRAME_SAMPLES - this.filled, samples.length - at);
      this.frame.set(samples.subarray(at, at + taken), this.filled);
      this.filled += taken;
      at += taken;
      if (this.filled === FRAME_SAMPLES) this.send(FRAME_SAMPLES);
    }
    return true;
  }

  /** @param {number} count */
  send(count) {
    const buffer = toInt16(this.frame.subarray(0, count)).buffer;
    this.filled = 0;
    if (count > 0) this.port.postMessage(buffer, [buffer]);
  }
}

/**
 * @param {Float32Array[]} channels
 * @returns {Float32Array} their mean
 */
function mixed(channels) {
  if (channels.length === 1) return channels[0];
  return channels[0].map((_, at) => channels.reduce((sum, channel) => sum + channel[at], 0) / channels.length);
}

registerProcessor('capture', Capture);
