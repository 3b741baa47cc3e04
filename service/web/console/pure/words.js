/** A text into the pieces that appear one by one, and what changed between two of them. Pure. */

/** A Chinese character, kana or Hangul syllable stands alone; anything else up to the next space is a word. */
const PIECE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}][\p{P}]*|[^\s\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]+|\s+/gu;

/**
 * @param {string} text
 * @returns {string[]} its pieces in order, spaces among them: together they are the text
 */
export function pieces(text) {
  return text.match(PIECE) ?? [];
}

/**
 * @param {string[]} before
 * @param {string[]} after
 * @returns {number} how many pieces at the beginning are the same
 */
export function sameUntil(before, after) {
  let count = 0;
  while (count < before.length && count < after.length && before[count] === after[count]) count += 1;
  return count;
}
