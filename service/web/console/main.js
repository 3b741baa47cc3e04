/** The page: its parts, and what happens when somebody presses something. */

import slugs from './lib/slugs.js';
import { NoMicrophone, openMicrophone } from './audio/microphone.js';
import { NoRecording, playSample } from './audio/sample.js';
import { language, made, part, drawn, say, startSwitches } from './page.js';
import { askForToken, showSetup, startSetup } from './setup.js';
import { Talk } from './talk.js';
import { Caption } from './view/caption.js';
import { DelaysPanel } from './view/delays.js';
import { Meter } from './view/meter.js';
import { ServicePanel } from './view/service.js';
import { Timeline } from './view/timeline.js';
import { WirePanel } from './view/wire.js';

/** @typedef {import('./page.js').Key} Key */
/** @typedef {'idle' | 'starting' | 'talking' | 'finishing'} Phase */

const SAMPLES = [
  { file: 'goforward.wav', words: 'Go forward ten meters', seconds: 2.8 },
  { file: 'something.wav', words: 'Go somewhere and do something', seconds: 3.0 },
  { file: 'austen-0870.wav', words: 'Mr. John Dashwood had then leisure…', seconds: 7.1 },
];
const TOKEN_SLUGS = ['unauthenticated', 'token_expired'];
const CLOCK_MS = 100;
/** @type {Record<string, Key>} */
const PHASES = { serving: 'stateReady', starting: 'stateStarting', draining: 'stateDraining', unreachable: 'stateUnreachable' };
/** @type {Record<Phase, Key>} */
const VERBS = { idle: 'talk', starting: 'starting', talking: 'stop', finishing: 'finishing' };

const parts = { caption: new Caption(), timeline: new Timeline(), meter: new Meter(), delays: new DelaysPanel(), wire: new WirePanel() };
const service = new ServicePanel((phase) => showLink({ phase }));

/** @type {Talk | null} */
let talk = null;
/** @type {import('./audio/microphone.js').Source | null} */
let source = null;
/** @type {Phase} */
let phase = 'idle';
let link = { phase: 'checking', talkState: 'ended' };

/**
 * Talks from the beginning to the end. There is a connection only when there is audio.
 * @param {(talk: Talk) => Promise<import('./audio/microphone.js').Source>} open
 */
async function hold(open) {
  if (phase !== 'idle') return;
  hideNotice();
  enter('starting');
  const mine = new Talk(parts, (talkState) => showLink({ talkState }));
  try {
    source = await open(mine);
  } catch (error) {
    notice(error);
    enter('idle');
    return;
  }
  talk = mine;
  enter('talking');
  const { error } = await mine.begin();
  await source?.stop(); // the service has ended it, and not `finish`
  source = talk = null;
  mine.close();
  enter('idle');
  if (error) notice(error);
}

/** No more audio. The talk goes on until everything is settled. */
async function finish() {
  if (phase !== 'talking') return;
  enter('finishing');
  const audio = source;
  source = null;
  await audio?.stop();
  talk?.stop();
}

/** @param {Phase} next */
function enter(next) {
  phase = next;
  part('stage').dataset.phase = next;
  showPhase();
}

function showPhase() {
  const [mic, verb] = [/** @type {HTMLButtonElement} */ (part('mic')), say(VERBS[phase])];
  part('verb').textContent = verb;
  mic.setAttribute('aria-label', verb);
  mic.disabled = phase === 'starting' || phase === 'finishing';
  for (const button of document.querySelectorAll('.sample')) {
    /** @type {HTMLButtonElement} */ (button).disabled = phase !== 'idle';
    if (phase === 'idle') button.classList.remove('playing');
  }
}

/** @param {Partial<typeof link>} news of the service, or of the connection of the talk */
function showLink(news = {}) {
  link = { ...link, ...news };
  const pill = part('link');
  const [state, key] = linkState();
  if (pill.dataset.state === state && pill.lastElementChild?.textContent === say(key)) return;
  pill.dataset.state = state;
  /** @type {Element} */ (pill.lastElementChild).textContent = say(key);
}

/** @returns {[string, Key]} */
function linkState() {
  if (!navigator.onLine) return ['offline', 'stateOffline'];
  if (link.talkState === 'connecting') return ['connecting', 'stateConnecting'];
  if (link.talkState === 'streaming') return ['live', 'stateLive'];
  if (link.talkState === 'reconnecting') return ['reconnecting', 'stateReconnecting'];
  if (link.talkState === 'stopping') return ['finishing', 'stateFinishing'];
  if (link.phase === 'checking') return ['checking', 'stateChecking'];
  return [link.phase === 'serving' ? 'ready' : link.phase, PHASES[link.phase] ?? 'stateUnreachable'];
}

/** @param {any} error a NoMicrophone, a problem of a talk, or a fault */
function notice(error) {
  if (error instanceof NoMicrophone) return showNotice(say('micTitle'), say(error.reason));
  if (error instanceof NoRecording) return showNotice(say('sampleTitle'), say('sampleFailed'));
  if (error.code === undefined) {
    console.error(error);
    return showNotice(say('failedTitle'), say('failedText'));
  }
  const asks = TOKEN_SLUGS.includes(error.code);
  showNotice(say('failedTitle'), asks ? say('askToken') : slugs.describe(error.code, language()), 'bad');
  if (asks) askForToken();
}

/**
 * @param {string} title
 * @param {string} text
 * @param {string} [tone]
 */
function showNotice(title, text, tone = '') {
  part('notice-title').textContent = title;
  part('notice-text').textContent = text;
  part('notice').dataset.tone = tone;
  part('notice').hidden = false;
  part('notice').scrollIntoView({ block: 'nearest' }); // on a phone it is below the window
}

function hideNotice() {
  part('notice').hidden = true;
}

/** @param {typeof SAMPLES[number]} sample */
function sampleButton({ file, words, seconds }) {
  const button = /** @type {HTMLButtonElement} */ (made('button', 'sample'));
  button.type = 'button';
  const play = made('span', 'play');
  const sign = drawn('svg', { viewBox: '0 0 10 12', 'aria-hidden': 'true' });
  sign.append(drawn('path', { d: 'M1 1.2v9.6a.8.8 0 0 0 1.2.7l7.3-4.8a.8.8 0 0 0 0-1.4L2.2.5A.8.8 0 0 0 1 1.2z' }));
  play.append(sign);
  const name = made('span', 'name', words);
  name.lang = 'en';
  button.append(play, made('span', 'sr', say('play')), name, made('span', 'long', `${seconds.toFixed(1)} s`));
  button.addEventListener('click', () => {
    button.classList.add('playing');
    const isHeard = /** @type {HTMLInputElement} */ (part('heard')).checked;
    void hold((mine) => playSample(new URL(`samples/${file}`, import.meta.url), { isHeard, onFrame: (frame) => mine.hear(frame), onEnd: finish }));
  });
  return button;
}

part('samples').append(...SAMPLES.map(sampleButton));
part('mic').addEventListener('click', () => {
  if (phase === 'talking') return finish();
  const lost = () => {
    if (phase === 'talking') showNotice(say('micTitle'), say('micLost'));
    void finish();
  };
  return hold((mine) => openMicrophone((frame) => mine.hear(frame), lost));
});
part('notice-close').addEventListener('click', hideNotice);
for (const event of ['online', 'offline']) addEventListener(event, () => showLink());
startSetup();
startSwitches(() => {
  for (const label of document.querySelectorAll('.sample .sr')) label.textContent = say('play');
  showSetup();
  showPhase();
  showLink();
  parts.delays.draw();
  parts.wire.showCount();
  parts.timeline.draw();
  service.show();
});
service.start();
setInterval(() => {
  if (!talk) return;
  const seconds = talk.audioMs / 1000;
  part('clock').textContent = `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, '0')}`;
}, CLOCK_MS);
