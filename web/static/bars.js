/**
 * From the histogram's counts to bars: where each stands, and how its levels are stacked. Pure.
 *
 * @import { HistogramAnswer } from "./api.js"
 * @typedef {{ level: string, count: number, base: number, height: number }} Part `base` and `height` are parts of 1
 * @typedef {{ at: number, total: number, parts: Part[] }} Bar `at` counts buckets from the left
 * @typedef {object} Bars
 * @property {number} from ms since the epoch, as `to`
 * @property {number} to
 * @property {number} count buckets from `from` to `to`
 * @property {number} highest records in the fullest bucket
 * @property {Record<string, number>} counts by level
 * @property {Bar[]} bars
 */

import { LEVELS } from "./levels.js";

/** One error among ten thousand lines is what one looks for: the severest part of a bar is never flatter than this. */
const FLATTEST = 0.04;

/** @param {HistogramAnswer} answer @returns {Bars} */
export function bars(answer) {
  const step = Math.max(answer.step_ms, 1);
  const filled = answer.buckets
    .map((bucket) => ({ start: Date.parse(bucket.time), counts: bucket.counts, total: sum(bucket.counts) }))
    .filter((bucket) => bucket.total > 0);
  const from = Math.min(Date.parse(answer.from), ...filled.map((bucket) => bucket.start));
  const to = Math.max(Date.parse(answer.to), ...filled.map((bucket) => bucket.start + step));
  const count = Math.max(1, Math.ceil((to - from) / step - 1e-6));
  const highest = Math.max(0, ...filled.map((bucket) => bucket.total));
  const made = filled.map((bucket) => ({
    at: Math.min(count - 1, Math.round((bucket.start - from) / step)),
    total: bucket.total,
    parts: stack(bucket.counts, highest),
  }));
  return { from, to: from + count * step, count, highest, counts: totals(filled), bars: made };
}

/**
 * Severe ones at the bottom, where bars are easiest to compare.
 * @param {Record<string, number>} counts
 * @param {number} highest
 */
function stack(counts, highest) {
  const others = Object.keys(counts).filter((level) => !LEVELS.includes(level));
  const parts = [];
  let top = 0;
  for (const level of [...LEVELS, ...others]) {
    const count = counts[level] ?? 0;
    if (count === 0) continue;
    const height = Math.max(count / highest, parts.length === 0 ? FLATTEST : 0);
    parts.push({ level, count, base: top, height });
    top += height;
  }
  const scale = top > 1 ? 1 / top : 1;
  return parts.map((part) => ({ ...part, base: part.base * scale, height: part.height * scale }));
}

/** @param {Record<string, number>} counts */
function sum(counts) {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** @param {{ counts: Record<string, number> }[]} buckets */
function totals(buckets) {
  const found = /** @type {Record<string, number>} */ ({});
  for (const bucket of buckets) {
    for (const [level, count] of Object.entries(bucket.counts)) found[level] = (found[level] ?? 0) + count;
  }
  return found;
}
