/**
 * What could be written where the caret stands: which part of the query is being typed, and what would complete it.
 * Pure: knows neither the document nor the network.
 *
 * @typedef {object} Typing
 * @property {"name" | "value" | "stage"} kind a field's name (or a word), a field's value, a stage of a pipeline
 * @property {string} field whose value it is; empty otherwise
 * @property {string} typed what is there already, without quotes
 * @property {number} start where it begins, so that it can be replaced
 * @property {string} before the rest of the filter, which narrows what is offered
 * @property {boolean} bare a name of which no `:` follows, as in a pipeline
 * @typedef {{ text: string, insert: string, about: string, more: boolean }} Offer `more`: a value follows
 */

import { quote, quoteName, SCAN, splitPipeline } from "./query-text.js";

/** Fields of the record itself: they are there without anybody having logged them. */
export const RECORD_FIELDS = (
  "level service message target callsite host instance version boot file line thread trace_id span_id spans flags seq"
).split(" ");

const LEVEL_NAMES = ["error", "warn", "info", "debug", "trace"];

const KEYWORDS = [
  { text: "OR", about: "one of both" },
  { text: "AND", about: "both, as without a word" },
  { text: "NOT", about: "without" },
];

const STAGES = [
  { text: "count by", about: "how many of each" },
  { text: "top 10", about: "the most frequent values" },
  { text: "stats", about: "count, sum, avg, min, max, p95 … by" },
  { text: "timechart 1m", about: "over time: count by level" },
  { text: "sort", about: "by a field, desc" },
  { text: "limit", about: "so many rows" },
  { text: "fields", about: "only these" },
];

/** What the `|` of a query can begin. */
export const STAGE_NAMES = STAGES.map(({ text }) => text.split(" ", 1)[0]);

/** Words of a stage that are no fields. */
const AGGREGATES = "count sum avg min max p50 p90 p95 p99 distinct by desc asc".split(" ");

const TERM = /^-?("(?:[^"\\]|\\.)*"|[\p{L}_@$][\p{L}\p{N}_.@$-]*)(:|>=|<=|>|<)([^]*)$/u;
const GROUP = /^-?("(?:[^"\\]|\\.)*"|[\p{L}_@$][\p{L}\p{N}_.@$-]*):\((?:[^()]*\s)?([^()\s]*)$/u;

/** @param {string} query @param {number} caret @returns {Typing | null} null where nothing can be offered */
export function typing(query, caret) {
  const left = query.slice(0, caret);
  const { filter, rest } = splitPipeline(left);
  if (rest) return typingStage(filter, left, rest);
  const start = lastTerm(left);
  const part = left.slice(start);
  const after = splitPipeline(query).filter.slice(caret).replace(/^\S+/, "");
  const before = `${left.slice(0, start)} ${after}`.trim();
  const group = GROUP.exec(part);
  if (group) return value(group[1], group[2], caret, before);
  const term = TERM.exec(part);
  if (term) return value(term[1], term[3], caret, before);
  const typed = part.replace(/^-|^\(+/, "");
  if (/["/]/.test(typed)) return null;
  return { kind: "name", field: "", typed, start: caret - typed.length, before, bare: false };
}

/** @param {string} name @param {string} written @param {number} caret @param {string} before @returns {Typing | null} */
function value(name, written, caret, before) {
  // A regular expression is nobody's value.
  if (written.startsWith("/")) return null;
  const field = name.startsWith('"') ? name.slice(1, -1).replace(/\\(["\\])/g, "$1") : name;
  const typed = written.replace(/^"/, "").replace(/\\(["\\])/g, "$1");
  return { kind: "value", field, typed, start: caret - written.length, before: balanced(before), bare: false };
}

/** What was left open cannot be searched. @param {string} filter */
function balanced(filter) {
  return (filter.match(/\(/g)?.length ?? 0) === (filter.match(/\)/g)?.length ?? 0) ? filter : "";
}

/** @param {string} filter @param {string} left @param {string} rest @returns {Typing} */
function typingStage(filter, left, rest) {
  const stage = rest.slice(rest.lastIndexOf("|") + 1);
  const word = /[^\s,]*$/.exec(stage)?.[0] ?? "";
  const first = stage.trimStart() === word;
  return {
    kind: first ? "stage" : "name",
    field: "",
    typed: word,
    start: left.length - word.length,
    before: filter.trim(),
    bare: true,
  };
}

/** Where the term that ends at the end of this text begins. @param {string} left */
function lastTerm(left) {
  let start = 0;
  let depth = 0;
  for (const match of left.matchAll(SCAN)) {
    const piece = match[0];
    const end = match.index + piece.length;
    if (piece === "(") {
      // `field:(a b` is one term; a parenthesis of its own is none.
      if (depth > 0 || /:$/.test(left.slice(start, match.index))) depth += 1;
      else start = end;
    } else if (piece === ")") depth = Math.max(0, depth - 1);
    else if (/^\s$/.test(piece) && depth === 0) start = end;
  }
  return start;
}

/**
 * Names that begin with, or contain, what was typed.
 * @param {Typing} typing
 * @param {{ name: string, records: number }[]} own the fields that services gave their records
 * @returns {Offer[]}
 */
export function offerNames(typing, own) {
  const typed = typing.typed.toLowerCase();
  const plain = (/** @type {string} */ name) => ({
    text: name,
    insert: typing.bare ? quoteName(name) : `${quoteName(name)}:`,
    about: "",
    more: !typing.bare,
  });
  const names = [
    ...own.map(({ name, records }) => ({ ...plain(name), about: records.toLocaleString("en") })),
    ...RECORD_FIELDS.map(plain),
  ];
  const words = typing.bare
    ? AGGREGATES.map((text) => ({ text, insert: `${text} `, about: "", more: false }))
    : KEYWORDS.map((each) => ({ ...each, insert: `${each.text} `, more: false }));
  const all = [...names, ...words];
  const begins = all.filter((each) => each.text.toLowerCase().startsWith(typed));
  const contains = typed ? names.filter((each) => each.text.toLowerCase().indexOf(typed) > 0) : [];
  return [...begins, ...contains].filter((each) => each.text !== typing.typed || each.more);
}

/** @param {Typing} typing @returns {Offer[]} */
export function offerStages(typing) {
  return STAGES.filter(({ text }) => text.startsWith(typing.typed.toLowerCase())).map((each) => ({
    ...each,
    insert: `${each.text} `,
    more: true,
  }));
}

/**
 * @param {Typing} typing
 * @param {{ value: string, records: number }[]} values
 * @returns {Offer[]}
 */
export function offerValues(typing, values) {
  const typed = typing.typed.toLowerCase();
  const found = values.filter(({ value }) => value.toLowerCase().includes(typed) && !/\p{Cc}/u.test(value));
  return found.map(({ value, records }) => ({
    text: value,
    insert: `${quote(value)} `,
    about: records.toLocaleString("en"),
    more: false,
  }));
}

/** The levels in their order, as far as they fit: there is nothing to count for them to be offered. @param {Typing} typing */
export function offerLevels(typing) {
  return offerValues(
    typing,
    LEVEL_NAMES.map((value) => ({ value, records: 0 })),
  ).map((offer) => ({ ...offer, about: "" }));
}
