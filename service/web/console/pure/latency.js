/**
 * How long a person waits for words. Pure: times come in, milliseconds come out.
 *
 * Three delays are told apart, each against what its person has done:
 * - `firstMs`: from the moment the first audio with a sound in it is sent to the first words;
 * - `behindMs`: how far words trail the voice: from the sending of the audio in which a word ends to its arrival;
 * - `settleMs`: from the end of the talk (`stop` is sent) to the settled text (`stopped`).
 */

/** From here on a frame is counted as speech: -42 dB of full scale, above the noise of a quiet room. */
const SPEECH_LEVEL = 0.3;

/**
 * @typedef {{firstMs: number | null, behindMs: number[], settleMs: number | null}} Delays
 */

/** The clock of one talk. */
export class TalkClock {
  constructor() {
    /** @type {Delays} */
    this.delays = { firstMs: null, behindMs: [], settleMs: null };
    /** @type {{endMs: number, at: number}[]} the moment at which the audio up to a position was sent */
    this.sent = [];
    /** @type {number | null} */
    this.spokeAt = null;
    /** @type {number | null} */
    this.stoppedAt = null;
    this.lastEndMs = -1;
  }

  /**
   * @param {number} endMs position of the end of a frame in the audio
   * @param {number} level loudness: 0 is -60 dB of full scale, 1 is full scale
   * @param {number} at now, in milliseconds of any clock that only goes forward
   */
  audioSent(endMs, level, at) {
    this.sent.push({ endMs, at });
    if (this.spokeAt === null && level >= SPEECH_LEVEL) this.spokeAt = at;
  }

  /**
   * @param {{text: string, endMs: number}} result
   * @param {number} at
   */
  heard(result, at) {
    if (!result.text) return;
    if (this.delays.firstMs === null && this.spokeAt !== null) this.delays.firstMs = Math.max(0, at - this.spokeAt);
    if (result.endMs <= this.lastEndMs || this.stoppedAt !== null) return; // no new word, or hurried along by the end
    this.lastEndMs = result.endMs;
    const frame = this.sent.find((one) => one.endMs >= result.endMs);
    if (frame) this.delays.behindMs.push(Math.max(0, at - frame.at));
  }

  /** @param {number} at */
  stopped(at) {
    this.stoppedAt = at;
  }

  /** @param {number} at */
  settled(at) {
    if (this.stoppedAt !== null) this.delays.settleMs = at - this.stoppedAt;
  }
}

/**
 * @param {number[]} values
 * @returns {number | null} the median; null of none
 */
export function median(values) {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
