/** The words as they come: what stays is left alone, so that only what is new moves. */

import { pieces, sameUntil } from '../pure/words.js';
import { made, part, say } from '../page.js';

const SENTENCES_SHOWN = 60; // older ones leave the page; the talk itself has them

/** @typedef {{index: number, text: string, isFinal: boolean}} Result */

export class Caption {
  constructor() {
    this.box = part('caption');
    this.words = part('words');
    this.invitation = part('invitation');
    this.spoken = part('spoken');
    this.caret = made('span', 'caret');
    this.caret.setAttribute('aria-hidden', 'true');
    /** @type {Map<number, {element: HTMLElement, shown: string[]}>} */
    this.sentences = new Map();
  }

  /** A new talk: an empty page, and a place where words will come. */
  begin() {
    this.sentences.clear();
    this.words.replaceChildren(this.caret);
    this.spoken.replaceChildren();
    this.invitation.hidden = true;
  }

  /** @param {Result} result a text that replaces the former one of its sentence */
  show({ index, text, isFinal }) {
    const sentence = this.sentences.get(index) ?? this.addSentence(index);
    const next = pieces(text);
    const same = sameUntil(sentence.shown, next);
    while (sentence.element.childNodes.length > same) sentence.element.lastChild?.remove();
    sentence.element.append(...next.slice(same).map(piece));
    sentence.shown = next;
    if (isFinal && !sentence.element.classList.contains('final')) {
      sentence.element.classList.add('final');
      if (text) this.spoken.append(made('p', '', text));
    }
    sentence.element.after(this.caret);
    this.box.scrollTop = this.box.scrollHeight;
  }

  /** @param {number} seconds of the talk that nobody has recognized */
  showGap(seconds) {
    this.words.insertBefore(made('span', 'gap', ` ${say('gap')} ${seconds.toFixed(1)} s `), this.caret);
  }

  /** The talk is over: no more words come. */
  end() {
    this.caret.remove();
    for (const { element } of this.sentences.values()) element.classList.remove('past');
    if (this.words.textContent?.trim()) return;
    this.words.replaceChildren();
    this.invitation.hidden = false;
  }

  /** @param {number} index */
  addSentence(index) {
    const sentence = { element: made('span', 'sentence'), shown: /** @type {string[]} */ ([]) };
    for (const { element } of this.sentences.values()) element.classList.add('past');
    this.sentences.set(index, sentence);
    if (this.sentences.size > 1) this.words.append(' ');
    this.words.append(sentence.element); // `show` puts the caret behind it
    const oldest = Math.min(...this.sentences.keys());
    if (this.sentences.size > SENTENCES_SHOWN) {
      this.sentences.get(oldest)?.element.remove();
      this.sentences.delete(oldest);
    }
    return sentence;
  }
}

/**
 * @param {string} text
 * @returns {Node} a space is plain text, where lines may break
 */
function piece(text) {
  return text.trim() ? made('span', 'piece', text) : document.createTextNode(text);
}
