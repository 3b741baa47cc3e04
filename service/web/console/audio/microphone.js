/** The microphone as a source of frames. */

/**
 * A source of audio: 16 kHz, mono, 16 bit, in frames of 40 ms as they are spoken. `onFrame` gets each one.
 * @typedef {{stop: () => Promise<void>}} Source
 */

/** Why there is no microphone: `reason` is a key of the texts. */
export class NoMicrophone extends Error {
  /** @param {'micInsecure' | 'micDenied' | 'micMissing' | 'micBusy'} reason */
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

/** @type {Record<string, 'micDenied' | 'micMissing'>} */
const REASONS = { NotAllowedError: 'micDenied', SecurityError: 'micDenied', NotFoundError: 'micMissing', OverconstrainedError: 'micMissing' };
// A recognizer hears best what nobody has improved for human ears: in the test's sentence the browser's gain control turns
// "ten meters" into "and years". Echo is another matter: what the loudspeaker says is not what the person says.
const WISHES = { channelCount: 1, echoCancellation: true, noiseSuppression: false, autoGainControl: false };
const LAST_FRAME_MS = 300; // the audio thread answers within a few; a page in the background may be held

/**
 * Opens the microphone; asks for permission where that was not given yet.
 * @param {(frame: ArrayBuffer) => void} onFrame
 * @param {() => void} onLost the device is gone or was taken away
 * @returns {Promise<Source>} its `stop` lets the last frame come, then switches the device off
 * @throws {NoMicrophone}
 */
export async function openMicrophone(onFrame, onLost) {
  if (!globalThis.isSecureContext || !navigator.mediaDevices) throw new NoMicrophone('micInsecure');
  const media = await navigator.mediaDevices
    .getUserMedia({ audio: WISHES })
    .catch((error) => {
      throw new NoMicrophone(REASONS[error.name] ?? 'micBusy');
    });
  const context = new AudioContext();
  const close = async () => {
    for (const track of media.getTracks()) track.stop();
    await context.close();
  };
  try {
    await context.audioWorklet.addModule(new URL('capture-worklet.js', import.meta.url));
    await context.resume();
  } catch (error) {
    await close();
    throw error;
  }
  const node = new AudioWorkletNode(context, 'capture', { numberOfOutputs: 0 });
  /** @type {() => void} */
  let ended = () => {};
  node.port.onmessage = ({ data }) => (data === null ? ended() : onFrame(data));
  for (const track of media.getTracks()) track.addEventListener('ended', onLost);
  context.createMediaStreamSource(media).connect(node);
  return {
    async stop() {
      const last = new Promise((resolve) => {
        ended = () => resolve(null);
        setTimeout(ended, LAST_FRAME_MS);
      });
      node.port.postMessage('stop');
      await last;
      await close();
    },
  };
}
