/**
 * Changing a query by a click, as text: adds, replaces and negates terms and leaves the rest as it was typed.
 * Knows just enough of the language to see where a term ends; what a query means is the server's business. Pure.
 *
 * @import { Column } from "./api.js"
 */

/** Written before `:` or `.` these mean the record itself; a service's own field of that name is `fields.<name>`. */
const BUILT_IN = new Set(
  (
    "id time level message service instance host version boot attrs seq target file line thread trace trace_id span " +
    "span_id spans callsite flags fields"
  ).split(" "),
);

const PLAIN_NAME = /^[\p{L}_][\p{L}\p{N}_.-]*(?<![.-])$/u;
const PLAIN_VALUE = /^(-?\d+(\.\d+)?|[\p{L}\p{N}_][\p{L}\p{N}_.:/-]*)$/u;

const OPERATOR = /^(AND|OR|NOT)$/;

/** Longer values make a URL nobody can share. */
const LONGEST_VALUE = 500;

/** @param {string} value @returns {string} the value so that it stands for itself after `name:` */
export function quote(value) {
  if (PLAIN_VALUE.test(value) && !value.includes("..") && !OPERATOR.test(value)) return value;
  return phrase(value);
}

/** Text to be found as it stands. @param {string} value */
export function phrase(value) {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/**
 * The term that asks for this value, such as `service:iptv`; null if no query can say it.
 * @param {string} name @param {string} value
 */
export function term(name, value) {
  if (!sayable(name) || !sayable(value)) return null;
  return `${quoteName(name)}:${quote(value)}`;
}

/** The name so that it can stand before a `:`. @param {string} name */
export function quoteName(name) {
  return PLAIN_NAME.test(name) && !OPERATOR.test(name) ? name : phrase(name);
}

/** The query language's name for a field as the service named it. @param {string} name */
export function ownField(name) {
  return BUILT_IN.has(name.split(".", 1)[0].toLowerCase()) ? `fields.${name}` : name;
}

/** The language has no escape for control characters, and a text field loses them. @param {string} text */
function sayable(text) {
  return text.length <= LONGEST_VALUE && !/[\p{Cc}\p{Cs}]/u.test(text);
}

/**
 * Only records with this term: replaces an equality on the same field.
 * @param {string} query
 * @param {string} wanted
 */
export function only(query, wanted) {
  const name = nameOf(wanted);
  // Several spans may have the same field, so two such terms can both hold.
  const replaces = (/** @type {string} */ each) => nameOf(each) === name && !name.startsWith("span.");
  return change(query, wanted, (each) => each !== wanted && each !== `-${wanted}` && !replaces(each));
}

/** No records with this term. @param {string} query @param {string} unwanted */
export function not(query, unwanted) {
  return change(query, `-${unwanted}`, (each) => each !== unwanted && each !== `-${unwanted}`);
}

/** @param {string} query @param {string} added @param {(term: string) => boolean} stays */
function change(query, added, stays) {
  const { filter, rest } = splitPipeline(query);
  const kept = isEither(filter) ? [`(${filter.trim()})`] : withoutTerms(split(filter), stays);
  return [...kept, added, rest].filter(Boolean).join(" ");
}

/**
 * Also takes away the `AND` or `NOT` that stood by a term.
 * @param {string[]} parts
 * @param {(term: string) => boolean} stays
 */
function withoutTerms(parts, stays) {
  return parts.filter((each, at) => {
    const negated = parts[at - 1] === "NOT";
    if (each === "NOT") return stays(`-${parts[at + 1] ?? ""}`);
    return each !== "AND" && stays(negated ? `-${each}` : each);
  });
}

/** The field of an equality; empty for any other term. @param {string} text */
function nameOf(text) {
  return /^("(?:[^"\\]|\\.)*"|[\p{L}_@$][\p{L}\p{N}_.@$-]*):/u.exec(text)?.[1] ?? "";
}

/**
 * Whether there is an `OR` outside of parentheses: it binds weaker than what is added.
 * @param {string} filter
 */
function isEither(filter) {
  let outside = "";
  let depth = 0;
  for (const [piece] of filter.matchAll(SCAN)) {
    if (piece === ")") depth -= 1;
    if (depth <= 0) outside += piece.length === 1 ? piece : "_";
    if (piece === "(") depth += 1;
  }
  return /(?<![^\s)])OR(?![^\s(])/.test(outside);
}

/** One quoted phrase, one regular expression, one escaped quote, or one character. */
export const SCAN = /"(?:[^"\\]|\\.)*"?|\\["\\]|(?<=^|[\s:(])\/(?:[^/\\]|\\.)*\/|[^]/gu;

/** The filter, and the pipeline from its first `|` on. @param {string} query */
export function splitPipeline(query) {
  for (const match of query.matchAll(SCAN)) {
    if (match[0] === "|") return { filter: query.slice(0, match.index), rest: query.slice(match.index) };
  }
  return { filter: query, rest: "" };
}

/**
 * By which column a pipeline sorts its rows in the end; empty if by none.
 * @param {string} query
 * @returns {{ column: string, descending: boolean }}
 */
export function sorting(query) {
  const [, column = "", direction] = /^\|\s*sort\s+(.*?)(?:\s+(asc|desc))?$/i.exec(lastStep(query).trim()) ?? [];
  return { column, descending: direction?.toLowerCase() === "desc" };
}

/** The same rows, sorted by this column; the same column again turns them round. @param {string} query @param {Column} column */
export function sortedBy(query, { name, kind }) {
  const [, aggregate = "", field] = /^((?:sum|avg|min|max|distinct|p\d+) )?([^]*)$/.exec(name) ?? [];
  const column = aggregate + quoteName(field);
  const now = sorting(query);
  // The largest numbers are what one looks for; texts begin with A.
  const descending = now.column === column ? !now.descending : kind === "number";
  const rest = now.column ? query.slice(0, query.length - lastStep(query).length) : query;
  return `${rest.trim()} | sort ${column}${descending ? " desc" : ""}`;
}

/** The last step of a pipeline, from its `|` on. @param {string} query */
function lastStep(query) {
  let last = query.length;
  for (const match of query.matchAll(SCAN)) if (match[0] === "|") last = match.index;
  return query.slice(last);
}

/** The words and terms outside of parentheses, in order. @param {string} filter @returns {string[]} */
export function split(filter) {
  const parts = [];
  let part = "";
  let depth = 0;
  for (const [piece] of filter.matchAll(SCAN)) {
    if (piece === "(") depth += 1;
    if (piece === ")") depth -= 1;
    if (depth > 0 || !/^\s$/.test(piece)) {
      part += piece;
    } else if (part) {
      parts.push(part);
      part = "";
    }
  }
  if (part) parts.push(part);
  return parts;
}
