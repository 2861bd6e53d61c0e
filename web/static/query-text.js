/**
 * Changing a query by a click, as text: adds, replaces and negates terms and leaves the rest as it was typed.
 * Knows just enough of the language to see where a term ends; what a query means is the server's business. Pure.
 */

/** Written before `:` these mean the record itself; a service's own field of that name is `fields.<name>`. */
const BUILT_IN = new Set(
  ("id time level message service instance host version boot seq target file line thread trace trace_id span span_id " +
    "spans callsite flags fields and or not").split(" "),
);

const PLAIN_NAME = /^[\p{L}_][\p{L}\p{N}_.-]*$/u;
const PLAIN_VALUE = /^(-?\d+(\.\d+)?|[\p{L}\p{N}_][\p{L}\p{N}_.:/-]*)$/u;

/** Longer values make a URL nobody can share. */
const LONGEST_VALUE = 500;

/** @param {string} value @returns {string} the value so that it stands for itself after `name:` */
export function quote(value) {
  if (PLAIN_VALUE.test(value) && !value.includes("..") && !/^(AND|OR|NOT)$/.test(value)) return value;
  return phrase(value);
}

/** Text to be found as it stands. @param {string} value */
export function phrase(value) {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** A term of the record's own part, such as `service:iptv`. @param {string} name @param {string} value */
export function term(name, value) {
  return sayable(value) ? `${name}:${quote(value)}` : null;
}

/** A term of a field as the service named it; null if no query can say it. @param {string} name @param {string} value */
export function fieldTerm(name, value) {
  if (!PLAIN_NAME.test(name)) return null;
  const first = name.split(".", 1)[0].toLowerCase();
  return term(BUILT_IN.has(first) ? `fields.${name}` : name, value);
}

/** A term of a span's field. @param {string} name @param {string} value */
export function spanTerm(name, value) {
  return PLAIN_NAME.test(name) ? term(`span.${name}`, value) : null;
}

/** The language has no escape for control characters, and a text field loses them. @param {string} value */
function sayable(value) {
  return value.length <= LONGEST_VALUE && !/[\p{Cc}\p{Cs}]/u.test(value);
}

/** Only records with this term: replaces an equality on the same field. @param {string} query @param {string} wanted */
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
  const parts = split(filter);
  const kept = parts.includes("OR") ? [`(${filter.trim()})`] : withoutTerms(parts, stays);
  return [...kept, added, rest].filter(Boolean).join(" ");
}

/** Also takes away the `AND` or `NOT` that stood by a term. @param {string[]} parts @param {(term: string) => boolean} stays */
function withoutTerms(parts, stays) {
  return parts.filter((each, at) => {
    const negated = parts[at - 1] === "NOT";
    if (each === "NOT") return stays(`-${parts[at + 1] ?? ""}`);
    return each !== "AND" && stays(negated ? `-${each}` : each);
  });
}

/** The field of an equality; empty for any other term. @param {string} text */
function nameOf(text) {
  return /^([\p{L}_][\p{L}\p{N}_.-]*):/u.exec(text)?.[1] ?? "";
}

/** One quoted phrase, one regular expression, or one character. */
const SCAN = /"(?:[^"\\]|\\.)*"?|(?<=^|[\s:(])\/(?:[^/\\]|\\.)*\/|[^]/gu;

/** The filter, and the pipeline from its first `|` on. @param {string} query */
export function splitPipeline(query) {
  for (const match of query.matchAll(SCAN)) {
    if (match[0] === "|") return { filter: query.slice(0, match.index), rest: query.slice(match.index) };
  }
  return { filter: query, rest: "" };
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
