/** The page's language and colors, and how its parts are found and filled. */

import { TEXTS } from './text.js';

/** @typedef {import('./text.js').Key} Key */
/** @typedef {'en' | 'zh'} Language */

/**
 * @param {string} id
 * @returns {HTMLElement} the element of the page with it
 */
export function part(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found;
}

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElement}
 */
export function made(tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 * @returns {SVGElement}
 */
export function drawn(tag, attributes, text = '') {
  const element = /** @type {SVGElement} */ (document.createElementNS(SVG, tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  if (text) element.textContent = text;
  return element;
}

/** @returns {Language} */
export function language() {
  return document.documentElement.lang.startsWith('zh') ? 'zh' : 'en';
}

/**
 * @param {Key} key
 * @param {...(string | number)} values for `{0}`, `{1}`…
 * @returns {string} the words in the page's language
 */
export function say(key, ...values) {
  return TEXTS[language()][key].replace(/\{(\d)\}/g, (_, place) => String(values[Number(place)]));
}

/** Fills everything that names its text by `data-t`, `data-label` or `data-placeholder`. */
export function fillTexts() {
  document.title = say('title');
  for (const element of document.querySelectorAll('[data-t]')) {
    element.textContent = say(/** @type {Key} */ (element.getAttribute('data-t')));
  }
  for (const [attribute, target] of [['data-label', 'aria-label'], ['data-placeholder', 'placeholder']]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      element.setAttribute(target, say(/** @type {Key} */ (element.getAttribute(attribute))));
    }
  }
}

const THEMES = ['auto', 'light', 'dark'];
/** @type {Record<string, Key>} */
const THEME_TEXTS = { auto: 'themeAuto', light: 'themeLight', dark: 'themeDark' };

/**
 * Makes the two switches in the bar work.
 * @param {() => void} onChange called when words or colors have changed: draw again
 */
export function startSwitches(onChange) {
  const [languageSwitch, themeSwitch] = [part('language'), part('theme')];
  const root = document.documentElement;
  const show = () => {
    fillTexts();
    languageSwitch.textContent = say('language');
    languageSwitch.lang = language() === 'zh' ? 'en' : 'zh-CN';
    const label = say(THEME_TEXTS[root.dataset.theme ?? 'auto']);
    themeSwitch.setAttribute('aria-label', label);
    themeSwitch.title = label;
    onChange();
  };
  languageSwitch.addEventListener('click', () => {
    root.lang = language() === 'zh' ? 'en' : 'zh-CN';
    keep({ language: root.lang });
    show();
  });
  themeSwitch.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? 'auto') + 1) % THEMES.length];
    if (next === 'auto') delete root.dataset.theme;
    else root.dataset.theme = next;
    keep({ theme: next });
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange);
  show();
}

/** @returns {Record<string, string>} what was chosen on this machine before; nothing where storage is switched off */
export function kept() {
  try {
    return JSON.parse(localStorage.getItem('console') ?? '{}');
  } catch {
    return {};
  }
}

/** @param {Record<string, string>} choices kept for the next time, beside what is kept already */
export function keep(choices) {
  try {
    localStorage.setItem('console', JSON.stringify({ ...kept(), ...choices }));
  } catch {
    // Without storage the choice holds until the page is left.
  }
}
