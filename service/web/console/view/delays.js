/** The three delays of the last talk, and two of them for the last talks. */

import { median } from '../pure/latency.js';
import { drawn, part, say } from '../page.js';

const SHOWN = 8;
const [WIDTH, HEIGHT, LEFT, BOTTOM] = [300, 118, 30, 4];
const GOAL_MS = 500; // service/telemetry/metrics.py: this and less feels live
const SCALES_MS = [1000, 2000, 5000, 10_000, 30_000, 60_000];

/** @typedef {import('../pure/latency.js').Delays} Delays */

export class DelaysPanel {
  constructor() {
    /** @type {{firstMs: number | null, settleMs: number | null}[]} */
    this.talks = [];
    this.draw();
  }

  /** @param {Delays} delays of the talk that is going on */
  show({ firstMs, behindMs, settleMs }) {
    write('first', firstMs);
    write('behind', median(behindMs));
    write('settle', settleMs);
  }

  /** @param {Delays} delays of a talk that has ended */
  add({ firstMs, settleMs }) {
    if (firstMs === null && settleMs === null) return;
    this.talks = [...this.talks, { firstMs, settleMs }].slice(-SHOWN);
    this.draw();
  }

  draw() {
    const top = Math.max(0, ...this.talks.flatMap((talk) => [talk.firstMs ?? 0, talk.settleMs ?? 0]));
    const scaleMs = SCALES_MS.find((ms) => ms >= top) ?? top;
    const floor = HEIGHT - BOTTOM;
    const y = (/** @type {number} */ ms) => floor - (ms / scaleMs) * (floor - 10);
    const list = (/** @type {'firstMs' | 'settleMs'} */ name) =>
      this.talks.map((talk) => (talk[name] === null ? '–' : Math.round(talk[name]))).join(', ');
    const chart = drawn('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img', 'aria-label': say('chartLabel', list('firstMs'), list('settleMs')) });
    for (const ms of [0, scaleMs / 2, scaleMs]) {
      chart.append(drawn('line', { class: 'grid', x1: LEFT, x2: WIDTH, y1: y(ms), y2: y(ms) }));
      chart.append(drawn('text', { x: LEFT - 6, y: y(ms) + 3, 'text-anchor': 'end' }, ms < 1000 ? `${ms}` : `${ms / 1000} s`));
    }
    if (GOAL_MS !== scaleMs / 2) chart.append(drawn('line', { class: 'goal', x1: LEFT, x2: WIDTH, y1: y(GOAL_MS), y2: y(GOAL_MS) }));
    chart.append(drawn('text', { x: WIDTH, y: y(GOAL_MS) - 4, 'text-anchor': 'end' }, say('goal')));
    if (this.talks.length === 0) chart.append(drawn('text', { x: (LEFT + WIDTH) / 2, y: floor - 18, 'text-anchor': 'middle' }, say('chartEmpty')));
    const step = (WIDTH - LEFT) / SHOWN;
    for (const [place, talk] of this.talks.entries()) {
      const x = LEFT + place * step + step / 2;
      for (const [name, ms, shift] of /** @type {const} */ ([['first', talk.firstMs, -11], ['settle', talk.settleMs, 1]])) {
        if (ms === null) continue;
        const bar = drawn('rect', { class: name, x: x + shift, width: 10, rx: 2.5, y: y(ms), height: Math.max(1.5, floor - y(ms)) });
        bar.append(drawn('title', {}, `${say(name)}: ${Math.round(ms)} ms`));
        chart.append(bar);
      }
    }
    part('chart').replaceChildren(chart);
  }
}

/**
 * @param {string} id
 * @param {number | null} ms
 */
function write(id, ms) {
  const place = part(id);
  if (ms === null) {
    place.textContent = '–';
    return;
  }
  const unit = document.createElement('small');
  unit.textContent = ms < 1000 ? 'ms' : 's';
  place.replaceChildren(ms < 1000 ? String(Math.round(ms)) : (ms / 1000).toFixed(2), unit);
}
