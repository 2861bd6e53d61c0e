/**
 * From the records of a trace to the tree of spans that caused each other, over processes. Pure.
 *
 * Within a process the chain of spans says who is inside of whom. Between processes a span that knows its parent's id
 * hangs below it; one that does not hangs below the span around it in time. A clock that is wrong cannot show an
 * answer before its question: what a parent caused begins no earlier than the parent, and the shift is told.
 *
 * @import { Fields, LogRecord } from "./api.js"
 * @typedef {object} Span
 * @property {string} process
 * @property {string} service
 * @property {string} name
 * @property {Fields} fields
 * @property {string} id empty if no record told it
 * @property {string} parentId
 * @property {number} start ms since the epoch, as `end`
 * @property {number} end
 * @property {number | null} wait ms in a queue before it ran
 * @property {number} shift ms added because of another clock
 * @property {LogRecord[]} records its own, oldest first
 * @property {Span[]} children
 * @typedef {{ start: number, end: number, roots: Span[] }} Tree
 */

import { LEVELS } from "./levels.js";

/** How long something took, and was waited for, as services call it. */
const TOOK = /^(?:latency|duration|elapsed|took|run|run_time)_(ms|us|ns|s)$/;
const WAITED = /^(?:queue_wait|queue|queued|wait|waited)_(ms|us|ns|s)$/;
const IN_MS = /** @type {Record<string, number>} */ ({ s: 1000, ms: 1, us: 1e-3, ns: 1e-6 });

/** @param {LogRecord[]} records oldest first @returns {Tree} */
export function traceTree(records) {
  /** @type {Map<string, Span>} */
  const spans = new Map();
  /** @type {Span[]} */
  const roots = [];
  for (const record of records) {
    const at = moment(record.time);
    const chain = record.spans?.length ? record.spans : [{ name: "", fields: {} }];
    const process = `${record.service ?? ""} ${record.boot ?? record.instance ?? ""}`;
    let above = /** @type {Span | null} */ (null);
    let key = process;
    chain.forEach((each, depth) => {
      const last = depth === chain.length - 1;
      const told = /** @type {{ id?: string, parent_id?: string }} */ (each);
      const id = told.id ?? (last ? (record.span_id ?? "") : "");
      // Two calls of the same method look alike, but for their ids.
      key += ` ${told.id ?? JSON.stringify([each.name, each.fields])}`;
      let span = spans.get(last && id ? `${process} ${id}` : key) ?? spans.get(key);
      if (!span || (last && id && span.id && span.id !== id)) {
        span = blank(process, record.service ?? "", each.name, each.fields ?? {}, at);
        if (above) above.children.push(span);
        else roots.push(span);
        spans.set(key, span);
      }
      span.id ||= id;
      if (id) spans.set(`${process} ${id}`, span);
      span.parentId ||= told.parent_id ?? "";
      above = span;
    });
    if (above) take(above, record, at);
  }
  for (const root of roots) stretch(root);
  return arrange(roots, spans);
}

/** @param {string} process @param {string} service @param {string} name @param {Fields} fields @param {number} at @returns {Span} */
function blank(process, service, name, fields, at) {
  const wait = measured(fields, WAITED);
  return {
    process,
    service,
    name,
    fields,
    id: "",
    parentId: "",
    start: at,
    end: at,
    wait,
    shift: 0,
    records: [],
    children: [],
  };
}

/** @param {Span} span @param {LogRecord} record @param {number} at */
function take(span, record, at) {
  const fields = record.fields ?? {};
  // A record that says how long something took says when it began.
  const took = measured(fields, TOOK) ?? busy(fields);
  span.records.push(record);
  span.start = Math.min(span.start, at - (took ?? 0));
  span.end = Math.max(span.end, at);
  span.wait ??= measured(fields, WAITED);
  const parent = fields.parent_span_id ?? /** @type {any} */ (record).parent_span_id;
  if (typeof parent === "string") span.parentId ||= parent;
}

/** What the end of a span tells of itself. @param {Fields} fields */
function busy(fields) {
  const parts = [Number(fields.busy_ns ?? NaN), Number(fields.idle_ns ?? 0)];
  return Number.isNaN(parts[0]) ? null : (parts[0] + parts[1]) * 1e-6;
}

/** @param {Fields} fields @param {RegExp} names @returns {number | null} ms */
function measured(fields, names) {
  for (const [name, value] of Object.entries(fields)) {
    const unit = names.exec(name)?.[1];
    const number = Number(value);
    if (unit && Number.isFinite(number) && number >= 0) return number * IN_MS[unit];
  }
  return null;
}

/** A span lasts as long as what is inside of it. @param {Span} span */
function stretch(span) {
  for (const child of span.children) {
    stretch(child);
    span.start = Math.min(span.start, child.start);
    span.end = Math.max(span.end, child.end);
  }
}

/** @param {Span[]} tops one or more for each process @param {Map<string, Span>} spans @returns {Tree} */
function arrange(tops, spans) {
  const all = [...new Set(spans.values())];
  const byId = new Map(all.filter(({ id }) => id).map((span) => [span.id, span]));
  const roots = [];
  for (const top of [...tops].sort((one, other) => one.start - other.start)) {
    const parent = byId.get(top.parentId) ?? (top.parentId ? undefined : around(top, all));
    if (!parent || within(parent, top)) roots.push(top);
    else parent.children.push(top);
  }
  for (const root of roots) settle(root);
  const ends = /** @type {number[]} */ ([]);
  for (const root of roots) walk(root, (span) => ends.push(span.end));
  return {
    start: Math.min(...roots.map(({ start }) => start)),
    end: Math.max(...ends),
    roots,
  };
}

/** The shortest span of another process that was open when this one began. @param {Span} top @param {Span[]} all */
function around(top, all) {
  const open = all.filter(
    (span) =>
      span.process !== top.process && span.start <= top.start && span.end >= top.end && !within(span, top),
  );
  return open.sort((one, other) => one.end - one.start - (other.end - other.start))[0];
}

/** Whether `span` is `top` or below it. @param {Span} span @param {Span} top */
function within(span, top) {
  let found = false;
  walk(top, (each) => (found ||= each === span));
  return found;
}

/** @param {Span} span @param {(span: Span) => void} see */
function walk(span, see) {
  see(span);
  for (const child of span.children) walk(child, see);
}

/** Children in the order they began, none before its parent. @param {Span} span */
function settle(span) {
  for (const child of span.children) {
    const early = child.process === span.process ? 0 : span.start - child.start;
    if (early > 0)
      walk(child, (each) => {
        each.start += early;
        each.end += early;
        each.shift += early;
      });
    settle(child);
  }
  span.children.sort((one, other) => one.start - other.start);
}

/** Ms since the epoch, with what is below a ms. @param {string} time RFC 3339 */
export function moment(time) {
  const below = /\.\d{3}(\d{1,6})/.exec(time)?.[1] ?? "";
  return Date.parse(time) + Number(`0.${below || 0}`);
}

/** The severest level in a span and below it. @param {Span} span @returns {string} */
export function severest(span) {
  const levels = [...span.records.map(({ level }) => level), ...span.children.map(severest)];
  return LEVELS.find((level) => levels.includes(level)) ?? "";
}
