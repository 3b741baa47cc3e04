/** The form with engine, hotwords and token: what the next talk begins with. */

import { parseHotwords } from './pure/hotwords.js';
import { keep, kept, part, say } from './page.js';

const ENGINES = ['16k_zh', '16k_zh_large', '16k_multi_lang', '16k_zh_en', '16k_en', '16k_en_large', '16k_yue', '16k_ja', '16k_ko'];
const ELSE = '…';
const TOKEN_KEY = 'console-token';

const engine = /** @type {HTMLSelectElement} */ (part('engine'));
const other = /** @type {HTMLInputElement} */ (part('engine-other'));
const hotwords = /** @type {HTMLTextAreaElement} */ (part('hotwords'));
const token = /** @type {HTMLInputElement} */ (part('token'));

/** Fills the form with what was chosen last time, and keeps what is chosen from now on. */
export function startSetup() {
  engine.append(new Option('', ''), ...ENGINES.map((name) => new Option(name, name)), new Option('', ELSE));
  const { engine: before = '', hotwords: words = '' } = kept();
  engine.value = before === '' || ENGINES.includes(before) ? before : ELSE;
  if (engine.value === ELSE) other.value = before;
  hotwords.value = words;
  token.value = keptToken();
  part('setup').addEventListener('input', () => {
    keep({ engine: engineType(), hotwords: hotwords.value });
    keepToken(token.value.trim());
    showSetup();
  });
  part('setup').addEventListener('submit', (event) => event.preventDefault());
  showSetup();
}

/** Writes the words of the form in the page's language. */
export function showSetup() {
  engine.options[0].text = say('engineDefault');
  engine.options[engine.options.length - 1].text = say('engineElse');
  other.hidden = engine.value !== ELSE;
  const { wrong } = parseHotwords(hotwords.value);
  const hint = part('hotwords-hint');
  hint.textContent = wrong.length ? say('hotwordsWrong', wrong.join(', ')) : say('hotwordsHint');
  hint.classList.toggle('wrong', wrong.length > 0);
}

function engineType() {
  return engine.value === ELSE ? other.value.trim() : engine.value;
}

/** @returns {Record<string, unknown>} the fields of `start`; the engine is left to the service unless one was chosen */
export function startFields() {
  const { words } = parseHotwords(hotwords.value);
  return {
    sampleRate: 16000,
    voiceFormat: 'pcm',
    wordInfo: 1,
    ...(engineType() && { engineType: engineType() }),
    ...(words.length > 0 && { hotwords: words }),
  };
}

/** @returns {string} the token; empty without one */
export function chosenToken() {
  return token.value.trim();
}

/** Takes the person to the field for the token. */
export function askForToken() {
  token.scrollIntoView({ block: 'center' });
  token.focus({ preventScroll: true });
}

function keptToken() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} value */
function keepToken(value) {
  try {
    if (value) sessionStorage.setItem(TOKEN_KEY, value);
    else sessionStorage.removeItem(TOKEN_KEY);
  } catch {
    // Then it stands in the field, and is gone with the page.
  }
}
