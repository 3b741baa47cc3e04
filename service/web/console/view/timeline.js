/** The sound of the talk, and below it each word where it was said. */

import { made, part } from '../page.js';

// Most words have room for their letters; a phone shows three seconds.
const PX_PER_S = matchMedia('(max-width: 40rem)').matches ? 112 : 168;
const BAR_MS = 40;
const BAR_PX = (PX_PER_S * BAR_MS) / 1000;
const QUIET = 0.12; // of the level: below it the line is flat
const LONGEST_MS = 600_000; // as long as a talk may last: 15,000 bars

export class Timeline {
  constructor() {
    this.box = part('timeline');
    this.track = part('track');
    this.lane = part('lane');
    this.canvas = /** @type {HTMLCanvasElement} */ (part('wave'));
    /** @type {number[]} the height of each bar, 0 to 1 */
    this.bars = [];
    /** @type {Map<number, HTMLElement[]>} the words of each sentence */
    this.words = new Map();
    this.isDue = false;
    this.box.addEventListener('scroll', () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  /** A new talk. */
  begin() {
    this.bars = [];
    this.words.clear();
    this.lane.replaceChildren();
    this.box.classList.add('used');
    this.follow();
  }

  /** @param {number} level of the next frame: 0 is -60 dB of full scale, 1 is full scale */
  addFrame(level) {
    if (this.bars.length >= LONGEST_MS / BAR_MS) return;
    this.bars.push(Math.max(0, (level - QUIET) / (1 - QUIET)));
    this.follow();
  }

  /**
   * @param {{index: number, isFinal: boolean, startMs: number, endMs: number, text: string,
   *   wordList: {word: string, startMs: number, endMs: number}[]}} result
   */
  show({ index, isFinal, startMs, endMs, text, wordList }) {
    const before = this.words.get(index) ?? [];
    // An engine without times of words: the sentence is one block.
    const words = wordList.length || !text ? wordList : [{ word: text, startMs, endMs }];
    const now = words.map((word, place) => {
      const element = before[place] ?? made('li');
      element.textContent = word.word;
      element.title = `${(word.startMs / 1000).toFixed(2)} – ${(word.endMs / 1000).toFixed(2)} s`;
      element.className = isFinal ? '' : 'open';
      element.style.setProperty('left', `${(word.startMs / 1000) * PX_PER_S}px`);
      element.style.setProperty('width', `${Math.max(12, ((word.endMs - word.startMs) / 1000) * PX_PER_S - 2)}px`);
      if (!before[place]) this.lane.append(element);
      return element;
    });
    for (const element of before.slice(now.length)) element.remove();
    this.words.set(index, now);
  }

  follow() {
    const width = this.bars.length * BAR_PX + 60;
    this.track.style.setProperty('width', `${Math.max(width, this.box.clientWidth)}px`);
    this.box.scrollLeft = this.track.offsetWidth;
    this.draw();
  }

  /** Draws soon, and once for all that happens until then. */
  draw() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.paint();
    });
  }

  paint() {
    const ratio = globalThis.devicePixelRatio || 1;
    const [width, height] = [this.box.clientWidth, this.canvas.clientHeight];
    this.canvas.style.setProperty('width', `${width}px`);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext('2d');
    if (!pen) return;
    pen.scale(ratio, ratio);
    pen.fillStyle = getComputedStyle(this.canvas).color;
    const left = this.box.scrollLeft;
    const from = Math.max(0, Math.floor(left / BAR_PX));
    const until = Math.min(this.bars.length, Math.ceil((left + width) / BAR_PX));
    if (this.bars.length === 0) {
      pen.globalAlpha = 0.16;
      for (let x = 6; x < width; x += BAR_PX) pen.fillRect(x, height / 2 - 1, BAR_PX * 0.45, 2);
    }
    for (let place = from; place < until; place += 1) {
      const tall = Math.max(2, this.bars[place] * (height - 14));
      pen.globalAlpha = 0.35 + 0.65 * this.bars[place];
      pen.beginPath();
      pen.roundRect(place * BAR_PX - left, (height - tall) / 2, BAR_PX * 0.5, tall, 2);
      pen.fill();
    }
  }
}
