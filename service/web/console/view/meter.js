/** How loud it is: the bar with its peak, and the ring around the button. */

import { part } from '../page.js';

const FALL_PER_S = 0.9; // how fast the bar falls: a word stays to be seen
const PEAK_MS = 900;
const QUIETEST_DB = -60;

export class Meter {
  constructor() {
    this.bar = part('meter');
    this.ring = /** @type {HTMLElement} */ (part('mic').querySelector('.ring'));
    this.value = 0;
    this.peak = 0;
    this.peakAt = 0;
    this.at = 0;
  }

  /** @param {number} level 0 is -60 dB of full scale, 1 is full scale */
  show(level) {
    const now = performance.now();
    this.value = Math.max(level, this.value - ((now - this.at) / 1000) * FALL_PER_S, 0);
    this.at = now;
    if (this.value >= this.peak || now - this.peakAt > PEAK_MS) [this.peak, this.peakAt] = [this.value, now];
    this.bar.style.setProperty('--value', this.value.toFixed(3));
    this.bar.style.setProperty('--peak', this.peak.toFixed(3));
    this.ring.style.setProperty('--level', this.value.toFixed(3));
    this.bar.setAttribute('aria-valuenow', String(Math.round(QUIETEST_DB * (1 - level))));
  }

  /** Nothing is heard any more. */
  end() {
    [this.value, this.peak] = [0, 0];
    this.show(0);
  }
}
