/**
 * A record as rows of a table: which there are, in which order, and which term of the query finds each again. Pure.
 *
 * @import { Fields, LogRecord, Value } from "./api.js"
 * @typedef {{ name: string, text: string, term: string | null }} Row `term` is null where no query can say it
 * @typedef {{ title: string, rows: Row[] }} Group
 */

import { ExactNumber } from "./exact.js";
import { fieldTerm, spanTerm, term } from "./query-text.js";

/** @param {LogRecord} record @returns {Group[]} groups without rows are left out */
export function groups(record) {
  const spans = (record.spans ?? []).map((span) => ({
    title: "Span",
    rows: [
      { name: "name", text: span.name, term: term("spans", span.name) },
      ...fieldRows(span.fields ?? {}, spanTerm),
    ],
  }));
  return [
    { title: "Fields", rows: fieldRows(record.fields ?? {}, fieldTerm) },
    ...spans,
    { title: "Record", rows: ownRows(record) },
  ].filter((group) => group.rows.length > 0);
}

/** @param {Fields} fields @param {(name: string, value: string) => string | null} toTerm @returns {Row[]} */
function fieldRows(fields, toTerm) {
  return Object.entries(fields).map(([name, value]) => ({
    name,
    text: valueText(value),
    term: isPlain(value) ? toTerm(name, String(value)) : null,
  }));
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
  if (record.seq !== undefined) rows.push({ name: "seq", text: String(record.seq), term: null });
  if (record.flags?.length) rows.push({ name: "flags", text: record.flags.join(", "), term: null });
  rows.push({ name: "id", text: record.id, term: null });
  return rows;
}

/** @param {Value} value @returns {string} */
export function valueText(value) {
  if (isPlain(value)) return String(value);
  return causes(value) ?? JSON.stringify(value, null, 2);
}

/** An error and what caused it, one to a line; null if the value is no error. @param {Value} value */
function causes(value) {
  if (value === null || typeof value !== "object" || !("message" in value) || !("chain" in value)) return null;
  const { message, chain, ...others } = value;
  if (typeof message !== "string" || !Array.isArray(chain) || Object.keys(others).length > 0) return null;
  return [message, ...chain.map((cause) => `caused by: ${valueText(cause)}`)].join("\n");
}

/** @param {Value} value */
function isPlain(value) {
  return value instanceof ExactNumber || (value !== null && typeof value !== "object");
}
