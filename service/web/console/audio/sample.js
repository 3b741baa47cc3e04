/** A bundled recording as a source of frames: as fast as it was spoken, and to be heard. */

import { readWav } from '../pure/wav.js';

const FRAME_MS = 40;
const LEAD_IN_MS = 40; // the loudspeaker begins with the first frame

/** The recording cannot be had. */
export class NoRecording extends Error {}

/**
 * Plays a recording.
 * @param {URL | string} url
 * @param {{isHeard: boolean, onFrame: (frame: ArrayBuffer) => void, onEnd: () => void}} options `onEnd` is called when all
 *   frames were given, not after `stop`
 * @returns {Promise<import('./microphone.js').Source>}
 * @throws {NoRecording}
 */
export async function playSample(url, { isHeard, onFrame, onEnd }) {
  const { rateHz, samples } = await fetch(url)
    .then((answer) => answer.arrayBuffer())
    .then(readWav)
    .catch((error) => {
      throw new NoRecording(String(url), { cause: error });
    });
  const loudspeaker = isHeard ? speak(samples, rateHz) : null;
  const frameSamples = (rateHz * FRAME_MS) / 1000;
  const began = performance.now() + LEAD_IN_MS;
  let given = 0;
  // Frames are due on one clock. A timer that was late (a page in the background) gives several at once.
  const timer = setInterval(() => {
    const due = Math.floor((performance.now() - began) / FRAME_MS);
    for (; given < due && given * frameSamples < samples.length; given += 1) {
      onFrame(samples.slice(given * frameSamples, (given + 1) * frameSamples).buffer);
    }
    if (given * frameSamples < samples.length) return;
    clearInterval(timer);
    onEnd();
  }, FRAME_MS / 2);
  return {
    async stop() {
      clearInterval(timer);
      await loudspeaker?.close();
    },
  };
}

/**
 * @param {Int16Array} samples
 * @param {number} rateHz
 * @returns {AudioContext} to be closed
 */
function speak(samples, rateHz) {
  const context = new AudioContext();
  const buffer = context.createBuffer(1, samples.length, rateHz);
  buffer.copyToChannel(Float32Array.from(samples, (value) => value / 32768), 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  source.connect(context.destination);
  source.start();
  return context;
}
