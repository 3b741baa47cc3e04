/**
 * Samples at one rate into samples at another: a polyphase filter with a windowed sinc. Pure.
 *
 * Without the low-pass, what a microphone hears above 8 kHz (the hiss of an s) would fold into the band of speech and
 * be recognized as something else. The pass band ends at 7/8 of the lower Nyquist frequency; from that frequency on
 * everything is 70 dB down. At 48 kHz to 16 kHz that is some 220 multiplications a sample, 4 million a second.
 */

const STOP_BAND_DB = 70;
/** Kaiser's formulas (Oppenheim and Schafer, Discrete-Time Signal Processing, 7.5.3). */
const KAISER_BETA = 0.1102 * (STOP_BAND_DB - 8.7);
const TRANSITION = 1 / 8;

/**
 * @param {number} a
 * @param {number} b
 * @returns {number} the greatest common divisor
 */
function divisor(a, b) {
  return b === 0 ? a : divisor(b, a % b);
}

/**
 * @param {number} x
 * @returns {number} the modified Bessel function of the first kind and order 0
 */
function bessel(x) {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-12; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/** Converts one stream of samples, whatever pieces it comes in: the pieces do not show in what comes out. */
export class Resampler {
  /**
   * @param {number} fromHz rate of what goes in: a whole number
   * @param {number} toHz rate of what comes out: a whole number
   */
  constructor(fromHz, toHz) {
    const common = divisor(fromHz, toHz);
    this.up = toHz / common;
    this.down = fromHz / common;
    this.isIdentity = this.up === this.down;
    const nyquistHz = Math.min(fromHz, toHz) / 2;
    const cutoff = (nyquistHz * (1 - TRANSITION / 2)) / fromHz; // in cycles per sample that goes in
    const width = (nyquistHz * TRANSITION) / fromHz;
    const half = Math.ceil((STOP_BAND_DB - 7.95) / (28.72 * width));
    /** Coefficients of each phase, on samples that go in; each phase has a gain of exactly one for a constant. */
    this.phases = Array.from({ length: this.up }, (_, phase) => coefficients(phase / this.up, half, cutoff));
    this.taps = 2 * half;
    this.kept = new Float32Array(half - 1); // silence before the first sample: the filter's delay is taken off
    this.position = 0; // of the next sample that comes out, in 1/up of a sample of `kept`
  }

  /**
   * @param {Float32Array} samples what came; it is not kept
   * @returns {Float32Array} what can be said so far: it stays behind by half the filter, some 2 ms
   */
  process(samples) {
    if (this.isIdentity) return samples.slice();
    const all = new Float32Array(this.kept.length + samples.length);
    all.set(this.kept);
    all.set(samples, this.kept.length);
    const last = all.length - this.taps;
    const count = last < 0 ? 0 : Math.max(0, Math.floor((last * this.up + this.up - 1 - this.position) / this.down) + 1);
    const out = new Float32Array(count);
    for (let i = 0; i < count; i += 1) {
      const at = Math.floor(this.position / this.up);
      const phase = this.phases[this.position % this.up];
      let sum = 0;
      for (let tap = 0; tap < phase.length; tap += 1) sum += phase[tap] * all[at + tap];
      out[i] = sum;
      this.position += this.down;
    }
    const used = Math.min(Math.floor(this.position / this.up), all.length);
    this.kept = all.slice(used);
    this.position -= used * this.up;
    return out;
  }
}

/**
 * @param {number} fraction where between two samples the result lies, 0 to 1
 * @param {number} half coefficients on each side
 * @param {number} cutoff in cycles per sample
 * @returns {Float32Array}
 */
function coefficients(fraction, half, cutoff) {
  const taps = new Float64Array(2 * half);
  let sum = 0;
  for (let tap = 0; tap < taps.length; tap += 1) {
    const x = tap - (half - 1) - fraction;
    const angle = 2 * Math.PI * cutoff * x;
    const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
    taps[tap] = sinc * bessel(KAISER_BETA * Math.sqrt(Math.max(0, 1 - (x / half) ** 2)));
    sum += taps[tap];
  }
  return Float32Array.from(taps, (value) => value / sum);
}

/**
 * @param {Float32Array} samples -1 to 1; louder ones are clipped
 * @returns {Int16Array}
 */
export function toInt16(samples) {
  return Int16Array.from(samples, (value) => Math.round(Math.max(-1, Math.min(1, value)) * 32767));
}
