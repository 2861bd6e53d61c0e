/**
 * A record as rows of a table: which there are, in which order, and which term of the query finds each again. Pure.
 *
 * @import { Fields, LogRecord, Value } from "./api.js"
 * @typedef {{ name: string, text: string, term: string | null }} Row `term` is null where no query can say it
 * @typedef {{ title: string, about: "event" | "sender", rows: Row[] }} Group
 */

import { ExactNumber } from "./exact.js";
import { fieldTerm, spanTerm, term } from "./query-text.js";

/** @param {LogRecord} record @returns {Group[]} groups without rows are left out */
export function groups(record) {
  const spans = (record.spans ?? []).map((span) => ({
    title: "Span",
    about: /** @type {const} */ ("event"),
    rows: [
      { name: "name", text: span.name, term: term("spans", span.name) },
      ...fieldRows(span.fields ?? {}, spanTerm),
    ],
  }));
  const attrs = fieldRows(record.attrs ?? {}, (name, value) => term(`attrs.${name}`, value));
  const found = /** @type {Group[]} */ ([
    { title: "Fields", about: "event", rows: fieldRows(record.fields ?? {}, fieldTerm) },
    ...spans,
    { title: "Record", about: "sender", rows: ownRows(record) },
    { title: "Process", about: "sender", rows: attrs },
  ]);
  return found.filter((group) => group.rows.length > 0);
}

/**
 * Values inside of maps are rows of their own, by their path.
 * @param {Fields} fields
 * @param {(name: string, value: string) => string | null} toTerm
 * @param {string} [path]
 * @returns {Row[]}
 */
function fieldRows(fields, toTerm, path = "") {
  return Object.entries(fields).flatMap(([last, value]) => {
    const name = path + last;
    if (isPlain(value)) return [{ name, text: String(value), term: toTerm(name, String(value)) }];
    const error = asError(value);
    if (error) return [{ name, text: valueText(value), term: toTerm(`${name}.message`, error.message) }];
    if (isMap(value) && Object.keys(value).length > 0) return fieldRows(value, toTerm, `${name}.`);
    return [{ name, text: valueText(value), term: null }];
  });
}

/** @param {LogRecord} record @returns {Row[]} */
function ownRows(record) {
  const rows = /** @type {Row[]} */ ([{ name: "time", text: record.time, term: null }]);
  const own = /** @type {[string, string | undefined][]} */ ([
    ["level", record.level],
    ["service", record.service],
    ["target", record.target],
    ["trace", record.trace_id],
    ["span_id", record.span_id],
    ["thread", record.thread],
    ["callsite", record.file && (record.line === undefined ? record.file : `${record.file}:${record.line}`)],
    ["instance", record.instance],
    ["host", record.host],
    ["version", record.version],
    ["boot", record.boot],
  ]);
  for (const [name, text] of own) {
    if (text) rows.push({ name, text, term: term(name, text) });
  }
  if (record.seq !== undefined)
    rows.push({ name: "seq", text: String(record.seq), term: term("seq", String(record.seq)) });
  for (const flag of record.flags ?? []) rows.push({ name: "flags", text: flag, term: term("flags", flag) });
  rows.push({ name: "id", text: record.id, term: null });
  return rows;
}

/** @param {Value} value @returns {string} */
export function valueText(value) {
  if (isPlain(value)) return String(value);
  const error = asError(value);
  if (!error) return JSON.stringify(value, null, 2);
  return [
    error.message,
    ...error.chain.map((cause) => `caused by: ${valueText(/** @type {Value} */ (cause))}`),
  ].join("\n");
}

/**
 * An error as the layer writes one.
 * @param {Value} value
 * @returns {{ message: string, chain: unknown[] } | null}
 */
function asError(value) {
  if (!isMap(value) || Object.keys(value).length !== 2) return null;
  const { message, chain } = value;
  return typeof message === "string" && Array.isArray(chain) ? { message, chain } : null;
}

/** @param {Value} value @returns {value is Fields} */
function isMap(value) {
  return (
    value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof ExactNumber)
  );
}

/** @param {Value} value @returns {value is boolean | number | string | ExactNumber} */
function isPlain(value) {
  return value instanceof ExactNumber || (value !== null && typeof value !== "object");
}
