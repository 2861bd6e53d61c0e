/**
 * From a pipeline's table to what a chart draws: series over time, or one bar for each row. Pure.
 *
 * @import { Table, Value } from "./api.js"
 * @typedef {{ name: string, values: (number | null)[] }} Series
 * @typedef {{ times: number[], step: number, series: Series[], lowest: number, highest: number, all: number }} Timeline `all` counts
 *   the series that were found; the largest are here
 * @typedef {{ label: string, value: number, part: number }} RowBar `part` of the longest bar, 0 to 1
 */

import { LEVELS } from "./levels.js";
import { valueText } from "./value.js";

/** More lines than this nobody can tell apart; the table has them all. */
export const SERIES_MOST = 12;

/** @param {Table} table @returns {"lines" | "bars" | "table"} what shows it best */
export function suits(table) {
  if (isTimeline(table)) return "lines";
  const numbers = table.columns.filter((column) => column.kind === "number").length;
  return numbers === 1 && table.columns.length > 1 && table.rows.length > 1 ? "bars" : "table";
}

/** Whether it runs over time: a moment, what it is about if it is about several things, and numbers. @param {Table} table */
export function isTimeline(table) {
  return table.columns[0]?.kind === "time" && table.columns.some((column) => column.kind === "number");
}

/** A series for each number, and for each of the things it is told of. @param {Table} table @returns {Timeline} */
export function timeline(table) {
  const columns = table.columns.map((column, at) => ({ ...column, at })).slice(1);
  const numbers = columns.filter(({ kind }) => kind === "number");
  const labels = columns.filter(({ kind }) => kind !== "number");
  const moments = table.rows.map((row) => Date.parse(String(row[0])));
  const told = [...new Set(moments)].filter((at) => !Number.isNaN(at)).sort((one, other) => one - other);
  const step = stepOf(told);
  const times = withoutHoles(told, step);
  const place = new Map(times.map((at, index) => [at, index]));
  const found = /** @type {Map<string, Series>} */ (new Map());
  table.rows.forEach((row, index) => {
    const at = place.get(moments[index]);
    if (at === undefined) return;
    const label = labels.map((column) => cellText(row[column.at])).join(" · ");
    for (const column of numbers) {
      const own = labels.length === 0 || numbers.length > 1;
      const name = [label, own && column.name].filter(Boolean).join(" ") || "(none)";
      // Nothing told is none of what is counted; of anything else it is nothing known.
      const nothing = column.name.startsWith("count") ? 0 : null;
      const series = found.get(name) ?? { name, values: times.map(() => nothing) };
      series.values[at] = number(row[column.at]);
      found.set(name, series);
    }
  });
  const series = [...found.values()].sort(byWeight).slice(0, SERIES_MOST);
  const values = series.flatMap((each) => each.values.filter((value) => value !== null));
  return {
    times,
    step,
    series,
    all: found.size,
    lowest: Math.min(0, ...values),
    highest: Math.max(0, ...values),
  };
}

/** The shortest time between two. @param {number[]} times in order */
function stepOf(times) {
  const step = Math.min(...times.slice(1).map((at, index) => at - times[index]), Infinity);
  return Number.isFinite(step) ? step : 60_000;
}

/** Steps that are filled up; a range with more is drawn as it was told. */
const FILLED_MOST = 5000;

/** The steps of which nothing was told too, so that a line does not cross them. @param {number[]} told in order @param {number} step */
function withoutHoles(told, step) {
  const all = (told[told.length - 1] - told[0]) / step;
  // Steps of unequal length, such as months, are left alone.
  if (!(all < FILLED_MOST) || told.some((at) => (at - told[0]) % step !== 0)) return told;
  return Array.from({ length: all + 1 }, (_, at) => told[0] + at * step);
}

/** Levels in their order, all others by size. @param {Series} one @param {Series} other */
function byWeight(one, other) {
  const [first, second] = [one, other].map(({ name }) => place(name));
  return first - second || sum(other) - sum(one);
}

/** @param {string} name */
function place(name) {
  return LEVELS.includes(name) ? LEVELS.indexOf(name) : LEVELS.length;
}

/** @param {Series} series */
function sum({ values }) {
  return values.reduce((/** @type {number} */ total, value) => total + (value ?? 0), 0);
}

/** How high each time's values are when they stand on each other. @param {Timeline} drawn */
export function stackedHighest({ times, series }) {
  const sums = times.map((_, at) => series.reduce((sum, { values }) => sum + Math.max(0, values[at] ?? 0), 0));
  return Math.max(0, ...sums);
}

/** Round values between these, few enough to be told apart at a glance. @param {number} lowest @param {number} highest */
export function marks(lowest, highest) {
  const rough = (highest - lowest) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5].find((each) => each * power >= rough) ?? 10) * power;
  const first = Math.ceil(lowest / step);
  return Array.from({ length: Math.floor(highest / step) - first + 1 }, (_, at) => (first + at) * step);
}

/** The first column of numbers as bars; the other columns say what each is. @param {Table} table @returns {RowBar[]} */
export function rowBars(table) {
  const measured = table.columns.findIndex((column) => column.kind === "number");
  if (measured < 0) return [];
  const bars = table.rows.map((row) => ({
    label: row.filter((_, at) => table.columns[at].kind !== "number").map(cellText).join(" · "),
    value: number(row[measured]) ?? 0,
  }));
  const longest = Math.max(...bars.map(({ value }) => value), 0);
  return bars.map((bar) => ({ ...bar, part: longest > 0 ? Math.max(0, bar.value) / longest : 0 }));
}

/** @param {Value | undefined} value @returns {number | null} */
function number(value) {
  if (value === null || value === undefined || value === "") return null;
  const found = Number(value);
  return Number.isFinite(found) ? found : null;
}

/** What a cell shows; nothing is nothing. @param {Value} value */
export function cellText(value) {
  return value === null ? "" : valueText(value);
}

/** A number as one reads it: grouped, and with no more digits than say something. @param {number} value */
export function readable(value) {
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 100 ? 2 : 1 });
}

/** The table for a spreadsheet; what would be taken for a formula is made text. @param {Table} table */
export function csv(table) {
  const cell = (/** @type {string} */ content) => {
    const safe = /^\s*[=+@\0＝＋－＠-]/.test(content) && Number.isNaN(Number(content)) ? `'${content}` : content;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const rows = [table.columns.map(({ name }) => name), ...table.rows.map((row) => row.map(cellText))];
  return rows.map((row) => row.map(cell).join(",")).join("\r\n");
}
