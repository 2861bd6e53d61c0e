/**
 * A record as rows of a table: which there are, in which order, under which name the query language knows each, and
 * which term finds it again. Pure.
 *
 * @import { Fields, LogRecord } from "./api.js"
 * @typedef {{ name: string, text: string, field: string | null, term: string | null }} Row `field` and `term` are null
 *   where no query can say it
 * @typedef {{ title: string, about: "event" | "sender", rows: Row[] }} Group
 */

import { ownField, term } from "./query-text.js";
import { asError, isMap, isPlain, valueText } from "./value.js";

/** @param {LogRecord} record @returns {Group[]} groups without rows are left out */
export function groups(record) {
  const spans = (record.spans ?? []).map((span) => ({
    title: "Span",
    about: /** @type {const} */ ("event"),
    rows: [
      row("name", span.name, "spans"),
      ...fieldRows(span.fields ?? {}, (name) => `span.${name}`),
    ],
  }));
  const found = /** @type {Group[]} */ ([
    { title: "Fields", about: "event", rows: fieldRows(record.fields ?? {}, ownField) },
    ...spans,
    { title: "Record", about: "sender", rows: ownRows(record) },
    { title: "Process", about: "sender", rows: fieldRows(record.attrs ?? {}, (name) => `attrs.${name}`) },
  ]);
  return found.filter((group) => group.rows.length > 0);
}

/** @param {string} name @param {string} text @param {string | null} field @returns {Row} */
function row(name, text, field) {
  return { name, text, field, term: field === null ? null : term(field, text) };
}

/**
 * Values inside of maps are rows of their own, by their path.
 * @param {Fields} fields
 * @param {(name: string) => string} toField
 * @param {string} [path]
 * @returns {Row[]}
 */
function fieldRows(fields, toField, path = "") {
  return Object.entries(fields).flatMap(([last, value]) => {
    const name = path + last;
    const field = toField(name);
    if (isPlain(value)) return [row(name, String(value), field)];
    const error = asError(value);
    if (error)
      return [{ name, text: valueText(value), field, term: term(`${field}.message`, error.message) }];
    if (isMap(value) && Object.keys(value).length > 0) return fieldRows(value, toField, `${name}.`);
    return [{ name, text: valueText(value), field, term: null }];
  });
}

/** @param {LogRecord} record @returns {Row[]} */
function ownRows(record) {
  const rows = [row("time", record.time, null)];
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
    ["seq", record.seq === undefined ? undefined : String(record.seq)],
  ]);
  for (const [name, text] of own) if (text) rows.push(row(name, text, name));
  for (const flag of record.flags ?? []) rows.push(row("flags", flag, "flags"));
  rows.push(row("id", record.id, null));
  return rows;
}
