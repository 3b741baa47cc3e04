/** The messages of the protocol as they go; audio is counted, not shown. */

import { made, part, say } from '../page.js';

const MOST = 200;
const AT_END_PX = 40;

export class WirePanel {
  constructor() {
    this.box = part('wire');
    this.rows = part('wire-rows');
    /** @type {string[]} what "Copy" copies: a line of JSON for each message */
    this.lines = [];
    this.count = 0;
    this.began = 0;
    /** @type {{frames: number, bytes: number, element: HTMLElement} | null} the run of audio that is going on */
    this.audio = null;
    this.showCount();
    part('wire-copy').addEventListener('click', () => this.copy());
  }

  /** A new talk. */
  begin() {
    this.rows.replaceChildren();
    this.lines = [];
    this.count = 0;
    this.audio = null;
    this.began = performance.now();
    part('wire-empty').hidden = true;
    this.showCount();
  }

  /**
   * @param {'up' | 'down'} way up is to the service
   * @param {Record<string, unknown>} message
   */
  add(way, message) {
    const shown = 'token' in message ? { ...message, token: '•••' } : message;
    const { type, ...rest } = shown;
    this.audio = null;
    this.count += 1;
    const details = made('details', `${way} ${type === 'error' || type === 'goaway' ? 'error' : ''}`);
    const summary = made('summary');
    summary.append(this.time(), arrow(way), made('span', 'type', String(type)), made('span', 'rest', gist(type, rest)));
    details.append(summary);
    details.addEventListener('toggle', () => details.append(made('pre', '', JSON.stringify(shown, null, 2))), { once: true });
    this.append(details);
    this.lines.push(JSON.stringify({ way, ...shown }));
    if (this.lines.length > MOST) this.lines.shift();
    this.showCount();
  }

  /** @param {number} bytes of a frame of audio that was sent */
  addAudio(bytes) {
    if (!this.audio) {
      const element = made('div', 'audio up');
      element.append(this.time(), arrow('up'), made('span', 'type', 'audio'), made('span', 'rest'));
      this.audio = { frames: 0, bytes: 0, element };
      this.append(element);
    }
    this.audio.frames += 1;
    this.audio.bytes += bytes;
    const text = say('wireAudio', this.audio.frames, (this.audio.bytes / 1024).toFixed(1));
    /** @type {HTMLElement} */ (this.audio.element.lastChild).textContent = text;
  }

  /** Writes the words of this panel in the page's language. */
  showCount() {
    part('wire-copy').hidden = this.count === 0;
    part('wire-count').textContent = this.count ? say('wireCount', this.count) : '';
  }

  /** @param {HTMLElement} element */
  append(element) {
    const isAtEnd = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < AT_END_PX;
    const row = document.createElement('li');
    row.append(element);
    this.rows.append(row);
    if (this.rows.childElementCount > MOST) this.rows.firstElementChild?.remove();
    if (isAtEnd) this.box.scrollTop = this.box.scrollHeight;
  }

  time() {
    return made('time', '', `${((performance.now() - this.began) / 1000).toFixed(2)} s`);
  }

  async copy() {
    const button = part('wire-copy');
    try {
      await navigator.clipboard.writeText(this.lines.join('\n'));
      button.textContent = say('copied');
    } catch {
      return; // not allowed, or no https: the messages can be selected by hand
    }
    setTimeout(() => (button.textContent = say('copy')), 1500);
  }
}

/**
 * @param {unknown} type
 * @param {Record<string, any>} rest
 * @returns {string} what a person looks for in a message, in a line
 */
function gist(type, rest) {
  if (type !== 'result') return Object.keys(rest).length ? JSON.stringify(rest) : '';
  return `${rest.index} ${rest.isFinal ? '■' : '…'} ${rest.text}`;
}

/** @param {'up' | 'down'} way */
function arrow(way) {
  const sign = made('span', 'way', way === 'up' ? '↑' : '↓');
  sign.setAttribute('aria-label', way === 'up' ? 'sent' : 'received');
  sign.setAttribute('role', 'img');
  return sign;
}
