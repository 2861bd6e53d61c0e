/**
 * What stands in a column of the list: the value a record has under a name of the query language, and how the set of
 * columns changes. Pure.
 *
 * @import { Fields, LogRecord, Value } from "./api.js"
 */

import { asError, isMap, isPlain, valueText } from "./value.js";

const OWN =
  "id time level message service instance host version boot seq target file line thread trace_id span_id".split(" ");

/** @param {LogRecord} record @param {string} name @returns {string} empty if it has none */
export function columnText(record, name) {
  const value = columnValue(record, name);
  return value === undefined ? "" : valueText(short(value)).replaceAll("\n", " ");
}

/** A row is a glance: of a long fraction it shows what says something, and the open record has the rest. @param {Value} value */
function short(value) {
  const long = typeof value === "number" && !Number.isInteger(value) && String(value).length > 9;
  return long ? Number(value.toPrecision(6)) : value;
}

/** @param {LogRecord} record @param {string} name @returns {Value | undefined} */
function columnValue(record, name) {
  const known = name.toLowerCase();
  const [first, ...rest] = name.split(".");
  if (OWN.includes(known)) return /** @type {any} */ (record)[known];
  if (known === "trace") return record.trace_id;
  if (known === "callsite")
    return record.file && (record.line === undefined ? record.file : `${record.file}:${record.line}`);
  if (known === "spans") return record.spans?.map((span) => span.name).join(" › ");
  if (known === "flags") return record.flags?.join(" ");
  if (rest.length > 0 && first === "fields") return within(record.fields, rest.join("."));
  if (rest.length > 0 && first === "attrs") return within(record.attrs, rest.join("."));
  if (rest.length > 0 && first === "span") {
    // The innermost span that has it, as it is the nearest to what happened.
    const values = (record.spans ?? []).map((span) => within(span.fields, rest.join(".")));
    return values.findLast((value) => value !== undefined);
  }
  return within(record.fields, name);
}

/** `a.b` is a field of that name as well as `b` inside of `a`. @param {Fields | undefined} fields @param {string} path */
function within(fields, path) {
  if (!fields) return undefined;
  if (Object.hasOwn(fields, path)) return fields[path];
  for (let dot = path.indexOf("."); dot > 0; dot = path.indexOf(".", dot + 1)) {
    const inner = Object.hasOwn(fields, path.slice(0, dot)) ? fields[path.slice(0, dot)] : undefined;
    if (inner !== undefined && isMap(inner)) {
      const found = /** @type {Value | undefined} */ (within(inner, path.slice(dot + 1)));
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

/** Characters of a value, and of all of them, beside a message: a glance, not the record. */
const PAIR_MOST = 80;
const PAIRS_MOST = 400;

/**
 * The record's own fields in one line, for beside its message: those that have a column are left out.
 * @param {LogRecord} record @param {string[]} columns
 */
export function pairs({ fields = {} }, columns) {
  let line = "";
  for (const [name, value] of Object.entries(fields)) {
    if (line.length > PAIRS_MOST) return `${line} …`;
    if (columns.includes(name)) continue;
    const shown = inLine(value);
    const said = /[\s="]/.test(shown) && (typeof value === "string" || asError(value)) ? JSON.stringify(shown) : shown;
    line += `${line && "  "}${name}=${said.length > PAIR_MOST ? `${said.slice(0, PAIR_MOST)}…` : said}`;
  }
  return line;
}

/** @param {Value} value */
function inLine(value) {
  if (value === null || isPlain(value)) return String(short(value));
  return asError(value) ? valueText(value).replaceAll("\ncaused by:", ":") : JSON.stringify(value);
}

/** Narrow enough for several, wide enough for a path. */
const WIDEST = 36;

/**
 * How wide a column should be, in characters: as wide as what stands in it, within bounds.
 * @param {string} name
 * @param {LogRecord[]} records
 */
export function columnWidth(name, records) {
  const lengths = records.map((record) => width(columnText(record, name)));
  // The header's buttons need room too.
  return Math.min(WIDEST, Math.max(name.length + 2, 9, ...lengths));
}

/** In characters; those of East Asia take the room of two. @param {string} text */
function width(text) {
  return text.length + (text.match(/[\u1100-\u115f\u2e80-\uffdc]/g)?.length ?? 0);
}

/** @param {string[]} columns @param {string} name */
export function toggled(columns, name) {
  return columns.includes(name) ? columns.filter((each) => each !== name) : [...columns, name];
}

/** @param {string[]} columns @param {string} name @param {1 | -1} step */
export function moved(columns, name, step) {
  const at = columns.indexOf(name);
  const to = at + step;
  if (at < 0 || to < 0 || to >= columns.length) return columns;
  return columns.map((each, place) => (place === at ? columns[to] : place === to ? name : each));
}
