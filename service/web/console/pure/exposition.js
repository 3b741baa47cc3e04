/** The few figures that the console shows of the Prometheus text format. Pure. */

/**
 * @typedef {{name: string, labels: Record<string, string>, value: number}} Series
 */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/**
 * @param {string} text an exposition; lines that are none of a series are passed over
 * @returns {Series[]}
 */
export function parseExposition(text) {
  /** @type {Series[]} */
  const found = [];
  for (const line of text.split('\n')) {
    const match = line.startsWith('#') ? null : LINE.exec(line);
    if (!match) continue;
    const value = match[3] === '+Inf' ? Infinity : Number(match[3]);
    found.push({ name: match[1], labels: Object.fromEntries([...(match[2] ?? '').matchAll(LABEL)].map((m) => [m[1], m[2]])), value });
  }
  return found;
}

/**
 * @param {Series[]} series
 * @param {string} name
 * @param {Record<string, string>} [labels] those that must match
 * @returns {number | null} the sum of the series that match, null when there is none
 */
export function total(series, name, labels = {}) {
  const matching = series.filter((one) => one.name === name && Object.entries(labels).every(([key, value]) => one.labels[key] === value));
  return matching.length ? matching.reduce((sum, one) => sum + one.value, 0) : null;
}

/**
 * @param {Series[]} series
 * @param {string} name of a histogram, without `_bucket`
 * @param {number} share 0 to 1: 0.5 is the median
 * @returns {number | null} by linear interpolation in its bucket, as Prometheus does it; null when nothing was counted.
 *   In the last bucket it is the highest finite edge: the truth is at least that
 */
export function quantile(series, name, share) {
  const buckets = series
    .filter((one) => one.name === `${name}_bucket`)
    .map((one) => ({ edge: one.labels.le === '+Inf' ? Infinity : Number(one.labels.le), count: one.value }))
    .sort((a, b) => a.edge - b.edge);
  const count = buckets.at(-1)?.count ?? 0;
  if (count === 0) return null;
  const rank = share * count;
  const place = buckets.findIndex((bucket) => bucket.count >= rank);
  const [below, here] = [buckets[place - 1] ?? { edge: 0, count: 0 }, buckets[place]];
  if (here.edge === Infinity) return below.edge;
  return below.edge + ((here.edge - below.edge) * (rank - below.count)) / Math.max(1, here.count - below.count);
}
