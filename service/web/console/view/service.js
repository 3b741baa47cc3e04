/** What the service says of itself: `/ready` for everybody, `/metrics` where it may be read. */

import { parseExposition, quantile, total } from '../pure/exposition.js';
import { made, part, say } from '../page.js';

const EVERY_MS = 2000;
const LIMIT_MS = 5000;

/** @typedef {{phase: string, recognizer: string, slots: {used: number, total: number}, streams: number, shedding: boolean}} Ready */
/** @typedef {import('../page.js').Key} Key */

/** @type {Record<string, Key>} */
const RECOGNIZER = { up: 'recognizerUp', down: 'recognizerDown', open: 'recognizerOpen', half_open: 'recognizerHalf' };

export class ServicePanel {
  /** @param {(phase: string) => void} onPhase told `serving`, `starting`, `draining` or `unreachable` at each look */
  constructor(onPhase) {
    this.onPhase = onPhase;
    /** @type {Ready | null} */
    this.ready = null;
    /** @type {import('../pure/exposition.js').Series[] | null} */
    this.series = null;
    this.areMetricsHidden = false;
    this.isFirst = true;
  }

  /** Looks from now on, while the page is to be seen. */
  start() {
    const look = async () => {
      if (document.visibilityState === 'visible') await this.look();
      setTimeout(look, EVERY_MS);
    };
    void look();
  }

  async look() {
    this.ready = await fetched('ready').then(readyOf).catch(() => null); // a body may break off, too
    this.onPhase(this.ready?.phase ?? 'unreachable');
    if (this.isFirst && this.ready) {
      this.isFirst = false;
      const about = await fetched('')
        .then((answer) => answer.json())
        .catch(() => null);
      part('version').textContent = about?.data?.version ?? '';
    }
    if (this.ready && !this.areMetricsHidden) {
      const answer = await fetched('metrics').catch(() => null);
      // Whoever may not read them now may not later: it is not asked again.
      this.areMetricsHidden = answer !== null && !answer.ok;
      this.series = answer?.ok ? parseExposition(await answer.text().catch(() => '')) : null;
    }
    this.show();
  }

  /** Writes the figures in the page's language. */
  show() {
    const { ready, series } = this;
    part('beat').classList.toggle('up', ready?.phase === 'serving');
    part('slots').textContent = ready ? say('slotsOf', ready.slots.used, ready.slots.total) : '–';
    const share = ready?.slots.total ? ready.slots.used / ready.slots.total : 0;
    part('slots-bar').style.setProperty('--share', share.toFixed(3));
    const rows = ready ? [...rowsOfReady(ready), ...(series ? rowsOfMetrics(series) : [])] : [];
    part('figures').replaceChildren(...rows);
    const note = part('figures-note');
    note.hidden = ready !== null && !this.areMetricsHidden;
    note.textContent = ready ? say('metricsHidden') : say('noFigures');
  }
}

/** @param {string} path */
function fetched(path) {
  return fetch(path || '.', { cache: 'no-store', headers: { Accept: 'application/json, text/plain;q=0.5' }, signal: AbortSignal.timeout(LIMIT_MS) });
}

/**
 * @param {Response} answer 200, or 503 while it starts or drains: both have a body
 * @returns {Promise<Ready>}
 */
async function readyOf(answer) {
  return (await answer.json()).data;
}

/** @param {Ready} ready */
function rowsOfReady(ready) {
  const isUp = ready.recognizer === 'up';
  const recognizer = ready.recognizer in RECOGNIZER ? say(RECOGNIZER[ready.recognizer]) : ready.recognizer;
  return [
    row('recognizer', recognizer, isUp ? 'good' : 'bad'),
    row('streams', ready.shedding ? `${ready.streams} (${say('shedding')})` : String(ready.streams), ready.shedding ? 'bad' : ''),
  ];
}

/** @param {import('../pure/exposition.js').Series[]} series */
function rowsOfMetrics(series) {
  const ms = (/** @type {number | null} */ seconds) => (seconds === null ? '–' : seconds < 1 ? `${+(seconds * 1000).toPrecision(3)} ms` : `${seconds.toFixed(2)} s`);
  const relayed = total(series, 'voice_audio_relayed_seconds_total') ?? 0;
  const memory = total(series, 'process_resident_memory_bytes');
  return [
    row('ended', String(total(series, 'voice_streams_ended_total') ?? 0)),
    row('firstFigure', ms(quantile(series, 'voice_first_partial_seconds', 0.5))),
    row('settleFigure', ms(quantile(series, 'voice_finalization_seconds', 0.95))),
    row('audioFigure', relayed < 600 ? `${relayed.toFixed(1)} s` : `${(relayed / 60).toFixed(0)} min`),
    row('lagFigure', ms(quantile(series, 'voice_event_loop_lag_seconds', 0.99))),
    ...(memory === null ? [] : [row('memoryFigure', `${(memory / 2 ** 20).toFixed(0)} MiB`)]),
  ];
}

/**
 * @param {Key} key
 * @param {string} value
 * @param {string} [tone]
 */
function row(key, value, tone = '') {
  const line = made('div');
  line.append(made('dt', '', say(key)), made('dd', tone, value));
  return line;
}
