/** What somebody types into the field for hotwords. Pure. */

const WORD_BYTES = 30; // docs/protocol.md: 30 characters, 10 of them Chinese: UTF-8 bytes
const MOST = 128;
const DEFAULT_WEIGHT = 10;

/**
 * @param {string} typed words between commas, semicolons or line ends, each with an optional weight: `监理:11, deploy`
 * @returns {{words: {word: string, weight: number}[], wrong: string[]}} the words that can be sent, and those that not
 */
export function parseHotwords(typed) {
  /** @type {{word: string, weight: number}[]} */
  const words = [];
  /** @type {string[]} */
  const wrong = [];
  for (const piece of typed.split(/[,，;；、\n]/).map((part) => part.trim())) {
    if (!piece) continue;
    const [, word, weight] = /^(.*?)(?:\s*[:：|]\s*(\d+))?$/.exec(piece) ?? ['', piece, undefined];
    const number = weight === undefined ? DEFAULT_WEIGHT : Number(weight);
    const isWeight = (number >= 1 && number <= 11) || number === 100;
    const isWord = word !== '' && !/[\s|:：]/.test(word) && new TextEncoder().encode(word).length <= WORD_BYTES;
    if (isWord && isWeight && words.length < MOST) words.push({ word, weight: number });
    else wrong.push(piece);
  }
  return { words, wrong };
}
